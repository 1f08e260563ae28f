//! Connections to the control socket. Their number is bounded. When all slots are taken, the client
//! that has been idle longest is disconnected, so clients that send nothing, or incomplete
//! requests, cannot lock others out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Maximum number of connections.
pub(super) const MAX_CLIENTS: usize = 64;

/// Maximum number of connections that watch. They are long-lived, and commands need slots too.
pub(super) const MAX_WATCHERS: usize = MAX_CLIENTS / 2;

/// Slots for clients that watch.
#[derive(Debug, Clone)]
pub(super) struct WatcherSlots(Arc<Semaphore>);

impl WatcherSlots {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WATCHERS)))
    }

    /// Takes a slot until the permit is dropped; `None` if all are taken.
    pub(super) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Since when a client has been idle (no complete request); `None` while it is answered.
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
    /// Makes room for one more connection. If necessary, disconnects the client that has been idle
    /// longest; `false` if all clients are being answered.
    pub(super) fn make_room(&mut self) -> bool {
        self.list.retain(|(_, task)| !task.is_finished());
        if self.list.len() < MAX_CLIENTS {
            return true;
        }
        let idle = self.list.iter().enumerate();
        let idle = idle.filter_map(|(at, (activity, _))| Some((activity.idle_since()?, at)));
        let Some((_, longest)) = idle.min() else { return false };
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
    fn watchers_leave_slots_for_commands() {
        let watchers = WatcherSlots::new();
        let mut slots: Vec<_> =
            (0..MAX_WATCHERS).map(|_| watchers.try_acquire().unwrap()).collect();
        assert!(watchers.try_acquire().is_none());
        slots.pop();
        assert!(watchers.try_acquire().is_some());
    }

    #[tokio::test]
    async fn the_longest_idle_client_makes_room_and_busy_clients_stay() {
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
        // Client 3 becomes idle after client 5.
        third.iter().for_each(|activity: &Activity| activity.set_busy(false));
        assert!(clients.make_room());
        third.iter().for_each(|activity| activity.set_busy(true));
        assert!(tasks.remove(5).await.unwrap_err().is_cancelled());
        let activity = Activity::new();
        activity.set_busy(true);
        clients.add(activity, tokio::spawn(std::future::pending::<()>()).abort_handle());
        assert!(!clients.make_room(), "all clients are being answered");
        tasks[0].abort();
        let _cancelled = tasks.remove(0).await;
        assert!(clients.make_room());
    }
}
