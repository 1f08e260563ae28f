//! Runs a node's periodic work, and ends the node once it has lost its name.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mailmesh_events::UnixMillis;
use mailmesh_transport::Driver;
use tokio::time::Instant;

use crate::clock_sync::ClockSync;
use crate::inbox::Inboxes;
use crate::keys::{KeyService, upkeep};
use crate::lifecycle::{Lifecycle, StopReason};
use crate::member_log::MemberLog;
use crate::persister::Persister;
use crate::refusals::Refusals;
use crate::replication::Replication;

/// A node that steps back waits at most this long for a member to have its mirror.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of the periodic work.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// The parts of a node with periodic work.
pub(crate) struct Ticker {
    pub(crate) replication: Arc<Replication>,
    pub(crate) clocks: Arc<ClockSync>,
    pub(crate) keys: Option<Arc<KeyService>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) member_log: Arc<MemberLog>,
    /// Weak, so that the ticker does not keep the bus open.
    pub(crate) driver: Weak<Driver>,
}

impl Ticker {
    /// Runs until the node stops. Ends the node when it must step back.
    pub(crate) async fn run(self) {
        let mut stopped = self.lifecycle.stopped();
        let mut lost_name = self.lifecycle.lost_name();
        let mut due = Instant::now();
        let mut leave_at = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {
                    due = next_tick(self.replication.now());
                    if self.driver.upgrade().is_some_and(|driver| !driver.is_running()) {
                        tracing::error!("the node's task ended because of a bug; restart the node \
                            and report this");
                        self.lifecycle.stop(StopReason::Failed);
                        break;
                    }
                    self.tick();
                }
                () = self.replication.ask_again_when_late() => {}
                Ok(_) = lost_name.wait_for(Option::is_some), if leave_at.is_none() => {
                    leave_at = Some(Instant::now() + HAND_OVER_TIMEOUT);
                }
                () = self.replication.agreed(), if leave_at.is_some() => {
                    self.lifecycle.step_back();
                    break;
                }
                () = tokio::time::sleep_until(leave_at.unwrap_or(due)), if leave_at.is_some() => {
                    tracing::error!(
                        entries = self.replication.mirror.digest().entries,
                        "no other node had this node's mirror after {} s: changes that this node \
                         made while it was alone may be missing on the others",
                        HAND_OVER_TIMEOUT.as_secs()
                    );
                    self.lifecycle.step_back();
                    break;
                }
                _ = stopped.wait_for(Option::is_some) => break,
            }
        }
        if matches!(&*self.lifecycle.stopped().borrow(), Some(StopReason::ShutDown)) {
            return;
        }
        if let Some(driver) = self.driver.upgrade() {
            driver.shutdown().await;
        }
        self.inboxes.close();
        close_store(self.replication).await;
    }

    fn tick(&self) {
        self.clocks.tick();
        let time = &self.replication.time;
        self.refusals.tick(time.uptime());
        self.member_log.tick(time.elapsed(), time.uptime());
        if let Some(keys) = &self.keys {
            upkeep::tick(keys);
        }
        self.replication.sweep();
        self.replication.decide_on_stored(self.lifecycle.members());
    }
}

/// The next whole second of cluster time, so that all mirrors drop expired entries at the same
/// moment and seldom differ because of them.
fn next_tick(now: UnixMillis) -> Instant {
    let second = TICK_INTERVAL.as_millis() as u64;
    let left = Duration::from_millis(second - now.0 % second);
    // Skips a second that is almost here: a timer may fire a little early, and the clock may step.
    Instant::now() + if left < TICK_INTERVAL / 4 { left + TICK_INTERVAL } else { left }
}

/// Writes queued changes and closes the store, if the node has one.
pub(crate) async fn close_store(replication: Arc<Replication>) {
    if replication.persister.is_some() {
        let close = move || replication.persister.as_ref().map(Persister::close);
        let _panicked = tokio::task::spawn_blocking(close).await;
    }
}
