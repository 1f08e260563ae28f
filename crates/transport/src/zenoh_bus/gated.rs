//! The gate of a node and its discovery. Both outlive sessions.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::discovery::{Discovery, DiscoveryContext, Linker};
use super::lost_peers::LostPeers;
use crate::coordinator::Listening;
use crate::gate::{Gate, GateSetup};
use crate::{KeySpace, LinkKeys, OtherKeys, TransportError, ZenohSettings};

/// The node, and the places where it listens.
#[derive(Clone, Copy)]
pub(super) struct NodeContext<'a> {
    pub(super) settings: &'a ZenohSettings,
    pub(super) keys: &'a KeySpace,
    pub(super) incarnation: Incarnation,
    pub(super) listening: &'a Listening,
}

/// The gate, and its discovery.
#[derive(Debug)]
pub(super) struct GatedLinks {
    pub(super) gate: Arc<Gate>,
    discovery: Option<JoinHandle<()>>,
}

impl GatedLinks {
    /// Starts both.
    ///
    /// # Errors
    /// [`TransportError::Open`] if the node cannot listen.
    pub(super) fn start(
        node: NodeContext<'_>,
        is_sealed: bool,
        links: watch::Receiver<LinkKeys>,
        lost_peers: &Arc<LostPeers>,
        other_keys: &OtherKeys,
    ) -> Result<Self, TransportError> {
        let NodeContext { settings, keys, incarnation, listening } = node;
        let tracked = lost_peers.clone();
        let setup = GateSetup {
            id: incarnation.0,
            tag: keys.tag(),
            is_sealed,
            keys: links.clone(),
            listening: listening.clone(),
            first_slots: settings.first_slots,
            endpoints: settings.dialed(),
            lease: settings.lease(),
            gossips: settings.gossips(),
            lost_for: Arc::new(move || -> Option<Duration> { tracked.shortest_absence() }),
            other_keys: other_keys.clone(),
        };
        let gate = Gate::start(setup).map_err(|error| {
            let why = settings.hide(&error.to_string(), None);
            crate::open_error::open_error(why)
        })?;
        let gate = Arc::new(gate);
        let discovery = settings.discovers(true).then(|| {
            let group = settings.discovery_group();
            let found = Linker::Gate(gate.clone(), incarnation.0);
            let (listening, tag) = (listening.clone(), keys.tag());
            let (lost_peers, other_keys) = (lost_peers.clone(), other_keys.clone());
            let start = move |keys: &LinkKeys| {
                let (lost_peers, other_keys) = (lost_peers.clone(), other_keys.clone());
                let context = DiscoveryContext { tag, lost_peers, other_keys };
                Discovery::start(group.clone(), keys, listening.clone(), found.clone(), context)
            };
            tokio::spawn(discover(links, start))
        });
        Ok(Self { gate, discovery })
    }
}

impl Drop for GatedLinks {
    fn drop(&mut self) {
        if let Some(discovery) = &self.discovery {
            discovery.abort();
        }
    }
}

/// Runs discovery with the current keys, and restarts it when they change.
async fn discover(mut links: watch::Receiver<LinkKeys>, start: impl Fn(&LinkKeys) -> Discovery) {
    loop {
        let keys = links.borrow_and_update().clone();
        let _discovery = start(&keys);
        if links.changed().await.is_err() {
            // The keys do not change any more while the node runs.
            std::future::pending::<()>().await;
        }
    }
}
