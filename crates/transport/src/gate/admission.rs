//! Decides which unproven connections are kept, so that a flood keeps no honest node out and uses a
//! bounded number of file descriptors. No I/O, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Maximum number of unproven connections.
/// [`session_slots::max_unproven`](super::session_slots::max_unproven) lowers it if the process may
/// open few files.
pub(super) const MAX_UNPROVEN: usize = 256;
/// Maximum number of unproven connections of one origin.
const MAX_UNPROVEN_PER_ORIGIN: usize = 8;

/// The origin of a connection: an IPv4 address, or an IPv6 network of 64 bits, which one host can
/// own completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin([u8; 8]);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        let mut origin = [0; 8];
        match address.to_canonical() {
            // The first byte is 0 in no IPv6 source address but the loopback address.
            IpAddr::V4(v4) => origin[4..].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => origin.copy_from_slice(&v6.octets()[..8]),
        }
        Self(origin)
    }
}

/// The open unproven connections.
#[derive(Debug)]
pub(super) struct Admission<T> {
    capacity: usize,
    count: usize,
    /// Connections of each origin, oldest first.
    origins: BTreeMap<Origin, VecDeque<Unproven<T>>>,
    next: u64,
}

#[derive(Debug)]
struct Unproven<T> {
    number: u64,
    /// Whether the connection's hello named an accepted key. Almost only members know a key's id.
    names_known_key: bool,
    connection: T,
}

