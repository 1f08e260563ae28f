//! Flow control: how far a sender may run ahead of its receivers.
//!
//! Receivers confirm what they have taken; a lane is open while its slowest
//! *active* receiver has less than a window unconfirmed, and, for a moment, while each has less
//! than its congestion window. One that confirms nothing for a while is set aside: it is no longer
//! waited for, and catches up by asking. So is one that confirms, but holds up others that have
//! nothing to do.
//! (As NORM's and Aeron's flow control with receiver time-out.)

use std::collections::VecDeque;

use crate::congestion::{self, CongestionWindow, SLOW_RECEIVER_TIMEOUTS};
use crate::planted::{Fault, planted};
use crate::{Settings, Time};

/// Who confirms less than a window by so many in a lag timeout confirms nothing: 64 KiB by
/// default, 128 KiB a second.
const PROGRESS_PARTS: u64 = 64;

/// A frame that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Number of its last event.
    last: u64,
    /// Bytes sent up to its end.
    bytes: u64,
    at: Time,
}

/// What was sent in one lane and may not be confirmed yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    frames: VecDeque<Sent>,
    /// Bytes sent up to the beginning of `frames`.
    before: u64,
    /// Bytes sent.
    total: u64,
    /// When something was last sent.
    sent_at: Time,
}

impl InFlight {
    pub(crate) fn on_sent(&mut self, now: Time, last: u64, len: usize) {
        self.sent_at = now;
        self.total += len as u64;
        self.frames.push_back(Sent { last, bytes: self.total, at: now });
    }

    /// Bytes sent up to the end of the event `position`; of one from before what is
    /// remembered, up to the beginning of that.
    fn up_to(&self, position: u64) -> u64 {
        self.whole(position).map_or(self.before, |frame| frame.bytes)
    }

    /// When the event `position` was sent; `None` of one that does not end a frame, or of one
    /// from before what is remembered.
    fn sent_at(&self, position: u64) -> Option<Time> {
        self.whole(position).filter(|frame| frame.last == position).map(|frame| frame.at)
    }

    /// The last frame that ends before the event after `position`.
    fn whole(&self, position: u64) -> Option<&Sent> {
        let index = self.frames.partition_point(|frame| frame.last <= position);
        self.frames.get(index.checked_sub(1)?)
    }

    /// Bytes sent.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Forgets what lies more than `limit` bytes back, which must be more than a
    /// window: who is that far behind is set aside, and stays so.
    pub(crate) fn forget(&mut self, limit: u64) {
        while let Some(frame) = self.frames.front()
            && self.total - frame.bytes > limit
        {
            self.before = frame.bytes;
            self.frames.pop_front();
        }
    }
}

/// How far one receiver has come in one lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiverWindow {
    position: u64,
    /// Bytes of ours up to there.
    bytes: u64,
    /// When it last confirmed a part of a window, or all that was sent the time before, or had
    /// nothing to confirm; the bytes up to there, and those that were sent.
    progressed: Time,
    progressed_bytes: u64,
    sent_at_progress: u64,
    /// Since when it keeps its lane closed though a window ahead, and the bytes that it had
    /// confirmed then; until it has confirmed a window more, or everything.
    blocking_since: Option<(Time, u64)>,
    /// Bytes that were sent when it last asked for some of them again. When these are confirmed
    /// says nothing of the way (Karn's rule): they were sent twice, or waited behind such.
    retransmitted_below: u64,
    /// The pace of what is sent to it.
    congestion: CongestionWindow,
    /// It is not waited for.
    excluded: bool,
}

impl ReceiverWindow {
    /// A receiver that begins at `position`, after so many bytes.
    pub(crate) fn at(position: u64, bytes: u64, settings: &Settings, now: Time) -> Self {
        Self {
            position,
            bytes,
            progressed: now,
            progressed_bytes: bytes,
            sent_at_progress: bytes,
            blocking_since: None,
            retransmitted_below: 0,
            congestion: CongestionWindow::new(bytes, settings, now),
            excluded: false,
        }
    }

