//! Which questions of other nodes are answered, and which at the multicast group as well.
//!
//! An answer goes to the port that a question came from. A firewall that lets in only the port of
//! discovery drops it: Linux's connection tracking takes no answer for one to a question to a
//! group. So a node that asks on is answered at the group too, and thus at the port of discovery.
//!
//! Questions that somebody recorded on the segment and sends again look as they did at first. So
//! answers are bounded, those to each node too, and half of them are kept for nodes that have not
//! been answered lately: recordings of some nodes keep no other node out.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::message::Zid;

/// How long a node asks on before it counts as one that hears no answer, and how long then until
/// the next answer at the group.
const GROUP_ANSWER_DELAY: Duration = Duration::from_secs(1);
/// A node that did not ask for so long begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Most nodes that are remembered; the one that asked least recently makes room.
const MAX_NODES: usize = 1_024;
/// Most answers in a second, and most of them to one node. A node that starts asks four times in
/// its first second.
const MAX_ANSWERS: u32 = 512;
const MAX_ANSWERS_PER_NODE: u32 = 8;
/// Most answers at the group in a second, as many go to everybody.
const MAX_GROUP_ANSWERS: u32 = 10;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerMode {
    None,
    /// At the address that it came from.
    Direct,
    DirectAndGroup,
}

#[derive(Debug)]
struct Asker {
    asked: Instant,
    /// When its second began, and how many answers it has left in it.
    begin: Instant,
    left: u32,
    /// When an answer at the group is due.
    due: Instant,
    /// When it was last answered at the group.
    at_group: Option<Instant>,
}

/// Answers of one second: any node may take the first half, the rest only nodes that have not been
/// answered lately.
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

/// The nodes that asked lately.
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

    /// How the question of this node is answered now.
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
    fn a_node_that_asks_on_is_answered_at_the_group_once_a_second() {
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

    /// As somebody does who recorded the questions of 12 nodes, and sends 200 of them a second.
    #[test]
    fn recorded_questions_keep_no_other_node_from_its_answers() {
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
            assert_eq!(again, AnswerMode::DirectAndGroup, "half is kept for nodes that are new");
        }
    }
}
