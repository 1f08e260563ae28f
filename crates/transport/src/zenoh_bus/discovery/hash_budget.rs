//! Limits how many datagrams are hashed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Hashes a second for sources within their share: some 2 % of a processor.
const MAX_HASHES: u32 = 20_000;
/// The share of one source. A cluster of hundreds of nodes that start at once sends one node
/// fewer.
const MAX_HASHES_PER_SOURCE: u32 = 1_000;
/// Most sources of a second that have a share, since sources may be forged.
const MAX_SOURCES: usize = 4_096;
/// Pause between two hashes for sources that have used up their share: another 20,000 a second in
/// all, so that an honest node behind a forged or shared address is heard in part.
const OVERFLOW_INTERVAL: Duration = Duration::from_micros(50);
/// Unused time of that kind is saved for at most this long.
const MAX_OVERFLOW_CREDIT: Duration = Duration::from_millis(50);

/// Counts the hashes. Only datagrams that look like messages of the cluster, and are not among the
/// last 1,024 that were heard, count: noise and repetitions take no hash from honest nodes.
#[derive(Debug)]
pub(super) struct HashBudget {
    begin: Instant,
    left: u32,
    left_of_source: HashMap<IpAddr, u32>,
    /// When the next hash without a share is free (GCRA, ITU-T I.371).
    next_overflow: Instant,
}

impl HashBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { begin: now, left: MAX_HASHES, left_of_source: HashMap::new(), next_overflow: now }
    }

    /// Whether one more of this source is checked now.
    pub(super) fn take(&mut self, now: Instant, from: IpAddr) -> bool {
        if now.duration_since(self.begin) >= Duration::from_secs(1) {
            (self.begin, self.left) = (now, MAX_HASHES);
            self.left_of_source.clear();
        }
        self.take_share(from) || self.take_overflow(now)
    }

    fn take_share(&mut self, from: IpAddr) -> bool {
        if self.left == 0
            || (self.left_of_source.len() >= MAX_SOURCES
                && !self.left_of_source.contains_key(&from))
        {
            return false;
        }
        let of_source = self.left_of_source.entry(from).or_insert(MAX_HASHES_PER_SOURCE);
        if *of_source == 0 {
            return false;
        }
        *of_source -= 1;
        self.left -= 1;
        true
    }

    fn take_overflow(&mut self, now: Instant) -> bool {
        let is_paid = self.next_overflow <= now + MAX_OVERFLOW_CREDIT;
        if is_paid {
            self.next_overflow = self.next_overflow.max(now) + OVERFLOW_INTERVAL;
        }
        is_paid
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
        let mut hash_budget = HashBudget::new(begin);
        let mut taken = |n, ms: u64, count| {
            let now = begin + Duration::from_millis(ms);
            (0..count).filter(|_| hash_budget.take(now, source(n))).count() as u32
        };
        let saved = 1_001;
        assert_eq!(taken(1, 0, 50_000), MAX_HASHES_PER_SOURCE + saved);
        assert_eq!(taken(2, 1, 10), 10);
        assert_eq!(taken(1, 1, 50_000), 20);
        assert_eq!(taken(1, 1_000, 50_000), MAX_HASHES_PER_SOURCE + saved);
    }

    #[test]
    fn an_honest_node_of_a_flooding_address_is_heard_in_part() {
        let begin = Instant::now();
        let mut hash_budget = HashBudget::new(begin);
        // 40,000 a second of it and of the flood together.
        let taken = (0..40_000_u64)
            .filter(|n| hash_budget.take(begin + Duration::from_micros(n * 25), source(1)))
            .count();
        assert!((20_000..23_000).contains(&taken), "{taken}");
    }

    #[test]
    fn forged_sources_are_bounded_in_number_and_in_all() {
        let begin = Instant::now();
        let mut hash_budget = HashBudget::new(begin);
        let saved = 1_001;
        let taken = (0..10_000).filter(|n| hash_budget.take(begin, source(*n))).count();
        assert_eq!(taken, MAX_SOURCES + saved);
        assert_eq!(hash_budget.left_of_source.len(), MAX_SOURCES);
        let more = (0..50_000).filter(|n| hash_budget.take(begin, source(n % 100))).count();
        assert_eq!((taken + more - saved) as u32, MAX_HASHES);
    }
}
