//! The orderly end of a node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::Driver;

/// Maximum time for sending the events that wait in the lanes. Even at the slowest rate at which a
/// receiver stays in flow control, a full lane drains faster.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the drain checks that the driver still runs.
const LIVENESS_CHECK_INTERVAL: Duration = Duration::from_millis(100);

impl Driver {
    /// Refuses further events, sends those that wait, waits briefly for acknowledgements
    /// ([`Settings::linger`](mailmesh_delivery::Settings::linger)), says goodbye and closes the
    /// bus. A second call waits for the first.
    pub async fn shutdown(&self) {
        self.drain().await;
        self.linger().await;
        self.core().node().leave();
        self.stopped.send_replace(true);
        self.core().wake.notify_one();
        // A second caller waits here until the first has closed everything. If the first call was
        // cancelled, the second finishes its work.
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if !running.is_finished() {
                let _ended = running.await;
            }
            self.sending.stop();
            self.sending.bus.close().await;
            *task = None;
        }
    }

    /// Closes the lanes. Returns when their events are sent, or after [`DRAIN_TIMEOUT`].
    async fn drain(&self) {
        let limit = Instant::now() + DRAIN_TIMEOUT;
        for lane in &self.core().lanes {
            lane.close();
            // Another thread may still be sending.
            loop {
                let progress = lane.space.notified();
                tokio::pin!(progress);
                progress.as_mut().enable();
                if lane.is_idle() || !self.is_running() {
                    break;
                }
                if Instant::now() >= limit {
                    let bytes = lane.waiting_bytes();
                    tracing::warn!(
                        bytes,
                        "the node leaves before it has sent all events: receivers were too slow"
                    );
                    break;
                }
                // No notification comes if the driver ended by a bug.
                let _looked_again = timeout(LIVENESS_CHECK_INTERVAL, progress).await;
            }
        }
    }

    /// Waits for acknowledgements: after the goodbye nobody can retransmit missed events.
    async fn linger(&self) {
        let core = self.core();
        core.is_draining.store(true, Ordering::Relaxed);
        let limit = Instant::now() + self.linger;
        while self.is_running() && Instant::now() < limit {
            let until = {
                let node = core.node();
                node.drain_until(core.now())
            };
            let Some(until) = until else { break };
            tokio::select! {
                () = sleep_until(limit.min(core.instant(until))) => {}
                () = core.progress.notified() => {}
            }
        }
        let node = core.node();
        let lagging: Vec<&str> = node.unacknowledged().map(|peer| peer.name.as_str()).collect();
        if !lagging.is_empty() {
            tracing::warn!(
                nodes = %lagging.join(", "),
                "some nodes have not acknowledged the last events; only other nodes can still \
                 send them the missing ones"
            );
        }
    }
}
