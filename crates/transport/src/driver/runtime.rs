//! Where the driver's task runs.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::TransportError;

/// A runtime for the driver's task alone.
///
/// The host may block all workers of its runtime for seconds: a mail server parses, compresses
/// and waits for disks. The others would take its node for failed, though heartbeats need nothing
/// of the host. So over a network the task runs on a thread of its own. Over a bus that is
/// instant it runs on the runtime of the caller, whose time a test may have paused.
pub(super) struct TaskRuntime(Option<Runtime>);

impl TaskRuntime {
    /// That of the caller.
    pub(super) fn callers() -> Self {
        Self(None)
    }

    /// One worker. Not tokio's current-thread scheduler, on which Zenoh refuses to work.
    pub(super) fn own() -> Result<Self, TransportError> {
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
            // Tokio panics where its drop would wait in an asynchronous context.
            runtime.shutdown_background();
        }
    }
}
