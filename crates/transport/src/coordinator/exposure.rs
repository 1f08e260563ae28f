//! Exposure of a node: which hosts reach it, and what an attacker on the path can see or do, with
//! the settings that prevent each. The list depends on how links prove the cluster key.

use serde_json::Value;

use super::endpoint::{Endpoint, is_encrypted_protocol};
use super::protection::LinkProtection;
use super::tls_settings::{is_mutual, verifies_name};
use super::zenoh_settings::ZenohSettings;
use crate::LinkProof;

/// One line for each exposure.
pub(super) fn openings(settings: &ZenohSettings, protection: LinkProtection) -> Vec<String> {
    let endpoints = Endpoints::of(settings);
    let mut open = reach(settings, &endpoints);
    match protection {
        LinkProtection::Proven(proof) => {
            open.extend(proven_links(&endpoints, proof));
            if endpoints.scouts && !settings.discovers(protection.has_gate()) {
                open.push(
                    "dials any host that answers Zenoh's scouting, since gossip is off: switch \
                     gossip on, or multicast off and name the others in `connect.endpoints`"
                        .to_owned(),
                );
            }
        }
        _ => {
            open.extend(endpoints.plain.as_deref().map(without_tls));
            open.extend(tls_links(settings, &endpoints));
            open.extend(access(settings, &endpoints));
        }
    }
    open
}

/// The endpoints of a node, as far as its exposure depends on them.
struct Endpoints {
    listens: Vec<String>,
    /// Those that the node listens at or dials.
    all: Vec<String>,
    /// The first without TLS whose links leave this machine.
    plain: Option<String>,
    /// Whether multicast scouting finds other nodes.
    scouts: bool,
}

impl Endpoints {
    fn of(settings: &ZenohSettings) -> Self {
        let listens = settings.listens();
        let all: Vec<_> = listens.iter().cloned().chain(settings.endpoints("connect")).collect();
        let is_plain = |endpoint: &&String| !is_encrypted(endpoint) && !is_local(endpoint);
        let plain = all.iter().find(is_plain).cloned();
        let scouts = settings.mode() != "client" && settings.scouts();
        Self { listens, all, plain, scouts }
    }

    fn have_tls(&self) -> bool {
        self.all.iter().any(|endpoint| is_encrypted(endpoint))
    }

    /// The first listener that takes links without a certificate.
    fn anonymous(&self, settings: &ZenohSettings) -> Option<&String> {
        first_without(settings, &self.listens, is_mutual)
    }
}

/// The hosts that reach the node.
fn reach(settings: &ZenohSettings, endpoints: &Endpoints) -> Vec<String> {
    let mut open = Vec::new();
    let interface = settings.value().pointer("/scouting/multicast/interface");
    if endpoints.scouts && matches!(interface.and_then(Value::as_str), None | Some("auto" | "")) {
        open.push(
            "looks for others, and answers, on every interface: set \
             `scouting.multicast.interface`, or `enabled: false` there and endpoints"
                .to_owned(),
        );
    }
    if let Some(endpoint) = endpoints.listens.iter().find(|endpoint| is_everywhere(endpoint)) {
        open.push(format!(
            "listens on every address ({}): name one in `listen.endpoints`, or add `#iface=NAME`",
            bare(endpoint)
        ));
    }
    open
}

fn without_tls(endpoint: &str) -> String {
    format!(
        "links without TLS ({}): an attacker on the path sees which nodes speak, when and how \
         much; set `mesh.links` to \"sealed\", or use `tls/` endpoints",
        bare(endpoint)
    )
}

/// The exposure of links that prove the cluster key.
fn proven_links(endpoints: &Endpoints, proof: LinkProof) -> Vec<String> {
    let Some(plain) = &endpoints.plain else { return Vec::new() };
    match proof {
        LinkProof::Tls | LinkProof::Sealed => Vec::new(),
        LinkProof::Gate => vec![
            without_tls(plain),
            "the bytes behind the proof of a link are not authenticated: an attacker on the path \
             can insert bytes and end this process; set `mesh.links` to \"sealed\" where that is \
             possible"
                .to_owned(),
        ],
        LinkProof::Challenge => vec![
            without_tls(plain),
            "the dialed end of a link proves nothing: an attacker who takes over the address of a \
             member, is on the path, or has recorded a link can end this process; set \
             `mesh.links` to \"sealed\" where that is possible"
                .to_owned(),
        ],
    }
}