    /// A receiver that was away: not waited for until it has caught up.
    pub(crate) fn behind(settings: &Settings, now: Time) -> Self {
        Self { excluded: true, ..Self::at(0, 0, settings, now) }
    }

    /// An event is sent after the event `last`: a receiver that had everything
    /// has something to confirm from now on.
    pub(crate) fn on_sending(&mut self, last: u64, now: Time) {
        if self.position >= last {
            (self.progressed, self.progressed_bytes) = (now, self.bytes);
            self.sent_at_progress = self.bytes;
        }
    }

    /// Something was sent.
    pub(crate) fn on_sent(&mut self, sent: &InFlight, settings: &Settings, now: Time) {
        if !self.excluded {
            self.congestion.on_sent((self.bytes, sent.total), settings, now);
        }
        if self.is_window_behind(sent, settings) {
            self.blocking_since.get_or_insert((now, self.bytes));
        }
    }

    /// It misses some of what was sent, up to the event `last`.
    pub(crate) fn on_loss(&mut self, last: u64, sent: &InFlight, settings: &Settings, now: Time) {
        if last <= self.position {
            return;
        }
        self.retransmitted_below = sent.total;
        if !self.excluded {
            self.congestion.on_loss((self.bytes, sent.total), settings);
            self.congestion.on_sent((self.bytes, sent.total), settings, now);
        }
    }

    /// It confirmed everything up to `position`, of `last` that were sent.
    pub(crate) fn on_ack(
        &mut self,
        position: u64,
        last: u64,
        sent: &InFlight,
        settings: &Settings,
        now: Time,
    ) {
        let position = position.min(last);
        if position <= self.position {
            self.excluded &= position < last;
            return;
        }
        self.position = position;
        self.bytes = sent.up_to(position).max(self.bytes);
        let (is_all, window) = (position == last, settings.window as u64);
        let more = self.bytes - self.progressed_bytes;
        if is_all
            || more >= window / PROGRESS_PARTS
            || (more > 0 && self.bytes >= self.sent_at_progress)
        {
            (self.progressed, self.progressed_bytes) = (now, self.bytes);
            self.sent_at_progress = sent.total;
        }
        self.blocking_since.take_if(|(_, had)| is_all || self.bytes - *had >= window);
        let sent_at = sent.sent_at(position).filter(|_| self.bytes > self.retransmitted_below);
        let took = sent_at.map(|at| now.since(at));
        self.congestion.on_ack((self.bytes, sent.total), took, settings, now);
        if self.excluded && self.unacknowledged(sent) <= window {
            // It goes on catching up: that is no reason to hold the others up.
            self.excluded = false;
            self.congestion.suspend(self.bytes, now);
        }
        if !self.excluded {
            self.congestion.on_sent((self.bytes, sent.total), settings, now);
        }
    }

    fn unacknowledged(&self, sent: &InFlight) -> u64 {
        sent.total.saturating_sub(self.bytes)
    }

    fn is_window_behind(&self, sent: &InFlight, settings: &Settings) -> bool {
        !self.excluded && self.unacknowledged(sent) >= settings.window as u64
    }

    /// Whether it keeps its lane closed.
    pub(crate) fn blocks_lane(&self, sent: &InFlight, settings: &Settings) -> bool {
        if planted(Fault::WindowIgnored) {
            return false;
        }
        self.is_window_behind(sent, settings)
            || (!self.excluded && self.congestion.is_full(self.unacknowledged(sent)))
    }

    /// Whether it has confirmed everything but what is not confirmed at once, and would take
    /// more.
    pub(crate) fn is_idle(&self, sent: &InFlight, settings: &Settings) -> bool {
        !self.excluded && self.unacknowledged(sent) < congestion::step(settings)
    }

