//! Who is connected to the control socket. There are so many slots; when all are taken, who
//! has waited longest without a whole request goes, so that clients that say nothing, or a
//! byte now and then, keep nobody out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Most clients at a time.
pub(super) const MAX_CLIENTS: usize = 64;

/// Most of them that watch: they stay, and commands need slots too.
pub(super) const MAX_WATCHERS: usize = MAX_CLIENTS / 2;

/// The slots of clients that watch.
#[derive(Debug, Clone)]
pub(super) struct WatcherSlots(Arc<Semaphore>);

impl WatcherSlots {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WATCHERS)))
    }

    /// A place until what is given is dropped; `None` if all are taken.
    pub(super) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Since when a client has not been answered, if it is not right now.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        let since = (!is_busy).then(Instant::now);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    list: Vec<(Activity, AbortHandle)>,
}

impl Connections {
    /// Makes room for one more; `false` if all are being answered.
    pub(super) fn make_room(&mut self) -> bool {
        self.list.retain(|(_, task)| !task.is_finished());
        if self.list.len() < MAX_CLIENTS {
            return true;
        }
        let waits = self.list.iter().enumerate();
        let waits = waits.filter_map(|(at, (activity, _))| Some((activity.idle_since()?, at)));
        let Some((_, longest)) = waits.min() else { return false };
        self.list.remove(longest).1.abort();
        true
    }

    pub(super) fn add(&mut self, activity: Activity, task: AbortHandle) {
        self.list.push((activity, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_leave_places_for_commands() {
        let watchers = WatcherSlots::new();
        let mut slots: Vec<_> =
            (0..MAX_WATCHERS).map(|_| watchers.try_acquire().unwrap()).collect();
        assert!(watchers.try_acquire().is_none());
        slots.pop();
        assert!(watchers.try_acquire().is_some());
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_and_who_is_answered_stays() {
        let mut clients = Connections::default();
        let (mut tasks, mut third) = (Vec::new(), None);
        for n in 0..MAX_CLIENTS {
            assert!(clients.make_room());
            let task = tokio::spawn(std::future::pending::<()>());
            let activity = Activity::new();
            activity.set_busy(n != 5);
            if n == 3 {
                third = Some(activity.clone());
            }
            clients.add(activity, task.abort_handle());
            tasks.push(task);
        }
        // The third has been answered, but since.
        third.iter().for_each(|activity: &Activity| activity.set_busy(false));
        assert!(clients.make_room());
        third.iter().for_each(|activity| activity.set_busy(true));
        assert!(tasks.remove(5).await.unwrap_err().is_cancelled());
        let activity = Activity::new();
        activity.set_busy(true);
        clients.add(activity, tokio::spawn(std::future::pending::<()>()).abort_handle());
        assert!(!clients.make_room(), "all are being answered");
        tasks[0].abort();
        let _cancelled = tasks.remove(0).await;
        assert!(clients.make_room());
    }
}
