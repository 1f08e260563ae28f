//! How a node is doing with the endpoints of its configuration.

use std::sync::Weak;
use std::time::Duration;

use mailmesh_delivery::Incarnation;

use crate::gate::GateEndpoints;
use crate::zenoh_bus::ZenohLinkStatus;

/// Where a node is with an endpoint of `connect.endpoints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EndpointState {
    /// The node that it leads to is linked.
    Linked,
    /// It is dialed again and again.
    Trying,
    /// It was not dialed yet.
    NotTried,
    /// It leads to this node itself.
    Own,
    /// Zenoh dials it, and is linked to some node: to which of the endpoints, it does not say.
    Unknown,
}

/// An endpoint of `connect.endpoints`, and what came of it.
///
/// Links that prove the cluster key at the gate are dialed by the node, which knows all of this.
/// Other links (`mesh.links` of `challenge`, `tls` or `unproven`, an open mesh, TLS of the
/// configuration's own) are dialed by Zenoh, which keeps its errors and its tries to itself: while
/// no node is linked at all, the node connects to such endpoints itself once a minute, and this
/// says what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// The endpoint, without its settings.
    pub endpoint: String,
    /// Where this node is with it.
    pub state: EndpointState,
    /// The life of the node that it led to last.
    pub leads_to: Option<Incarnation>,
    /// Why it was not reached the last time; `None` once it was, or if that is not known.
    pub last_error: Option<String>,
    /// When it is dialed next; `None` while it is dialed, or linked, or if that is not known.
    pub next_try: Option<Duration>,
}

/// Reads where a node listens, and how it is doing with the endpoints of its configuration.
#[derive(Debug, Clone)]
pub struct EndpointReader {
    listens: Vec<String>,
    source: StatusSource,
}

/// The part of the node that dials.
#[derive(Debug, Clone)]
enum StatusSource {
    ByGate(GateEndpoints),
    ByZenoh(Weak<dyn ZenohLinkStatus>, Vec<String>),
}

impl EndpointReader {
    pub(crate) fn of_gate(listens: Vec<String>, endpoints: GateEndpoints) -> Self {
        Self { listens, source: StatusSource::ByGate(endpoints) }
    }

    pub(crate) fn of_zenoh(
        listens: Vec<String>,
        linked: Weak<dyn ZenohLinkStatus>,
        endpoints: Vec<String>,
    ) -> Self {
        Self { listens, source: StatusSource::ByZenoh(linked, endpoints) }
    }

    /// The endpoints that the node listens at, with the ports that it has. Port 0 stays where
    /// Zenoh listens at one of the system's choice: links that do not prove the cluster key.
    #[must_use]
    pub fn listens(&self) -> &[String] {
        &self.listens
    }

    /// Each endpoint of `connect.endpoints` but this node's own; none once the node has stopped.
    #[must_use]
    pub fn now(&self) -> Vec<EndpointStatus> {
        match &self.source {
            StatusSource::ByGate(endpoints) => endpoints.now(),
            StatusSource::ByZenoh(linked, endpoints) => {
                let Some(linked) = linked.upgrade() else { return Vec::new() };
                let is_linked = linked.is_linked();
                let state = if is_linked { EndpointState::Unknown } else { EndpointState::Trying };
                let status = |endpoint: &String| EndpointStatus {
                    endpoint: endpoint.clone(),
                    state,
                    leads_to: None,
                    last_error: linked.last_error(endpoint).filter(|_| !is_linked),
                    next_try: None,
                };
                endpoints.iter().map(status).collect()
            }
        }
    }
}
