//! A Zenoh configuration whose links prove the cluster key.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::ZenohSettings;
use super::endpoint::Endpoint;
use super::error::{ConfigError, ConfigErrorKind};
use super::exposure::listens;
use super::listening::{Listening, addresses};
use super::zenoh::LEASE_MS;
use crate::gate::SessionSlots;
use crate::link_keys::TlsCredentials;
use crate::link_proof::{LinkProof, SessionProof};

/// Timeout for a dialer to prove the key, in milliseconds. The connection rate of strangers times
/// this bounds the descriptors and the memory that they hold.
const PROOF_MS: u32 = 2_000;
/// Most open links that have not proven the key.
const PENDING: u32 = 1_000;
/// Timeout of a slot that waits for a link before Zenoh dials it again, in milliseconds: a day.
const SLOT_MS: u32 = 86_400_000;
/// Links that Zenoh accepts behind the gate: the 1,024 of the gate, and as many that are closing.
const SESSIONS: u64 = 2_048;

/// How the links of a configuration are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkProtection {
    /// Each link proves the cluster key before a message on it is read.
    Proven(LinkProof),
    /// The configuration protects its links itself, or names endpoints other than `tcp/`. The text
    /// names the cause.
    Own(&'static str),
    /// No protection: any host that reaches the port can link, and end or freeze the process.
    None,
}

impl LinkProtection {
    /// Whether links pass mailmesh's own gate.
    pub(crate) fn has_gate(self) -> bool {
        matches!(self, Self::Proven(proof) if proof.has_gate())
    }
}

impl ZenohSettings {
    /// How links are protected; `has_key` states whether there is a cluster key.
    #[must_use]
    pub fn link_protection(&self, has_key: bool) -> LinkProtection {
        let proof = self.proof().filter(|_| has_key).map(|proof| self.possible(proof));
        match (self.own_protection(), proof) {
            (Some(what), _) => LinkProtection::Own(what),
            (None, Some(proof)) => LinkProtection::Proven(proof),
            (None, None) => LinkProtection::None,
        }
    }

    /// The proof that is possible in place of `proof`. A client dials a router of Zenoh, which has
    /// no gate. Zenoh's access control may select by interface, which a gate hides.
    fn possible(&self, proof: LinkProof) -> LinkProof {
        let has_no_gate = self.mode() == "client" || self.flag("/access_control/enabled", false);
        match proof {
            proof if proof.has_gate() && has_no_gate => LinkProof::Challenge,
            proof => proof,
        }
    }

    /// The setting by which the configuration protects its links itself; mailmesh keeps it.
    fn own_protection(&self) -> Option<&'static str> {
        let by_setting = ["transport.link.tls", "transport.auth", "transport.link.protocols"]
            .into_iter()
            .find(|setting| {
                let set = self.value().pointer(&format!("/{}", setting.replace('.', "/")));
                set.is_some_and(|set| sets_something("", set))
            });
        let has_other = || {
            let endpoints = listens(self).into_iter().chain(self.endpoints("connect"));
            endpoints.into_iter().any(|endpoint| !endpoint.starts_with("tcp/"))
        };
        by_setting.or_else(|| has_other().then_some("endpoints of another kind than `tcp/`"))
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
        let address = |endpoint: String| {
            let (address, settings) = endpoint.split_once('#').unwrap_or((&endpoint, ""));
            let mut address = address.strip_prefix("tcp/")?.split('?').next()?.to_owned();
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
        let lease = self.value().pointer("/transport/link/tx/lease").and_then(Value::as_u64);
        Duration::from_millis(lease.unwrap_or(LEASE_MS))
    }

    /// The multicast group of Zenoh's scouting.
    pub(super) fn scouting_group(&self) -> SocketAddr {
        let address = self.value().pointer("/scouting/multicast/address").and_then(Value::as_str);
        let address = address.and_then(|address| address.parse::<SocketAddr>().ok());
        address.unwrap_or_else(|| ([224, 0, 0, 224], 7446).into())
    }

    /// The multicast group of mailmesh's discovery, with its interfaces and TTL. The group is that
    /// of Zenoh's scouting, with the next port.
    pub(crate) fn discovery_group(&self) -> (SocketAddr, String, u32) {
        let multicast = |key: &str| self.value().pointer(&format!("/scouting/multicast/{key}"));
        let mut address = self.scouting_group();
        address.set_port(address.port().checked_add(1).unwrap_or(u16::MAX - 1));
        let interfaces = multicast("interface").and_then(Value::as_str).unwrap_or("auto");
        let ttl = multicast("ttl").and_then(Value::as_u64).unwrap_or(1);
        (address, interfaces.to_owned(), u32::try_from(ttl).unwrap_or(1))
    }

