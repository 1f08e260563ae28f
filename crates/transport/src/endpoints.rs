//! The status of the endpoints of the configuration.

use std::time::Duration;

use mailmesh_delivery::Incarnation;

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
    RateLimited,
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
