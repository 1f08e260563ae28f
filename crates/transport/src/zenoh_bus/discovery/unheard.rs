//! Answers at the multicast group for nodes that cannot receive direct answers.
//!
//! An answer goes to the port that a question came from. A firewall that lets in only the port of
//! discovery drops it: Linux's connection tracking takes no answer for one to a question to a
//! group. So a node that asks on is answered at the group too, and thus at the port of discovery.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::message::Zid;

/// How long a node asks on before it counts as one that hears no answer, and how long then until
/// the next answer at the group.
const PATIENCE: Duration = Duration::from_secs(1);
/// A node that did not ask for so long begins anew.
const FORGET: Duration = Duration::from_secs(60);
/// Most nodes that are remembered; the one that asked least recently makes room.
const NODES: usize = 256;
/// Most answers at the group in a second, as many go to everybody.
const ANSWERS: u32 = 10;

#[derive(Debug)]
struct Asker {
    /// When an answer at the group is due.
    due: Instant,
    asked: Instant,
}

#[derive(Debug)]
pub(super) struct Unheard {
    askers: BTreeMap<Zid, Asker>,
    begin: Instant,
    left: u32,
}

impl Unheard {
    pub(super) fn new(now: Instant) -> Self {
        Self { askers: BTreeMap::new(), begin: now, left: ANSWERS }
    }

    /// Whether the answer to this question also goes to the group.
    pub(super) fn asks(&mut self, now: Instant, zid: Zid) -> bool {
        if now.duration_since(self.begin) >= Duration::from_secs(1) {
            (self.begin, self.left) = (now, ANSWERS);
        }
        let is_known = |asker: &&mut Asker| now.duration_since(asker.asked) < FORGET;
        let Some(asker) = self.askers.get_mut(&zid).filter(is_known) else {
            self.note(now, zid);
            return false;
        };
        asker.asked = now;
        if now < asker.due || self.left == 0 {
            return false;
        }
        asker.due = now + PATIENCE;
        self.left -= 1;
        true
    }

    fn note(&mut self, now: Instant, zid: Zid) {
        if self.askers.len() >= NODES {
            let oldest = self.askers.iter().min_by_key(|(_, asker)| asker.asked);
            if let Some(oldest) = oldest.map(|(zid, _)| *zid) {
                self.askers.remove(&oldest);
            }
        }
        self.askers.insert(zid, Asker { due: now + PATIENCE, asked: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u32) -> Zid {
        let mut zid = Zid::default();
        zid[..4].copy_from_slice(&n.to_be_bytes());
        zid
    }

    #[test]
    fn a_node_that_asks_on_is_answered_at_the_group_once_a_second() {
        let begin = Instant::now();
        let mut unheard = Unheard::new(begin);
        let mut asks = |ms| unheard.asks(begin + Duration::from_millis(ms), node(1));
        let times = [0, 60, 180, 480, 1_480, 1_500, 2_400, 2_480, 60_000, 120_000, 121_000];
        let answered = times.map(&mut asks);
        let expected = [false, false, false, false, true, false, false, true, true, false, true];
        assert_eq!(answered, expected);
    }

    #[test]
    fn what_is_remembered_and_answered_is_bounded() {
        let begin = Instant::now();
        let mut unheard = Unheard::new(begin);
        let asked = (0..1_000).filter(|n| unheard.asks(begin, node(*n))).count();
        assert_eq!((asked, unheard.askers.len()), (0, NODES));
        let later = begin + PATIENCE;
        let answered = (0..1_000).rev().filter(|n| unheard.asks(later, node(*n))).count();
        assert_eq!(answered, ANSWERS as usize);
    }
}
