//! Flow control: how far a sender may run ahead of its receivers.
//!
//! Receivers acknowledge the events that they have taken. A lane is open while each *active*
//! receiver has less than a window in flight, and less than its congestion window. A receiver that
//! acknowledges too little is excluded: the sender no longer waits for it, and the receiver catches
//! up by NAKs. A stricter limit applies while other receivers are idle. (As NORM's and Aeron's flow
//! control with receiver timeout.)

use std::collections::VecDeque;

use crate::congestion::{self, AckedSince, CongestionWindow, Progress, SLOW_RECEIVER_TIMEOUTS};
use crate::planted::{Fault, planted};
use crate::{Settings, Time};

/// A receiver makes progress if it acknowledges at least a window divided by this in a lag timeout:
/// 64 KiB by default, which is 128 KiB a second.
const PROGRESS_PARTS: u64 = 64;

/// A frame that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Number of its last event.
    last: u64,
    /// Bytes sent up to the end of the frame.
    bytes: u64,
    at: Time,
}

/// The frames sent in one lane that may not be acknowledged yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    frames: VecDeque<Sent>,
    /// Bytes sent before the first of `frames`.
    before: u64,
    /// Bytes sent.
    total: u64,
    /// When the last frame was sent.
    sent_at: Time,
}

impl InFlight {
    pub(crate) fn on_sent(&mut self, now: Time, last: u64, len: usize) {
        self.sent_at = now;
        self.total += len as u64;
        self.frames.push_back(Sent { last, bytes: self.total, at: now });
    }

    /// Bytes sent up to the event `position`, counting whole frames. If those frames are forgotten:
    /// the bytes before the first remembered frame.
    fn up_to(&self, position: u64) -> u64 {
        self.whole(position).map_or(self.before, |frame| frame.bytes)
    }

    /// When the frame that ends with the event `position` was sent; `None` if no remembered frame
    /// ends there.
    fn sent_at(&self, position: u64) -> Option<Time> {
        self.whole(position).filter(|frame| frame.last == position).map(|frame| frame.at)
    }

    /// The last remembered frame whose events are all at most `position`.
    fn whole(&self, position: u64) -> Option<&Sent> {
        let index = self.frames.partition_point(|frame| frame.last <= position);
        self.frames.get(index.checked_sub(1)?)
    }

    /// Bytes sent in this lane.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Forgets the frames that end more than `limit` bytes back. The limit must exceed a window: a
    /// receiver that needs a forgotten frame is excluded, and stays so.
    pub(crate) fn forget(&mut self, limit: u64) {
        while let Some(frame) = self.frames.front()
            && self.total - frame.bytes > limit
        {
            self.before = frame.bytes;
            self.frames.pop_front();
        }
    }
}

/// How far this node has sent one of its lanes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SentSoFar {
    /// Number of the last event.
    pub(crate) position: u64,
    pub(crate) bytes: u64,
}

/// The progress of one receiver in one lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiverWindow {
    /// The last event that the receiver has acknowledged.
    position: u64,
    /// Bytes of the lane up to `position`.
    bytes: u64,
    /// When the receiver last made progress, with the bytes acknowledged and sent then. Progress is
    /// a 64th of a window, all that was sent at the previous progress, or nothing left to
    /// acknowledge.
    progressed: Time,
    progressed_bytes: u64,
    sent_at_progress: u64,
    /// Since when the receiver has a window in flight. Reset when it acknowledges a window more, or
    /// everything.
    blocking_since: Option<AckedSince>,
    /// Bytes sent when the receiver last requested some of them again. Their acknowledgements give
    /// no round-trip time (Karn's algorithm): they were sent twice, or waited behind such frames.
    retransmitted_below: u64,
    /// Paces what is sent to the receiver.
    congestion: CongestionWindow,
    /// The sender does not wait for the receiver.
    excluded: bool,
}

impl ReceiverWindow {
    /// A receiver that joins when this much was sent.
    pub(crate) fn at(
        SentSoFar { position, bytes }: SentSoFar,
        settings: &Settings,
        now: Time,
    ) -> Self {
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

    /// A receiver that was out of reach: excluded until it has caught up.
    pub(crate) fn behind(settings: &Settings, now: Time) -> Self {
        Self { excluded: true, ..Self::at(SentSoFar::default(), settings, now) }
    }

    /// An event is about to be sent after the event `last`. A receiver that had acknowledged
    /// everything has something to acknowledge from now on.
    pub(crate) fn on_sending(&mut self, last: u64, now: Time) {
        if self.position >= last {
            (self.progressed, self.progressed_bytes) = (now, self.bytes);
            self.sent_at_progress = self.bytes;
        }
    }

    /// A frame was sent.
    pub(crate) fn on_sent(&mut self, sent: &InFlight, settings: &Settings, now: Time) {
        if !self.excluded {
            self.congestion.on_sent(self.progress(sent), settings, now);
        }
        if self.is_window_behind(sent, settings) {
            self.blocking_since.get_or_insert(AckedSince { at: now, acked: self.bytes });
        }
    }

    /// The receiver requested events up to `last` again.
    pub(crate) fn on_loss(&mut self, last: u64, sent: &InFlight, settings: &Settings, now: Time) {
        if last <= self.position {
            return;
        }
        self.retransmitted_below = sent.total;
        if !self.excluded {
            self.congestion.on_loss(self.progress(sent), settings);
            self.congestion.on_sent(self.progress(sent), settings, now);
        }
    }

    /// The receiver acknowledged everything up to `position`, when `last` was the last event sent.
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
        self.blocking_since.take_if(|since| is_all || self.bytes - since.acked >= window);
        let sent_at = sent.sent_at(position).filter(|_| self.bytes > self.retransmitted_below);
        let rtt = sent_at.map(|at| now.since(at));
        self.congestion.on_ack(self.progress(sent), rtt, settings, now);
        if self.excluded && self.unacknowledged(sent) <= window {
            // The receiver is still catching up, which must not block the others.
            self.excluded = false;
            self.congestion.suspend(self.bytes, now);
        }
        if !self.excluded {
            self.congestion.on_sent(self.progress(sent), settings, now);
        }
    }

