//! State of the configured endpoints, as the API reports it.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_transport::{EndpointState, EndpointStatus};
use serde::Serialize;

use crate::members::as_some_millis;

/// An endpoint of `connect.endpoints` and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// The endpoint, without its settings.
    pub endpoint: String,
    /// Whether the node at this endpoint is linked.
    pub state: EndpointState,
    /// The member at this endpoint, if known.
    pub node: Option<NodeName>,
    /// Why the last attempt failed. If Zenoh dials (links that do not prove the cluster key at the
    /// gate), Zenoh reports no errors. Then this is the result of a test connection of this node,
    /// with a TLS handshake at a TLS endpoint, made once no other node has been linked for 10 s.
    pub last_error: Option<String>,
    /// Time until the next attempt. `None` while the endpoint is being dialed or is linked, and
    /// where Zenoh dials. Serialised in milliseconds, as `next_try_ms`.
    #[serde(rename = "next_try_ms", serialize_with = "as_some_millis")]
    pub next_try: Option<Duration>,
}

impl Endpoint {
    pub(crate) fn new(
        status: EndpointStatus,
        name_of: impl Fn(Incarnation) -> Option<NodeName>,
    ) -> Self {
        Self {
            endpoint: status.endpoint,
            state: status.state,
            node: status.leads_to.and_then(name_of),
            last_error: status.last_error,
            next_try: status.next_try,
        }
    }
}
