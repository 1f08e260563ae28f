//! The begin of a record's entry: a duration counts from there.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use super::{OtherText, Record};
use crate::column::{Hint, Role, is_creation};
use crate::ends::date::{ReadMoment, latest_moment, parse_zoned};
use crate::ends::day_and_time::join_day_and_time;
use crate::ends::number::moment_of_number;
use crate::{Ends, List};

impl Record<'_> {
    /// The end after a duration, which counts from the begin that the record states, or else from
    /// the import.
    pub(super) fn end_after(&self, lasts: Duration) -> Result<Ends, String> {
        if self.counts_from_import() {
            return Ok(Ends::After(lasts));
        }
        let mut begins = self.moments(|other| other.may_be_begin()).into_iter();
        let Some(begin) = begins.next() else { return Ok(Ends::After(lasts)) };
        if let Some(other) = begins.find(|other| other.moment != begin.moment) {
            return Err(format!(
                "its duration may count from {} or from {}: name its end `expires`",
                begin.moment, other.moment
            ));
        }
        let end = begin.moment.plus(lasts);
        Ok(if begin.has_zone { Ends::At(end) } else { Ends::Local(end) })
    }

    /// Records in the list that a duration may count from a moment of the record, rather than from
    /// the import: then its entry may have ended.
    pub(super) fn doubt_duration(&self, list: &mut List, lasts: Duration) {
        if self.counts_from_import() {
            return;
        }
        let is_moment = |other: &OtherText<'_>| other.may_be_begin() || other.hint == Hint::Past;
        let latest = self.moments(is_moment).into_iter().map(|read| read.moment).max();
        if let Some(latest) = latest {
            list.doubt_ended(latest.plus(lasts));
        }
    }

    /// Whether the duration is what is left of it. CrowdSec prints that of its decisions.
    fn counts_from_import(&self) -> bool {
        self.has(Role::Scope) || self.texts.iter().any(|text| text.name.is_remaining())
    }

    /// The moments in columns or keys of begins, and in those others that `is_meant` selects.
    fn moments(&self, is_meant: impl Fn(&OtherText<'_>) -> bool) -> Vec<ReadMoment> {
        let others = self.others.iter().filter(|other| is_meant(other)).map(|other| other.text);
        let begins = [Role::From, Role::First].into_iter().flat_map(|role| self.all(role));
        let texts = join_day_and_time(others.chain(begins.map(|begin| begin.text)));
        texts.iter().filter_map(|text| moment_of(text)).collect()
    }
}

impl OtherText<'_> {
    /// Whether the name may be the one of a moment at which the entry was made or begins.
    fn may_be_begin(&self) -> bool {
        matches!(self.hint, Hint::Begin | Hint::Moment)
            || (self.hint == Hint::Past && is_creation(self.name))
    }
}

/// The moment of a text; a day counts as its end.
fn moment_of(text: &str) -> Option<ReadMoment> {
    let of = |moment: UnixMillis| ReadMoment { moment, has_zone: true };
    let number = text.parse().ok().and_then(moment_of_number).map(of);
    let day = || latest_moment(text).map(|moment| ReadMoment { moment, has_zone: false });
    number.or_else(|| parse_zoned(text)).or_else(day)
}
