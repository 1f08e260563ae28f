//! What is sent again, and how fast: own frames to who missed some, and those of
//! others to who cannot ask their sender.

use crate::planted::{Fault, planted};
use crate::relay_buffer::RelayBuffer;
use crate::replay_buffer::ReplayBuffer;
use crate::token_bucket::TokenBucket;
use crate::{Frame, Incarnation, Lane, Settings, Time};

/// What is kept of what was sent and received, and the budget for sending it again.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    settings: Settings,
    sent: [ReplayBuffer; 2],
    received: RelayBuffer,
    /// Bytes that may be sent again now: one second's worth at most.
    budget: TokenBucket,
}

/// What to send to who asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What comes before this number is not here; unless all that was asked for is.
    pub(crate) unavailable_before: Option<u64>,
    /// As many as one request and the budget allow.
    pub(crate) frames: Vec<Frame>,
}

impl Repair {
    pub(crate) fn new(settings: Settings, now: Time) -> Self {
        let (sent, received) = Default::default();
        let budget = TokenBucket::full(settings.repair_rate, now);
        Self { settings, sent, received, budget }
    }

    /// Keeps a frame that is being sent.
    pub(crate) fn keep_sent(&mut self, lane: Lane, frame: Frame) {
        if planted(Fault::ReplayBufferForgets) && frame.first.is_multiple_of(5) {
            return;
        }
        self.sent[lane.index()].push(frame, self.settings.replay_bytes);
    }

    /// Keeps a frame that came and was delivered.
    pub(crate) fn keep_received(&mut self, lane: Lane, frame: &Frame) {
        self.received.keep(lane, frame, self.settings.relay_bytes);
    }

    /// Bytes kept of what was sent, both lanes.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent.iter().map(ReplayBuffer::bytes).sum()
    }

    /// Bytes kept of what was received.
    pub(crate) fn received_bytes(&self) -> usize {
        self.received.bytes()
    }

    /// The answer to who asked for own events `first` to `last`.
    pub(crate) fn answer_own(&mut self, now: Time, lane: Lane, first: u64, last: u64) -> Answer {
        let _answer_is_empty = self.refill(now);
        let frames = self.sent[lane.index()].range(first, last);
        answer(&mut self.budget, self.settings.repair_burst, (first, last), frames)
    }

    /// The answer to who asked for another's events `first` to `last`, of which some
    /// may be held behind a hole here.
    pub(crate) fn answer_relayed<'a>(
        &'a mut self,
        now: Time,
        (from, lane): (Incarnation, Lane),
        (first, last): (u64, u64),
        held: impl Iterator<Item = &'a Frame>,
    ) -> Answer {
        let _answer_is_empty = self.refill(now);
        let frames = self.received.range((from, lane), first, last).chain(held);
        answer(&mut self.budget, self.settings.repair_burst, (first, last), frames)
    }

    /// Whether the budget allows to pass a frame on; takes it if so.
    pub(crate) fn take_relay_budget(&mut self, now: Time, frame: &Frame) -> bool {
        let allowed = self.refill(now);
        if allowed {
            self.budget.take(frame.cost());
        }
        allowed
    }

    /// Whether more than half of what may be sent again now is left, so that who had its share
    /// may have more; takes the cost of an answer if so.
    pub(crate) fn take_spare_budget(&mut self, now: Time, cost: usize) -> bool {
        let _half_is_more = self.refill(now);
        let take_spare_budget = self.budget.holds_more_than(self.settings.repair_rate / 2);
        if take_spare_budget {
            self.budget.take(cost);
        }
        take_spare_budget
    }

    /// Whether anything may be sent again now.
    fn refill(&mut self, now: Time) -> bool {
        let rate = self.settings.repair_rate;
        self.budget.refill(now, rate, rate)
    }
}

