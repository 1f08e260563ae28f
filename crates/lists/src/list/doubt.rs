//! Moments beside an entry: if such a moment is still to come at the import, the entry is bad.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use super::List;
use crate::column::{Hint, hint_of_name};
use crate::ends::date::{ReadMoment, is_date, latest_begin, latest_moment};
use crate::ends::likely::is_likely_moment;
use crate::ends::number::moment_of_number;
use crate::words::clean;

/// A moment beside an entry that makes the entry bad if the moment is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The line or entry of the moment.
    pub(super) unit: usize,
    moment: UnixMillis,
    kind: DoubtKind,
}

/// The kind of a doubted moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoubtKind {
    /// A moment that may be the end of the entry.
    End,
    /// The time of a sighting, a report or the like; the source's clock may be ahead.
    Sight,
    /// The end of the entry, if its duration counts from a moment beside it.
    Ended,
    /// The entry holds from this moment on.
    Begin,
    /// As `Begin`, in an unknown time zone.
    LocalBegin,
}

impl Doubt {
    /// Why an entry beside this moment is bad; `None` if the moment has passed.
    pub(super) fn fault(self, now: UnixMillis) -> Option<String> {
        if self.kind == DoubtKind::Ended {
            let moment = self.moment;
            return (moment <= now).then(|| {
                format!(
                    "its duration may have ended at {moment}: name the begin `start`, or the \
                     duration `remaining`, if it counts from now"
                )
            });
        }
        const HOUR: Duration = Duration::from_secs(3_600);
        let hours = match self.kind {
            DoubtKind::End | DoubtKind::Ended | DoubtKind::Begin => 0,
            DoubtKind::LocalBegin => 14,
            DoubtKind::Sight => 48,
        };
        let moment = self.moment;
        // Without a clock (`now` is 0) only possible ends count.
        if self.kind != DoubtKind::End && now == UnixMillis(0) {
            return None;
        }
        (moment > now.plus(HOUR * hours)).then(|| match self.kind {
            DoubtKind::End | DoubtKind::Ended | DoubtKind::Sight => {
                format!("{moment} may be its end: name its column `expires`")
            }
            DoubtKind::Begin | DoubtKind::LocalBegin => {
                format!("it begins later, at {moment}: import it then")
            }
        })
    }
}

/// 2025-01-01 in milliseconds: no list is imported earlier, so older moments have passed.
const DOUBTED_FROM: u64 = 1_735_689_600_000;

impl List {
    /// Records a moment beside an entry without an end: if it is still to come, it may be the end.
    pub(crate) fn doubt_end(&mut self, text: &str) {
        let number = text.parse().ok().and_then(moment_of_number);
        if let Some(moment) =
            number.or_else(|| is_date(text).then(|| latest_moment(text)).flatten())
        {
            self.doubt_moment(DoubtKind::End, moment);
        }
    }

    /// As [`doubt_end`](Self::doubt_end), for the moment of a begin or a sighting.
    pub(crate) fn doubt_moment_of(&mut self, kind: DoubtKind, text: &str) {
        let number = text.parse().ok().and_then(moment_of_number);
        let number = number.map(|moment| ReadMoment { moment, has_zone: true });
        let read = number.or_else(|| is_date(text).then(|| latest_begin(text)).flatten());
        let Some(ReadMoment { moment, has_zone }) = read else { return };
        let is_local = kind == DoubtKind::Begin && !has_zone;
        self.doubt_moment(if is_local { DoubtKind::LocalBegin } else { kind }, moment);
    }

    /// Records the moment at which an entry ends, if its duration counts from a moment beside it.
    pub(crate) fn doubt_ended(&mut self, moment: UnixMillis) {
        self.add_doubt(DoubtKind::Ended, moment);
    }

    fn doubt_moment(&mut self, kind: DoubtKind, moment: UnixMillis) {
        // Most sightings and begins passed long ago: they need no memory.
        if kind == DoubtKind::End || moment.0 > DOUBTED_FROM {
            self.add_doubt(kind, moment);
        }
    }

    /// Keeps one moment of each kind for a unit: the one that makes the entry bad if any does.
    /// Memory grows with the entries, not with the moments in a text.
    fn add_doubt(&mut self, kind: DoubtKind, moment: UnixMillis) {
        let unit = self.units;
        let mut of_unit = self.doubts.iter_mut().rev().take_while(|doubt| doubt.unit == unit);
        match of_unit.find(|doubt| doubt.kind == kind) {
            Some(doubt) if kind == DoubtKind::Ended => doubt.moment = doubt.moment.min(moment),
            Some(doubt) => doubt.moment = doubt.moment.max(moment),
            None => self.doubts.push(Doubt { unit, moment, kind }),
        }
    }

    /// Drops the moments of the current unit unless it has an entry.
    pub(super) fn drop_doubts_without_entry(&mut self) {
        let unit = self.units;
        if self.entries.last().is_none_or(|entry| entry.unit != unit) {
            while self.doubts.pop_if(|doubt| doubt.unit == unit).is_some() {}
        }
    }

    /// As [`doubt_end`](Self::doubt_end), for free text: the whole text, its parts, and the dates in
    /// it.
    pub(crate) fn doubt_moments_in(&mut self, text: &str) {
        self.doubt_end(text);
        text.split([',', ';', '|'])
            .skip(usize::from(!text.contains([',', ';', '|'])))
            .map(clean)
            .for_each(|part| self.doubt_end(part));
        // A day still to come is most likely an end, unless the word before it says otherwise.
        let mut before = "";
        let is_between = [' ', '\t', ',', ';', '(', ')', '=', ':'];
        for word in text.split(is_between).filter(|word| !word.is_empty()) {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            let is_moment = is_number && (is_date(word) || is_likely_moment(word));
            if is_moment && hint_of_name(before) != Hint::Past {
                self.doubt_moment_of(DoubtKind::Sight, word);
            }
            before = word;
        }
    }
}
