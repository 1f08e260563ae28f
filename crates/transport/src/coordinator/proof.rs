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

/// How long a dialer has to prove the key, in milliseconds. It bounds the descriptors and the
/// memory that strangers hold: their rate times this.
const PROOF_MS: u32 = 2_000;
/// Most links that are open and have not proven the key.
const PENDING: u32 = 1_000;
/// How long a slot waits for a link before Zenoh dials it again, in milliseconds: a day.
const SLOT_MS: u32 = 86_400_000;
/// Links that Zenoh takes behind the gate: as many as the gate has, and those that are ending.
const SESSIONS: u64 = 2_048;

/// How the links of a configuration are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkProtection {
    /// Each link proves the cluster key before a message on it is read.
    Proven(LinkProof),
    /// As the configuration sets it itself; this is what it sets.
    Own(&'static str),
    /// Whoever reaches the port can link, and end or freeze the process.
    None,
}

impl LinkProtection {
    /// Whether links come through a gate of our own.
    pub(crate) fn has_gate(self) -> bool {
        matches!(self, Self::Proven(proof) if proof.has_gate())
    }
}

impl ZenohSettings {
    /// How links are protected, if there is a cluster key or not.
    #[must_use]
    pub fn link_protection(&self, has_key: bool) -> LinkProtection {
        let proof = self.proof().filter(|_| has_key).map(|proof| self.possible(proof));
        match (self.own_protection(), proof) {
            (Some(what), _) => LinkProtection::Own(what),
            (None, Some(proof)) => LinkProtection::Proven(proof),
            (None, None) => LinkProtection::None,
        }
    }

    /// How links can prove the key: a client speaks to a router of Zenoh, which has no gate, and
    /// Zenoh's access control may go by interfaces, which a gate hides from it.
    fn possible(&self, proof: LinkProof) -> LinkProof {
        let has_no_gate = self.mode() == "client" || self.flag("/access_control/enabled", false);
        match proof {
            proof if proof.has_gate() && has_no_gate => LinkProof::Challenge,
            proof => proof,
        }
    }

    /// The setting by which the configuration protects its links itself, which is kept as it is.
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

    /// Whether nodes that hold the key find each other by discovery of our own. Without a gate
    /// the nodes found are introduced by gossip; where gossip is off, Zenoh's scouting is all
    /// there is.
    pub(crate) fn discovers(&self, has_gate: bool) -> bool {
        self.mode() != "client" && self.scouts() && (has_gate || self.gossips())
    }

    /// Whether nodes tell each other of the nodes that they are linked to.
    pub(crate) fn gossips(&self) -> bool {
        self.flag("/scouting/gossip/enabled", true)
    }

    /// Hosts and ports that the gate dials, with their settings behind a `#`: the endpoints of the
    /// configuration.
    pub(crate) fn dialed(&self) -> Vec<String> {
        let address = |endpoint: String| {
            let (address, settings) = endpoint.split_once('#').unwrap_or((&endpoint, ""));
            let mut address = address.strip_prefix("tcp/")?.split('?').next()?.to_owned();
            // The resolver takes a zone without brackets alone.
            if address.contains('%') {
                address.retain(|c| !"[]".contains(c));
            }
            Some(if settings.is_empty() { address } else { format!("{address}#{settings}") })
        };
        self.others().into_iter().filter_map(address).collect()
    }

    /// How long a link that is silent is taken for open.
    pub(crate) fn lease(&self) -> Duration {
        let lease = self.value().pointer("/transport/link/tx/lease").and_then(Value::as_u64);
        Duration::from_millis(lease.unwrap_or(LEASE_MS))
    }

    /// Where Zenoh's scouting asks.
    pub(super) fn scouting_group(&self) -> SocketAddr {
        let address = self.value().pointer("/scouting/multicast/address").and_then(Value::as_str);
        let address = address.and_then(|address| address.parse::<SocketAddr>().ok());
        address.unwrap_or_else(|| ([224, 0, 0, 224], 7446).into())
    }

    /// Where discovery asks: the multicast group of Zenoh, one port on; its interfaces and TTL.
    pub(crate) fn discovery_group(&self) -> (SocketAddr, String, u32) {
        let multicast = |key: &str| self.value().pointer(&format!("/scouting/multicast/{key}"));
        let mut address = self.scouting_group();
        address.set_port(address.port().checked_add(1).unwrap_or(u16::MAX - 1));
        let interfaces = multicast("interface").and_then(Value::as_str).unwrap_or("auto");
        let ttl = multicast("ttl").and_then(Value::as_u64).unwrap_or(1);
        (address, interfaces.to_owned(), u32::try_from(ttl).unwrap_or(1))
    }

    /// The names and addresses by which other nodes may dial this one: `mesh.names`, its
    /// addresses, its host name, and the hosts of its endpoints (one list for all nodes names
    /// this one too).
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

/// Whether a value sets something: `null` and the defaults of Zenoh, as its commented default
/// configuration has them, do not.
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

/// Makes every link of a configuration prove the cluster key.
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
    // Zenoh would wait for the first links, up to 500 ms; delivery does not need that.
    let conditions = &mut value["open"]["return_conditions"];
    if conditions.is_null() {
        *conditions = json!({ "connect_scouted": false, "declares": false });
    }
    // Of two nodes that learn of each other at the same time one dials: Zenoh refuses the second
    // link of a pair whose logins differ, as they do by direction, and each would refuse the other's.
    let gossip = &mut value["scouting"]["gossip"];
    if gossip["autoconnect_strategy"].is_null() {
        gossip["autoconnect_strategy"] = json!({ "router": "greater-zid", "peer": "greater-zid" });
    }
    // A session that was opened anew is dialed again before its senders give it up (500 ms).
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

/// Has Zenoh listen for the gate, and dial it, alone.
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
    // Only proven nodes come so far.
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

/// The same endpoint over TLS. Zenoh 1.10.2 takes the brackets of an IPv6 address for a part
/// of the server's name, so a literal stands without them.
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
        // Zenoh shows the addresses of the host in its place.
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
