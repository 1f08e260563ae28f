//! Who is connected to the control socket. There are so many places; when all are taken, who
//! has waited longest without a whole request goes, so that clients that say nothing, or a
//! byte now and then, keep nobody out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::AbortHandle;

/// Most clients at a time.
pub(super) const CLIENTS: usize = 64;

/// Whether a client is being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(super) fn set(&self, is_busy: bool) {
        self.0.store(is_busy, Ordering::Release);
    }
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    /// In the order in which they came.
    list: Vec<(Busy, AbortHandle)>,
}

impl Clients {
    /// Makes room for one more; `false` if all are being answered.
    pub(super) fn make_room(&mut self) -> bool {
        self.list.retain(|(_, task)| !task.is_finished());
        if self.list.len() < CLIENTS {
            return true;
        }
        let waits = self.list.iter().position(|(busy, _)| !busy.0.load(Ordering::Acquire));
        if let Some(longest) = waits {
            self.list.remove(longest).1.abort();
        }
        waits.is_some()
    }

    pub(super) fn add(&mut self, busy: Busy, task: AbortHandle) {
        self.list.push((busy, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_says_nothing_makes_room_and_who_is_answered_stays() {
        let mut clients = Clients::default();
        let mut tasks = Vec::new();
        for n in 0..CLIENTS {
            assert!(clients.make_room());
            let task = tokio::spawn(std::future::pending::<()>());
            let busy = Busy::default();
            busy.set(n != 5);
            clients.add(busy, task.abort_handle());
            tasks.push(task);
        }
        assert!(clients.make_room());
        assert!(tasks.remove(5).await.unwrap_err().is_cancelled());
        let busy = Busy::default();
        busy.set(true);
        clients.add(busy, tokio::spawn(std::future::pending::<()>()).abort_handle());
        assert!(!clients.make_room(), "all are being answered");
        tasks[0].abort();
        let _cancelled = tasks.remove(0).await;
        assert!(clients.make_room());
    }
}