fn answer<'a>(
    budget: &mut TokenBucket,
    mut burst: usize,
    (first, last): (u64, u64),
    frames: impl Iterator<Item = &'a Frame>,
) -> Answer {
    let mut frames = frames.peekable();
    let all = last.saturating_add(1);
    let begin = frames.peek().map_or(all, |frame| frame.first.min(all));
    let mut answer =
        Answer { unavailable_before: (begin > first).then_some(begin), frames: Vec::new() };
    for frame in frames {
        let len = frame.cost();
        // A frame longer than what is left of a burst still goes if it is the first.
        if (len > burst && !answer.frames.is_empty()) || budget.is_empty() {
            break;
        }
        burst = burst.saturating_sub(len);
        budget.take(len);
        answer.frames.push(frame.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::FrameKind;

    const LANE: Lane = Lane::Events;

    fn frame(sender: u8, first: u64) -> Frame {
        let (incarnation, kind) = (Incarnation([sender; 16]), FrameKind::Data(LANE));
        Frame {
            incarnation,
            to: None,
            kind,
            first,
            count: 1,
            body: vec![0; 872].into(),
            wire: None,
        }
    }

    fn repair(settings: Settings, frames: u64) -> Repair {
        let mut repair = Repair::new(settings, Time::default());
        (1..=frames).for_each(|first| repair.keep_sent(LANE, frame(1, first)));
        repair
    }

    fn firsts(answer: Answer) -> (Option<u64>, Vec<u64>) {
        (answer.unavailable_before, answer.frames.iter().map(|frame| frame.first).collect())
    }

    fn ask(repair: &mut Repair, ms: u64, first: u64, last: u64) -> (Option<u64>, Vec<u64>) {
        firsts(repair.answer_own(Time::from_start(Duration::from_millis(ms)), LANE, first, last))
    }

    #[test]
    fn a_request_gets_its_range_in_bursts_and_is_told_what_is_gone() {
        let replay_bytes = 10 * 1_000;
        let settings = Settings { repair_burst: 3_500, replay_bytes, ..Settings::default() };
        let mut repair = repair(settings, 20);
        assert_eq!(ask(&mut repair, 0, 5, 30), (Some(11), vec![11, 12, 13]));
        assert_eq!(ask(&mut repair, 0, 14, 15), (None, vec![14, 15]));
        assert_eq!(ask(&mut repair, 0, 2, 3), (Some(4), vec![]), "all of it");
        assert_eq!(ask(&mut repair, 0, 21, 30), (Some(31), vec![]));
        let never = repair.answer_own(Time::default(), Lane::Urgent, 1, 9);
        assert_eq!(firsts(never), (Some(10), vec![]));
    }

    #[test]
    fn what_others_sent_is_given_with_what_is_held_behind_a_hole() {
        let mut repair = repair(Settings::default(), 0);
        (3..=5).for_each(|first| repair.keep_received(LANE, &frame(2, first)));
        let held = [frame(2, 8), frame(2, 9)];
        let mut ask = |first, last| {
            let held = held.iter().filter(|frame| (first..=last).contains(&frame.first));
            let stream = (Incarnation([2; 16]), LANE);
            firsts(repair.answer_relayed(Time::default(), stream, (first, last), held))
        };
        assert_eq!(ask(1, 4), (Some(3), vec![3, 4]));
        assert_eq!(ask(6, 9), (Some(8), vec![8, 9]));
        assert_eq!(ask(10, 12), (Some(13), vec![]));
    }

    #[test]
    fn what_is_sent_again_in_a_second_is_bounded() {
        let settings = Settings { repair_rate: 10_000, ..Settings::default() };
        let mut repair = repair(settings, 100);
        let mut total = 0;
        for ms in 0..=2_000 {
            total += ask(&mut repair, ms, 1, 100).1.len();
        }
        assert!((29..=32).contains(&total), "{total} frames of 1,000 bytes in 2 s and a bucket");
        assert!(!repair.take_relay_budget(Time::from_start(Duration::from_secs(2)), &frame(1, 1)));
    }
}
