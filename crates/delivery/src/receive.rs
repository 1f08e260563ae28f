//! One lane of one sender, as a receiver sees it: puts frames in order, drops
//! what came before, asks for what is missing, and turns into a gap what cannot
//! be had.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Frame, Settings, Time};

/// Events in order, or a hole where some should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Released {
    Data(Frame),
    Missed { first: u64, missed: u64 },
}

impl Released {
    /// Length of the events in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Data(frame) => frame.body.len(),
            Self::Missed { .. } => 0,
        }
    }
}

/// What became of a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It was next, or is held behind a hole.
    Fresh,
    /// Its events were delivered or given up before.
    Duplicate,
    /// Too much is held behind the hole; it will be asked for again.
    NoRoom,
    /// Its numbers cut through a frame that was delivered, which no sender does.
    Malformed,
}

/// Events to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How often they were asked for since something of them came.
    pub(crate) tries: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct ReceiveStream {
    settings: Settings,
    /// Number of the next event to deliver. Everything below was delivered or
    /// reported missing.
    next: u64,
    /// Highest number the sender said it has sent.
    announced: u64,
    /// Others say that more was sent. It may be on its way here still, so it counts
    /// as announced once the stream was still for a while.
    rumoured: Option<Rumour>,
    /// The sender no longer has what comes before this number.
    gone_before: u64,
    /// Frames behind a hole, by first number; never overlapping.
    held: BTreeMap<u64, Frame>,
    held_bytes: usize,
    /// `next` is known to be missing.
    hole: Option<Hole>,
}

/// A number that others say was sent, and when it counts as announced.
#[derive(Debug, Clone, Copy)]
struct Rumour {
    position: u64,
    due: Time,
}

/// A hole at `next`, and when something is done about it.
#[derive(Debug, Clone, Copy)]
struct Hole {
    ask_at: Time,
    /// How long the answer to the next request is awaited.
    wait: Duration,
    tries: u32,
    give_up_at: Time,
}

impl ReceiveStream {
    /// A stream whose events up to `position` are not awaited.
    pub(crate) fn starting_after(position: u64, settings: Settings) -> Self {
        Self {
            settings,
            next: position.saturating_add(1),
            announced: position,
            rumoured: None,
            gone_before: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            hole: None,
        }
    }

    /// Number of the last event delivered or given up.
    pub(crate) fn position(&self) -> u64 {
        self.next - 1
    }

    /// Highest number known to be sent.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    /// Whether nothing that was announced is still awaited.
    pub(crate) fn is_complete(&self) -> bool {
        self.next > self.announced && self.held.is_empty()
    }

    /// Number of the first event that is known to be missing.
    pub(crate) fn missing(&self) -> Option<u64> {
        (!self.is_complete()).then_some(self.next)
    }

    /// The sender no longer has what comes before this number.
    pub(crate) fn gone_before(&self) -> u64 {
        self.gone_before
    }

    /// What is held behind the hole of the events from `first` to `last`.
    pub(crate) fn held(&self, first: u64, last: u64) -> impl Iterator<Item = &Frame> {
        let held = self.held.values().skip_while(move |frame| frame.end() <= first);
        held.take_while(move |frame| frame.first <= last)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let hole = self.hole.map(|hole| hole.ask_at.min(hole.give_up_at));
        hole.into_iter().chain(self.rumoured.map(|rumour| rumour.due)).min()
    }

    pub(crate) fn on_data(&mut self, now: Time, frame: Frame, out: &mut Vec<Released>) -> Accepted {
        let (first, end) = (frame.first, frame.end());
        if end <= self.next || self.held.contains_key(&first) {
            return Accepted::Duplicate;
        }
        if first < self.next || self.overlaps_held(first, end) {
            return Accepted::Malformed;
        }
        self.announced = self.announced.max(end - 1);
        self.put_off_rumour(now);
        if first == self.next {
            out.push(Released::Data(frame));
            self.next = end;
            let held = self.held.len();
            self.release_held(out);
            // A hole was filled: the next one has been known for a while.
            let ask_in =
                if self.held.len() < held { Duration::ZERO } else { self.settings.nak_delay };
            self.reopen_hole(now, ask_in);
            return Accepted::Fresh;
        }
        self.watch_hole(now, self.settings.nak_delay);
        let cost = frame.cost();
        if self.held_bytes + cost > self.settings.reorder_bytes {
            return Accepted::NoRoom;
        }
        self.held_bytes += cost;
        self.held.insert(first, frame);
        Accepted::Fresh
    }