impl<T> Admission<T> {
    /// Keeps at most `capacity` connections.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, count: 0, origins: BTreeMap::new(), next: 0 }
    }

    /// Admits a connection and numbers it. If the origin or the gate is full, one connection is
    /// evicted and returned.
    ///
    /// If the origin is full, the connection is taken from this origin. If the gate is full, it is
    /// taken from an origin with a connection that named no known key, if there is one. Among these
    /// origins it is the one with most connections, the new one counted, and among equals the one
    /// with the oldest connection. Within the origin, the oldest connection that named no known key
    /// is evicted, or else the oldest.
    pub(super) fn admit(&mut self, from: Origin, connection: T) -> (u64, Option<T>) {
        let with_origin = self.origins.get(&from).map_or(0, VecDeque::len);
        let evicted = if with_origin >= MAX_UNPROVEN_PER_ORIGIN {
            self.evict(from)
        } else if self.count >= self.capacity {
            let oldest =
                |all: &VecDeque<Unproven<T>>| all.front().map(|unproven| Reverse(unproven.number));
            let with_new = |of: &Origin| usize::from(*of == from);
            let candidates = self.origins.iter();
            let has_nameless =
                |all: &VecDeque<Unproven<T>>| all.iter().any(|of| !of.names_known_key);
            let candidates = candidates
                .max_by_key(|(of, all)| (has_nameless(all), all.len() + with_new(of), oldest(all)));
            let candidates = candidates.map(|(of, _)| *of);
            candidates.and_then(|origin| self.evict(origin))
        } else {
            None
        };
        let number = self.next;
        self.next += 1;
        self.count += 1;
        self.origins.entry(from).or_default().push_back(Unproven {
            number,
            names_known_key: false,
            connection,
        });
        (number, evicted)
    }

    /// The connection's hello named an accepted key and was answered.
    pub(super) fn named_known_key(&mut self, from: Origin, number: u64) {
        let all = self.origins.get_mut(&from);
        if let Some(unproven) = all.into_iter().flatten().find(|of| of.number == number) {
            unproven.names_known_key = true;
        }
    }

    /// A connection was proven or closed.
    pub(super) fn leave(&mut self, from: Origin, number: u64) {
        let Some(all) = self.origins.get_mut(&from) else { return };
        let before = all.len();
        all.retain(|unproven| unproven.number != number);
        self.count -= before - all.len();
        if all.is_empty() {
            self.origins.remove(&from);
        }
    }

    fn evict(&mut self, origin: Origin) -> Option<T> {
        let all = self.origins.get_mut(&origin)?;
        let at = all.iter().position(|unproven| !unproven.names_known_key).unwrap_or(0);
        let Unproven { connection, .. } = all.remove(at)?;
        self.count -= 1;
        if all.is_empty() {
            self.origins.remove(&origin);
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_of_64_bits_is_one_origin_and_an_ipv4_address_another() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
    }

    #[test]
    fn an_origin_keeps_eight_connections_and_its_oldest_is_evicted() {
        let mut admission = Admission::new(MAX_UNPROVEN);
        for n in 0..8 {
            assert_eq!(admission.admit(origin("192.0.2.1"), n).1, None);
        }
        assert_eq!(admission.admit(origin("192.0.2.2"), 99).1, None);
        assert_eq!(admission.admit(origin("192.0.2.1"), 8).1, Some(0));
        admission.leave(origin("192.0.2.1"), 1);
        assert_eq!(admission.admit(origin("192.0.2.1"), 9).1, None);
    }

    #[test]
    fn among_equal_origins_the_oldest_connection_is_evicted() {
        let of = |n: u32| Origin::from(IpAddr::from(n.to_be_bytes()));
        for honest in [0, 77, u32::MAX] {
            let mut admission = Admission::new(16);
            for n in 1_000..1_016 {
                admission.admit(of(n), n);
            }
            admission.admit(of(honest), honest);
            let evicted = (2_000..2_016).map(|n| admission.admit(of(n), n).1);
            let evicted: Vec<_> = evicted.flatten().collect();
            assert_eq!(evicted.last(), Some(&honest), "evicted after all older connections");
        }
    }

    #[test]
    fn origins_that_reconnect_evict_their_own_connections() {
        let of = |n: u32| Origin::from(IpAddr::from(n.to_be_bytes()));
        let mut admission = Admission::new(MAX_UNPROVEN);
        admission.admit(of(9_999), 9_999);
        for n in 0..255 {
            assert_eq!(admission.admit(of(n), n).1, None);
        }
        for n in (0..255).cycle().take(10_000) {
            assert_ne!(admission.admit(of(n), n).1, Some(9_999));
        }
    }

    #[test]
    fn a_connection_that_named_a_key_is_evicted_last_in_its_origin() {
        let (mut admission, one) = (Admission::new(MAX_UNPROVEN), origin("192.0.2.1"));
        let (honest, _) = admission.admit(one, 0);
        admission.named_known_key(one, honest);
        for n in 1..100 {
            assert_ne!(admission.admit(one, n).1, Some(0));
        }
        let numbers: Vec<u64> = admission.origins[&one].iter().map(|of| of.number).collect();
        numbers.iter().for_each(|number| admission.named_known_key(one, *number));
        assert_eq!(admission.admit(one, 100).1, Some(0), "all named a key: the oldest goes");
    }

    #[test]
    fn connections_that_name_no_key_evict_none_that_named_one() {
        let of = |n: u32| Origin::from(IpAddr::from(n.to_be_bytes()));
        let mut admission = Admission::new(MAX_UNPROVEN);
        let (honest, _) = admission.admit(of(9_999), 9_999);
        admission.named_known_key(of(9_999), honest);
        for n in 0..5_000 {
            assert_ne!(admission.admit(of(n), n).1, Some(9_999));
        }
    }

    #[test]
    fn at_the_limit_the_origin_with_most_connections_loses_one() {
        let mut admission = Admission::new(MAX_UNPROVEN);
        let of = |n: u32| Origin::from(IpAddr::from(n.to_be_bytes()));
        for n in 0..MAX_UNPROVEN as u32 - 2 {
            admission.admit(of(n), n);
        }
        admission.admit(of(7), 1_000);
        let (number, _) = admission.admit(of(7), 1_001);
        assert_eq!(admission.admit(of(5_000), 5_000).1, Some(7), "the oldest of the fullest");
        admission.leave(of(7), number);
        admission.leave(of(7), number);
        assert_eq!(admission.admit(of(5_001), 5_001).1, None);
        assert_eq!(admission.count, MAX_UNPROVEN);
        for n in 10_000..20_000 {
            assert!(admission.admit(of(n), n).1.is_some());
        }
        assert_eq!(admission.count, MAX_UNPROVEN);
        assert_eq!(admission.origins.values().map(VecDeque::len).sum::<usize>(), MAX_UNPROVEN);
    }
}
