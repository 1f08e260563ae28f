//! Where a test holds a node up: everything a node does by itself, and everything
//! that it sends, passes its gate. Without the feature `testing` there is none.

#[cfg(feature = "testing")]
pub(crate) use crate::testing::pause_gate::PauseGate;

/// No gate.
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
