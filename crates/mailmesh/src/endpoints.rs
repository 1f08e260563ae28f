//! The endpoints of the configuration, as a program sees them.

use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_transport::{EndpointState, EndpointStatus};
use serde::Serialize;

/// An endpoint of `connect.endpoints`, and how this node is doing with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// The endpoint, without its settings.
    pub endpoint: String,
    /// Where this node is with it.
    pub state: EndpointState,
    /// The member that it leads to, if that is known.
    pub node: Option<NodeName>,
    /// Why it was not reached the last time. Where Zenoh dials (links that do not prove the cluster
    /// key at the gate) it is what a connection of this node's own came to, once no node at all
    /// has been linked for 10 s: Zenoh keeps its errors to itself.
    pub last_error: Option<String>,
    /// In how many milliseconds it is dialed next; `None` while it is dialed, or linked, or where
    /// Zenoh dials.
    pub next_try_ms: Option<u64>,
}

impl Endpoint {
    pub(crate) fn new(
        status: EndpointStatus,
        name_of: impl Fn(Incarnation) -> Option<NodeName>,
    ) -> Self {
        let millis =
            |wait: std::time::Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            endpoint: status.endpoint,
            state: status.state,
            node: status.leads_to.and_then(name_of),
            last_error: status.last_error,
            next_try_ms: status.next_try.map(millis),
        }
    }
}
