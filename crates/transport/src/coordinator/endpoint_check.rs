//! Checks the endpoints of a configuration. Zenoh accepts unknown settings silently, and panics on
//! some values of known ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::addresses::is_link_local;
use super::endpoint::{Endpoint, pairs};
use super::schema::{list, nearest};
use super::tls_endpoints::refuse_zone;

const EXAMPLE: &str = "expected one like \"tcp/192.0.2.1:7447\"";
/// Every transport of Zenoh, with mailmesh's feature that builds it in: `None` if it is always
/// built in, empty if it never is.
const PROTOCOLS: [(&str, Option<&str>); 9] = [
    ("tcp", None),
    ("tls", None),
    ("quic", Some("quic")),
    ("udp", Some("udp")),
    ("ws", Some("ws")),
    ("unixsock-stream", Some("unixsock")),
    ("unixpipe", Some("")),
    ("serial", Some("")),
    ("vsock", Some("")),
];
/// Names allowed behind the `?` of an endpoint.
const METADATA: [&str; 4] = ["rel", "prio", "multistream", "mixed_rel"];
/// Names allowed behind the `#` of every endpoint.
const SETTINGS: [&str; 9] = [
    "iface",
    "bind",
    "dscp",
    "so_rcvbuf",
    "so_sndbuf",
    "exit_on_failure",
    "retry_period_init_ms",
    "retry_period_max_ms",
    "retry_period_increase_factor",
];
/// More names allowed behind the `#`, by protocol.
const TLS_SETTINGS: [&str; 19] = [
    "root_ca_certificate_file",
    "root_ca_certificate_raw",
    "root_ca_certificate_base64",
    "listen_private_key_file",
    "listen_private_key_raw",
    "listen_private_key_base64",
    "listen_certificate_file",
    "listen_certificate_raw",
    "listen_certificate_base64",
    "connect_private_key_file",
    "connect_private_key_raw",
    "connect_private_key_base64",
    "connect_certificate_file",
    "connect_certificate_raw",
    "connect_certificate_base64",
    "enable_mtls",
    "verify_name_on_connect",
    "close_link_on_expiration",
    "tls_handshake_timeout_ms",
];
const QUIC_SETTINGS: [&str; 3] =
    ["initial_mtu", "mtu_discovery_interval_secs", "segmentation_offload"];
const UDP_SETTINGS: [&str; 2] = ["join", "ttl"];
/// Longest endpoint, without its settings, that Zenoh can announce, in bytes.
const MAX_ENDPOINT_LEN: usize = 255;

/// Checks an endpoint like `tcp/192.0.2.1:7447`.
///
/// # Errors
/// The fault and its remedy, as text. The text may quote the endpoint.
pub(super) fn check(text: &str, is_dialed: bool) -> Result<(), String> {
    if let Some(several) = several(text) {
        return Err(several);
    }
    let endpoint = Endpoint::of(text);
    protocol(&endpoint)?;
    if endpoint.text.len() - endpoint.settings.len() > MAX_ENDPOINT_LEN {
        return Err(format!(
            "it is longer than {MAX_ENDPOINT_LEN} bytes, which Zenoh does not take"
        ));
    }
    if endpoint.protocol != "unixsock-stream" {
        address(&endpoint, is_dialed)?;
    }
    settings(&endpoint, is_dialed)?;
    if is_dialed { refuse_zone(text) } else { Ok(()) }
}

/// The error for several endpoints in one string, like `"tcp/a:1,tcp/b:2"`.
fn several(text: &str) -> Option<String> {
    let split = |c: char| c == ',' || c.is_whitespace();
    let parts: Vec<&str> = text.split(split).filter(|part| !part.is_empty()).collect();
    let is_one = |part: &str| {
        PROTOCOLS
            .iter()
            .any(|(name, _)| part.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
    };
    if parts.len() < 2 || !parts.iter().all(|part| is_one(part)) {
        return None;
    }
    let each: Vec<String> = parts.iter().take(4).map(|part| format!("\"{part}\"")).collect();
    let more = if parts.len() > each.len() { ", ..." } else { "" };
    let parts = parts.len();
    Some(format!(
        "{parts} endpoints stand in one string; write a list of strings: [{}{more}]",
        each.join(", ")
    ))
}

/// The reason why a protocol cannot be used, and the remedy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("there is no protocol \"{name}\"{hint}")]
    Unknown { name: String, hint: String },
    #[error("the protocol \"{name}\" is not supported; use tcp or tls")]
    Unsupported { name: String },
    #[error(
        "the protocol \"{name}\" is not built in; build with the feature `{feature}`, or use tcp \
         or tls"
    )]
    NotBuiltIn { name: String, feature: &'static str },
}

