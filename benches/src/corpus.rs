//! A corpus of blocked addresses and networks, as a mail server has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mailmesh_events::{Network, NodeId, Rule, RuleDetails, UnixMillis};
use mailmesh_state::Mirror;

/// Time of all changes and lookups.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Number of single IPv4 addresses.
pub const ADDRESSES: u32 = 1_000_000;
/// Number of networks.
pub const NETWORKS: u32 = 20_000;

/// Scatters numbers over the whole range, the same way in every run.
fn scatter(n: u32) -> u32 {
    let mixed = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 32).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
}

/// An IPv4 address from 11.0.0.0 to 100.255.255.255.
#[must_use]
pub fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from((scatter(n) % (90 << 24)) + (11 << 24)).into()
}

/// An IPv6 address, of which 32 bits each are scattered.
#[must_use]
pub fn v6(n: u32) -> IpAddr {
    let (a, b) = (u128::from(scatter(n)), u128::from(scatter(!n)));
    Ipv6Addr::from(0x2600 << 112 | a << 80 | b).into()
}

/// An IPv4 network of /16 to /28.
///
/// # Panics
/// Never: the prefix length is valid.
#[must_use]
pub fn network(n: u32) -> Network {
    let len = 16 + (n % 13) as u8;
    Network::new(v4(n ^ 0x5555_0000), len).unwrap_or_else(|_| Network::single(v4(n)))
}

/// A block with one of four reasons and an expiry of its own.
///
/// # Panics
/// Never: the reasons are short enough.
#[must_use]
pub fn block(n: u32) -> RuleDetails {
    const REASONS: [&str; 4] =
        ["too many failed logins", "spam trap", "scans ports", "listed by a feed"];
    let block = RuleDetails::new(REASONS[n as usize % 4], NOW).expect("a short reason");
    let days = Duration::from_secs(86_400 * (1 + u64::from(n) % 30) + u64::from(n) % 977);
    block.with_expiry(NOW.plus(days))
}

/// Number of addresses looked up in turn: more than CPU caches hold.
pub const LOOKUPS: usize = 1 << 16;

/// A mirror with 1,000,000 scattered IPv4 addresses, 100,000 IPv6 addresses, and 20,000 networks of
/// /16 to /28.
///
/// # Panics
/// Never: the mirror has room for all of them.
#[must_use]
pub fn full_mirror() -> Mirror {
    let mirror = Mirror::new(NodeId(1), [7; 16]);
    let singles = (0..ADDRESSES).map(v4).chain((0..ADDRESSES / 10).map(v6));
    let networks = singles.map(Network::single).chain((0..NETWORKS).map(network));
    let all = networks.zip(0..).map(|(network, n)| (network, block(n))).collect();
    mirror.set_all(Rule::Block, all, NOW).expect("room");
    mirror
}

/// Addresses to look up that are blocked, or that are not.
#[must_use]
pub fn lookup_addresses(mirror: &Mirror, make: fn(u32) -> IpAddr, blocked: bool) -> Vec<IpAddr> {
    let from = if blocked { 0 } else { 0x4000_0000 };
    let all = (from..).map(make).filter(|address| mirror.is_blocked(*address, NOW) == blocked);
    all.take(LOOKUPS).collect()
}

/// Writes 10,000 changes per second until `done`.
pub fn keep_writing(mirror: &Mirror, done: &AtomicBool) {
    let begin = Instant::now();
    for n in 0_u32.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let network = Network::single(v4(0x2000_0000 + n / 2));
        let _there_or_not = match n % 2 {
            0 => mirror.block(network, block(n), NOW).map(drop),
            _ => mirror.remove(Rule::Block, network, NOW).map(drop),
        };
        let due = begin + Duration::from_micros(100) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
