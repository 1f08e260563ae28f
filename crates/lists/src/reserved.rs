//! Networks that no public list should block, since the block would cut off the operator's hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mailmesh_events::Network;

use crate::network::is_within;

/// Networks that are not globally reachable, or never a source address (IANA's special-purpose
/// registries; RFC 6890). Networks for documentation (RFC 5737, RFC 3849) and benchmarks (RFC 2544)
/// are not included: a block of these cuts off no host, and tests use them.
const V4: [([u8; 4], u8, &str); 9] = [
    ([10, 0, 0, 0], 8, "private, RFC 1918"),
    ([172, 16, 0, 0], 12, "private, RFC 1918"),
    ([192, 168, 0, 0], 16, "private, RFC 1918"),
    ([0, 0, 0, 0], 8, "this host, RFC 1122"),
    ([100, 64, 0, 0], 10, "shared by carriers, RFC 6598"),
    ([127, 0, 0, 0], 8, "loopback, RFC 1122"),
    ([169, 254, 0, 0], 16, "link-local, RFC 3927"),
    ([192, 0, 0, 0], 24, "protocol assignments, RFC 6890"),
    ([224, 0, 0, 0], 3, "multicast and reserved, RFC 5771, RFC 1112"),
];
const V6: [([u16; 8], u8, &str); 7] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 127, "unspecified and loopback, RFC 4291"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local translation, RFC 8215"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard only, RFC 6666"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local, RFC 4193"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local, RFC 4291"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local, RFC 3879"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast, RFC 4291"),
];

fn all() -> impl Iterator<Item = (Network, &'static str)> {
    let v4 = V4.into_iter().map(|(a, len, name)| (IpAddr::V4(Ipv4Addr::from(a)), len, name));
    let v6 = V6.into_iter().map(|(a, len, name)| (IpAddr::V6(Ipv6Addr::from(a)), len, name));
    v4.chain(v6).filter_map(|(a, len, name)| Some((Network::new(a, len).ok()?, name)))
}

/// The kind of the reserved network that contains a network.
pub(crate) fn kind(network: Network) -> Option<&'static str> {
    all().find(|(reserved, _)| is_within(network, *reserved)).map(|(_, name)| name)
}

/// A reserved network inside a wider network.
pub(crate) fn inside(network: Network) -> Option<(Network, &'static str)> {
    all().find(|(reserved, _)| is_within(*reserved, network))
}

/// Whether a network is the loopback or a part of it.
pub(crate) fn is_loopback(network: Network) -> bool {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), IpAddr::V6(Ipv6Addr::LOCALHOST));
    [(v4, 8), (v6, 128)].into_iter().any(|(address, len)| {
        Network::new(address, len).is_ok_and(|loopback| is_within(network, loopback))
    })
}
