//! The sender's side of repair: what it sends again, and how fast.

use crate::control::Control;
use crate::replay_ring::ReplayRing;
use crate::{Frame, Lane, Settings, Time};

/// What is kept of what was sent, and the budget for sending it again.
#[derive(Debug)]
pub(crate) struct Repair {
    settings: Settings,
    rings: [ReplayRing; 2],
    /// Bytes that may be sent again now: a token bucket of one second's worth,
    /// below zero by what the last frame was longer than it had.
    budget: i128,
    refilled: Time,
}

impl Repair {
    pub(crate) fn new(settings: Settings, now: Time) -> Self {
        let (rings, budget) = (Default::default(), settings.repair_rate as i128);
        Self { settings, rings, budget, refilled: now }
    }

    /// Keeps a frame that is being sent.
    pub(crate) fn keep(&mut self, lane: Lane, frame: Frame) {
        self.rings[lane.index()].push(frame, self.settings.replay_bytes);
    }

    /// Bytes kept, both lanes.
    pub(crate) fn bytes(&self) -> usize {
        self.rings.iter().map(ReplayRing::bytes).sum()
    }

    /// What to send to who asked for `first` to `last`: perhaps a word that the
    /// beginning is gone, then frames, as many as one request and the budget allow.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        lane: Lane,
        first: u64,
        last: u64,
    ) -> (Option<Control>, Vec<Frame>) {
        self.refill(now);
        let ring = &self.rings[lane.index()];
        let Some(oldest) = ring.oldest() else {
            // Nothing is kept: all that was asked for is gone.
            return (Some(Control::Gone { lane, before: last.saturating_add(1) }), Vec::new());
        };
        let gone = (first < oldest)
            .then(|| Control::Gone { lane, before: oldest.min(last.saturating_add(1)) });
        let mut frames = Vec::new();
        let mut burst = self.settings.repair_burst;
        for frame in ring.range(first.max(oldest), last) {
            let len = frame.body.len().max(1);
            // A frame longer than what is left of a burst still goes if it is the first.
            if (len > burst && !frames.is_empty()) || self.budget <= 0 {
                break;
            }
            burst = burst.saturating_sub(len);
            self.budget -= len as i128;
            frames.push(frame.clone());
        }
        (gone, frames)
    }

    fn refill(&mut self, now: Time) {
        let rate = self.settings.repair_rate as i128;
        let nanos = now.since(self.refilled).as_nanos();
        let earned = rate.saturating_mul(i128::try_from(nanos).unwrap_or(0)) / 1_000_000_000;
        if earned > 0 {
            self.budget = self.budget.saturating_add(earned).min(rate);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{FrameKind, Incarnation};

    fn repair(settings: Settings, frames: u64) -> Repair {
        let mut repair = Repair::new(settings, Time::default());
        for i in 0..frames {
            let (incarnation, kind) = (Incarnation([1; 16]), FrameKind::Data(Lane::Events));
            let body = vec![0; 1_000].into();
            let frame = Frame { incarnation, kind, first: 1 + i, count: 1, body };
            repair.keep(Lane::Events, frame);
        }
        repair
    }

    fn ask(repair: &mut Repair, ms: u64, first: u64, last: u64) -> (Option<Control>, Vec<u64>) {
        let now = Time::from_start(Duration::from_millis(ms));
        let (gone, frames) = repair.answer(now, Lane::Events, first, last);
        (gone, frames.iter().map(|frame| frame.first).collect())
    }

    #[test]
    fn a_request_gets_its_range_in_bursts_and_is_told_what_is_gone() {
        let replay_bytes = 10 * 1_096;
        let settings = Settings { repair_burst: 3_500, replay_bytes, ..Settings::default() };
        let mut repair = repair(settings, 20);
        let gone = Some(Control::Gone { lane: Lane::Events, before: 11 });
        assert_eq!(ask(&mut repair, 0, 5, 30), (gone, vec![11, 12, 13]));
        assert_eq!(ask(&mut repair, 0, 14, 15), (None, vec![14, 15]));
        assert_eq!(ask(&mut repair, 0, 21, 30), (None, vec![]));
        let all_gone = Some(Control::Gone { lane: Lane::Events, before: 4 });
        assert_eq!(ask(&mut repair, 0, 2, 3), (all_gone, vec![]));
        let never = repair.answer(Time::default(), Lane::Urgent, 1, 9);
        assert_eq!(never, (Some(Control::Gone { lane: Lane::Urgent, before: 10 }), vec![]));
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
    }
}
