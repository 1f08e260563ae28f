//! The status of the endpoints of the configuration.

use std::sync::Weak;
use std::time::Duration;

use mailmesh_delivery::Incarnation;

use crate::gate::GateEndpoints;
use crate::zenoh_bus::ZenohLinkStatus;

/// How this node fares with an endpoint of `connect.endpoints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EndpointState {
    /// The node that the endpoint leads to is linked.
    Linked,
    /// The node dials the endpoint repeatedly.
    Trying,
    /// The endpoint was not dialed yet.
    NotTried,
    /// The endpoint leads to this node itself.
    Own,
    /// Zenoh dials the endpoint and has a link to some node, but does not report to which endpoint.
    Unknown,
}

/// The status of an endpoint of `connect.endpoints`.
///
/// If links prove the cluster key at the gate, the node itself dials and knows all fields. All
/// other links are dialed by Zenoh, which reports neither its errors nor its attempts: `mesh.links`
/// of `challenge`, `tls` or `unproven`, an open mesh, and TLS set in the Zenoh configuration. While
/// no node is linked at all, this node then probes the endpoints once a minute, and the status is
/// the result of the last probe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// The endpoint, without its settings.
    pub endpoint: String,
    /// Whether the endpoint is linked, dialed or unused.
    pub state: EndpointState,
    /// The incarnation of the node that the endpoint led to last.
    pub leads_to: Option<Incarnation>,
    /// The error of the last attempt. `None` after a success, or if the error is unknown.
    pub last_error: Option<String>,
    /// Time until the next attempt. `None` during an attempt, while linked, or if unknown.
    pub next_try: Option<Duration>,
}

/// Reads the endpoints that a node listens at, and the status of those that it dials.
#[derive(Debug, Clone)]
pub struct EndpointReader {
    listens: Vec<String>,
    source: StatusSource,
}

/// The part of the node that dials and knows the status.
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

    /// The endpoints that the node listens at, with the actual ports. If Zenoh listens at a port of
    /// the system's choice, the port stays 0: links that do not prove the cluster key.
    #[must_use]
    pub fn listens(&self) -> &[String] {
        &self.listens
    }

    /// The status of each endpoint of `connect.endpoints`, in the order of the configuration. Empty
    /// once the node has stopped.
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
