//! Limits how many datagrams are hashed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Maximum number of hashes per second for sources within their share: about 2 % of a processor.
const MAX_HASHES: u32 = 20_000;
/// Maximum number of hashes per second for one source. A cluster of hundreds of nodes that start at
/// once sends fewer datagrams to one node.
const MAX_HASHES_PER_SOURCE: u32 = 1_000;
/// Maximum number of sources per second that have a share, because source addresses may be forged.
const MAX_SOURCES: usize = 4_096;
/// Interval between hashes for sources without a share left: another 20,000 per second in total. An
/// honest node behind a forged or shared address is thus heard at a reduced rate.
const OVERFLOW_INTERVAL: Duration = Duration::from_micros(50);
/// Maximum credit of unused intervals.
const MAX_OVERFLOW_CREDIT: Duration = Duration::from_millis(50);

/// Counts hashes. Only datagrams with a valid header that are not among the last 1,024 messages
/// count, so noise and replays take no hashes from honest nodes.
#[derive(Debug)]
pub(super) struct HashBudget {
    begin: Instant,
    left: u32,
    left_of_source: HashMap<IpAddr, u32>,
    /// When the next hash without a share is allowed (GCRA, ITU-T I.371).
    next_overflow: Instant,
}

impl HashBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { begin: now, left: MAX_HASHES, left_of_source: HashMap::new(), next_overflow: now }
    }

    /// Whether another datagram of this source may be hashed now.
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
    fn a_flooding_source_takes_no_hashes_from_other_sources() {
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
    fn an_honest_node_behind_a_flooding_address_is_heard_in_part() {
        let begin = Instant::now();
        let mut hash_budget = HashBudget::new(begin);
        // 40,000 datagrams per second from the node and the flood together.
        let taken = (0..40_000_u64)
            .filter(|n| hash_budget.take(begin + Duration::from_micros(n * 25), source(1)))
            .count();
        assert!((20_000..23_000).contains(&taken), "{taken}");
    }

    #[test]
    fn forged_sources_are_limited_in_number_and_total_hashes() {
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
