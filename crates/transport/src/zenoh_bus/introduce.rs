//! Links this node to others without Zenoh's help.
//!
//! Zenoh has no stable way to be told "connect to this one", but its peers introduce to each
//! other those that they are connected to (gossip): so a short-lived session of ours that
//! connects to another node and to this one is enough for the two to connect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use zenoh::Session;
use zenoh::config::ZenohId;

use crate::ZenohSettings;
use crate::link_proof::SessionProof;

/// How long an introduction may take.
const INTRODUCTION: Duration = Duration::from_secs(2);
/// Most endpoints dialed for one node.
pub(super) const ENDPOINTS: usize = 3;

/// Opens the sessions that introduce this node.
#[derive(Debug, Clone)]
pub(super) struct Matchmaker {
    pub(super) session: Session,
    pub(super) settings: ZenohSettings,
    pub(super) proof: Option<Arc<SessionProof>>,
}

/// A node that is there and has no link to this one.
#[derive(Debug, Clone)]
pub(super) struct Stranger {
    pub(super) zid: ZenohId,
    /// Where it is dialed.
    pub(super) endpoints: Vec<String>,
}

impl Matchmaker {
    /// The sessions that this node has links to.
    pub(super) async fn known(&self) -> BTreeSet<ZenohId> {
        let peers: BTreeSet<ZenohId> = self.session.info().peers_zid().await.collect();
        peers.into_iter().chain(self.session.info().routers_zid().await).collect()
    }

    /// Connects to this node, at the endpoints `own`, and to the others for a moment, so that
    /// each learns of the other.
    pub(super) async fn introduce(&self, own: &[String], strangers: &[Stranger]) {
        let introduced = timeout(INTRODUCTION, self.try_to(own, strangers)).await;
        match introduced {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = self.settings.hide(&error.to_string(), self.proof.as_deref());
                tracing::debug!(error, "an introduction failed");
            }
            Err(_) => tracing::debug!("an introduction took too long"),
        }
    }

    async fn try_to(&self, own: &[String], strangers: &[Stranger]) -> zenoh::Result<()> {
        let others =
            strangers.iter().flat_map(|stranger| stranger.endpoints.iter().take(ENDPOINTS));
        let endpoints: Vec<String> = own.iter().take(ENDPOINTS).chain(others).cloned().collect();
        let config = self.settings.for_introducing(&endpoints, self.proof.as_deref())?;
        let between = zenoh::open(config).await?;
        let begin = Instant::now();
        while begin.elapsed() < INTRODUCTION / 2 {
            let known = self.known().await;
            if strangers.iter().all(|stranger| known.contains(&stranger.zid)) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        between.close().await
    }
}