    fn progress(&self, sent: &InFlight) -> Progress {
        Progress { acked: self.bytes, sent: sent.total }
    }

    fn unacknowledged(&self, sent: &InFlight) -> u64 {
        self.progress(sent).unacknowledged()
    }

    fn is_window_behind(&self, sent: &InFlight, settings: &Settings) -> bool {
        !self.excluded && self.unacknowledged(sent) >= settings.window as u64
    }

    /// Whether the receiver keeps its lane closed.
    pub(crate) fn blocks_lane(&self, sent: &InFlight, settings: &Settings) -> bool {
        if planted(Fault::WindowIgnored) {
            return false;
        }
        self.is_window_behind(sent, settings)
            || (!self.excluded && self.congestion.is_full(self.unacknowledged(sent)))
    }

    /// Whether the receiver has acknowledged everything except what it may acknowledge later, so
    /// that it could take more.
    pub(crate) fn is_idle(&self, sent: &InFlight, settings: &Settings) -> bool {
        !self.excluded && self.unacknowledged(sent) < congestion::step(settings)
    }

    /// When the receiver is excluded if it keeps its lane closed until then; earlier for a slow
    /// receiver if others are idle meanwhile.
    fn exclude_at(&self, others_idle: bool, settings: &Settings) -> Time {
        let stalled = self.progressed + settings.lag_timeout;
        match self.blocking_since.filter(|_| others_idle) {
            Some(since) => stalled.min(since.at + settings.lag_timeout * SLOW_RECEIVER_TIMEOUTS),
            None => stalled,
        }
    }

    /// Until when the receiver may keep its lane closed.
    pub(crate) fn deadline(&self, others_idle: bool, sent: &InFlight, settings: &Settings) -> Time {
        let paced = others_idle && !self.is_window_behind(sent, settings);
        let suspend_at = self.congestion.suspend_at(settings).filter(|_| paced);
        suspend_at.into_iter().fold(self.exclude_at(others_idle, settings), Time::min)
    }

    /// The receiver kept its lane closed until its deadline: excludes it, or only suspends its
    /// congestion window. Returns whether the receiver is excluded.
    pub(crate) fn suspend(&mut self, others_idle: bool, settings: &Settings, now: Time) -> bool {
        self.excluded = self.exclude_at(others_idle, settings) <= now;
        if !self.excluded {
            self.congestion.suspend(self.bytes, now);
        }
        self.excluded
    }

    /// Whether the receiver has acknowledged everything up to `last`.
    pub(crate) fn has(&self, last: u64) -> bool {
        self.position >= last
    }

    /// Until when to wait for the receiver to acknowledge everything up to `last`; `None` if it
    /// has.
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

    /// A window of 3,000 bytes. With a window of 8,000, the first congestion window is 2,000.
    fn settings() -> Settings {
        Settings { window: 3_000, reorder_bytes: 16_000, ..Settings::default() }
    }

    /// A receiver whose congestion window is suspended.
    fn unpaced(settings: &Settings) -> ReceiverWindow {
        let mut receiver = ReceiverWindow::at(SentSoFar::default(), settings, at(0));
        receiver.congestion.suspend(0, at(0));
        receiver
    }

    /// Frames of ten events, 200 bytes each.
    fn sent(frames: u64) -> InFlight {
        let mut sent = InFlight::default();
        (1..=frames).for_each(|i| sent.on_sent(at(0), 10 * i, 200));
        sent
    }

