//! Receive state of one stream (one lane of one sender). Puts frames in order, drops duplicates,
//! requests missing events, and turns events that cannot be repaired into a gap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::planted::{Fault, planted};
use crate::stream::EventRange;
use crate::{Frame, Settings, Time};

/// Once a hole times out without progress, the next holes have only `repair_timeout` divided by
/// this, until an event arrives.
const SILENT_HOLE_DIVISOR: u32 = 8;

/// If a receiver has trailed the sender's replay buffer this long, repair is slower than live
/// traffic, so the receiver never catches up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(1);

/// An item that the stream releases in order: a data frame, or a hole that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Released {
    Data(Frame),
    Missed { first: u64, missed: u64 },
}

impl Released {
    /// Bytes of the receive window that this item uses; 0 for a hole.
    pub(crate) fn window_cost(&self) -> usize {
        match self {
            Self::Data(frame) => frame.window_cost(),
            Self::Missed { .. } => 0,
        }
    }
}

/// How the stream handled a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// The frame was the next one, or is held behind a hole.
    Fresh,
    /// All its events were delivered or given up before, or the same frame is held.
    Duplicate,
    /// The reorder buffer is full. The frame is dropped and requested again later.
    NoRoom,
    /// Its event numbers cut through another frame. A correct sender never renumbers events.
    Malformed,
}

/// A range of events to request, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissingEvents {
    pub(crate) range: EventRange,
    /// Requests for this hole since it was opened or part of it arrived.
    pub(crate) tries: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct ReceiveStream {
    settings: Arc<Settings>,
    /// Number of the next event to deliver. Every lower number was delivered or reported missing.
    next: u64,
    /// Position at which the stream started. Events up to this number are not expected.
    begin: u64,
    /// Number of the last event that was delivered; equal to `begin` if there is none.
    delivered: u64,
    /// Highest number that the sender itself announced as sent.
    sender_position: u64,
    /// Highest number that the sender or another peer announced. Other peers may lie.
    known_position: u64,
    /// Higher position that another peer reports. Its events may be in flight to this node, so the
    /// position counts only once the stream was quiet for `report_delay`.
    reported: Option<ReportedPosition>,
    /// The sender said goodbye, so `sender_position` is its last event.
    is_final: bool,
    /// The sender no longer has events below this number.
    unavailable_before: u64,
    /// Since when the stream trails the sender's replay buffer; `None` once it is complete.
    behind_since: Option<Time>,
    /// Frames behind a hole by first number. They never overlap.
    held: BTreeMap<u64, Frame>,
    held_bytes: usize,
    /// The open hole at `next`, if the event `next` is known to be missing.
    hole: Option<Hole>,
}

/// A position reported by another peer, and the time at which it counts as announced.
#[derive(Debug, Clone, Copy)]
struct ReportedPosition {
    position: u64,
    due: Time,
}

/// A hole at `next` with its timers.
#[derive(Debug, Clone, Copy)]
struct Hole {
    ask_at: Time,
    /// Time between the next request and the one after it; doubles up to `nak_retry_max`.
    wait: Duration,
    tries: u32,
    /// Time to which `ask_at_once` last moved a request forward.
    hastened_at: Option<Time>,
    give_up_at: Time,
}

impl ReceiveStream {
    /// Creates a stream that expects the events after `position`.
    pub(crate) fn starting_after(position: u64, settings: Arc<Settings>) -> Self {
        Self {
            settings,
            next: position.saturating_add(1),
            begin: position,
            delivered: position,
            sender_position: position,
            known_position: position,
            reported: None,
            is_final: false,
            unavailable_before: 0,
            behind_since: None,
            held: BTreeMap::new(),
            held_bytes: 0,
            hole: None,
        }
    }

    /// Number of the last event that was delivered or given up.
    pub(crate) fn position(&self) -> u64 {
        self.next - 1
    }

    /// Highest number that the sender itself announced as sent.
    pub(crate) fn sender_position(&self) -> u64 {
        self.sender_position
    }

