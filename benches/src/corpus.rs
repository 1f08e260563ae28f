//! Addresses as a mail server blocks them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use mailmesh_events::{Block, Network, UnixMillis};

/// When it all happens.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Single addresses of IPv4.
pub const ADDRESSES: u32 = 1_000_000;
/// Networks.
pub const NETWORKS: u32 = 20_000;

/// Scattered, and the same in every run.
fn scattered(n: u32) -> u32 {
    let mixed = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 32).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
}

/// In 11.0.0.0/8 to 100.0.0.0/8, as addresses of the world are.
#[must_use]
pub fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from((scattered(n) % (90 << 24)) + (11 << 24)).into()
}

/// An address of IPv6.
#[must_use]
pub fn v6(n: u32) -> IpAddr {
    let (a, b) = (u128::from(scattered(n)), u128::from(scattered(!n)));
    Ipv6Addr::from(0x2600 << 112 | a << 80 | b).into()
}

/// A network of /16 to /28.
///
/// # Panics
/// Never: the prefix is of IPv4.
#[must_use]
pub fn network(n: u32) -> Network {
    let len = 16 + (n % 13) as u8;
    Network::new(v4(n ^ 0x5555_0000), len).unwrap_or_else(|_| Network::single(v4(n)))
}

/// Why and for how long: one of a few reasons, and an end of its own.
///
/// # Panics
/// Never: the reasons are short.
#[must_use]
pub fn block(n: u32) -> Block {
    const REASONS: [&str; 4] =
        ["too many failed logins", "spam trap", "scans ports", "listed by a feed"];
    let block = Block::new(REASONS[n as usize % 4], NOW).expect("a short reason");
    let days = Duration::from_secs(86_400 * (1 + u64::from(n) % 30) + u64::from(n) % 977);
    block.expiring_at(NOW.plus(days))
}
