//! A description of a configuration for the operator.

use std::fmt::Write as _;

use mailmesh_secrets::display_path;
use serde_json::Value;

use super::display_text::{escaped, printable};
use super::endpoint::Endpoint;
use super::exposure::openings;
use super::mesh::{MeshSettings, Secret};
use super::protection::LinkProtection;
use super::silenced::DEFAULT_CLUSTER;
use super::tls_settings::is_mutual;
use super::zenoh_settings::{LEASE_MS, ZenohSettings};
use super::{Backend, Coordinator};
use crate::LinkProof;

impl Coordinator {
    /// Describes the configuration in plain words, one fact a line. The last lines name what the
    /// configuration leaves open, with the settings that close it.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut out = String::new();
        match &self.backend {
            Backend::Disabled => {
                line(&mut out, "coordinator", "disabled: this server runs alone");
            }
            Backend::Zenoh(settings) => {
                line(&mut out, "coordinator", "Zenoh, peer to peer, without a broker");
                let protection = settings.link_protection(self.mesh.key.is_some());
                zenoh(&mut out, settings, protection);
                mesh(&mut out, &self.mesh);
                for opening in openings(settings, protection) {
                    line(&mut out, "open", &opening);
                }
            }
        }
        out
    }
}

fn line(out: &mut String, what: &str, text: &str) {
    own_line(out, what, &printable(text));
}

/// Writes a line whose text holds no secret: paths stay whole.
fn own_line(out: &mut String, what: &str, text: &str) {
    let _infallible = writeln!(out, "{what:<12}{}", escaped(text));
}

fn zenoh(out: &mut String, settings: &ZenohSettings, protection: LinkProtection) {
    line(
        out,
        "mode",
        match settings.mode() {
            "client" => {
                "client: speaks through one router or peer, and stands alone when it is gone"
            }
            "router" => {
                "router: links to peers, and forwards between those that cannot reach each other"
            }
            _ => "peer: links directly to every other node",
        },
    );
    match (settings.endpoints("listen").as_slice(), settings.mode()) {
        ([], "client") => line(out, "listens", "nowhere (clients do not)"),
        ([], "router") => {
            line(out, "listens", "tcp/[::]:7447 (default): TCP port 7447 of every address")
        }
        ([], _) => line(out, "listens", "tcp/[::]:0 (default): a free TCP port of every address"),
        (some, _) => line(out, "listens", &some.join(", ")),
    }
    found(out, settings, protection);
    match settings.others().as_slice() {
        [] => {}
        some => {
            let some = some.join(", ");
            line(out, "connects", &format!("to {some}, again and again until it can"))
        }
    }
    match settings.configured_lease_ms() {
        None => line(
            out,
            "links",
            &format!("a silent cut is noticed after {LEASE_MS} ms (our default; Zenoh's is 10000)"),
        ),
        Some(lease) => line(out, "links", &format!("a silent cut is noticed after {lease} ms")),
    }
    links(out, settings, protection);
    if settings.flag("/access_control/enabled", false) {
        line(out, "access", "Zenoh's access control is on");
    }
    if settings.flag("/adminspace/enabled", false) {
        line(out, "access", "Zenoh's admin space is on: a linked node can read this node's state");
    }
}