/// Checks that Zenoh has the protocol, and that it is built into this program.
///
/// # Errors
/// The protocol cannot be used.
pub(super) fn known_protocol(protocol: &str) -> Result<(), ProtocolError> {
    let name = protocol.to_owned();
    match PROTOCOLS.iter().find(|(name, _)| *name == protocol) {
        None => {
            let hint = nearest(protocol, PROTOCOLS.map(|(name, _)| name));
            let hint = hint.map(|p| format!(", did you mean \"{p}\"?")).unwrap_or_default();
            Err(ProtocolError::Unknown { name, hint })
        }
        Some((_, None)) => Ok(()),
        Some((_, Some(""))) => Err(ProtocolError::Unsupported { name }),
        Some((_, Some(feature))) if !built_in(feature) => {
            Err(ProtocolError::NotBuiltIn { name, feature })
        }
        Some(_) => Ok(()),
    }
}

/// Whether Zenoh has a protocol of this name, built in or not.
pub(super) fn is_protocol(name: &str) -> bool {
    PROTOCOLS.iter().any(|(known, _)| *known == name)
}

fn protocol(endpoint: &Endpoint<'_>) -> Result<(), String> {
    if !endpoint.bare().contains('/') {
        return Err(format!("\"{}\" names no protocol; {EXAMPLE}", endpoint.text));
    }
    known_protocol(endpoint.protocol).map_err(|error| match error {
        ProtocolError::Unknown { .. } => format!("{error}; {EXAMPLE}"),
        error => error.to_string(),
    })
}

fn built_in(feature: &str) -> bool {
    match feature {
        "quic" => cfg!(feature = "quic"),
        "udp" => cfg!(feature = "udp"),
        "ws" => cfg!(feature = "ws"),
        "unixsock" => cfg!(feature = "unixsock"),
        _ => false,
    }
}

fn address(endpoint: &Endpoint<'_>, is_dialed: bool) -> Result<(), String> {
    let Endpoint { text, protocol, address, .. } = *endpoint;
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(format!("\"{text}\" has no port; {EXAMPLE}"));
    };
    let Ok(number) = port.parse::<u16>() else {
        return Err(format!("\"{port}\" is not a port from 0 to 65535; {EXAMPLE}"));
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let looks_v4 = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_bad = match bracketed {
        Some(v6) => v6.split('%').next().is_none_or(|v6| v6.parse::<Ipv6Addr>().is_err()),
        None if looks_v4 => host.parse::<Ipv4Addr>().is_err(),
        None if host.split('%').next().is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()) => {
            return Err(format!(
                "an IPv6 address stands in brackets: \"{protocol}/[{host}]:{port}\""
            ));
        }
        None => host.is_empty() || host.contains(|c: char| c.is_whitespace() || ":/,".contains(c)),
    };
    if is_bad {
        return Err(format!("\"{host}\" is not an address or host name; {EXAMPLE}"));
    }
    if is_dialed && number == 0 {
        return Err(
            "port 0 is a free port of the listener's choice and cannot be dialed; name the \
                    port that the other node listens at"
                .to_owned(),
        );
    }
    let Some(ip) = endpoint.ip() else { return Ok(()) };
    let has_zone = host.contains('%') || endpoint.setting("iface").is_some();
    if ip.is_ipv6() && is_link_local(ip) && !has_zone {
        return Err(format!(
            "{ip} is an address of one link, and the host may have several: name the interface, as \
             in \"{protocol}/[{ip}%eth0]:{port}\", or use another address"
        ));
    }
    if ip.is_multicast() && protocol != "udp" {
        return Err(format!("{ip} is a multicast address, which {protocol} has no links to"));
    }
    Ok(())
}

