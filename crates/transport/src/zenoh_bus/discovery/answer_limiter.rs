//! Decides which questions of other nodes are answered, and which answers also go to the multicast
//! group.
//!
//! An answer goes to the port that the question came from. A firewall that only admits the port of
//! discovery drops such an answer, because Linux connection tracking does not match a unicast
//! answer with a multicast question. A node that keeps asking is therefore also answered at the
//! group, and thus at the port of discovery.
//!
//! A replayed question looks like the original. The number of answers is therefore limited, for
//! each node too, and half of them are reserved for nodes that were not answered recently: replayed
//! questions of some nodes do not keep answers from other nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::message::Zid;

/// How long a node must keep asking before it is also answered at the group, and the interval
/// between its answers at the group.
const GROUP_ANSWER_DELAY: Duration = Duration::from_secs(1);
/// A node that has not asked for this long counts as new.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Maximum number of remembered nodes; the node that asked least recently is evicted.
const MAX_NODES: usize = 1_024;
/// Maximum number of answers per second, and per second to one node. A node that starts asks four
/// times in its first second.
const MAX_ANSWERS: u32 = 512;
const MAX_ANSWERS_PER_NODE: u32 = 8;
/// Maximum number of answers at the group per second; every node receives each of them.
const MAX_GROUP_ANSWERS: u32 = 10;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerMode {
    None,
    /// To the source address of the question.
    Direct,
    DirectAndGroup,
}

#[derive(Debug)]
struct Asker {
    asked: Instant,
    /// The start of the node's current second, and the answers left in it.
    begin: Instant,
    left: u32,
    /// When an answer at the group is due.
    due: Instant,
    /// When the node was last answered at the group.
    at_group: Option<Instant>,
}

/// The answers of one second. Any node may use the first half; the rest is for nodes that were not
/// answered recently.
#[derive(Debug)]
struct AnswerBudget {
    max: u32,
    left: u32,
}

impl AnswerBudget {
    fn new(max: u32) -> Self {
        Self { max, left: max }
    }

    fn take(&mut self, is_new: bool) -> bool {
        let has = self.left > if is_new { 0 } else { self.max / 2 };
        self.left -= u32::from(has);
        has
    }
}

/// The nodes that asked recently.
#[derive(Debug)]
pub(super) struct AnswerLimiter {
    nodes: BTreeMap<Zid, Asker>,
    begin: Instant,
    direct: AnswerBudget,
    at_group: AnswerBudget,
}

impl AnswerLimiter {
    pub(super) fn new(now: Instant) -> Self {
        let (direct, at_group) =
            (AnswerBudget::new(MAX_ANSWERS), AnswerBudget::new(MAX_GROUP_ANSWERS));
        Self { nodes: BTreeMap::new(), begin: now, direct, at_group }
    }

    /// Decides how a question of the node `zid` is answered now.
    pub(super) fn on_question(&mut self, now: Instant, zid: Zid) -> AnswerMode {
        if now.duration_since(self.begin) >= Duration::from_secs(1) {
            self.begin = now;
            (self.direct, self.at_group) =
                (AnswerBudget::new(MAX_ANSWERS), AnswerBudget::new(MAX_GROUP_ANSWERS));
        }
        let is_known = |asker: &&mut Asker| now.duration_since(asker.asked) < FORGET_AFTER;
        let Some(asker) = self.nodes.get_mut(&zid).filter(is_known) else {
            if !self.direct.take(true) {
                return AnswerMode::None;
            }
            self.note(now, zid);
            return AnswerMode::Direct;
        };
        asker.asked = now;
        if now.duration_since(asker.begin) >= Duration::from_secs(1) {
            (asker.begin, asker.left) = (now, MAX_ANSWERS_PER_NODE);
        }
        if asker.left == 0 || !self.direct.take(false) {
            return AnswerMode::None;
        }
        asker.left -= 1;
        let is_new = asker.at_group.is_none_or(|last| now.duration_since(last) >= FORGET_AFTER);
        if now < asker.due || !self.at_group.take(is_new) {
            return AnswerMode::Direct;
        }
        (asker.due, asker.at_group) = (now + GROUP_ANSWER_DELAY, Some(now));
        AnswerMode::DirectAndGroup
    }

    fn note(&mut self, now: Instant, zid: Zid) {
        if self.nodes.len() >= MAX_NODES {
            let oldest = self.nodes.iter().min_by_key(|(_, asker)| asker.asked);
            if let Some(oldest) = oldest.map(|(zid, _)| *zid) {
                self.nodes.remove(&oldest);
            }
        }
        let (due, left) = (now + GROUP_ANSWER_DELAY, MAX_ANSWERS_PER_NODE - 1);
        self.nodes.insert(zid, Asker { asked: now, begin: now, left, due, at_group: None });
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
    fn a_node_that_keeps_asking_is_answered_at_the_group_once_a_second() {
        let begin = Instant::now();
        let mut answer_limiter = AnswerLimiter::new(begin);
        let mut on_question =
            |ms| answer_limiter.on_question(begin + Duration::from_millis(ms), node(1));
        let times = [0, 60, 180, 480, 1_480, 1_500, 2_400, 2_480, 60_000, 120_000, 121_000];
        let answered =
            times.map(&mut on_question).map(|answered| answered == AnswerMode::DirectAndGroup);
        let expected = [false, false, false, false, true, false, false, true, true, false, true];
        assert_eq!(answered, expected);
    }

    #[test]
    fn memory_and_answers_are_bounded() {
        let begin = Instant::now();
        let mut answer_limiter = AnswerLimiter::new(begin);
        let answered = (0..10_000).map(|n| answer_limiter.on_question(begin, node(n)));
        let answered = answered.filter(|answered| *answered == AnswerMode::Direct).count();
        assert_eq!(answered, MAX_ANSWERS as usize);
        for second in 1..10 {
            let later = begin + Duration::from_secs(second);
            let asking = (0..1_000)
                .map(|n| answer_limiter.on_question(later, node(second as u32 * 1_000 + n)));
            assert!(asking.count() > 0);
        }
        assert_eq!(answer_limiter.nodes.len(), MAX_NODES);
        let to_one =
            (0..100).map(|_| answer_limiter.on_question(begin + Duration::from_secs(100), node(1)));
        let to_one = to_one.filter(|answered| *answered != AnswerMode::None).count();
        assert_eq!(to_one, MAX_ANSWERS_PER_NODE as usize);
    }

    /// An attacker recorded the questions of 12 nodes and replays 200 questions a second.
    #[test]
    fn replayed_questions_prevent_no_answers_to_other_nodes() {
        let begin = Instant::now();
        let mut answer_limiter = AnswerLimiter::new(begin);
        for millis in (0..20_000).step_by(5) {
            let _ = answer_limiter
                .on_question(begin + Duration::from_millis(millis), node((millis / 5 % 12) as u32));
        }
        for n in 100..105 {
            let first = begin + Duration::from_secs(20);
            assert_eq!(answer_limiter.on_question(first, node(n)), AnswerMode::Direct);
            let again = answer_limiter.on_question(first + GROUP_ANSWER_DELAY, node(n));
            assert_eq!(again, AnswerMode::DirectAndGroup, "half is reserved for new nodes");
        }
    }
}