    /// When it is set aside, if it keeps its lane closed until then; sooner if others
    /// `others_idle` meanwhile.
    fn exclude_at(&self, others_idle: bool, settings: &Settings) -> Time {
        let stalled = self.progressed + settings.lag_timeout;
        match self.blocking_since.filter(|_| others_idle) {
            Some((since, _)) => stalled.min(since + settings.lag_timeout * SLOW_RECEIVER_TIMEOUTS),
            None => stalled,
        }
    }

    /// Until when it may keep its lane closed.
    pub(crate) fn deadline(&self, others_idle: bool, sent: &InFlight, settings: &Settings) -> Time {
        let paced = others_idle && !self.is_window_behind(sent, settings);
        let suspend_at = self.congestion.suspend_at(settings).filter(|_| paced);
        suspend_at.into_iter().fold(self.exclude_at(others_idle, settings), Time::min)
    }

    /// It kept its lane closed until its deadline: it is no longer waited for, or no longer
    /// sets the pace. Whether it is set aside.
    pub(crate) fn suspend(&mut self, others_idle: bool, settings: &Settings, now: Time) -> bool {
        self.excluded = self.exclude_at(others_idle, settings) <= now;
        if !self.excluded {
            self.congestion.suspend(self.bytes, now);
        }
        self.excluded
    }

    /// Whether it has confirmed everything up to `last`.
    pub(crate) fn has(&self, last: u64) -> bool {
        self.position >= last
    }

    /// Until when it is worth waiting for the receiver to confirm everything up to
    /// `last`; `None` if it has.
    pub(crate) fn unacked_until(
        &self,
        last: u64,
        sent: &InFlight,
        settings: &Settings,
    ) -> Option<Time> {
        let is_awaited = !self.has(last) && !planted(Fault::LeavesUnconfirmed);
        is_awaited.then(|| self.progressed.max(sent.sent_at) + settings.lag_timeout)
    }

