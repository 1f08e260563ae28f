//! Freezes and kills a node in a test.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::RwLock;
use tokio::sync::Notify;

/// Pauses everything a node does while it is frozen, and ends it when it is killed.
///
/// Everything that passes the gate holds its lock while it is polled. So once
/// [`freeze`](Self::freeze) or [`close`](Self::close) has returned, nothing of the node runs on any
/// thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct PauseGate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: RwLock<GateState>,
    /// Wakes every future that passes the gate: a future that waits for something else must end
    /// when the gate closes.
    changed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GateState {
    #[default]
    Open,
    Frozen,
    Closed,
}

impl PauseGate {
    /// Pauses everything until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&self) {
        self.set(GateState::Frozen);
    }

    /// Resumes everything.
    pub(crate) fn thaw(&self) {
        self.set(GateState::Open);
    }

    /// Ends everything for good.
    pub(crate) fn close(&self) {
        self.set(GateState::Closed);
    }

    pub(crate) fn state(&self) -> GateState {
        *self.inner.state.read()
    }

    fn set(&self, to: GateState) {
        let mut state = self.inner.state.write();
        if *state != GateState::Closed {
            *state = to;
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }

    /// Wraps `task` so that the gate pauses and ends it.
    pub(crate) fn guard<F: Future<Output = ()>>(
        &self,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        let guarded = self.run(task);
        async { guarded.await.unwrap_or_default() }
    }

    /// Same as [`guard`](Self::guard); returns `None` if the gate ended the task.
    pub(crate) fn run<F: Future>(
        &self,
        task: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        let gate = self.clone();
        async move {
            let mut task = pin!(task);
            let mut changed = pin!(gate.inner.changed.notified());
            poll_fn(|cx| {
                while changed.as_mut().poll(cx).is_ready() {
                    changed.set(gate.inner.changed.notified());
                }
                gate.poll(task.as_mut(), cx)
            })
            .await
        }
    }

    fn poll<F: Future>(&self, task: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let state = self.inner.state.read();
        match *state {
            GateState::Open => task.poll(cx).map(Some),
            GateState::Closed => Poll::Ready(None),
            // Thawing wakes it.
            GateState::Frozen => Poll::Pending,
        }
    }

    /// Runs `act` if the gate is open.
    pub(crate) fn try_run<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let state = self.inner.state.read();
        (*state == GateState::Open).then(act)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_frozen_task_makes_no_progress_and_resumes_where_it_was() {
        let (gate, count) = (PauseGate::default(), Arc::new(AtomicU32::new(0)));
        let counting = count.clone();
        let task = tokio::spawn(gate.run(async move {
            for _ in 0..3 {
                counting.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
            "done"
        }));
        yield_now().await;
        gate.freeze();
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(gate.try_run(|| ()), None);
        gate.thaw();
        assert_eq!(task.await.unwrap(), Some("done"));
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_killed_task_is_dropped_even_if_it_was_frozen() {
        let gate = PauseGate::default();
        let held = Arc::new(());
        let inside = held.clone();
        let task = tokio::spawn(gate.run(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        }));
        yield_now().await;
        gate.freeze();
        gate.close();
        gate.thaw();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), task).await;
        assert_eq!(ended.expect("woken by the end").unwrap(), None);
        assert_eq!((Arc::strong_count(&held), gate.state()), (1, GateState::Closed));
    }
}
