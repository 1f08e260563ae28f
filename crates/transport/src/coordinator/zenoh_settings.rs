//! A checked Zenoh configuration, and what mailmesh reads of it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use mailmesh_secrets::redact;
use serde_json::Value;

use super::Warning;
use super::display_text::without_source;
use super::endpoint::Endpoint;
use super::endpoint_lists::endpoints_of_mode;
use super::error::{ConfigError, Place};
use super::preflight::Requirements;
use super::tls::secrets;
use crate::link_proof::{LinkProof, SessionProof};

/// Default link lease in milliseconds. With Zenoh's default, a cut goes unnoticed for 10 s.
pub(super) const LEASE_MS: u64 = 3_000;
/// The destination of the questions of discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MulticastGroup {
    /// The multicast address.
    pub(crate) address: SocketAddr,
    /// Names or addresses of interfaces, separated by commas; `auto` for all.
    pub(crate) interfaces: String,
    /// The IP TTL of questions: one more than the routers that a question may pass.
    pub(crate) ttl: u32,
}

/// Default listen endpoints of a peer and of a router.
const DEFAULT_LISTEN: [&str; 2] = ["tcp/[::]:0", "tcp/[::]:7447"];

/// A checked Zenoh configuration.
#[derive(Clone)]
pub struct ZenohSettings {
    value: Value,
    requirements: Requirements,
    /// `mesh.names`: more names by which other nodes dial this one.
    names: Vec<String>,
    /// How links prove the cluster key, if there is a key.
    proof: Option<LinkProof>,
    pub(crate) first_slots: Option<usize>,
}

/// Omits the configuration, which may hold keys and passwords.
impl fmt::Debug for ZenohSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZenohSettings").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

impl ZenohSettings {
    /// Settings of a configuration that was checked. Links prove the cluster key by the default
    /// method until `mesh` says otherwise.
    pub(super) fn new(value: Value, requirements: Requirements) -> Self {
        let proof = Some(LinkProof::default());
        Self { value, requirements, names: Vec::new(), proof, first_slots: None }
    }