    /// Highest number that the sender or another peer announced as sent.
    pub(crate) fn known_position(&self) -> u64 {
        self.known_position
    }

    /// Whether an event of this stream was delivered.
    pub(crate) fn has_delivered(&self) -> bool {
        self.delivered > self.begin
    }

    /// Whether, because of reports from other peers, events were given up beyond the sender's own
    /// position.
    pub(crate) fn is_past_sender(&self) -> bool {
        self.position() > self.sender_position
    }

    /// Whether every announced event was delivered or given up.
    pub(crate) fn is_complete(&self) -> bool {
        self.next > self.known_position && self.held.is_empty()
    }

    /// Number of the first event that is known to be missing.
    pub(crate) fn missing(&self) -> Option<u64> {
        (!self.is_complete()).then_some(self.next)
    }

    /// The sender no longer has events below this number; 0 if it never said so.
    pub(crate) fn unavailable_before(&self) -> u64 {
        self.unavailable_before
    }

    /// Frames held behind the hole that contain events from `first` to `last`.
    pub(crate) fn held(&self, range: EventRange) -> impl Iterator<Item = &Frame> {
        let held = self.held.values().skip_while(move |frame| frame.end() <= range.first);
        held.take_while(move |frame| frame.first <= range.last)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let hole = self.hole.map(|hole| hole.ask_at.min(hole.give_up_at));
        hole.into_iter().chain(self.reported.map(|report| report.due)).min()
    }

    pub(crate) fn on_data(&mut self, now: Time, frame: Frame, out: &mut Vec<Released>) -> Accepted {
        let (first, end) = (frame.first, frame.end());
        if planted(Fault::DeliveredTwice) && first < self.next {
            out.push(Released::Data(frame));
            return Accepted::Fresh;
        }
        if end <= self.next || self.held.contains_key(&first) {
            return Accepted::Duplicate;
        }
        if first < self.next && first > self.delivered && !self.overlaps_held(self.next, end) {
            // Because of a report from another peer, the first events of this frame were given up.
            // A frame is released only as a whole, so the rest is given up too.
            self.on_sender_position(end - 1);
            self.give_up_hole(end, out);
            self.reopen_hole(now, self.settings.nak_delay);
            return Accepted::Fresh;
        }
        if first < self.next || self.overlaps_held(first, end) {
            return Accepted::Malformed;
        }
        self.on_sender_position(end - 1);
        self.defer_reported_position(now);
        if first == self.next {
            out.push(Released::Data(frame));
            (self.next, self.delivered) = (end, end - 1);
            let held = self.held.len();
            self.release_held(out);
            self.behind_since = self.behind_since.filter(|_| !self.is_complete());
            // This frame filled a hole. The next hole is already known, so request it without
            // delay.
            let ask_in =
                if self.held.len() < held { Duration::ZERO } else { self.settings.nak_delay };
            self.reopen_hole(now, ask_in);
            return Accepted::Fresh;
        }
        self.watch_hole(now, self.settings.nak_delay);
        let cost = frame.cost();
        let is_full = self.held_bytes + cost > self.settings.reorder_bytes;
        if is_full && !planted(Fault::ReorderUnbounded) {
            return Accepted::NoRoom;
        }
        self.held_bytes += cost;
        self.held.insert(first, frame);
        Accepted::Fresh
    }

    /// The sender announced that it has sent events up to `position`.
    pub(crate) fn on_position(&mut self, now: Time, position: u64) {
        self.on_sender_position(position);
        // A sender numbers events before it puts them on the bus, so they may be in flight.
        self.watch_hole(now, self.settings.nak_retry);
    }

    /// The sender said goodbye at `position`. Reports from other peers no longer count.
    pub(crate) fn on_final_position(&mut self, now: Time, position: u64) {
        self.is_final = true;
        self.on_position(now, position);
        self.discard_reported_positions(now);
    }

