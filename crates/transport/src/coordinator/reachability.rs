//! Whether the configuration of a node lets it link to another node at all.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::Warning;
use super::addresses::HostAddresses;
use super::endpoint::Endpoint;
use super::endpoint_check::known_protocol;
use super::error::{ConfigError, ConfigErrorKind};
use super::mesh::MeshSettings;
use super::protection::LinkProtection;
use super::silenced;
use super::tls_endpoints::as_tls;
use super::tls_settings;
use super::zenoh_settings::{LEASE_MS, ZenohSettings};
use crate::LinkProof;

/// Checks the links of a node; see [`Coordinator::check_links`](super::Coordinator::check_links).
pub(super) fn check_links(
    settings: &ZenohSettings,
    mesh: &MeshSettings,
    has_key: bool,
) -> Result<Vec<Warning>, ConfigError> {
    let protection = settings.link_protection(has_key);
    let mut warnings = check_reach(settings, protection)?;
    warnings.extend(silenced::warnings(settings, mesh));
    let place = mesh.links_at.as_ref();
    let message = match (protection, mesh.links) {
        (_, None) => None,
        (LinkProtection::Proven(proof), Some(wanted)) if proof == wanted => None,
        (LinkProtection::Proven(proof), Some(wanted)) if place.is_some() => Some(format!(
            "`mesh.links`: links cannot be \"{wanted}\" in mode \"client\" or with Zenoh's \
             access control; they are \"{proof}\": set `mesh.links` to that on every node, or \
             take out what stands in the way"
        )),
        (LinkProtection::Own(what), Some(wanted)) if place.is_some() => Some(format!(
            "`mesh.links`: links are not \"{wanted}\": the configuration sets `{what}` \
             itself; take that out, or set `mesh.links` to \"unproven\""
        )),
        (LinkProtection::Own(what), _) if has_key => Some(format!(
            "links do not prove the cluster key: the configuration sets `{what}` itself, which \
             is kept; take that out, or set `mesh.links` to \"unproven\" if it is meant"
        )),
        (LinkProtection::None, Some(wanted)) if place.is_some() => Some(format!(
            "`mesh.links`: links are not \"{wanted}\", and prove nothing, since there is no \
             cluster key; make one with `mailmesh key generate`, and set `mesh.key` on every \
             node"
        )),
        _ => None,
    };
    warnings
        .extend(message.map(|message| Warning { place: place.cloned(), ..Warning::new(message) }));
    Ok(warnings)
}

fn check_reach(
    settings: &ZenohSettings,
    protection: LinkProtection,
) -> Result<Vec<Warning>, ConfigError> {
    let is_proven = matches!(protection, LinkProtection::Proven(_));
    if protection == LinkProtection::Proven(LinkProof::Tls) {
        for endpoint in settings.listens().iter().chain(&settings.others()) {
            as_tls(endpoint, false)?;
        }
    }
    let is_found_by_us = is_proven && settings.discovers(protection.has_gate());
    let mut warnings = Vec::new();
    if settings.scouts() && !is_found_by_us {
        warnings.extend(check_zenohs_group(settings)?);
    }
    if is_found_by_us && HostAddresses::now().is_some_and(|now| now.has_only_link_local()) {
        warnings.push(Warning::new(
            "`scouting.multicast`: every address of this host is of one link, or of the loopback, \
             and nodes that are found are not given such addresses: give the host another \
             address, or name the others in `connect.endpoints`, as in \
             \"tcp/[fe80::1%eth0]:7447\"",
        ));
    }
    if settings.scouts() && settings.scouting_group().port() == 0 {
        let message = "`scouting.multicast.address`: with port 0 nodes do not ask and listen at \
                       one port, and may not find each other; write \"224.0.0.224:7446\"";
        let warning = Warning::new(message);
        warnings.push(match settings.group_place() {
            Some(place) => warning.at(place.clone()),
            None => warning,
        });
    }
    let finds = settings.scouts() || settings.gossips();
    if protection == LinkProtection::Own("transport.link.tls")
        && finds
        && tls_settings::shows_nothing(settings.value())
    {
        warnings.push(Warning::new(
            "`transport.link.tls`: with `enable_mtls` a node that dials shows a certificate too, \
             and this node has none to show to nodes that it finds: set `connect_certificate` and \
             `connect_private_key`",
        ));
    }
    if settings.names_nobody() && is_on_loopback(settings) {
        warnings.push(Warning::new(
            "multicast scouting is off, `connect.endpoints` names no other node and \
             `listen.endpoints` is of the loopback: only nodes on this host that dial it are ever \
             linked; if that is not meant, listen at an address that the others reach",
        ));
    }
    if settings.mode() == "client" && !settings.scouts() && settings.endpoints("connect").is_empty()
    {
        let why = "a client connects to a router or peer: name one here, or switch \
                   `scouting.multicast.enabled` on";
        return Err(ConfigError::bad_value("connect.endpoints", why));
    }
    Ok(warnings)
}

/// Checks an IPv6 group of Zenoh's own scouting, which joins it on one interface.
fn check_zenohs_group(settings: &ZenohSettings) -> Result<Option<Warning>, ConfigError> {
    let IpAddr::V6(group) = settings.discovery_group().address.ip() else { return Ok(None) };
    let Some(place) = settings.group_place() else { return Ok(None) };
    if is_of_one_link(group) {
        let why = format!(
            "{group} is of one link, and Zenoh's scouting, which a node without a cluster key \
             has, can name no interface for it: no session opens; write \"224.0.0.224:7446\""
        );
        let key = "scouting.multicast.address".to_owned();
        let kind = ConfigErrorKind::BadValue { key, why };
        return Err(ConfigError::new(kind).at(place.clone()));
    }
    let message = format!(
        "`scouting.multicast.address`: Zenoh joins {group} on one interface of the system's \
         choice, and asks from addresses of IPv4 where there are some: nodes may not find each \
         other; write \"224.0.0.224:7446\", or set `mesh.key` on every node"
    );
    Ok(Some(Warning::new(message).at(place.clone())))
}

