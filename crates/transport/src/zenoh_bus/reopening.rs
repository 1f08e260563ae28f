//! Reopens the session
//!
//! - when the cluster keys change, so that a retired key opens no link and links opened with it
//!   end;
//! - when the host's addresses change, so that other nodes learn the new addresses;
//! - when a gate needs more slots to dial links. The gate itself follows keys and addresses.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::address_watch::{AddressWatch, POLL_INTERVAL};
use super::session::LiveSession;
use crate::LinkKeys;
use crate::coordinator::AddressCache;

/// Nodes spread each step over this time, so that a node rarely loses the links to two others at
/// once.
const STEP_SPREAD: Duration = Duration::from_secs(1);
/// Time from one step to the next: all nodes have completed the previous step by then.
const STEP_INTERVAL: Duration = Duration::from_millis(1_500);
/// Minimum and maximum pause after a failed attempt to open the session.
const BACKOFF: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// How long the session must fail to open before an error is logged.
const ALARM_AFTER: Duration = Duration::from_secs(3);
/// Delay from a request for more slots to the new session.
const SLOT_REQUEST_DELAY: Duration = Duration::from_secs(1);

/// The task that reopens the session; it ends when dropped.
#[derive(Debug)]
pub(super) struct Reopening(JoinHandle<()>);

impl Reopening {
    /// `links`: the keys that links prove, if any. `addresses`: set if the session depends on the
    /// host's addresses. `slots`: the number of slots that the session needs, with a gate.
    pub(super) fn start(
        live: Arc<LiveSession>,
        incarnation: Incarnation,
        mut links: Option<watch::Receiver<LinkKeys>>,
        mut addresses: Option<AddressWatch>,
        mut slots: Option<watch::Receiver<usize>>,
    ) -> Self {
        Self(tokio::spawn(async move {
            let step_delay = STEP_SPREAD * u32::from(incarnation.0[0]) / 256;
            let mut applied = links.as_mut().map(|links| links.borrow_and_update().clone());
            let mut host = AddressCache::default();
            let mut looks = interval(POLL_INTERVAL);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    target = keys_changed(&mut links) => {
                        let changed_at = Instant::now();
                        let Some((target, before)) = target.zip(applied.clone()) else { return };
                        for (pauses, step) in before.steps_to(&target) {
                            sleep_until(changed_at + step_delay + STEP_INTERVAL * pauses).await;
                            reopen(&live, Some(&step)).await;
                            tracing::debug!("links prove the changed cluster keys");
                            applied = Some(step);
                        }
                    }
                    _ = more_slots(&mut slots) => {
                        // Several links may request a slot at the same time.
                        sleep(SLOT_REQUEST_DELAY).await;
                        reopen(&live, None).await;
                        tracing::debug!("the session has more slots for links");
                    }
                    _ = looks.tick(), if addresses.is_some() => {
                        let now = Instant::now();
                        let change = addresses.as_mut().zip(host.addresses(now));
                        let change = change.and_then(|(watch, host)| watch.observe(now, host));
                        if let Some(change) = change {
                            let scope = if slots.is_some() { "links of removed addresses" } else {
                                "the links of this node"
                            };
                            tracing::info!(
                                "this host's addresses have changed: {change}; {scope} are reopened"
                            );
                            // The gate closes the links of removed addresses itself.
                            if slots.is_none() {
                                reopen(&live, applied.as_ref()).await;
                            }
                        }
                    }
                }
            }
        }))
    }
}

/// Waits for the next change of the keys and returns them. `None` if the keys can no longer change.
async fn keys_changed(links: &mut Option<watch::Receiver<LinkKeys>>) -> Option<LinkKeys> {
    let Some(links) = links else { return std::future::pending().await };
    links.changed().await.ok()?;
    Some(links.borrow_and_update().clone())
}

/// Waits until the session needs more slots at the gate.
async fn more_slots(slots: &mut Option<watch::Receiver<usize>>) {
    let Some(slots) = slots else { return std::future::pending().await };
    if slots.changed().await.is_err() {
        std::future::pending().await
    }
    slots.borrow_and_update();
}

impl Drop for Reopening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn reopen(live: &LiveSession, keys: Option<&LinkKeys>) {
    let began = Instant::now();
    let mut backoff = BACKOFF[0];
    let mut is_reported = false;
    while let Err(error) = live.reopen(keys).await {
        if !is_reported && began.elapsed() >= ALARM_AFTER {
            is_reported = true;
            tracing::error!(
                %error,
                "this node has no links: its session did not reopen after a change of the cluster \
                 keys or of this host's addresses; this node keeps trying"
            );
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF[1]);
    }
    if is_reported {
        tracing::warn!("this node's session is open again");
    }
    tracing::debug!(took = ?began.elapsed(), "the session is reopened");
}
