//! The parts of a Zenoh endpoint, `protocol/address?metadata#settings`.

use std::net::IpAddr;

/// Protocols that encrypt links and show certificates.
const ENCRYPTED: [&str; 2] = ["tls", "quic"];

/// An endpoint as the configuration writes it. A missing part is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint<'a> {
    /// The whole endpoint.
    pub(super) text: &'a str,
    pub(super) protocol: &'a str,
    /// The host and the port, or the path of a socket.
    pub(super) address: &'a str,
    pub(super) metadata: &'a str,
    pub(super) settings: &'a str,
}

impl<'a> Endpoint<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (rest, settings) = text.split_once('#').unwrap_or((text, ""));
        let (bare, metadata) = rest.split_once('?').unwrap_or((rest, ""));
        let (protocol, address) = bare.split_once('/').unwrap_or(("", bare));
        Self { text, protocol, address, metadata, settings }
    }

    /// The endpoint without metadata and settings, which may hold secrets.
    pub(super) fn bare(&self) -> &'a str {
        self.text.split(['?', '#']).next().unwrap_or_default()
    }

    /// The host name or address, without brackets.
    pub(super) fn host(&self) -> Option<&'a str> {
        let host = self.address.rsplit_once(':')?.0;
        Some(host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// The IP address, without its zone; `None` if the host is a name.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host()?.split('%').next()?.parse().ok()
    }

    /// Whether the address is reachable from this host only.
    pub(super) fn is_loopback(&self) -> bool {
        self.host() == Some("localhost") || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// Whether links of this endpoint are encrypted, and show certificates.
    pub(super) fn is_encrypted(&self) -> bool {
        is_encrypted_protocol(self.protocol)
    }

    /// The value of the setting `name`.
    pub(super) fn setting(&self, name: &str) -> Option<&'a str> {
        pairs(self.settings).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Whether links of a protocol are encrypted, and show certificates.
pub(super) fn is_encrypted_protocol(name: &str) -> bool {
    ENCRYPTED.contains(&name)
}

/// The interface (`iface`) named by the settings of an endpoint.
pub(super) fn interface_of(settings: &str) -> Option<&str> {
    Endpoint::of(settings).setting("iface")
}

/// The names and values of `a=1;b=2`. The value of a name without `=` is empty.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let each = text.split(';').filter(|pair| !pair.is_empty());
    each.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_split_into_its_parts() {
        let endpoint = Endpoint::of("tcp/[fe80::1%eth0]:7447?rel=1;prio=1-3#iface=eth0;dscp=8");
        assert_eq!((endpoint.protocol, endpoint.address), ("tcp", "[fe80::1%eth0]:7447"));
        assert_eq!(
            (endpoint.host(), endpoint.bare()),
            (Some("fe80::1%eth0"), "tcp/[fe80::1%eth0]:7447")
        );
        assert_eq!(endpoint.ip(), "fe80::1".parse().ok());
        assert_eq!((endpoint.setting("dscp"), endpoint.setting("bind")), (Some("8"), None));
        assert_eq!(pairs(endpoint.metadata).collect::<Vec<_>>(), [("rel", "1"), ("prio", "1-3")]);
        assert!(Endpoint::of("tcp/localhost:1").is_loopback() && !endpoint.is_loopback());
        assert_eq!(Endpoint::of("mx1").address, "mx1");
    }
}
