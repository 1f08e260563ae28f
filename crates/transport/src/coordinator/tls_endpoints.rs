//! TLS endpoints in the form that Zenoh can dial, and `tcp/` endpoints over TLS.
//!
//! Zenoh 1.10.2 takes the brackets of an IPv6 address for a part of the server's name. No
//! certificate has such a name, so the link is never made, and Zenoh logs nothing. Without brackets
//! both the resolver and the name check accept the address, so mailmesh removes them. This includes
//! listen endpoints, since other nodes dial the announced address. `tests/zenoh_faults.rs` fails
//! once a newer Zenoh accepts brackets.

use serde_json::Value;

use super::addresses::{HostAddresses, is_v6_only};
use super::endpoint::is_encrypted_protocol;
use super::error::{ConfigError, ConfigErrorKind};

/// Timeout for a dialer to prove the key, in milliseconds. The connection rate of strangers times
/// this bounds the descriptors and the memory that they hold.
pub(super) const PROOF_TIMEOUT_MS: u32 = 2_000;

/// Removes the brackets from the IPv6 addresses of all TLS and QUIC endpoints.
pub(super) fn take_brackets(value: &mut Value) {
    for section in ["listen", "connect"] {
        if let Some(endpoints) = value.pointer_mut(&format!("/{section}/endpoints")) {
            each(endpoints, section == "listen");
        }
    }
}

fn each(endpoints: &mut Value, listens: bool) {
    match endpoints {
        Value::Array(items) => {
            let now = std::mem::take(items).into_iter();
            items.extend(now.flat_map(|item| match item {
                Value::String(endpoint) => {
                    let now = if listens { announced(endpoint) } else { vec![bare(&endpoint)] };
                    now.into_iter().map(Value::from).collect()
                }
                mut other => {
                    each(&mut other, listens);
                    vec![other]
                }
            }));
        }
        Value::Object(map) => map.values_mut().for_each(|item| each(item, listens)),
        Value::String(endpoint) => *endpoint = bare(endpoint),
        _ => {}
    }
}

/// The protocol, the address in brackets, and the rest of a TLS or QUIC endpoint; `None` for other
/// endpoints.
fn literal(endpoint: &str) -> Option<(&str, &str, &str)> {
    let (protocol, rest) = endpoint.split_once('/')?;
    let (address, rest) = rest.strip_prefix('[')?.split_once(']')?;
    is_encrypted_protocol(protocol).then_some((protocol, address, rest))
}

fn bare(endpoint: &str) -> String {
    match literal(endpoint) {
        // Zenoh announces the addresses of the host in place of `::`.
        None | Some((_, "::", _)) => endpoint.to_owned(),
        Some((protocol, address, rest)) => format!("{protocol}/{address}{rest}"),
    }
}

/// The endpoints to listen at. On a host that others reach by IPv6 only, `[::]` becomes one
/// endpoint for each address.
fn announced(endpoint: String) -> Vec<String> {
    if let Some((_, "::", _)) = literal(&endpoint)
        && let Some(now) = HostAddresses::now()
        && is_v6_only(&now.usable.iter().copied().collect::<Vec<_>>())
    {
        let each = now.endpoints(&endpoint);
        if !each.is_empty() {
            return each.iter().map(|endpoint| bare(endpoint)).collect();
        }
    }
    vec![bare(&endpoint)]
}

const ZONE_REFUSED: &str = "an IPv6 address with a zone cannot be dialed by TLS; use another \
                            address of that host, or a name";

/// Refuses an address with a zone in a dialed TLS endpoint: no certificate can name a zone.
///
/// # Errors
/// The fault and its remedy, as text.
pub(super) fn refuse_zone(endpoint: &str) -> Result<(), String> {
    match literal(endpoint) {
        Some((_, address, _)) if address.contains('%') => Err(ZONE_REFUSED.to_owned()),
        _ => Ok(()),
    }
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
            let (key, why) = (endpoint.to_owned(), ZONE_REFUSED.to_owned());
            return Err(ConfigError::new(ConfigErrorKind::BadValue { key, why }));
        }
        // Zenoh announces the addresses of the host in place of `::`.
        Some(("::", _)) | None => address.to_owned(),
        Some((v6, port)) => format!("{v6}:{port}"),
    };
    let timeout = match (listens, settings.contains('#')) {
        (false, _) => String::new(),
        (true, true) => format!(";tls_handshake_timeout_ms={PROOF_TIMEOUT_MS}"),
        (true, false) => format!("#tls_handshake_timeout_ms={PROOF_TIMEOUT_MS}"),
    };
    Ok(format!("tls/{address}{settings}{timeout}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_and_quic_addresses_lose_their_brackets_and_nothing_else() {
        let mut value = serde_json::json!({
            "listen": { "endpoints": { "peer": ["tls/[::1]:7447#iface=lo", "tls/127.0.0.1:1"] } },
            "connect": { "endpoints": [
                "tls/[2001:db8::1]:7447", "quic/[2001:db8::1]:7447?rel=1", "tcp/[::1]:7447",
                ["tls/mx1.example.org:7447"],
            ] },
        });
        take_brackets(&mut value);
        let expected = serde_json::json!({
            "listen": { "endpoints": { "peer": ["tls/::1:7447#iface=lo", "tls/127.0.0.1:1"] } },
            "connect": { "endpoints": [
                "tls/2001:db8::1:7447", "quic/2001:db8::1:7447?rel=1", "tcp/[::1]:7447",
                ["tls/mx1.example.org:7447"],
            ] },
        });
        assert_eq!(value, expected);
        assert!(refuse_zone("tls/[fe80::1%eth0]:7447").unwrap_err().contains("zone"));
        assert!(refuse_zone("tcp/[fe80::1%eth0]:7447").is_ok());
    }

    #[test]
    fn a_tcp_endpoint_is_rewritten_as_a_tls_endpoint() {
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