    /// The sender answered a position query: by now it has sent events up to `position`. Because of
    /// reports from other peers, later numbers may have been given up. None of them was delivered,
    /// so they are expected again.
    pub(crate) fn on_answer(&mut self, now: Time, position: u64) {
        self.on_position(now, position);
        if self.is_past_sender() {
            self.next = position.max(self.delivered) + 1;
            self.known_position = self.sender_position;
            self.reported = None;
            self.reopen_hole(now, Duration::ZERO);
        }
    }

    fn on_sender_position(&mut self, position: u64) {
        let is_first_announcement = self.next > self.sender_position && self.next <= position;
        if is_first_announcement && !planted(Fault::LiarsStartTheClock) {
            // The hole's timers ran on a report from another peer. The sender now announces the
            // event itself, so the timers start again.
            self.hole = None;
        }
        self.sender_position = self.sender_position.max(position);
        self.known_position = self.known_position.max(position);
    }

    fn discard_reported_positions(&mut self, now: Time) {
        self.reported = None;
        if self.known_position > self.sender_position {
            self.known_position = self.sender_position.max(self.position());
            self.reopen_hole(now, Duration::ZERO);
        }
    }

    /// Another peer reports that the sender has sent events up to `position`.
    pub(crate) fn on_reported_position(&mut self, now: Time, position: u64) {
        if position <= self.known_position || self.is_final {
            return;
        }
        match &mut self.reported {
            Some(report) => report.position = report.position.max(position),
            None => {
                self.reported =
                    Some(ReportedPosition { position, due: now + self.settings.report_delay })
            }
        }
    }

    /// The stream makes progress, so the reported events are most likely in flight.
    fn defer_reported_position(&mut self, now: Time) {
        let known_position = self.known_position;
        self.reported = self.reported.filter(|report| report.position > known_position);
        if let Some(report) = &mut self.reported {
            report.due = now + self.settings.report_delay;
        }
    }

    /// Counts the reported position at once, because the sender sends no more.
    pub(crate) fn accept_reported_position(&mut self, now: Time) {
        if let Some(report) = self.reported.take() {
            if !planted(Fault::PeerReportsIgnored) {
                self.known_position = self.known_position.max(report.position);
            }
            self.watch_hole(now, Duration::ZERO);
        }
    }

    /// The sender no longer has events below `before`.
    pub(crate) fn on_unavailable(&mut self, now: Time, before: u64) {
        let end = before.min(self.known_position.saturating_add(1));
        if end > self.next && end > self.unavailable_before {
            self.unavailable_before = end;
            self.on_sender_position(end - 1);
            self.watch_hole(now, Duration::ZERO);
            // Another peer may have the events, so request them at once.
            self.ask_at_once(now);
        }
    }

    /// Moves the request for the hole at `next` forward to now. Peers can cause this at any rate,
    /// so it moves at most one request per `nak_retry`.
    pub(crate) fn ask_at_once(&mut self, now: Time) {
        let is_eager = planted(Fault::UnavailableHastensEveryRequest);
        let pause = if is_eager { Duration::ZERO } else { self.settings.nak_retry };
        let Some(hole) = &mut self.hole else { return };
        let ask_at = hole.hastened_at.map_or(now, |last| now.max(last + pause));
        if ask_at < hole.ask_at {
            (hole.ask_at, hole.hastened_at) = (ask_at, Some(ask_at));
        }
    }

    /// Whether the stream trails its live sender for too long. Continuing with live traffic then
    /// loses fewer events than further repair.
    pub(crate) fn cannot_catch_up(&self, now: Time) -> bool {
        self.behind_since.is_some_and(|since| now.since(since) >= CATCH_UP_LIMIT)
    }

    /// Gives up the events below `before`, which neither the sender nor another peer has.
    pub(crate) fn give_up(&mut self, now: Time, before: u64, out: &mut Vec<Released>) {
        let end = before.min(self.known_position.saturating_add(1));
        if end <= self.next {
            return;
        }
        self.behind_since.get_or_insert(now);
        while self.next < end {
            self.give_up_hole(end, out);
        }
        self.behind_since = self.behind_since.filter(|_| !self.is_complete());
        // The sender may still have the events that follow, so request them at once.
        self.reopen_hole(now, Duration::ZERO);
    }

