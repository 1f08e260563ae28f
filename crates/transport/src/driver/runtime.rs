//! The runtime of the driver's task.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::TransportError;

/// A runtime for the driver's task alone.
///
/// The host may block all workers of its runtime for seconds: a mail server parses, compresses and
/// waits for disks. Other nodes would declare its node failed, although heartbeats need no resource
/// of the host. Over a network the task therefore runs on a thread of its own. Over a synchronous
/// bus it runs on the caller's runtime, whose clock a test may have paused.
pub(super) struct TaskRuntime(Option<Runtime>);

impl TaskRuntime {
    /// The caller's runtime.
    pub(super) fn of_caller() -> Self {
        Self(None)
    }

    /// A runtime with one worker. It is not tokio's current-thread scheduler, on which Zenoh
    /// refuses to run.
    pub(super) fn dedicated() -> Result<Self, TransportError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("mailmesh-drive").enable_time();
        match builder.build() {
            Ok(runtime) => Ok(Self(Some(runtime))),
            Err(error) => Err(TransportError::Thread { why: error.to_string() }),
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.0 {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }
}

impl Drop for TaskRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping a runtime in an asynchronous context panics in tokio.
            runtime.shutdown_background();
        }
    }
}
