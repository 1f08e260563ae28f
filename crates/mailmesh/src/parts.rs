//! The parts of a node, as its handles use them.

use std::sync::Arc;

use mailmesh_delivery::Identity;
use mailmesh_transport::{Driver, EndpointReader, GateCountsReader};
use tokio::task::JoinHandle;

use crate::inbox::Inboxes;
use crate::keys::KeyService;
use crate::lifecycle::Lifecycle;
use crate::member_log::MemberLog;
use crate::pause_gate::PauseGate;
use crate::publisher::Publisher;
use crate::refusals::Refusals;
use crate::replication::Replication;

/// The parts of a node. No part holds this struct, so each part can be built and tested alone.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    pub(crate) cluster_name: String,
    pub(crate) publisher: Publisher,
    pub(crate) replication: Arc<Replication>,
    /// `None` without a cluster key.
    pub(crate) keys: Option<Arc<KeyService>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) member_log: Arc<MemberLog>,
    pub(crate) transport: TransportStatus,
    /// Lets a test freeze or kill the node.
    pub(crate) pause_gate: PauseGate,
    pub(crate) driver: Arc<Driver>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// Reports of the bus, if the node has a network.
#[derive(Debug, Default)]
pub(crate) struct TransportStatus {
    /// Counters of the gate, if links pass one.
    pub(crate) links: Option<GateCountsReader>,
    /// The listeners and the configured endpoints.
    pub(crate) endpoints: Option<EndpointReader>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.inboxes.close();
        if let Some(persister) = &self.replication.persister {
            persister.abandon();
        }
    }
}