/// How the node finds other nodes.
fn found(out: &mut String, settings: &ZenohSettings, protection: LinkProtection) {
    let text = |pointer: &str, default: &str| {
        settings.value().pointer(pointer).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    if settings.flag("/scouting/multicast/enabled", true) {
        let address = text("/scouting/multicast/address", &settings.scouting_group().to_string());
        let interface = match text("/scouting/multicast/interface", "auto").as_str() {
            "auto" | "" => "every interface that can".to_owned(),
            name => format!("interface {name}"),
        };
        let is_ours = matches!(protection, LinkProtection::Proven(_))
            && settings.discovers(protection.has_gate());
        line(
            out,
            "finds",
            &if is_ours {
                let address = settings.discovery_group().address;
                format!("holders of the cluster key by multicast: UDP {address} on {interface}")
            } else {
                format!("others by multicast: UDP {address} on {interface}")
            },
        );
    } else {
        line(out, "finds", "no node by multicast: it is off");
    }
    if settings.flag("/scouting/gossip/enabled", true) {
        let found = match protection {
            _ if protection.has_gate() => {
                "others by linked nodes: each reports the nodes that it is linked to"
            }
            _ => "others by gossip: each peer reports the peers that it knows",
        };
        line(out, "", found);
    }
}

fn links(out: &mut String, settings: &ZenohSettings, protection: LinkProtection) {
    match protection {
        LinkProtection::Proven(LinkProof::Tls) => line(
            out,
            "proof",
            "each link proves the cluster key at both ends before a message is read (TLS)",
        ),
        LinkProtection::Proven(LinkProof::Gate) => line(
            out,
            "proof",
            "each link proves the cluster key at both ends before Zenoh reads a byte (gate)",
        ),
        LinkProtection::Proven(LinkProof::Sealed) => line(
            out,
            "proof",
            "each link proves the cluster key at both ends before Zenoh reads a byte (gate, \
             sealed)",
        ),
        LinkProtection::Proven(_) => line(
            out,
            "proof",
            "the dialing node proves the cluster key before a message is read (challenge)",
        ),
        LinkProtection::Own(what) => line(
            out,
            "proof",
            &format!(
                "the configuration sets `{what}` itself, so links do not prove the cluster key"
            ),
        ),
        LinkProtection::None => line(
            out,
            "proof",
            "none: any host that reaches the port can link, and end or freeze this process",
        ),
    }
    encryption(out, settings, protection);
}

fn encryption(out: &mut String, settings: &ZenohSettings, protection: LinkProtection) {
    let endpoints = ["listen", "connect"].map(|section| settings.endpoints(section)).concat();
    let endpoints = endpoints.iter().map(|text| Endpoint::of(text));
    let encrypted: Vec<_> = endpoints.filter(Endpoint::is_encrypted).collect();
    let is_proven = protection == LinkProtection::Proven(LinkProof::Tls);
    if protection == LinkProtection::Proven(LinkProof::Sealed) {
        line(out, "encryption", "links are sealed whole (AES-256-GCM)");
    } else if is_proven || !encrypted.is_empty() {
        let is_mutual = |endpoint: &&Endpoint<'_>| is_mutual(settings.value(), endpoint);
        let mutual = encrypted.iter().filter(is_mutual).count();
        let shown = if is_proven || mutual == encrypted.len() {
            "both ends show a certificate"
        } else if mutual == 0 {
            "the listening end shows a certificate"
        } else {
            "at some endpoints both ends show a certificate"
        };
        line(out, "encryption", &format!("links with TLS; {shown}"));
    } else {
        line(
            out,
            "encryption",
            "links without TLS (what mailmesh sends is sealed if there is a cluster key)",
        );
    }
}

fn mesh(out: &mut String, mesh: &MeshSettings) {
    let name =
        mesh.name.as_ref().map_or("the host's name (default)".to_owned(), ToString::to_string);
    line(out, "node", &name);
    let cluster = match &mesh.cluster {
        Some(cluster) => cluster.clone(),
        None => format!("{DEFAULT_CLUSTER} (default)"),
    };
    line(out, "cluster", &format!("{cluster}: nodes of other clusters are not heard"));
    match &mesh.key {
        Some(secret) => {
            let secret = match secret {
                Secret::File(path) => format!("the file {}", display_path(path)),
                other => other.to_string(),
            };
            let words = "every frame is sealed, certificates are replicated";
            own_line(out, "key", &format!("from {secret}: {words}"));
        }
        None => line(
            out,
            "key",
            "none: any host that reaches this node's port may join and read, and can end or freeze \
             this process; certificates are not replicated; see `mailmesh key generate`",
        ),
    }
    match &mesh.store {
        Some(dir) => {
            own_line(out, "store", &format!("the mirror is kept in {}", display_path(dir)));
        }
        None => line(out, "store", "none: a node that starts has the mirror of the others"),
    }
    let default = || mailmesh_delivery::Settings::default().failure_timeout;
    let failure = mesh.failure_timeout.unwrap_or_else(default).as_millis();
    line(out, "failure", &format!("a peer without a heartbeat for {failure} ms has failed"));
    let events = mesh.inbox_events.unwrap_or(65_536);
    let mib = mesh.inbox_bytes.unwrap_or(64 << 20) >> 20;
    let bounds = format!("hold at most {events} events and {mib} MiB; a slower reader gets a gap");
    line(out, "inboxes", &bounds);
}
