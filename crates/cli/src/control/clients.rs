//! Who is connected to the control socket. There are so many places; when all are taken, who
//! has waited longest without a whole request goes, so that clients that say nothing, or a
//! byte now and then, keep nobody out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Most clients at a time.
pub(super) const CLIENTS: usize = 64;

/// Most of them that watch: they stay, and commands need places too.
pub(super) const WATCHERS: usize = CLIENTS / 2;

/// The places of clients that watch.
#[derive(Debug, Clone)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Watchers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(WATCHERS)))
    }

    /// A place until what is given is dropped; `None` if all are taken.
    pub(super) fn take_place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Since when a client has not been answered, if it is not right now.
#[derive(Debug, Clone)]
pub(super) struct Busy(Arc<Mutex<Option<Instant>>>);

impl Busy {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(super) fn set(&self, is_busy: bool) {
        let since = (!is_busy).then(Instant::now);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn waits_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    list: Vec<(Busy, AbortHandle)>,
}

impl Clients {
    /// Makes room for one more; `false` if all are being answered.
    pub(super) fn make_room(&mut self) -> bool {
        self.list.retain(|(_, task)| !task.is_finished());
        if self.list.len() < CLIENTS {
            return true;
        }
        let waits = self.list.iter().enumerate();
        let waits = waits.filter_map(|(at, (busy, _))| Some((busy.waits_since()?, at)));
        let Some((_, longest)) = waits.min() else { return false };
        self.list.remove(longest).1.abort();
        true
    }

    pub(super) fn add(&mut self, busy: Busy, task: AbortHandle) {
        self.list.push((busy, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_leave_places_for_commands() {
        let watchers = Watchers::new();
        let mut places: Vec<_> = (0..WATCHERS).map(|_| watchers.take_place().unwrap()).collect();
        assert!(watchers.take_place().is_none());
        places.pop();
        assert!(watchers.take_place().is_some());
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_and_who_is_answered_stays() {
        let mut clients = Clients::default();
        let (mut tasks, mut third) = (Vec::new(), None);
        for n in 0..CLIENTS {
            assert!(clients.make_room());
            let task = tokio::spawn(std::future::pending::<()>());
            let busy = Busy::new();
            busy.set(n != 5);
            if n == 3 {
                third = Some(busy.clone());
            }
            clients.add(busy, task.abort_handle());
            tasks.push(task);
        }
        // The third has been answered, but since.
        third.iter().for_each(|busy: &Busy| busy.set(false));
        assert!(clients.make_room());
        third.iter().for_each(|busy| busy.set(true));
        assert!(tasks.remove(5).await.unwrap_err().is_cancelled());
        let busy = Busy::new();
        busy.set(true);
        clients.add(busy, tokio::spawn(std::future::pending::<()>()).abort_handle());
        assert!(!clients.make_room(), "all are being answered");
        tasks[0].abort();
        let _cancelled = tasks.remove(0).await;
        assert!(clients.make_room());
    }
}