/// Whether `listen.endpoints` is set, and names the loopback only.
fn is_on_loopback(settings: &ZenohSettings) -> bool {
    let own = settings.endpoints("listen");
    !own.is_empty() && own.iter().all(|one| Endpoint::of(one).is_loopback())
}

/// Settings in use that belong to features of Zenoh that are not built in.
fn not_built_in(settings: &ZenohSettings) -> Vec<&'static str> {
    let plugins = settings.value().get("plugins").and_then(Value::as_object);
    let mut ignored = Vec::new();
    if plugins.is_some_and(|plugins| !plugins.is_empty()) {
        ignored.push("plugins");
    }
    let flags = ["plugins_loading.enabled", "transport.unicast.compression.enabled"];
    ignored.extend(
        flags.iter().filter(|flag| settings.flag(&format!("/{}", flag.replace('.', "/")), false)),
    );
    ignored
}

/// Warnings of the checks that need neither the machine nor the key.
pub(super) fn warnings(settings: &ZenohSettings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |message: &str| warnings.push(Warning::new(message));
    let lacks = settings.names_nobody() && settings.mode() != "client";
    if lacks && settings.listens().is_empty() {
        warn(
            "multicast scouting is off, `connect.endpoints` names no other node and \
             `listen.endpoints` is empty: this node can never be linked to another",
        );
    } else if lacks && settings.endpoints("listen").is_empty() {
        warn(
            "multicast scouting is off and neither `connect.endpoints` nor `listen.endpoints` \
             is set: this node finds no other node, and no other node finds it",
        );
    }
    let lease = settings.value().pointer("/transport/link/tx/lease").and_then(Value::as_u64);
    if lease.is_some_and(|lease| lease > LEASE_MS) {
        warn(
            "`transport.link.tx.lease` is above 3000 ms: a link that is cut silently is \
             noticed only after that long",
        );
    }
    if settings.flag("/transport/unicast/lowlatency", false) {
        warn(
            "`transport.unicast.lowlatency`: Zenoh cuts no message into pieces then, and a link \
             ends at one of more than 64 KiB, such as a large event: take it out",
        );
    }
    for ignored in not_built_in(settings) {
        warn(&format!("`{ignored}` is ignored: it is not built into mailmesh; take it out"));
    }
    endpoint_warnings(settings).iter().for_each(|message| warn(message));
    if lingers(LINGER_SECONDS) {
        warn(
            "Zenoh was compiled to linger: a link that is cut delays the events of all others \
             by up to 10 s; build with `TCP_LINGER_TIMEOUT = \"0\"` and \
             `TLS_LINGER_TIMEOUT = \"0\"` below `[env]` in `.cargo/config.toml`",
        );
    }
    warnings
}

/// Warnings of endpoints and protocols by which no link is made, and of repeated endpoints.
fn endpoint_warnings(settings: &ZenohSettings) -> Vec<String> {
    let mut warnings = Vec::new();
    let listed = settings.value().pointer("/transport/link/protocols").and_then(Value::as_array);
    for name in listed.into_iter().flatten().filter_map(Value::as_str) {
        if let Err(why) = known_protocol(name) {
            warnings.push(format!("`transport.link.protocols`: {why}; nothing is linked by it"));
        }
    }
    let others = settings.others();
    let is_usable = |other: &&String| {
        let protocol = Endpoint::of(other).protocol;
        listed.is_none_or(|listed| listed.iter().any(|name| name == protocol))
    };
    for other in others.iter().filter(|other| !is_usable(other)) {
        let Endpoint { protocol, .. } = Endpoint::of(other);
        let bare = Endpoint::of(other).bare();
        warnings.push(format!(
            "`connect.endpoints`: {bare} is never linked, since `transport.link.protocols` has \
             no \"{protocol}\"; add it there, or take the endpoint out"
        ));
    }
    for (number, other) in others.iter().enumerate() {
        if others[..number].contains(other) && !others[number + 1..].contains(other) {
            let bare = Endpoint::of(other).bare();
            warnings.push(format!("`connect.endpoints`: {bare} stands there more than once"));
        }
    }
    warnings
}

/// Whether the scope of a multicast group is the interface or the link (RFC 4291, section 2.7).
fn is_of_one_link(group: Ipv6Addr) -> bool {
    matches!(group.octets(), [0xff, flags_and_scope, ..] if flags_and_scope & 0x0f <= 2)
}

/// Linger times of TCP and TLS in seconds. Zenoh reads the same variables at compile time.
const LINGER_SECONDS: [Option<&str>; 2] =
    [option_env!("TCP_LINGER_TIMEOUT"), option_env!("TLS_LINGER_TIMEOUT")];

/// Whether closing a dead link may block one of Zenoh's threads.
fn lingers(seconds: [Option<&str>; 2]) -> bool {
    seconds.into_iter().any(|seconds| seconds != Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_has_no_linger_and_the_check_finds_builds_with_it() {
        assert!(!lingers(LINGER_SECONDS), "{LINGER_SECONDS:?}: see .cargo/config.toml");
        assert!(
            lingers([None, None]) && lingers([Some("0"), None]) && lingers([Some("0"), Some("10")])
        );
    }
}