/// The exposure of TLS links of the configuration's own.
fn tls_links(settings: &ZenohSettings, endpoints: &Endpoints) -> Vec<String> {
    let mut open = Vec::new();
    let gossips = settings.mode() != "client" && settings.gossips();
    let finds = endpoints.scouts || gossips;
    let is_all_tls = endpoints.have_tls() && endpoints.plain.is_none();
    if is_all_tls && finds && !only_encrypted(settings) {
        open.push(
            "links without TLS to a found node that offers nothing else: set \
             `transport.link.protocols: ['tls']`"
                .to_owned(),
        );
    }
    if let Some(endpoint) = endpoints.anonymous(settings) {
        open.push(format!(
            "accepts links from peers that show no certificate ({}): set \
             `transport.link.tls.enable_mtls: true`",
            bare(endpoint)
        ));
    }
    if first_without(settings, &endpoints.all, verifies_name).is_some() {
        open.push(
            "takes a certificate for any host: leave `transport.link.tls.verify_name_on_connect` on"
                .to_owned(),
        );
    }
    open
}

/// The first TLS endpoint without the property `has`.
fn first_without<'a>(
    settings: &ZenohSettings,
    endpoints: &'a [String],
    has: fn(&Value, &Endpoint<'_>) -> bool,
) -> Option<&'a String> {
    let mut encrypted = endpoints.iter().filter(|endpoint| is_encrypted(endpoint));
    encrypted.find(|endpoint| !has(settings.value(), &Endpoint::of(endpoint)))
}

/// The rights of a linked node.
fn access(settings: &ZenohSettings, endpoints: &Endpoints) -> Option<String> {
    let default = settings.value().pointer("/access_control/default_permission");
    let is_on = settings.flag("/access_control/enabled", false);
    let shows_certificates = endpoints.have_tls()
        && endpoints.plain.is_none()
        && endpoints.anonymous(settings).is_none();
    let open = match (is_on, shows_certificates) {
        (false, true) => {
            "any certificate of the authority is good: name those of the nodes in `access_control`"
        }
        (false, false) => {
            "no access control: a linked node may publish and subscribe on every key; set \
             `access_control`"
        }
        (true, _) if default == Some(&Value::from("allow")) => {
            "access control allows what no rule denies: set `default_permission: 'deny'` there"
        }
        (true, _) => return None,
    };
    Some(open.to_owned())
}

fn is_encrypted(endpoint: &str) -> bool {
    Endpoint::of(endpoint).is_encrypted()
}

/// Whether all bytes of this endpoint's links stay on this machine.
fn is_local(endpoint: &str) -> bool {
    let endpoint = Endpoint::of(endpoint);
    endpoint.is_loopback() || endpoint.protocol == "unixsock-stream"
}

fn is_everywhere(endpoint: &str) -> bool {
    let endpoint = Endpoint::of(endpoint);
    endpoint.setting("iface").is_none() && endpoint.ip().is_some_and(|ip| ip.is_unspecified())
}

/// An endpoint without metadata and settings, which may hold secrets.
fn bare(endpoint: &str) -> &str {
    Endpoint::of(endpoint).bare()
}

/// Whether Zenoh can make no link without TLS.
fn only_encrypted(settings: &ZenohSettings) -> bool {
    let listed = settings.value().pointer("/transport/link/protocols").and_then(Value::as_array);
    listed.is_some_and(|listed| {
        listed.iter().all(|name| name.as_str().is_some_and(is_encrypted_protocol))
    })
}

#[cfg(test)]
mod tests {
    use crate::{Backend, Coordinator};

    fn openings(config: &str) -> Vec<String> {
        match Coordinator::parse(config).unwrap().backend() {
            Backend::Zenoh(settings) => super::openings(settings, crate::LinkProtection::None),
            other => panic!("{other:?}"),
        }
    }