    /// Sets how many links a gated node may dial before its session is reopened.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_first_slots(mut self, slots: usize) -> Self {
        self.first_slots = Some(slots);
        self
    }

    /// Applies the settings of `mesh` that concern links.
    pub(super) fn link_as(&mut self, names: &[String], proof: Option<LinkProof>) {
        (self.names, self.proof) = (names.to_vec(), proof);
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn proof(&self) -> Option<LinkProof> {
        self.proof
    }

    /// The same settings with another Zenoh configuration.
    pub(super) fn with_value(&self, value: Value) -> Self {
        Self { value, ..self.clone() }
    }

    /// Replaces the credentials in `value` that Zenoh would read differently from mailmesh.
    pub(super) fn mend(&self, value: &mut Value) {
        self.requirements.mend(value);
    }

    /// Whether multicast scouting is on.
    pub(crate) fn scouts(&self) -> bool {
        let enabled = self.value.pointer("/scouting/multicast/enabled");
        enabled.and_then(Value::as_bool).unwrap_or(true)
    }

    /// Checks that the machine meets the configuration; see
    /// [`Coordinator::preflight`](super::Coordinator::preflight).
    ///
    /// # Errors
    /// The first fault found.
    pub fn preflight(&self) -> Result<Vec<Warning>, ConfigError> {
        self.requirements.check()
    }

    pub(super) fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        self.requirements.check_embedded()
    }

    /// Removes the secrets of the configuration and of the session from an error of a library that
    /// was given the configuration.
    pub(crate) fn hide(&self, words: &str, proof: Option<&SessionProof>) -> String {
        // Includes the secrets that Zenoh was given in place of files.
        let mut given = self.value.clone();
        self.requirements.mend(&mut given);
        let mut found = Vec::new();
        secrets(&self.value, false, &mut found);
        secrets(&given, false, &mut found);
        let mut words = proof.map_or_else(|| words.to_owned(), |proof| proof.hide(words));
        for secret in found.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret.as_str(), "***");
        }
        redact(&without_source(&words))
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn mode(&self) -> &str {
        self.value.get("mode").and_then(Value::as_str).unwrap_or("peer")
    }

    /// The endpoints of a section that apply to the mode.
    pub(super) fn endpoints(&self, section: &str) -> Vec<String> {
        let all = endpoints_of_mode(&self.value, section, self.mode());
        all.into_iter().map(|endpoint| endpoint.text).collect()
    }

    /// The endpoints that this node dials: `connect.endpoints` without its own listen endpoints.
    pub(super) fn others(&self) -> Vec<String> {
        let own = self.endpoints("listen");
        let mut others = self.endpoints("connect");
        others.retain(|other| !own.contains(other));
        others
    }

    pub(super) fn flag(&self, pointer: &str, default: bool) -> bool {
        self.value.pointer(pointer).and_then(Value::as_bool).unwrap_or(default)
    }

    /// The position of the multicast group, if the configuration names one.
    pub(super) fn group_place(&self) -> Option<&Place> {
        self.requirements.group()
    }

    /// The listen endpoints of the node: the configured ones, or the default of its mode.
    pub(super) fn listens(&self) -> Vec<String> {
        let is_set = self.value().pointer("/listen/endpoints").is_some_and(|set| match set {
            Value::Object(by_mode) => by_mode.contains_key(self.mode()),
            set => !set.is_null(),
        });
        match (is_set, self.mode()) {
            (true, _) => self.endpoints("listen"),
            (false, "client") => Vec::new(),
            (false, "router") => vec![DEFAULT_LISTEN[1].to_owned()],
            (false, _) => vec![DEFAULT_LISTEN[0].to_owned()],
        }
    }

    /// The listen endpoints of this node, without metadata and settings.
    pub(crate) fn listens_shown(&self) -> Vec<String> {
        self.listens().iter().map(|endpoint| Endpoint::of(endpoint).bare().to_owned()).collect()
    }

    /// The endpoints that this node dials, without its own, and without metadata and settings.
    pub(crate) fn dialed_shown(&self) -> Vec<String> {
        self.others().iter().map(|endpoint| Endpoint::of(endpoint).bare().to_owned()).collect()
    }

    /// Whether neither multicast nor an endpoint leads to another node.
    pub(super) fn names_nobody(&self) -> bool {
        !self.scouts() && self.others().is_empty()
    }

    /// Whether holders of the key find each other by mailmesh's own discovery. Without a gate,
    /// gossip introduces the nodes found; if gossip is off too, only Zenoh's scouting remains.
    pub(crate) fn discovers(&self, has_gate: bool) -> bool {
        self.mode() != "client" && self.scouts() && (has_gate || self.gossips())
    }

    /// Whether nodes report to each other the nodes that they are linked to.
    pub(crate) fn gossips(&self) -> bool {
        self.flag("/scouting/gossip/enabled", true)
    }

    /// Hosts and ports that the gate dials, each with its settings behind a `#`: the `tcp/`
    /// endpoints of other nodes in `connect.endpoints`.
    pub(crate) fn dialed(&self) -> Vec<String> {
        let address = |text: String| {
            let Endpoint { protocol: "tcp", address, settings, .. } = Endpoint::of(&text) else {
                return None;
            };
            let mut address = address.to_owned();
            // The resolver accepts a zone only without brackets.
            if address.contains('%') {
                address.retain(|c| !"[]".contains(c));
            }
            Some(if settings.is_empty() { address } else { format!("{address}#{settings}") })
        };
        self.others().into_iter().filter_map(address).collect()
    }

    /// How long a silent link counts as open.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.configured_lease_ms().unwrap_or(LEASE_MS))
    }

    pub(super) fn configured_lease_ms(&self) -> Option<u64> {
        self.value().pointer("/transport/link/tx/lease").and_then(Value::as_u64)
    }

    /// The multicast group of Zenoh's scouting.
    pub(super) fn scouting_group(&self) -> SocketAddr {
        let address = self.value().pointer("/scouting/multicast/address").and_then(Value::as_str);
        let address = address.and_then(|address| address.parse::<SocketAddr>().ok());
        address.unwrap_or_else(|| ([224, 0, 0, 224], 7446).into())
    }

    /// The multicast group of mailmesh's discovery, with its interfaces and TTL. The group is that
    /// of Zenoh's scouting, with the next port.
    pub(crate) fn discovery_group(&self) -> MulticastGroup {
        let multicast = |key: &str| self.value().pointer(&format!("/scouting/multicast/{key}"));
        let mut address = self.scouting_group();
        address.set_port(address.port().checked_add(1).unwrap_or(u16::MAX - 1));
        let interfaces = multicast("interface").and_then(Value::as_str).unwrap_or("auto");
        let ttl = multicast("ttl").and_then(Value::as_u64).unwrap_or(1);
        let (interfaces, ttl) = (interfaces.to_owned(), u32::try_from(ttl).unwrap_or(1));
        MulticastGroup { address, interfaces, ttl }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_node_dials_its_configured_endpoints_except_its_own() {
        use crate::{Backend, Coordinator};
        let config = "{ listen: { endpoints: ['tcp/192.0.2.1:7447'] }, connect: { endpoints: [
            'tcp/192.0.2.1:7447', 'tcp/mx2.example.org:7447?rel=1#iface=eth1;so_sndbuf=1',
            'tcp/[2001:db8::1]:7447', 'tcp/[fe80::1%eth0]:7447',
        ] } }";
        let coordinator = Coordinator::parse(config).unwrap();
        let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
        let dialed = [
            "mx2.example.org:7447#iface=eth1;so_sndbuf=1",
            "[2001:db8::1]:7447",
            "fe80::1%eth0:7447",
        ];
        assert_eq!(settings.dialed(), dialed);
    }
}
