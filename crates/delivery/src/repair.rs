//! Frames kept for retransmission, and the rate at which they are sent. A node retransmits its own
//! frames, and relays frames of others to peers that cannot request them from the sender.

use std::sync::Arc;

use crate::planted::{Fault, planted};
use crate::relay_buffer::RelayBuffer;
use crate::replay_buffer::ReplayBuffer;
use crate::stream::{EventRange, StreamId};
use crate::token_bucket::TokenBucket;
use crate::{Frame, Lane, PerLane, Settings, Time};

/// The sent and received frames that are kept, and the budget for sending them again.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    settings: Arc<Settings>,
    sent: PerLane<ReplayBuffer>,
    received: RelayBuffer,
    /// Bytes that may be sent again now: at most one second's worth.
    budget: TokenBucket,
}

/// The answer to a repair request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Requested events before this number are not available; `None` if the first requested event
    /// is.
    pub(crate) unavailable_before: Option<u64>,
    /// Requested frames, as many as the burst of one request and the budget allow.
    pub(crate) frames: Vec<Frame>,
}

impl Repair {
    pub(crate) fn new(settings: Arc<Settings>, now: Time) -> Self {
        let (sent, received) = Default::default();
        let budget = TokenBucket::full(settings.repair_rate, now);
        Self { settings, sent, received, budget }
    }

    /// Keeps a frame that is being sent.
    pub(crate) fn keep_sent(&mut self, lane: Lane, frame: Frame) {
        if planted(Fault::ReplayBufferForgets) && frame.first.is_multiple_of(5) {
            return;
        }
        self.sent[lane].push(frame, self.settings.replay_bytes);
    }

    /// Keeps a received frame that was delivered.
    pub(crate) fn keep_received(&mut self, lane: Lane, frame: &Frame) {
        self.received.keep(lane, frame, self.settings.relay_bytes);
    }

    /// Bytes of sent frames kept, both lanes together.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent.iter().map(ReplayBuffer::bytes).sum()
    }

    /// Bytes of received frames kept.
    pub(crate) fn received_bytes(&self) -> usize {
        self.received.bytes()
    }

    /// The answer to a request for events of this node.
    pub(crate) fn answer_own(&mut self, now: Time, lane: Lane, range: EventRange) -> Answer {
        let _has_budget = self.refill(now);
        let frames = self.sent[lane].range(range);
        answer(&mut self.budget, self.settings.repair_burst, range, frames)
    }

    /// The answer to a request for events of another node. `held` are frames
    /// behind a hole in the stream of that node here.
    pub(crate) fn answer_relayed<'a>(
        &'a mut self,
        now: Time,
        stream: StreamId,
        range: EventRange,
        held: impl Iterator<Item = &'a Frame>,
    ) -> Answer {
        let _has_budget = self.refill(now);
        let frames = self.received.range(stream, range).chain(held);
        answer(&mut self.budget, self.settings.repair_burst, range, frames)
    }

    /// Charges the budget for relaying a frame; `false` if nothing is left of it.
    pub(crate) fn take_relay_budget(&mut self, now: Time, frame: &Frame) -> bool {
        let allowed = self.refill(now);
        if allowed {
            self.budget.take(frame.cost());
        }
        allowed
    }

    /// Charges `cost` if more than half of the budget is left, and returns whether it is. A peer
    /// that has used up its share may then have more.
    pub(crate) fn take_spare_budget(&mut self, now: Time, cost: usize) -> bool {
        let _has_budget = self.refill(now);
        let has_spare = self.budget.holds_more_than(self.settings.repair_rate / 2);
        if has_spare {
            self.budget.take(cost);
        }
        has_spare
    }

    /// Refills the budget; returns whether anything may be sent again now.
    fn refill(&mut self, now: Time) -> bool {
        let rate = self.settings.repair_rate;
        self.budget.refill(now, rate, rate)
    }
}

fn answer<'a>(
    budget: &mut TokenBucket,
    mut burst: usize,
    EventRange { first, last }: EventRange,
    frames: impl Iterator<Item = &'a Frame>,
) -> Answer {
    let mut frames = frames.peekable();
    let all = last.saturating_add(1);
    let begin = frames.peek().map_or(all, |frame| frame.first.min(all));
    let mut answer =
        Answer { unavailable_before: (begin > first).then_some(begin), frames: Vec::new() };
    for frame in frames {
        let len = frame.cost();
        // The first frame goes even if it is longer than the burst.
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
    use crate::{FrameKind, Incarnation};

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
        let mut repair = Repair::new(Arc::new(settings), Time::default());
        (1..=frames).for_each(|first| repair.keep_sent(LANE, frame(1, first)));
        repair
    }

    fn firsts(answer: Answer) -> (Option<u64>, Vec<u64>) {
        (answer.unavailable_before, answer.frames.iter().map(|frame| frame.first).collect())
    }

    fn ask(repair: &mut Repair, ms: u64, first: u64, last: u64) -> (Option<u64>, Vec<u64>) {
        let now = Time::from_start(Duration::from_millis(ms));
        firsts(repair.answer_own(now, LANE, EventRange { first, last }))
    }

    #[test]
    fn a_request_is_answered_in_bursts_and_learns_what_is_unavailable() {
        let replay_bytes = 10 * 1_000;
        let settings = Settings { repair_burst: 3_500, replay_bytes, ..Settings::default() };
        let mut repair = repair(settings, 20);
        assert_eq!(ask(&mut repair, 0, 5, 30), (Some(11), vec![11, 12, 13]));
        assert_eq!(ask(&mut repair, 0, 14, 15), (None, vec![14, 15]));
        assert_eq!(ask(&mut repair, 0, 2, 3), (Some(4), vec![]), "nothing of the range is left");
        assert_eq!(ask(&mut repair, 0, 21, 30), (Some(31), vec![]));
        let never =
            repair.answer_own(Time::default(), Lane::Urgent, EventRange { first: 1, last: 9 });
        assert_eq!(firsts(never), (Some(10), vec![]));
    }

    #[test]
    fn an_answer_for_another_sender_includes_frames_behind_a_hole() {
        let mut repair = repair(Settings::default(), 0);
        (3..=5).for_each(|first| repair.keep_received(LANE, &frame(2, first)));
        let held = [frame(2, 8), frame(2, 9)];
        let mut ask = |first, last| {
            let held = held.iter().filter(|frame| (first..=last).contains(&frame.first));
            let stream = StreamId { sender: Incarnation([2; 16]), lane: LANE };
            firsts(repair.answer_relayed(Time::default(), stream, EventRange { first, last }, held))
        };
        assert_eq!(ask(1, 4), (Some(3), vec![3, 4]));
        assert_eq!(ask(6, 9), (Some(8), vec![8, 9]));
        assert_eq!(ask(10, 12), (Some(13), vec![]));
    }

    #[test]
    fn retransmissions_per_second_are_bounded() {
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