    /// The exposures of a configuration that has none, after replacing one piece of it.
    fn closed_but(from: &str, to: &str) -> Vec<String> {
        const CLOSED: &str = "{
            listen: { endpoints: ['tls/192.0.2.1:7447'] },
            connect: { endpoints: ['tls/192.0.2.2:7447'] },
            scouting: { multicast: { interface: 'eth1' } },
            transport: { link: { protocols: ['tls'], tls: {
                root_ca_certificate: 'ca', enable_mtls: true, verify_name_on_connect: true,
                listen_certificate: 'c', listen_private_key: 'k',
                connect_certificate: 'c', connect_private_key: 'k',
            } } },
            access_control: { enabled: true, default_permission: 'deny',
                rules: [], subjects: [], policies: [] },
        }";
        assert!(CLOSED.contains(from), "{from}");
        openings(&CLOSED.replace(from, to))
    }

    #[test]
    fn each_exposure_is_named_alone_with_the_setting_that_prevents_it() {
        assert_eq!(closed_but("", ""), [""; 0]);
        for (from, to, words) in [
            ("interface: 'eth1'", "", "`scouting.multicast.interface`"),
            ("interface: 'eth1'", "interface: 'auto'", "`scouting.multicast.interface`"),
            ("tls/192.0.2.1:7447", "tls/0.0.0.0:7447", "every address (tls/0.0.0.0:7447)"),
            ("tls/192.0.2.1:7447", "tls/[::]:7447", "`listen.endpoints`"),
            ("tls/192.0.2.2:7447", "tcp/192.0.2.2:7447", "without TLS (tcp/192.0.2.2:7447)"),
            ("protocols: ['tls'],", "", "`transport.link.protocols: ['tls']`"),
            ("protocols: ['tls'],", "protocols: ['tls', 'tcp'],", "`transport.link.protocols"),
            ("enable_mtls: true", "enable_mtls: false", "enable_mtls: true`"),
            ("enable_mtls: true,", "", "enable_mtls: true`"),
            ("192.0.2.1:7447", "192.0.2.1:7447#enable_mtls=false", "no certificate (tls/192.0.2.1"),
            ("verify_name_on_connect: true", "verify_name_on_connect: false", "any host"),
            ("access_control: { enabled: true", "access_control: { enabled: false", "authority"),
            ("'deny'", "'allow'", "`default_permission: 'deny'`"),
        ] {
            let open = closed_but(from, to);
            let [line] = open.as_slice() else { panic!("{to}: {open:?}") };
            assert!(line.contains(words), "{to}: `{words}` not in: {line}");
            assert_eq!(line.lines().count(), 1);
        }
    }

    #[test]
    fn an_exposure_that_another_setting_prevents_is_not_reported() {
        for (from, to) in [
            ("tls/192.0.2.1:7447", "tls/0.0.0.0:7447#iface=eth1"),
            ("tls/192.0.2.1:7447", "tls/mx1.example.org:7447"),
            ("interface: 'eth1'", "enabled: false"),
            ("tls/192.0.2.2:7447", "tcp/127.0.0.1:7447"),
            ("tls/192.0.2.2:7447", "tcp/localhost:7447"),
            ("enable_mtls: true,", "enable_mtls: true, close_link_on_expiration: true,"),
        ] {
            assert_eq!(closed_but(from, to), [""; 0], "{to}");
        }
        let fixed = "scouting: { multicast: { enabled: false }, gossip: { enabled: false } }";
        let fixed = closed_but("scouting: { multicast: { interface: 'eth1' } }", fixed);
        assert_eq!(fixed, [""; 0]);
    }

    #[test]
    fn the_exposures_of_zenohs_defaults_are_named() {
        let open = openings("{}");
        let words = ["every interface", "(tcp/[::]:0)", "without TLS (tcp/[::]:0)", "no access"];
        assert_eq!(open.len(), words.len(), "{open:?}");
        for (line, words) in open.iter().zip(words) {
            assert!(line.contains(words), "`{words}` not in: {line}");
        }
        assert!(openings("{ mode: 'router' }")[1].contains("(tcp/[::]:7447)"));
        let client = openings("{ mode: 'client', connect: { endpoints: ['tcp/192.0.2.1:7447'] } }");
        assert_eq!(client.len(), 2, "{client:?}");
        // No byte leaves the machine, so no line about certificates is due.
        let local = "{ listen: { endpoints: ['tcp/127.0.0.1:0'] }, \
                       scouting: { multicast: { interface: 'lo' } } }";
        let local = openings(local);
        assert!(local.len() == 1 && local[0].contains("no access control"), "{local:?}");
        // A node that dials with TLS, but listens at the default endpoint without TLS.
        let half = "{ connect: { endpoints: ['tls/192.0.2.1:7447'] }, \
                      scouting: { multicast: { enabled: false } } }";
        assert!(openings(half)[1].contains("without TLS (tcp/[::]:0)"), "{:?}", openings(half));
    }
}
