//! Opens the session anew when the cluster keys change, so that a key that was retired opens
//! no link, and links that were opened with it do not stay.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::session::LiveSession;
use crate::LinkKeys;

/// Nodes take a step spread over this time, so that a node rarely loses the links to two others
/// at once.
const SPREAD: Duration = Duration::from_secs(1);
/// From one kind of step to the next: all nodes have taken the one before.
const PAUSE_OF_STEPS: Duration = Duration::from_millis(1_500);
/// Pauses after a session that did not open: the first, and the longest.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// How long a session may not open before the operator is told.
const HOLDS: Duration = Duration::from_secs(3);

/// The task that does it, until it is dropped.
#[derive(Debug)]
pub(super) struct Reopening(JoinHandle<()>);

impl Reopening {
    pub(super) fn start(
        live: Arc<LiveSession>,
        incarnation: Incarnation,
        mut links: watch::Receiver<LinkKeys>,
    ) -> Self {
        Self(tokio::spawn(async move {
            let turn = SPREAD * u32::from(incarnation.0[0]) / 256;
            let mut applied = links.borrow_and_update().clone();
            while links.changed().await.is_ok() {
                let changed = Instant::now();
                let target = links.borrow_and_update().clone();
                for (pauses, step) in applied.steps_to(&target) {
                    sleep_until(changed + turn + PAUSE_OF_STEPS * pauses).await;
                    reopen(&live, &step).await;
                    applied = step;
                }
            }
        }))
    }
}

impl Drop for Reopening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn reopen(live: &LiveSession, keys: &LinkKeys) {
    let began = Instant::now();
    let mut pause = PAUSE[0];
    let mut is_reported = false;
    while let Err(error) = live.reopen(keys).await {
        if !is_reported && began.elapsed() >= HOLDS {
            is_reported = true;
            tracing::error!(
                %error,
                "this node has no links: its session did not open with the changed cluster keys; \
                 it is tried until it does"
            );
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE[1]);
    }
    if is_reported {
        tracing::warn!("this node's session is open again");
    }
    tracing::debug!(took = ?began.elapsed(), "links prove the changed cluster keys");
}