    #[test]
    fn a_lane_closes_at_a_full_window_and_opens_on_acknowledgement() {
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
    fn a_congestion_window_grows_on_fast_acks_and_shrinks_on_loss() {
        let settings = Settings { window: 8_000, ..settings() };
        let blocks_lane =
            |receiver: &ReceiverWindow, frames| receiver.blocks_lane(&sent(frames), &settings);
        let mut receiver = ReceiverWindow::at(SentSoFar::default(), &settings, at(0));
        assert!(!blocks_lane(&receiver, 9) && blocks_lane(&receiver, 10), "2,000 bytes");
        receiver.on_sent(&sent(10), &settings, at(0));
        receiver.on_ack(100, 100, &sent(10), &settings, at(1));
        assert!(!blocks_lane(&receiver, 29) && blocks_lane(&receiver, 30), "4,000 bytes");
        receiver.on_loss(100, &sent(30), &settings, at(2));
        assert!(blocks_lane(&receiver, 30), "the receiver has these events");
        assert!(!blocks_lane(&receiver, 29));
        receiver.on_loss(110, &sent(30), &settings, at(2));
        assert!(!blocks_lane(&receiver, 19) && blocks_lane(&receiver, 20), "2,000 bytes");
    }

    /// A retransmitted frame is acknowledged long after its first transmission, and so are the
    /// frames that waited behind it. Neither measures the round-trip time (Karn's algorithm).
    #[test]
    fn a_retransmitted_frame_gives_no_round_trip_time() {
        let settings = Settings { window: 8_000, ..settings() };
        let mut receiver = ReceiverWindow::at(SentSoFar::default(), &settings, at(0));
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
        assert_eq!(receiver.congestion.bytes(), 4_000, "only the loss changes it");
        // Frames sent after that are measured again.
        let sent = round(&mut receiver, 71..=90, 100);
        receiver.on_ack(900, 900, &sent, &settings, at(101));
        assert_eq!(receiver.congestion.bytes(), 4_500, "one step more");
    }

    #[test]
    fn a_congestion_window_blocks_idle_receivers_only_briefly() {
        let settings = Settings { window: 40_000, ..settings() };
        let mut receiver = ReceiverWindow::at(SentSoFar::default(), &settings, at(0));
        receiver.on_sent(&sent(10), &settings, at(10));
        assert_eq!(receiver.deadline(false, &sent(10), &settings), at(500));
        assert_eq!(receiver.deadline(true, &sent(10), &settings), at(110), "2,000 of 40,000 bytes");
        assert!(!receiver.suspend(true, &settings, at(110)), "the receiver is not excluded");
        for frames in [11, 100, 199] {
            receiver.on_sent(&sent(frames), &settings, at(111));
            assert!(!receiver.blocks_lane(&sent(frames), &settings));
        }
        receiver.on_sent(&sent(200), &settings, at(112));
        assert!(receiver.blocks_lane(&sent(200), &settings), "a window");
        // After the receiver has caught up, its congestion window counts again.
        receiver.on_ack(1_800, 2_000, &sent(200), &settings, at(113));
        assert!(!receiver.blocks_lane(&sent(300), &settings));
        receiver.on_ack(1_999, 2_000, &sent(200), &settings, at(114));
        assert!(receiver.blocks_lane(&sent(300), &settings));
    }

    #[test]
    fn a_stalled_receiver_is_excluded_until_it_is_within_a_window() {
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
        // It is 2,800 bytes behind, and must not block the others.
        assert!(!receiver.blocks_lane(&sent, &settings));
    }

    #[test]
    fn an_excluded_receiver_stays_so_until_it_acknowledges_something() {
        let settings = settings();
        let (mut receiver, sent) =
            (ReceiverWindow::at(SentSoFar::default(), &settings, at(0)), sent(12));
        receiver.on_sent(&sent, &settings, at(0));
        assert!(receiver.suspend(false, &settings, at(500)));
        receiver.on_ack(0, 120, &sent, &settings, at(600));
        assert!(receiver.is_excluded() && !receiver.blocks_lane(&sent, &settings));
        receiver.on_ack(10, 120, &sent, &settings, at(700));
        assert!(!receiver.is_excluded() && !receiver.blocks_lane(&sent, &settings));
    }

    #[test]
    fn a_receiver_that_acknowledges_too_little_is_excluded() {
        let settings = settings();
        let (mut receiver, sent) = (unpaced(&settings), sent(15));
        receiver.on_sent(&sent, &settings, at(100));
        let deadline = |receiver: &ReceiverWindow, idle| receiver.deadline(idle, &sent, &settings);
        // Part of a frame is no progress. A whole frame is progress, but slow.
        receiver.on_ack(1, 150, &sent, &settings, at(200));
        assert_eq!(deadline(&receiver, false), at(500));
        receiver.on_ack(10, 150, &sent, &settings, at(300));
        assert_eq!(deadline(&receiver, false), at(800));
        receiver.on_ack(20, 150, &sent, &settings, at(2_000));
        assert_eq!(deadline(&receiver, false), at(2_500));
        receiver.on_sent(&sent, &settings, at(2_000));
        let late = receiver.exclude_at(true, &settings);
        assert_eq!(late, at(2_100), "other receivers wait for it");
        receiver.on_ack(150, 150, &sent, &settings, at(2_050));
        assert!(receiver.is_idle(&sent, &settings));
        assert_eq!(deadline(&receiver, true), at(2_550));
    }

    #[test]
    fn a_leaving_node_waits_while_a_receiver_makes_progress() {
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
    fn the_remembered_frames_are_bounded() {
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