    /// Gives up overdue holes and returns the range to request now. While the sender is alive,
    /// events that only other peers reported are not given up: the sender announces them itself, or
    /// the reports are wrong.
    pub(crate) fn on_deadline(
        &mut self,
        now: Time,
        is_alive: bool,
        out: &mut Vec<Released>,
    ) -> Option<MissingEvents> {
        if self.reported.is_some_and(|report| report.due <= now) {
            self.accept_reported_position(now);
        }
        if self.hole?.give_up_at <= now {
            // The whole hole timed out without progress. Later events were not requested yet.
            let is_spared = is_alive && !planted(Fault::LiarsBelievedOfTheLiving);
            self.give_up_hole(if is_spared { self.sender_position + 1 } else { u64::MAX }, out);
            if is_alive && self.next > self.sender_position {
                self.discard_reported_positions(now);
            }
            self.reopen_hole(now, Duration::ZERO);
            let give_up_at = now + self.settings.repair_timeout / SILENT_HOLE_DIVISOR;
            let hole = self.hole.as_mut()?;
            hole.give_up_at = give_up_at;
        }
        let hole = self.hole?;
        if hole.ask_at > now {
            return None;
        }
        let wait = (hole.wait * 2).min(self.settings.nak_retry_max);
        let tries = hole.tries.saturating_add(1);
        self.hole = Some(Hole { ask_at: now + hole.wait, wait, tries, ..hole });
        let last = self.hole_end() - if planted(Fault::LastOfHoleNotAskedFor) { 2 } else { 1 };
        Some(MissingEvents { range: EventRange { first: self.next, last }, tries: hole.tries })
    }

    /// Ends the stream: releases the held frames and reports every hole as missing.
    pub(crate) fn finish(&mut self, out: &mut Vec<Released>) {
        while !self.is_complete() {
            self.give_up_hole(u64::MAX, out);
        }
        self.hole = None;
        self.reported = None;
        debug_assert_eq!(self.held_bytes, 0);
    }

    fn overlaps_held(&self, first: u64, end: u64) -> bool {
        let before = self.held.range(..first).next_back();
        before.is_some_and(|(_, frame)| frame.end() > first)
            || self.held.range(first..end).next().is_some()
    }

    /// End of the hole at `next`, exclusive: the first held frame, or the highest known position.
    fn hole_end(&self) -> u64 {
        self.held.keys().next().copied().unwrap_or(self.known_position.saturating_add(1))
    }

    /// Reports the hole at `next` as missing, up to the number before `end`.
    fn give_up_hole(&mut self, end: u64, out: &mut Vec<Released>) {
        let end = self.hole_end().min(end);
        if end > self.next {
            let is_short = planted(Fault::GapTooShort) && end - self.next > 1;
            let missed = end - self.next - u64::from(is_short);
            if !planted(Fault::GapInSilence) {
                out.push(Released::Missed { first: self.next, missed });
            }
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
            self.delivered = self.next - 1;
            if !planted(Fault::HeldLost) {
                out.push(Released::Data(frame));
            }
        }
    }

    fn watch_hole(&mut self, now: Time, ask_in: Duration) {
        if self.hole.is_none() {
            self.reopen_hole(now, ask_in);
        }
    }

    /// Restarts all timers, because part of the hole arrived or a new hole was found.
    fn reopen_hole(&mut self, now: Time, ask_in: Duration) {
        let wait = self.settings.nak_retry;
        self.hole = (!self.is_complete()).then(|| Hole {
            ask_at: now + ask_in,
            wait,
            tries: 0,
            hastened_at: None,
            give_up_at: now + self.settings.repair_timeout,
        });
    }
}

#[cfg(test)]
mod tests;
