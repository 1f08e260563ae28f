//! Links this node to other nodes without a Zenoh call for it.
//!
//! Zenoh has no stable call to connect to a peer, but peers gossip their neighbours. A short-lived
//! session that connects to another node and to this node therefore makes the two connect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use zenoh::Session;
use zenoh::config::ZenohId;

use crate::ZenohSettings;
use crate::coordinator::introducing_config;
use crate::link_proof::SessionProof;

/// Maximum time for linking to one endpoint of each node.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_200);
/// Maximum number of endpoints dialed for one node, one after the other.
const MAX_ENDPOINTS_PER_NODE: usize = 3;

/// Opens the sessions that introduce this node.
#[derive(Debug, Clone)]
pub(super) struct Introducer {
    pub(super) session: Session,
    pub(super) settings: ZenohSettings,
    pub(super) proof: Option<Arc<SessionProof>>,
}

/// A reachable node that has no link to this node.
#[derive(Debug, Clone)]
pub(super) struct UnlinkedNode {
    pub(super) zid: ZenohId,
    /// The endpoints at which the node can be dialed.
    pub(super) endpoints: Vec<String>,
}

impl Introducer {
    /// The Zenoh ids of the sessions that this node has links to.
    pub(super) async fn linked_zids(&self) -> BTreeSet<ZenohId> {
        let peers: BTreeSet<ZenohId> = self.session.info().peers_zid().await.collect();
        peers.into_iter().chain(self.session.info().routers_zid().await).collect()
    }

    /// Connects briefly to this node, at the endpoints `own`, and to the `unlinked` nodes, so that
    /// they learn of each other. Uses one endpoint of each node at a time: Zenoh would refuse a
    /// second link to a node and log an error there.
    pub(super) async fn introduce(&self, own: &[String], unlinked: &[UnlinkedNode]) {
        for attempt in 0..MAX_ENDPOINTS_PER_NODE {
            let linked = self.linked_zids().await;
            let left = unlinked.iter().filter(|node| !linked.contains(&node.zid));
            let left = left.filter_map(|node| node.endpoints.get(attempt));
            let left: Vec<String> = left.cloned().collect();
            let Some(own) = own.get(attempt.min(own.len().saturating_sub(1))) else { return };
            if left.is_empty() {
                return;
            }
            let endpoints: Vec<String> = [own.clone()].into_iter().chain(left).collect();
            match timeout(ATTEMPT_TIMEOUT, self.attempt(&endpoints, unlinked)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = self.settings.hide(&error.to_string(), self.proof.as_deref());
                    tracing::debug!(error, "an introduction failed");
                }
                Err(_) => tracing::debug!("an introduction took too long"),
            }
        }
    }

    async fn attempt(&self, endpoints: &[String], unlinked: &[UnlinkedNode]) -> zenoh::Result<()> {
        let config = introducing_config(&self.settings, endpoints, self.proof.as_deref())?;
        let between = zenoh::open(config).await?;
        let begin = Instant::now();
        while begin.elapsed() < ATTEMPT_TIMEOUT / 2 {
            let linked = self.linked_zids().await;
            if unlinked.iter().all(|node| linked.contains(&node.zid)) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        between.close().await
    }
}