    /// The names and addresses by which other nodes may dial this one: `mesh.names`, its addresses,
    /// its host name, and the hosts of its endpoints. The endpoints include `connect.endpoints`,
    /// since one list may serve all nodes.
    pub(crate) fn names_for_links(&self) -> Vec<String> {
        let mut names = self.names().to_vec();
        names.extend(addresses().iter().map(ToString::to_string));
        names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
        names.extend(gethostname::gethostname().into_string());
        let endpoints = self.endpoints("listen").into_iter().chain(self.endpoints("connect"));
        names.extend(
            endpoints.filter_map(|endpoint| Endpoint::of(&endpoint).host().map(str::to_owned)),
        );
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// Whether a value sets something. `null`, and the values of Zenoh's commented default
/// configuration, set nothing.
fn sets_something(name: &str, value: &Value) -> bool {
    const DEFAULTS: [(&str, bool); 3] = [
        ("enable_mtls", false),
        ("verify_name_on_connect", true),
        ("close_link_on_expiration", false),
    ];
    match value {
        Value::Null => false,
        Value::Object(map) => map.iter().any(|(name, value)| sets_something(name, value)),
        Value::Bool(flag) => !DEFAULTS.contains(&(name, *flag)),
        _ => true,
    }
}

/// Changes a configuration so that every link proves the cluster key.
///
/// # Errors
/// [`ConfigErrorKind::BadValue`] for an endpoint that TLS cannot dial.
pub(super) fn prove(
    value: &mut Value,
    settings: &ZenohSettings,
    listening: Option<&Listening>,
    proof: &SessionProof,
) -> Result<(), ConfigError> {
    if let SessionProof::Gate(slots) = proof {
        behind_the_gate(value, settings, slots);
        return Ok(());
    }
    if let Some(listening) = listening.filter(|_| settings.mode() != "client") {
        let endpoints = listening.endpoints();
        value["listen"]["endpoints"] = json!({ settings.mode(): endpoints });
    }
    if settings.discovers(false) {
        value["scouting"]["multicast"]["enabled"] = json!(false);
    }
    let unicast = &mut value["transport"]["unicast"];
    for (key, bound) in [("accept_timeout", PROOF_MS), ("accept_pending", PENDING)] {
        if unicast[key].is_null() {
            unicast[key] = json!(bound);
        }
    }
    // Zenoh would wait up to 500 ms for the first links, which delivery does not need.
    let conditions = &mut value["open"]["return_conditions"];
    if conditions.is_null() {
        *conditions = json!({ "connect_scouted": false, "declares": false });
    }
    // Zenoh refuses the second link of a pair whose logins differ, and logins differ by direction.
    // If two nodes dialed each other at once, each would refuse the other's link: only one dials.
    let gossip = &mut value["scouting"]["gossip"];
    if gossip["autoconnect_strategy"].is_null() {
        gossip["autoconnect_strategy"] = json!({ "router": "greater-zid", "peer": "greater-zid" });
    }
    // Peers dial a reopened session again before senders drop this node (500 ms).
    let retry = &mut value["connect"]["retry"];
    if retry.is_null() {
        *retry =
            json!({ "period_init_ms": 100, "period_max_ms": 4_000, "period_increase_factor": 2 });
    }
    match proof {
        SessionProof::Gate(_) => Ok(()),
        SessionProof::Challenge { own, accepted, .. } => {
            value["transport"]["link"]["protocols"] = json!(["tcp"]);
            value["transport"]["auth"]["usrpwd"] = json!({
                "user": own.user,
                "password": *own.password,
                "dictionary_file": accepted.path(),
            });
            Ok(())
        }
        SessionProof::Tls(credentials) => encrypt(value, credentials),
    }
}

/// Makes Zenoh listen for the gate and dial the gate, and nothing else.
fn behind_the_gate(value: &mut Value, settings: &ZenohSettings, slots: &SessionSlots) {
    value["listen"] = json!({ "endpoints": { settings.mode(): [slots.listen()] } });
    value["connect"] = json!({
        "endpoints": { settings.mode(): slots.connect() },
        "timeout_ms": -1,
        "exit_on_failure": false,
        "retry": { "period_init_ms": 20, "period_max_ms": 200, "period_increase_factor": 2 },
    });
    value["scouting"]["multicast"]["enabled"] = json!(false);
    value["scouting"]["gossip"]["enabled"] = json!(false);
    value["open"]["return_conditions"] = json!({ "connect_scouted": false, "declares": false });
    value["transport"]["link"]["protocols"] = json!(["unixsock-stream"]);
    let unicast = &mut value["transport"]["unicast"];
    unicast["open_timeout"] = json!(SLOT_MS);
    // Only proven nodes get this far.
    unicast["accept_pending"] = json!(PENDING);
    let most = unicast["max_sessions"].as_u64().unwrap_or(0).max(SESSIONS);
    unicast["max_sessions"] = json!(most);
}

fn encrypt(value: &mut Value, credentials: &TlsCredentials) -> Result<(), ConfigError> {
    for (section, listens) in [("listen", true), ("connect", false)] {
        if let Some(endpoints) = value.pointer_mut(&format!("/{section}/endpoints")) {
            each_text(endpoints, &|endpoint| as_tls(endpoint, listens))?;
        }
    }
    let TlsCredentials { authorities, certificate, private_key } = credentials;
    let link = &mut value["transport"]["link"];
    link["protocols"] = json!(["tls"]);
    link["tls"] = json!({
        "root_ca_certificate_base64": authorities,
        "listen_certificate_base64": certificate,
        "listen_private_key_base64": **private_key,
        "connect_certificate_base64": certificate,
        "connect_private_key_base64": **private_key,
        "enable_mtls": true,
        "verify_name_on_connect": true,
    });
    Ok(())
}

pub(super) fn each_text(
    value: &mut Value,
    change: &impl Fn(&str) -> Result<String, ConfigError>,
) -> Result<(), ConfigError> {
    match value {
        Value::String(text) => *text = change(text)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| each_text(item, change))?,
        Value::Object(map) => map.values_mut().try_for_each(|item| each_text(item, change))?,
        _ => {}
    }
    Ok(())
}

/// The same endpoint over TLS. Zenoh 1.10.2 takes the brackets of an IPv6 address for a part of the
/// server's name, so the address is written without brackets.
pub(super) fn as_tls(endpoint: &str, listens: bool) -> Result<String, ConfigError> {
    let Some(rest) = endpoint.strip_prefix("tcp/") else {
        return Ok(endpoint.to_owned());
    };
    let (address, settings) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let address = match address.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((v6, _)) if v6.contains('%') => {
            let why = "an IPv6 address with a zone cannot be dialed by TLS; use another address of \
                       that host, or a name";
            let (key, why) = (endpoint.to_owned(), why.to_owned());
            return Err(ConfigError::new(ConfigErrorKind::BadValue { key, why }));
        }
        // Zenoh announces the addresses of the host in place of `::`.
        Some(("::", _)) | None => address.to_owned(),
        Some((v6, port)) => format!("{v6}:{port}"),
    };
    let timeout = match (listens, settings.contains('#')) {
        (false, _) => String::new(),
        (true, true) => format!(";tls_handshake_timeout_ms={PROOF_MS}"),
        (true, false) => format!("#tls_handshake_timeout_ms={PROOF_MS}"),
    };
    Ok(format!("tls/{address}{settings}{timeout}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_through_the_gate_where_that_can_be() {
        use crate::{Backend, Coordinator};
        let settings = |config: &str| match Coordinator::parse(config).unwrap().backend() {
            Backend::Zenoh(settings) => settings.clone(),
            other => panic!("{other:?}"),
        };
        let protection = |config: &str| settings(config).link_protection(true);
        let challenge = LinkProtection::Proven(LinkProof::Challenge);
        assert_eq!(protection("{}"), LinkProtection::Proven(LinkProof::Sealed));
        assert_eq!(protection("{ mode: 'router' }"), LinkProtection::Proven(LinkProof::Sealed));
        assert_eq!(settings("{}").link_protection(false), LinkProtection::None);
        let client = "{ mode: 'client', connect: { endpoints: ['tcp/192.0.2.1:7447'] } }";
        assert_eq!(protection(client), challenge);
        let access = "{ access_control: { enabled: true, default_permission: 'allow', rules: [], \
                      subjects: [], policies: [] } }";
        assert_eq!(protection(access), challenge);
        let udp = protection("{ transport: { link: { protocols: ['tcp'] } } }");
        assert!(matches!(udp, LinkProtection::Own("transport.link.protocols")), "{udp:?}");
    }

    #[test]
    fn endpoints_are_dialed_as_the_configuration_names_them_but_for_those_of_this_node() {
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

    #[test]
    fn an_endpoint_becomes_one_of_tls() {
        for (plain, listens, proven) in [
            ("tcp/192.0.2.1:7447", false, "tls/192.0.2.1:7447"),
            ("tcp/mx1.example.org:7447#iface=eth1", false, "tls/mx1.example.org:7447#iface=eth1"),
            ("tcp/[2001:db8::1]:7447", false, "tls/2001:db8::1:7447"),
            ("tcp/[::]:0", true, "tls/[::]:0#tls_handshake_timeout_ms=2000"),
            (
                "tcp/0.0.0.0:1?prio=1-3#a=b",
                true,
                "tls/0.0.0.0:1?prio=1-3#a=b;tls_handshake_timeout_ms=2000",
            ),
        ] {
            assert_eq!(as_tls(plain, listens).unwrap(), proven);
        }
        let error = as_tls("tcp/[fe80::1%eth0]:7447", false).unwrap_err().to_string();
        assert!(error.contains("zone"), "{error}");
    }
}
