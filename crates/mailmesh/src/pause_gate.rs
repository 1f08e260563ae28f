//! Test hook that freezes or kills a node: all of a node's own tasks, and everything it sends, pass
//! its gate. Without the feature `testing` the gate does nothing.

#[cfg(feature = "testing")]
pub(crate) use crate::testing::pause_gate::PauseGate;

/// Gate that is always open.
#[cfg(not(feature = "testing"))]
#[derive(Debug, Clone, Default)]
pub(crate) struct PauseGate;

#[cfg(not(feature = "testing"))]
impl PauseGate {
    pub(crate) fn guard<F: Future<Output = ()>>(&self, task: F) -> F {
        task
    }

    pub(crate) async fn run<F: Future>(&self, task: F) -> Option<F::Output> {
        Some(task.await)
    }

    pub(crate) fn try_run<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        Some(act())
    }
}