fn settings(endpoint: &Endpoint<'_>, is_dialed: bool) -> Result<(), String> {
    let text = endpoint.text;
    if endpoint.settings.contains('?') {
        return Err("what stands behind `?` comes before what stands behind `#`".to_owned());
    }
    let known_settings: Vec<&str> = SETTINGS
        .iter()
        .chain(if endpoint.is_encrypted() { &TLS_SETTINGS[..] } else { &[] })
        .chain(if endpoint.protocol == "quic" { &QUIC_SETTINGS[..] } else { &[] })
        .chain(if endpoint.protocol == "udp" { &UDP_SETTINGS[..] } else { &[] })
        .copied()
        .collect();
    let parts =
        [('?', endpoint.metadata, &METADATA[..]), ('#', endpoint.settings, &known_settings)];
    for (mark, part, known) in parts {
        if text.contains(mark) && pairs(part).next().is_none() {
            return Err(format!("nothing stands behind `{mark}`; take it out"));
        }
        let mut found: Vec<&str> = Vec::new();
        for (name, value) in pairs(part) {
            if !known.contains(&name) {
                return Err(unknown(mark, name, known));
            }
            if value.is_empty() {
                return Err(format!("`{name}` has no value; write `{name}=...`, or take it out"));
            }
            if found.contains(&name) {
                return Err(format!("`{name}` stands twice; take one out"));
            }
            found.push(name);
            if let Some(expected) = wrong_value(name, value) {
                return Err(format!("`{name}` expects {expected}"));
            }
        }
        if is_dialed && found.contains(&"iface") && found.contains(&"bind") {
            return Err(
                "`iface` and `bind` cannot be together where a node dials; take one out".to_owned()
            );
        }
    }
    Ok(())
}

fn unknown(mark: char, name: &str, known: &[&str]) -> String {
    let elsewhere = if mark == '?' { &SETTINGS[..] } else { &METADATA[..] };
    if elsewhere.contains(&name) {
        let other = if mark == '?' { '#' } else { '?' };
        return format!("`{name}` stands behind `{other}`, not behind `{mark}`");
    }
    if TLS_SETTINGS.contains(&name) {
        return format!("`{name}` is a setting of tls/ endpoints");
    }
    let file = format!("{name}_file");
    let hint = match known.contains(&file.as_str()) {
        true => Some(file),
        false => nearest(name, known.iter().copied()),
    };
    let hint = hint.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    // A list of all TLS settings would hide the others.
    let shown: Vec<&str> = known.iter().copied().filter(|k| !TLS_SETTINGS.contains(k)).collect();
    let more = if shown.len() < known.len() { ", or a setting of TLS" } else { "" };
    format!(
        "no endpoint has a setting `{name}` behind `{mark}`{hint}; expected {}{more}",
        list(&shown)
    )
}

/// The expected form of a setting, if `value` does not have it.
fn wrong_value(name: &str, value: &str) -> Option<&'static str> {
    let (is_right, expected) = match name {
        "rel" => (["0", "1"].contains(&value), "1 (reliable) or 0 (best effort)"),
        "prio" => (is_priorities(value), "a priority from 0 to 7, or a range like 1-3"),
        "so_sndbuf" | "so_rcvbuf" => (value.parse::<u32>().is_ok(), "a number of bytes"),
        "dscp" => (is_dscp(value), "a number from 0 to 255"),
        "retry_period_init_ms" | "retry_period_max_ms" => {
            (value.parse::<i64>().is_ok(), "a number of milliseconds")
        }
        "retry_period_increase_factor" => {
            (value.parse::<f64>().is_ok_and(|factor| factor >= 1.0), "a number, 1 or more")
        }
        "exit_on_failure"
        | "enable_mtls"
        | "verify_name_on_connect"
        | "close_link_on_expiration" => (["true", "false"].contains(&value), "`true` or `false`"),
        "bind" => {
            let port = value.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            (port.is_some_and(|port| port.is_ok()), "an address and port")
        }
        "multistream" | "mixed_rel" => (["auto", "0", "1"].contains(&value), "auto, 0 or 1"),
        _ => (true, ""),
    };
    (!is_right).then_some(expected)
}

