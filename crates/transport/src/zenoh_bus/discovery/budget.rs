//! How many datagrams are worth a hash.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Datagrams of all sources whose hash is checked in a second: some 2 % of a processor.
const ALL: u32 = 20_000;
/// Of one source. A cluster of hundreds of nodes that start at once sends one node fewer.
const ONE: u32 = 1_000;
/// Most sources of a second that are told apart; datagrams of others are dropped, since sources
/// may be forged.
const SOURCES: usize = 4_096;

/// Counts what is checked, by seconds. Only datagrams that look like messages of the cluster
/// count, so that noise takes nothing from the honest.
#[derive(Debug)]
pub(super) struct Budget {
    begin: Instant,
    left: u32,
    of: HashMap<IpAddr, u32>,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { begin: now, left: ALL, of: HashMap::new() }
    }

    /// Whether one more of this source is checked now.
    pub(super) fn take(&mut self, now: Instant, from: IpAddr) -> bool {
        if now.duration_since(self.begin) >= Duration::from_secs(1) {
            (self.begin, self.left) = (now, ALL);
            self.of.clear();
        }
        if self.left == 0 || (self.of.len() >= SOURCES && !self.of.contains_key(&from)) {
            return false;
        }
        let of_source = self.of.entry(from).or_insert(ONE);
        if *of_source == 0 {
            return false;
        }
        *of_source -= 1;
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    #[test]
    fn a_source_that_floods_takes_nothing_from_the_others() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        let mut taken = |n, ms: u64, count| {
            let now = begin + Duration::from_millis(ms);
            (0..count).filter(|_| budget.take(now, source(n))).count() as u32
        };
        assert_eq!(taken(1, 0, 50_000), ONE);
        assert_eq!(taken(2, 500, 10), 10);
        assert_eq!(taken(1, 999, 1), 0);
        assert_eq!(taken(1, 1_000, 1), 1);
    }

    #[test]
    fn forged_sources_are_bounded_in_number_and_in_all() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        let taken = (0..10_000).filter(|n| budget.take(begin, source(*n))).count();
        assert_eq!(taken, SOURCES);
        assert_eq!(budget.of.len(), SOURCES);
        let more = (0..50_000).filter(|n| budget.take(begin, source(n % 100))).count();
        assert_eq!((taken + more) as u32, ALL);
    }
}
