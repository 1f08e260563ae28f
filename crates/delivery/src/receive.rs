//! One lane of one sender, as a receiver sees it: puts frames in order, drops
//! what came before, asks for what is missing, and turns into a gap what cannot
//! be had.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::planted::{Fault, planted};
use crate::{Frame, Settings, Time};

/// After a hole of which nothing came for the whole time, the next has so much less of it,
/// until something comes.
const SILENT_HOLE_DIVISOR: u32 = 8;

/// Who runs for so long after what the sender forgets does not catch up: less is sent again than
/// is sent.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(1);

/// Events in order, or a hole where some should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Released {
    Data(Frame),
    Missed { first: u64, missed: u64 },
}

impl Released {
    /// Bytes of the window that it takes.
    pub(crate) fn window_cost(&self) -> usize {
        match self {
            Self::Data(frame) => frame.window_cost(),
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
pub(crate) struct MissingEvents {
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
    /// Number of the last event that is not awaited.
    begin: u64,
    /// Number of the last event that was delivered, if any was.
    delivered: u64,
    /// Highest number the sender itself said it has sent.
    sender_position: u64,
    /// Highest number that it or others said it has sent; others may lie.
    known_position: u64,
    /// Others say that more was sent. It may be on its way here still, so it counts
    /// as announced once the stream was still for a while.
    reported: Option<ReportedPosition>,
    /// The sender said that it sends no more.
    is_final: bool,
    /// The sender no longer has what comes before this number.
    unavailable_before: u64,
    /// Since when it lacks events that the sender no longer has, and was not up to date.
    behind_since: Option<Time>,
    /// Frames behind a hole, by first number; never overlapping.
    held: BTreeMap<u64, Frame>,
    held_bytes: usize,
    /// `next` is known to be missing.
    hole: Option<Hole>,
}

/// A number that others say was sent, and when it counts as announced.
#[derive(Debug, Clone, Copy)]
struct ReportedPosition {
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
    /// When the last request was due that did not wait for its turn.
    hastened_at: Option<Time>,
    give_up_at: Time,
}

impl ReceiveStream {
    /// A stream whose events up to `position` are not awaited.
    pub(crate) fn starting_after(position: u64, settings: Settings) -> Self {
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

    /// Number of the last event delivered or given up.
    pub(crate) fn position(&self) -> u64 {
        self.next - 1
    }

    /// Highest number that the sender itself said it has sent.
    pub(crate) fn sender_position(&self) -> u64 {
        self.sender_position
    }

    /// Highest number that anybody said is sent.
    pub(crate) fn known_position(&self) -> u64 {
        self.known_position
    }

    /// Whether any of its events was delivered.
    pub(crate) fn has_delivered(&self) -> bool {
        self.delivered > self.begin
    }

    /// Whether more was given up, on others' word, than the sender said it has sent.
    pub(crate) fn is_past_sender(&self) -> bool {
        self.position() > self.sender_position
    }

    /// Whether nothing that was announced is still awaited.
    pub(crate) fn is_complete(&self) -> bool {
        self.next > self.known_position && self.held.is_empty()
    }

    /// Number of the first event that is known to be missing.
    pub(crate) fn missing(&self) -> Option<u64> {
        (!self.is_complete()).then_some(self.next)
    }

    /// The sender no longer has what comes before this number.
    pub(crate) fn unavailable_before(&self) -> u64 {
        self.unavailable_before
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
            // Others' word cut through it, and its first events were told missing: so are the
            // rest.
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
            // A hole was filled: the next one has been known for a while.
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

    /// The sender said that it has sent up to `position`.
    pub(crate) fn on_position(&mut self, now: Time, position: u64) {
        self.on_sender_position(position);
        // The events may be right behind: their sender numbers them before it puts
        // them on the bus.
        self.watch_hole(now, self.settings.nak_retry);
    }

    /// The sender said that it has sent up to `position` and sends no more: what others say
    /// counts no longer.
    pub(crate) fn on_final_position(&mut self, now: Time, position: u64) {
        self.is_final = true;
        self.on_position(now, position);
        self.discard_reported_positions(now);
    }

    /// The sender was asked, and says that up to now it has sent up to `position`: what was
    /// given up past that on others' word is still to come. None of that was delivered.
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
        let was_in_vain = self.next > self.sender_position && self.next <= position;
        if was_in_vain && !planted(Fault::LiarsStartTheClock) {
            // On others' word it was waited for, in vain. Now it is the sender's.
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

    /// Another peer says that the sender has sent up to `position`.
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

    /// The stream moves: what was rumoured is most likely on its way.
    fn defer_reported_position(&mut self, now: Time) {
        let known_position = self.known_position;
        self.reported = self.reported.filter(|report| report.position > known_position);
        if let Some(report) = &mut self.reported {
            report.due = now + self.settings.report_delay;
        }
    }

    /// What was rumoured counts at once: its sender sends no more.
    pub(crate) fn accept_reported_position(&mut self, now: Time) {
        if let Some(report) = self.reported.take() {
            if !planted(Fault::PeerReportsIgnored) {
                self.known_position = self.known_position.max(report.position);
            }
            self.watch_hole(now, Duration::ZERO);
        }
    }

    /// The sender no longer has what comes before the number `before`.
    pub(crate) fn on_unavailable(&mut self, now: Time, before: u64) {
        let end = before.min(self.known_position.saturating_add(1));
        if end > self.next && end > self.unavailable_before {
            self.unavailable_before = end;
            self.on_sender_position(end - 1);
            self.watch_hole(now, Duration::ZERO);
            // Somebody else may have it: ask at once.
            self.ask_at_once(now);
        }
    }

    /// Ask for the hole at `next` without waiting longer. Peers bring this about as often as
    /// they like, so it hastens one request in a `nak_retry`.
    pub(crate) fn ask_at_once(&mut self, now: Time) {
        let is_eager = planted(Fault::UnavailableHastensEveryRequest);
        let pause = if is_eager { Duration::ZERO } else { self.settings.nak_retry };
        let Some(hole) = &mut self.hole else { return };
        let at = hole.hastened_at.map_or(now, |before| now.max(before + pause));
        if at < hole.ask_at {
            (hole.ask_at, hole.hastened_at) = (at, Some(at));
        }
    }

    /// It does not catch up with its sender, which lives: to go on with what comes now is to
    /// miss less.
    pub(crate) fn cannot_catch_up(&self, now: Time) -> bool {
        self.behind_since.is_some_and(|since| now.since(since) >= CATCH_UP_LIMIT)
    }

    /// Nobody has what comes before the number `before`.
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
        // What follows is there to be asked for at once.
        self.reopen_hole(now, Duration::ZERO);
    }

    /// Gives up what is overdue; gives what to ask for now. While the sender lives, nothing is
    /// given up that others alone say it sent: it will say so itself, or they are wrong.
    pub(crate) fn on_deadline(
        &mut self,
        now: Time,
        lives: bool,
        out: &mut Vec<Released>,
    ) -> Option<MissingEvents> {
        if self.reported.is_some_and(|report| report.due <= now) {
            self.accept_reported_position(now);
        }
        if self.hole?.give_up_at <= now {
            // Nothing came for all that time. What follows was not asked for yet.
            let is_spared = lives && !planted(Fault::LiarsBelievedOfTheLiving);
            self.give_up_hole(if is_spared { self.sender_position + 1 } else { u64::MAX }, out);
            if lives && self.next > self.sender_position {
                self.discard_reported_positions(now);
            }
            self.reopen_hole(now, Duration::ZERO);
            let less = now + self.settings.repair_timeout / SILENT_HOLE_DIVISOR;
            let hole = self.hole.as_mut()?;
            hole.give_up_at = less;
        }
        let hole = self.hole?;
        if hole.ask_at > now {
            return None;
        }
        let wait = (hole.wait * 2).min(self.settings.nak_retry_max);
        let tries = hole.tries.saturating_add(1);
        self.hole = Some(Hole { ask_at: now + hole.wait, wait, tries, ..hole });
        let last = self.hole_end() - if planted(Fault::LastOfHoleNotAskedFor) { 2 } else { 1 };
        Some(MissingEvents { first: self.next, last, tries: hole.tries })
    }

    /// Gives up every hole: what is held is delivered, what is missing reported.
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

    /// One past the hole at `next`: what is held, or the end of what was announced.
    fn hole_end(&self) -> u64 {
        self.held.keys().next().copied().unwrap_or(self.known_position.saturating_add(1))
    }

    /// Reports the hole at `next` missing, up to `end` at most.
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

    /// Something of the hole came, or a hole was found: every wait begins anew.
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