fn is_priorities(value: &str) -> bool {
    let mut bounds = value.split('-').map(str::parse::<u8>);
    match (bounds.next(), bounds.next(), bounds.next()) {
        (Some(Ok(from)), None, None) => from <= 7,
        (Some(Ok(from)), Some(Ok(to)), None) => from <= to && to <= 7,
        _ => false,
    }
}

fn is_dscp(value: &str) -> bool {
    value.split('|').all(|part| {
        let radix = |prefixes: [&str; 2]| prefixes.iter().find_map(|p| part.strip_prefix(*p));
        let number = match (radix(["0x", "0X"]), radix(["0b", "0B"])) {
            (Some(hex), _) => u32::from_str_radix(hex, 16),
            (None, Some(binary)) => u32::from_str_radix(binary, 2),
            _ => part.parse(),
        };
        number.is_ok_and(|number| number <= 255)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_zenoh_documents_are_accepted() {
        for (text, is_dialed) in [
            ("tcp/[::]:0", false),
            ("tcp/localhost:7447?rel=1;prio=1-3#iface=lo;so_sndbuf=65000;dscp=0x04|0x10", true),
            ("tcp/[fe80::1%eth0]:7447", true),
            ("tcp/[fe80::1]:7447#iface=eth0", true),
            ("tls/mx1.example.org:7447#enable_mtls=true;connect_certificate_file=/a b.pem", true),
            ("tcp/mx_1:7447#retry_period_init_ms=1000;exit_on_failure=false", true),
        ] {
            assert_eq!(check(text, is_dialed), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_endpoint_that_zenoh_misreads_is_refused_with_the_form_to_write() {
        for (text, words) in [
            ("tcp/a:1#ifcae=lo", "did you mean `iface`?"),
            ("tcp/a:1?prioo=1", "did you mean `prio`?"),
            ("tcp/a:1?iface=lo", "`iface` stands behind `#`"),
            ("tcp/a:1#prio=1", "`prio` stands behind `?`"),
            ("tcp/a:1?rel=2", "`rel` expects 1"),
            ("tcp/a:1?prio=9", "from 0 to 7"),
            ("tcp/a:1?prio=3-1", "from 0 to 7"),
            ("tcp/a:1?rel=", "`rel` has no value"),
            ("tcp/a:1#iface", "`iface` has no value"),
            ("tcp/a:1#", "nothing stands behind `#`"),
            ("tcp/a:1?#iface=lo", "nothing stands behind `?`"),
            ("tcp/a:1#iface=lo?rel=1", "comes before"),
            ("tcp/a:1#iface=lo;iface=eth0", "stands twice"),
            ("tcp/a:1#iface=lo;bind=127.0.0.1:1", "cannot be together"),
            ("tcp/a:1#dscp=abc", "`dscp` expects"),
            ("tcp/a:1#so_sndbuf=1k", "a number of bytes"),
            ("tcp/a:1#exit_on_failure=maybe", "`true` or `false`"),
            ("tcp/a:1#listen_certificate_file=c", "a setting of tls/ endpoints"),
            ("tls/a:1#listen_certificate=c", "did you mean `listen_certificate_file`?"),
            ("tcp/a:0", "cannot be dialed"),
            ("tcp/[fe80::1]:7447", "\"tcp/[fe80::1%eth0]:7447\""),
            ("tcp/fe80::1%eth0:7447", "stands in brackets: \"tcp/[fe80::1%eth0]:7447\""),
            ("tcp/224.0.0.1:7447", "a multicast address"),
            ("tcp/a:1,tcp/b:2", "[\"tcp/a:1\", \"tcp/b:2\"]"),
            ("tcp/a:1 tls/b:2", "2 endpoints stand in one string"),
            ("tcp/a:1,b:2", "is not an address or host name"),
            ("tcp/http://a:1", "is not an address or host name"),
        ] {
            let error = check(text, true).unwrap_err();
            assert!(error.contains(words), "{text}: `{words}` not in: {error}");
        }
        let long = format!("tcp/{}:1", "a".repeat(250));
        assert!(check(&long, true).unwrap_err().contains("longer than 255"));
        assert!(check("tcp/[fe80::1]:7447", false).unwrap_err().contains("%eth0"));
        assert!(check("tcp/127.0.0.1:0", false).is_ok());
    }
}