    /// The sender said that it has sent up to `position`.
    pub(crate) fn on_position(&mut self, now: Time, position: u64) {
        self.announced = self.announced.max(position);
        // The events may be right behind: their sender numbers them before it puts
        // them on the bus.
        self.watch_hole(now, self.settings.nak_retry);
    }

    /// Another peer says that the sender has sent up to `position`.
    pub(crate) fn on_rumour(&mut self, now: Time, position: u64) {
        if position <= self.announced {
            return;
        }
        match &mut self.rumoured {
            Some(rumour) => rumour.position = rumour.position.max(position),
            None => {
                self.rumoured = Some(Rumour { position, due: now + self.settings.rumour_delay })
            }
        }
    }

    /// The stream moves: what was rumoured is most likely on its way.
    fn put_off_rumour(&mut self, now: Time) {
        let announced = self.announced;
        self.rumoured = self.rumoured.filter(|rumour| rumour.position > announced);
        if let Some(rumour) = &mut self.rumoured {
            rumour.due = now + self.settings.rumour_delay;
        }
    }

    /// What was rumoured counts at once: its sender sends no more.
    pub(crate) fn believe_rumour(&mut self, now: Time) {
        if let Some(rumour) = self.rumoured.take() {
            self.announced = self.announced.max(rumour.position);
            self.watch_hole(now, Duration::ZERO);
        }
    }

    /// The sender no longer has what comes before the number `before`.
    pub(crate) fn on_gone(&mut self, now: Time, before: u64) {
        let end = before.min(self.announced.saturating_add(1));
        if end > self.next && end > self.gone_before {
            self.gone_before = end;
            // Somebody else may have it: ask at once.
            self.ask_at_once(now);
        }
    }

    /// Ask for the hole at `next` without waiting longer.
    pub(crate) fn ask_at_once(&mut self, now: Time) {
        if let Some(hole) = &mut self.hole {
            hole.ask_at = now;
        }
    }

    /// Nobody has what comes before the number `before`.
    pub(crate) fn give_up(&mut self, now: Time, before: u64, out: &mut Vec<Released>) {
        let end = before.min(self.announced.saturating_add(1));
        if end <= self.next {
            return;
        }
        while self.next < end {
            self.give_up_hole(end, out);
        }
        // What follows is there to be asked for at once.
        self.reopen_hole(now, Duration::ZERO);
    }

    /// Gives up what is overdue; gives what to ask for now.
    pub(crate) fn on_deadline(&mut self, now: Time, out: &mut Vec<Released>) -> Option<Missing> {
        if self.rumoured.is_some_and(|rumour| rumour.due <= now) {
            self.believe_rumour(now);
        }
        let hole = self.hole?;
        if hole.give_up_at <= now {
            // Nothing came for all that time: nothing will, of any hole.
            self.finish(out);
            return None;
        }
        if hole.ask_at > now {
            return None;
        }
        let wait = (hole.wait * 2).min(self.settings.nak_retry_max);
        let tries = hole.tries.saturating_add(1);
        self.hole = Some(Hole { ask_at: now + hole.wait, wait, tries, ..hole });
        Some(Missing { first: self.next, last: self.hole_end() - 1, tries: hole.tries })
    }

    /// Gives up every hole: what is held is delivered, what is missing reported.
    pub(crate) fn finish(&mut self, out: &mut Vec<Released>) {
        while !self.is_complete() {
            self.give_up_hole(u64::MAX, out);
        }
        self.hole = None;
        self.rumoured = None;
        debug_assert_eq!(self.held_bytes, 0);
    }

    fn overlaps_held(&self, first: u64, end: u64) -> bool {
        let before = self.held.range(..first).next_back();
        before.is_some_and(|(_, frame)| frame.end() > first)
            || self.held.range(first..end).next().is_some()
    }

    /// One past the hole at `next`: what is held, or the end of what was announced.
    fn hole_end(&self) -> u64 {
        self.held.keys().next().copied().unwrap_or(self.announced.saturating_add(1))
    }

    /// Reports the hole at `next` missing, up to `end` at most.
    fn give_up_hole(&mut self, end: u64, out: &mut Vec<Released>) {
        let end = self.hole_end().min(end);
        if end > self.next {
            out.push(Released::Missed { first: self.next, missed: end - self.next });
            self.next = end;
        }
        self.release_held(out);
    }

