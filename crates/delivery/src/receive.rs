//! One lane of one sender, as a receiver sees it: puts frames in order, drops
//! what came before, and turns holes into gaps.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Settings, Time};

/// Events in order, or a hole where some should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Released {
    Data { first: u64, count: u16, body: Bytes },
    Missed { first: u64, missed: u64 },
}

/// What became of a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It was next, or is held behind a hole.
    Fresh,
    /// Its events were delivered or given up before.
    Duplicate,
    /// Its numbers cut through a frame that was delivered, which no sender does.
    Malformed,
}

#[derive(Debug)]
pub(crate) struct ReceiveStream {
    settings: Settings,
    /// Number of the next event to deliver. Everything below was delivered or
    /// reported missing.
    next: u64,
    /// Highest number the sender said it has sent.
    announced: u64,
    /// Frames behind a hole, by first number; never overlapping.
    held: BTreeMap<u64, (u16, Bytes)>,
    held_bytes: usize,
    /// Since when `next` is known to be missing.
    hole_since: Option<Time>,
}

impl ReceiveStream {
    /// A stream whose events up to `position` are not awaited.
    pub(crate) fn starting_after(position: u64, settings: Settings) -> Self {
        Self {
            settings,
            next: position.saturating_add(1),
            announced: position,
            held: BTreeMap::new(),
            held_bytes: 0,
            hole_since: None,
        }
    }

    /// Number of the last event delivered or given up.
    pub(crate) fn position(&self) -> u64 {
        self.next - 1
    }

    /// Whether nothing that was announced is still awaited.
    pub(crate) fn is_complete(&self) -> bool {
        self.next > self.announced && self.held.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.hole_since.map(|since| since + self.settings.hole_timeout)
    }

    pub(crate) fn on_data(
        &mut self,
        now: Time,
        first: u64,
        count: u16,
        body: Bytes,
        out: &mut Vec<Released>,
    ) -> Accepted {
        let end = first + u64::from(count);
        if end <= self.next || self.held.contains_key(&first) {
            return Accepted::Duplicate;
        }
        if first < self.next || self.overlaps_held(first, end) {
            return Accepted::Malformed;
        }
        self.announced = self.announced.max(end - 1);
        if first == self.next {
            out.push(Released::Data { first, count, body });
            self.next = end;
            self.hole_since = None;
            self.release_held(out);
        } else {
            self.held_bytes += body.len();
            self.held.insert(first, (count, body));
            while self.held_bytes > self.settings.reorder_bytes {
                self.give_up_hole(out);
            }
        }
        self.watch_hole(now);
        Accepted::Fresh
    }

    /// The sender said that it has sent up to `position`.
    pub(crate) fn on_position(&mut self, now: Time, position: u64) {
        self.announced = self.announced.max(position);
        self.watch_hole(now);
    }

    pub(crate) fn on_deadline(&mut self, now: Time, out: &mut Vec<Released>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up_hole(out);
            self.watch_hole(now);
        }
    }

    /// Gives up every hole: what is held is delivered, what is missing reported.
    pub(crate) fn finish(&mut self, out: &mut Vec<Released>) {
        while !self.is_complete() {
            self.give_up_hole(out);
        }
        self.hole_since = None;
    }

    fn overlaps_held(&self, first: u64, end: u64) -> bool {
        let before = self.held.range(..first).next_back();
        before.is_some_and(|(start, (count, _))| start + u64::from(*count) > first)
            || self.held.range(first..end).next().is_some()
    }

    /// Reports the hole at `next` missing, up to what is held or announced.
    fn give_up_hole(&mut self, out: &mut Vec<Released>) {
        let end = self.held.keys().next().copied().unwrap_or(self.announced.saturating_add(1));
        if end > self.next {
            out.push(Released::Missed { first: self.next, missed: end - self.next });
            self.next = end;
        }
        self.hole_since = None;
        self.release_held(out);
    }

    fn release_held(&mut self, out: &mut Vec<Released>) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() == self.next
        {
            let (first, (count, body)) = entry.remove_entry();
            self.held_bytes -= body.len();
            self.next = first + u64::from(count);
            out.push(Released::Data { first, count, body });
        }
    }

    fn watch_hole(&mut self, now: Time) {
        if self.is_complete() {
            self.hole_since = None;
        } else if self.hole_since.is_none() {
            self.hole_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn stream() -> ReceiveStream {
        ReceiveStream::starting_after(0, Settings::default())
    }

    fn data(first: u64, count: u16) -> Released {
        Released::Data { first, count, body: Bytes::new() }
    }

    fn feed(stream: &mut ReceiveStream, ms: u64, first: u64, count: u16) -> Vec<Released> {
        let mut out = Vec::new();
        stream.on_data(at(ms), first, count, Bytes::new(), &mut out);
        out
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
        assert_eq!(stream.deadline(), Some(at(60)));
        let mut out = Vec::new();
        stream.on_deadline(at(59), &mut out);
        assert_eq!(out, []);
        stream.on_deadline(at(60), &mut out);
        assert_eq!(out, [Released::Missed { first: 2, missed: 2 }, data(4, 1)]);
        // What was given up and comes late is not delivered: it was told missing.
        assert_eq!(feed(&mut stream, 61, 2, 2), []);
    }

    #[test]
    fn a_lost_tail_is_found_by_the_position_announced() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 1);
        stream.on_position(at(20), 5);
        let mut out = Vec::new();
        stream.on_deadline(at(70), &mut out);
        assert_eq!(out, [Released::Missed { first: 2, missed: 4 }]);
        assert!(stream.is_complete());
    }

    #[test]
    fn the_bytes_behind_a_hole_are_bounded() {
        let mut stream = stream();
        let body = Bytes::from(vec![0; 64 * 1024]);
        let mut out = Vec::new();
        for i in 0..1_000 {
            stream.on_data(at(0), 10 + 2 * i, 1, body.clone(), &mut out);
            assert!(stream.held_bytes <= stream.settings.reorder_bytes);
        }
        assert_eq!(out[0], Released::Missed { first: 1, missed: 9 });
    }

    #[test]
    fn numbers_that_cut_through_a_frame_are_malformed() {
        let mut stream = stream();
        feed(&mut stream, 0, 1, 4);
        let mut out = Vec::new();
        let mut on = |first, count| stream.on_data(at(0), first, count, Bytes::new(), &mut out);
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
                stream.on_data(at(now), first, count, Bytes::new(), &mut out);
            }
            stream.on_position(at(now), last);
            stream.finish(&mut out);
            let mut next = 1;
            for released in out {
                let (first, n) = match released {
                    Released::Data { first, count, .. } => (first, u64::from(count)),
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
