//! The end of a node in good order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::Driver;

/// How long what waits in the lanes may take to be sent: at the least that a receiver may
/// take without being set aside, a full lane is empty before.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether the driver still runs.
const LIVENESS_CHECK_INTERVAL: Duration = Duration::from_millis(100);

impl Driver {
    /// Takes no more events, sends what waits, waits a little until the others have
    /// confirmed it ([`Settings::linger`](mailmesh_delivery::Settings::linger)), says
    /// goodbye and closes the bus. A second call waits for the first.
    pub async fn shutdown(&self) {
        self.drain().await;
        self.linger().await;
        self.core().node().leave();
        self.stopped.send_replace(true);
        self.core().wake.notify_one();
        // Whoever comes second waits here until the first has closed everything; if
        // the first gave up waiting, the second does it.
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

    /// Closes the lanes, and returns when all that waited in them is sent, or receivers
    /// let too little through.
    async fn drain(&self) {
        let limit = Instant::now() + DRAIN_TIMEOUT;
        for lane in &self.core().lanes {
            lane.close();
            // Somebody may still be sending.
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
                        "events that waited were not sent: the others took too little; the node leaves"
                    );
                    break;
                }
                // Nothing tells that the driver has ended by a bug.
                let _looked_again = timeout(LIVENESS_CHECK_INTERVAL, progress).await;
            }
        }
    }

    /// Waits for the others to confirm what was sent: what they miss after the
    /// goodbye, nobody could send them again.
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
                "some have not confirmed the last events; what they miss they can only have from others"
            );
        }
    }
}