    fn release_held(&mut self, out: &mut Vec<Released>) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() == self.next
        {
            let frame = entry.remove();
            self.held_bytes -= frame.cost();
            self.next = frame.end();
            out.push(Released::Data(frame));
        }
    }

    fn watch_hole(&mut self, now: Time, ask_in: Duration) {
        if self.hole.is_none() {
            self.reopen_hole(now, ask_in);
        }
    }

    /// Something of the hole came, or a hole was found: every wait begins anew.
    fn reopen_hole(&mut self, now: Time, ask_in: Duration) {
        let wait = self.settings.nak_retry;
        self.hole = (!self.is_complete()).then(|| Hole {
            ask_at: now + ask_in,
            wait,
            tries: 0,
            give_up_at: now + self.settings.repair_timeout,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FRAME_COST;
    use crate::{FrameKind, Incarnation, Lane};

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn stream() -> ReceiveStream {
        ReceiveStream::starting_after(0, Settings::default())
    }

    fn frame(first: u64, count: u16, body: Bytes) -> Frame {
        let (incarnation, kind) = (Incarnation([1; 16]), FrameKind::Data(Lane::Events));
        Frame { incarnation, kind, first, count, body, wire: None }
    }

    fn data(first: u64, count: u16) -> Released {
        Released::Data(frame(first, count, Bytes::new()))
    }

    fn missing(first: u64, last: u64, tries: u32) -> Option<Missing> {
        Some(Missing { first, last, tries })
    }

    fn feed(stream: &mut ReceiveStream, ms: u64, first: u64, count: u16) -> Vec<Released> {
        let mut out = Vec::new();
        stream.on_data(at(ms), frame(first, count, Bytes::new()), &mut out);
        out
    }

    /// Lets time pass until the hole is given up: what was asked for, and when.
    fn wait_out(stream: &mut ReceiveStream) -> (Vec<(u128, Missing)>, Vec<Released>) {
        let (mut asked, mut out) = (Vec::new(), Vec::new());
        while let Some(deadline) = stream.deadline() {
            if let Some(missing) = stream.on_deadline(deadline, &mut out) {
                asked.push((deadline.elapsed().as_millis(), missing));
            }
        }
        (asked, out)
    }

    #[test]
    fn frames_out_of_order_are_put_in_order() {
        let mut stream = stream();
        assert_eq!(feed(&mut stream, 0, 3, 2), []);
        assert_eq!(feed(&mut stream, 1, 1, 2), [data(1, 2), data(3, 2)]);
        assert_eq!(stream.deadline(), None);
    }

    #[test]
    fn a_hole_becomes_a_gap_when_its_time_is_over_and_what_is_behind_it_follows() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 1);
        assert_eq!(feed(&mut stream, 10, 4, 1), []);
        let (asked, out) = wait_out(&mut stream);
        // 2 ms, then each wait twice as long, up to 250 ms; given up after 5 s.
        let times: Vec<_> = asked.iter().map(|(at, _)| *at).collect();
        assert_eq!(times[..7], [12, 32, 72, 152, 312, 562, 812]);
        assert_eq!((times.len(), times.last()), (23, Some(&4_812)));
        assert!(asked.iter().all(|(_, missing)| (missing.first, missing.last) == (2, 3)));
        assert!(asked.iter().zip(0..).all(|((_, missing), tries)| missing.tries == tries));
        assert_eq!(out, [Released::Missed { first: 2, missed: 2 }, data(4, 1)]);
        // What was given up and comes late is not delivered: it was told missing.
        assert_eq!(feed(&mut stream, 6_000, 2, 2), []);
    }

    #[test]
    fn a_lost_tail_is_found_by_the_position_announced() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 1);
        stream.on_position(at(20), 5);
        assert_eq!(stream.on_deadline(at(39), &mut Vec::new()), None);
        assert_eq!(stream.on_deadline(at(40), &mut Vec::new()), missing(2, 5, 0));
        assert_eq!(feed(&mut stream, 41, 2, 4), [data(2, 4)]);
        assert!(stream.is_complete() && stream.deadline().is_none());
    }

    #[test]
    fn the_bytes_behind_a_hole_are_bounded_and_what_is_dropped_is_asked_for_later() {
        let mut stream = stream();
        let body = Bytes::from(vec![0; 64 * 1024]);
        let mut out = Vec::new();
        for i in 0..1_000 {
            let accepted = stream.on_data(at(0), frame(2 + i, 1, body.clone()), &mut out);
            assert_eq!(accepted == Accepted::Fresh, i < 15, "{i}");
            assert!(stream.held_bytes <= stream.settings.reorder_bytes);
        }
        assert_eq!(out, []);
        stream.on_data(at(1), frame(1, 1, body.clone()), &mut out);
        assert_eq!(out.len(), 16);
        assert_eq!(stream.on_deadline(at(3), &mut out), missing(17, 1_001, 0));
    }

    #[test]
    fn what_nobody_has_is_a_gap_and_what_follows_is_asked_for_at_once() {
        let mut stream = stream();
        feed(&mut stream, 0, 5, 2);
        stream.on_position(at(0), 20);
        let mut out = Vec::new();
        stream.on_gone(at(1), 11);
        assert_eq!((stream.gone_before(), stream.deadline()), (11, Some(at(1))));
        stream.give_up(at(1), 11, &mut out);
        let missed = |first, missed| Released::Missed { first, missed };
        assert_eq!(out, [missed(1, 4), data(5, 2), missed(7, 4)]);
        assert_eq!(stream.on_deadline(at(1), &mut out), missing(11, 20, 0));
        // A sender cannot take back what was delivered, nor give up what it never sent.
        out.clear();
        stream.give_up(at(2), 9, &mut out);
        assert_eq!(out, []);
        stream.give_up(at(2), u64::MAX, &mut out);
        assert_eq!(out, [missed(11, 10)]);
        assert!(stream.is_complete());
    }

    #[test]
    fn many_holes_are_asked_for_without_waiting_and_given_up_together() {
        let mut stream = stream();
        for i in 1..=100 {
            feed(&mut stream, 0, 2 * i, 1);
        }
        // Each answer lets the next be asked for at once.
        for i in 0..100 {
            let asked = stream.on_deadline(at(2), &mut Vec::new());
            assert_eq!(asked, missing(2 * i + 1, 2 * i + 1, 0));
            assert_eq!(feed(&mut stream, 2, 2 * i + 1, 1).len(), 2);
        }
        for i in 1..=100 {
            feed(&mut stream, 3, 200 + 2 * i, 1);
        }
        let (_, out) = wait_out(&mut stream);
        assert_eq!(out.len(), 200);
        assert!(stream.is_complete());
    }

    #[test]
    fn the_cost_of_a_frame_is_bounded_though_it_is_empty() {
        let mut stream = stream();
        for i in 1..100_000 {
            feed(&mut stream, 0, 2 * i, 1);
        }
        assert!(stream.held.len() <= stream.settings.reorder_bytes / FRAME_COST);
    }

    #[test]
    fn a_rumour_counts_only_once_the_stream_is_still() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 1);
        stream.on_rumour(at(0), 50);
        for i in 2..=40 {
            assert_eq!(feed(&mut stream, 10 * i, i, 1), [data(i, 1)]);
            assert_eq!(stream.on_deadline(at(10 * i), &mut Vec::new()), None);
        }
        assert_eq!(stream.deadline(), Some(at(500)));
        assert_eq!(stream.on_deadline(at(500), &mut Vec::new()), missing(41, 50, 0));
        stream.on_rumour(at(501), 50);
        assert_eq!(feed(&mut stream, 502, 41, 10), [data(41, 10)]);
        assert_eq!(stream.deadline(), None);
    }

    #[test]
    fn numbers_that_cut_through_a_frame_are_malformed() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 4);
        let mut out = Vec::new();
        let mut on =
            |first, count| stream.on_data(at(0), frame(first, count, Bytes::new()), &mut out);
        assert_eq!(on(3, 4), Accepted::Malformed);
        assert_eq!(on(10, 4), Accepted::Fresh);
        assert_eq!(on(12, 4), Accepted::Malformed);
        assert_eq!(on(8, 4), Accepted::Malformed);
        assert_eq!(on(10, 4), Accepted::Duplicate);
        assert_eq!(out, []);
    }

    proptest! {
        /// Whatever is lost, repeated or reordered: what is released is the
        /// numbers from 1 on, each once, in order, as data or as missed.
        #[test]
        fn every_number_is_released_once_in_order(
            counts in prop::collection::vec(1u16..5, 1..40),
            picks in prop::collection::vec((0usize..40, 0u64..40), 0..120),
        ) {
            let mut frames = Vec::new();
            let mut first = 1;
            for count in counts {
                frames.push((first, count));
                first += u64::from(count);
            }
            let last = first - 1;
            let (mut stream, mut out, mut now) = (stream(), Vec::new(), 0);
            for (pick, wait) in picks {
                now += wait;
                stream.on_deadline(at(now), &mut out);
                let (first, count) = frames[pick % frames.len()];
                stream.on_data(at(now), frame(first, count, Bytes::new()), &mut out);
            }
            stream.on_position(at(now), last);
            stream.finish(&mut out);
            let mut next = 1;
            for released in out {
                let (first, n) = match released {
                    Released::Data(frame) => (frame.first, u64::from(frame.count)),
                    Released::Missed { first, missed } => (first, missed),
                };
                prop_assert_eq!(first, next);
                prop_assert!(n > 0);
                next += n;
            }
            prop_assert_eq!(next, last + 1);
        }
    }
}