    #[cfg(test)]
    fn is_excluded(&self) -> bool {
        self.excluded
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    /// A window of 3,000 bytes, and a first congestion window of 2,000.
    fn settings() -> Settings {
        Settings { window: 3_000, reorder_bytes: 16_000, ..Settings::default() }
    }

    /// Without a pace.
    fn unpaced(settings: &Settings) -> ReceiverWindow {
        let mut receiver = ReceiverWindow::at(0, 0, settings, at(0));
        receiver.congestion.suspend(0, at(0));
        receiver
    }

    /// Frames of ten events that cost 200 bytes each.
    fn sent(frames: u64) -> InFlight {
        let mut sent = InFlight::default();
        (1..=frames).for_each(|i| sent.on_sent(at(0), 10 * i, 200));
        sent
    }

    #[test]
    fn a_lane_closes_a_window_ahead_of_its_receiver_and_opens_when_that_confirms() {
        let settings = settings();
        let blocks_lane =
            |receiver: &ReceiverWindow, frames| receiver.blocks_lane(&sent(frames), &settings);
        let mut receiver = unpaced(&settings);
        assert!(!blocks_lane(&receiver, 14) && blocks_lane(&receiver, 15));
        receiver.on_ack(19, 150, &sent(15), &settings, at(1));
        receiver.congestion.suspend(0, at(0));
        assert!(!blocks_lane(&receiver, 15), "2,800 bytes after the first frame");
        // An ack of more than was sent counts as all of it.
        receiver.on_ack(u64::MAX, 150, &sent(15), &settings, at(1));
        receiver.congestion.suspend(0, at(0));
        assert!(!blocks_lane(&receiver, 29) && blocks_lane(&receiver, 30));
    }

    #[test]
    fn the_pace_of_who_confirms_as_fast_as_ever_grows_and_of_who_misses_something_shrinks() {
        let settings = Settings { window: 8_000, ..settings() };
        let blocks_lane =
            |receiver: &ReceiverWindow, frames| receiver.blocks_lane(&sent(frames), &settings);
        let mut receiver = ReceiverWindow::at(0, 0, &settings, at(0));
        assert!(!blocks_lane(&receiver, 9) && blocks_lane(&receiver, 10), "2,000 bytes");
        receiver.on_sent(&sent(10), &settings, at(0));
        receiver.on_ack(100, 100, &sent(10), &settings, at(1));
        assert!(!blocks_lane(&receiver, 29) && blocks_lane(&receiver, 30), "4,000 bytes");
        receiver.on_loss(100, &sent(30), &settings, at(2));
        assert!(blocks_lane(&receiver, 30), "it has that, and asked before");
        assert!(!blocks_lane(&receiver, 29));
        receiver.on_loss(110, &sent(30), &settings, at(2));
        assert!(!blocks_lane(&receiver, 19) && blocks_lane(&receiver, 20), "2,000 bytes");
    }

    /// A frame that is sent again is confirmed long after its first sending, and so is what
    /// waited behind it: that says nothing of the way (Karn's rule).
    #[test]
    fn what_was_sent_again_gives_no_round_trip_time() {
        let settings = Settings { window: 8_000, ..settings() };
        let mut receiver = ReceiverWindow::at(0, 0, &settings, at(0));
        let mut sent = InFlight::default();
        let mut send = |frames: std::ops::RangeInclusive<u64>, ms| {
            frames.for_each(|i| sent.on_sent(at(ms), 10 * i, 200));
            sent.clone()
        };
        let mut round = |receiver: &mut ReceiverWindow, frames, ms: u64| {
            let sent = send(frames, ms);
            receiver.on_sent(&sent, &settings, at(ms));
            sent
        };
        let sent = round(&mut receiver, 1..=10, 0);
        receiver.on_ack(100, 100, &sent, &settings, at(1));
        let sent = round(&mut receiver, 11..=30, 1);
        receiver.on_ack(300, 300, &sent, &settings, at(2));
        let sent = round(&mut receiver, 31..=70, 2);
        assert_eq!(receiver.congestion.bytes(), 8_000);
        receiver.on_loss(350, &sent, &settings, at(3));
        receiver.on_ack(350, 700, &sent, &settings, at(90));
        receiver.on_ack(700, 700, &sent, &settings, at(100));
        assert_eq!(receiver.congestion.bytes(), 4_000, "a loss halves it, and that is all");
        // What is sent after that counts again.
        let sent = round(&mut receiver, 71..=90, 100);
        receiver.on_ack(900, 900, &sent, &settings, at(101));
        assert_eq!(receiver.congestion.bytes(), 4_500, "a step more");
    }

    #[test]
    fn while_others_have_nothing_to_do_a_pace_holds_a_lane_for_a_moment() {
        let settings = Settings { window: 40_000, ..settings() };
        let mut receiver = ReceiverWindow::at(0, 0, &settings, at(0));
        receiver.on_sent(&sent(10), &settings, at(10));
        assert_eq!(receiver.deadline(false, &sent(10), &settings), at(500));
        assert_eq!(receiver.deadline(true, &sent(10), &settings), at(110), "2,000 of 40,000 bytes");
        assert!(!receiver.suspend(true, &settings, at(110)), "nobody is set aside for it");
        for frames in [11, 100, 199] {
            receiver.on_sent(&sent(frames), &settings, at(111));
            assert!(!receiver.blocks_lane(&sent(frames), &settings));
        }
        receiver.on_sent(&sent(200), &settings, at(112));
        assert!(receiver.blocks_lane(&sent(200), &settings), "a window");
        // Once it has caught up it sets the pace again.
        receiver.on_ack(1_800, 2_000, &sent(200), &settings, at(113));
        assert!(!receiver.blocks_lane(&sent(300), &settings));
        receiver.on_ack(1_999, 2_000, &sent(200), &settings, at(114));
        assert!(receiver.blocks_lane(&sent(300), &settings));
    }

    #[test]
    fn who_confirms_nothing_is_set_aside_until_it_is_within_a_window_again() {
        let settings = settings();
        let mut receiver = unpaced(&settings);
        receiver.on_sending(0, at(100));
        let mut sent = sent(50);
        assert_eq!(receiver.deadline(false, &sent, &settings), at(600));
        assert!(receiver.suspend(false, &settings, at(600)));
        assert!(!receiver.blocks_lane(&sent, &settings));
        sent.forget(6_000);
        receiver.on_ack(10, 500, &sent, &settings, at(700));
        assert!(receiver.is_excluded());
        receiver.on_ack(360, 500, &sent, &settings, at(800));
        assert!(!receiver.is_excluded());
        assert_eq!(receiver.deadline(false, &sent, &settings), at(1_300));
        // 2,800 bytes behind, and back: that is no reason to hold up the others.
        assert!(!receiver.blocks_lane(&sent, &settings));
    }

    #[test]
    fn who_was_set_aside_is_so_until_it_confirms_something() {
        let settings = settings();
        let (mut receiver, sent) = (ReceiverWindow::at(0, 0, &settings, at(0)), sent(12));
        receiver.on_sent(&sent, &settings, at(0));
        assert!(receiver.suspend(false, &settings, at(500)));
        receiver.on_ack(0, 120, &sent, &settings, at(600));
        assert!(receiver.is_excluded() && !receiver.blocks_lane(&sent, &settings));
        receiver.on_ack(10, 120, &sent, &settings, at(700));
        assert!(!receiver.is_excluded() && !receiver.blocks_lane(&sent, &settings));
    }

    #[test]
    fn who_confirms_little_is_set_aside_all_the_same() {
        let settings = settings();
        let (mut receiver, sent) = (unpaced(&settings), sent(15));
        receiver.on_sent(&sent, &settings, at(100));
        let deadline = |receiver: &ReceiverWindow, idle| receiver.deadline(idle, &sent, &settings);
        // An event of a frame at a time is no progress; a frame is, but a slow one.
        receiver.on_ack(1, 150, &sent, &settings, at(200));
        assert_eq!(deadline(&receiver, false), at(500));
        receiver.on_ack(10, 150, &sent, &settings, at(300));
        assert_eq!(deadline(&receiver, false), at(800));
        receiver.on_ack(20, 150, &sent, &settings, at(2_000));
        assert_eq!(deadline(&receiver, false), at(2_500));
        receiver.on_sent(&sent, &settings, at(2_000));
        let late = receiver.exclude_at(true, &settings);
        assert_eq!(late, at(2_100), "others wait for it");
        receiver.on_ack(150, 150, &sent, &settings, at(2_050));
        assert!(receiver.is_idle(&sent, &settings));
        assert_eq!(deadline(&receiver, true), at(2_550));
    }

    #[test]
    fn before_a_goodbye_who_confirms_something_is_waited_for() {
        let settings = settings();
        let sent = sent(10);
        let mut receiver = ReceiverWindow::behind(&settings, at(0));
        let until = |receiver: &ReceiverWindow| receiver.unacked_until(100, &sent, &settings);
        assert_eq!(until(&receiver), Some(at(500)));
        receiver.on_ack(50, 100, &sent, &settings, at(400));
        assert_eq!(until(&receiver), Some(at(900)));
        receiver.on_ack(100, 100, &sent, &settings, at(401));
        assert_eq!(until(&receiver), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sent = InFlight::default();
        for i in 1..=100_000 {
            sent.on_sent(at(0), i, 200);
            sent.forget(2_000);
            assert!(sent.frames.len() <= 11);
        }
        assert_eq!(sent.up_to(100_000), sent.total());
        assert_eq!(sent.total() - sent.up_to(99_995), 1_000);
    }
}
