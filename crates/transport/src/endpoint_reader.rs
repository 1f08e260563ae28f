//! Reads the status of the endpoints from the gate, or from Zenoh where Zenoh dials.

use std::sync::Weak;

use crate::endpoints::{EndpointState, EndpointStatus};
use crate::gate::GateEndpoints;
use crate::zenoh_bus::ZenohLinkStatus;

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
