//! The end of a record's entry.

use std::net::IpAddr;

use super::{Record, RoleText};
use crate::column::{Hint, Role};
use crate::end_in_comment::end_in;
use crate::ends::date::is_date;
use crate::ends::day_and_time::join_day_and_time;
use crate::ends::likely::{is_temporary, may_be_any_end};
use crate::ends::no_end::is_no_end;
use crate::ends::{BareNumber, one_end, parse_end, parse_end_in_unit};
use crate::list::DoubtKind;
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::verdict::{is_false, is_true};
use crate::words::clean;
use crate::{Ends, List};

/// The advice for an end in a column or key of another name.
const NAME_IT: &str = "name it `expires` or `ttl`, or `seen` if it is none";

impl Record<'_> {
    /// The end from the columns or keys that hold one: a moment wins over a duration.
    pub(super) fn end(&self) -> Result<Ends, String> {
        let mut until = self.until()?;
        let last = self.get(Role::Last);
        // Beside a network, `end` is a moment, unless it holds an address.
        if self.has(Role::Network) && until == Ends::Never && last.parse::<IpAddr>().is_err() {
            until = parse_end(last, BareNumber::Moment)?;
        }
        if until == Ends::Never && self.has(Role::Network) && is_date(self.get(Role::To)) {
            until = parse_end(self.get(Role::To), BareNumber::Moment)?;
        }
        let lasts = match self.lasts()? {
            Ends::After(lasts) => self.end_after(lasts)?,
            ends => ends,
        };
        let ends = if until == Ends::Never { lasts } else { until };
        if ends == Ends::Never && !self.states_end() {
            self.refuse_end_under_other_name()?;
        }
        Ok(ends)
    }

    /// The end in the columns or keys for moments; a name may say that it is in UTC.
    fn until(&self) -> Result<Ends, String> {
        let texts = join_day_and_time(self.all(Role::Until).map(|until| until.text));
        let ends: Result<Vec<Ends>, String> =
            texts.iter().map(|text| parse_end(text, BareNumber::Moment)).collect();
        let is_in_utc = self.all(Role::Until).any(|until| until.name.is_in_utc());
        Ok(match one_end(&ends?)? {
            Ends::Local(moment) if is_in_utc => Ends::At(moment),
            ends => ends,
        })
    }

    /// Whether a column or key for ends is filled, even if only with "no end".
    fn states_end(&self) -> bool {
        self.texts.iter().any(|text| text.name.role.is_end() && !clean(text.text).is_empty())
    }

    /// The end from the columns or keys for durations; a name may give the unit.
    fn lasts(&self) -> Result<Ends, String> {
        let mut ends = Vec::new();
        for RoleText { name, text } in &self.texts {
            match name.role {
                Role::Lasts => ends.push(parse_end(text, BareNumber::Seconds)?),
                Role::LastsIn(unit) if !clean(text).is_empty() => {
                    ends.push(parse_end_in_unit(text, unit)?);
                }
                _ => {}
            }
        }
        one_end(&ends)
    }

    /// Refuses a possible end under an unknown name: ignoring it would block the network for ever.
    fn refuse_end_under_other_name(&self) -> Result<(), String> {
        let may_be_end = |hint: Hint, text: &str| match hint {
            Hint::End => !is_false(text) && !is_true(text) && !is_no_end(text),
            Hint::Nothing => may_be_any_end(text) || end_in(text).is_some(),
            Hint::Past | Hint::Begin | Hint::Moment => false,
        };
        let origin = self.get(Role::Origin);
        if may_be_end(Hint::Nothing, origin) {
            let origin = excerpt(origin);
            return Err(format!("`{origin}` stands for its origin, and may be its end: {NAME_IT}"));
        }
        let is_temporary = |name: &str, text: &str| {
            let name = name.trim_start_matches("is_").trim_start_matches("is ");
            let is_permanent = normal_name(name) == "permanent";
            is_temporary(text)
                || (is_temporary(name) && is_true(text))
                || (is_permanent && is_false(text))
        };
        let temporary = self.others.iter().find(|other| is_temporary(other.name, other.text));
        if let Some(other) = temporary {
            let (name, text) = (excerpt(other.name), excerpt(other.text));
            let when = "does not say when it ends: give a column `expires` or `ttl`";
            return Err(format!("`{name}` says `{text}`, which {when}"));
        }
        match self.others.iter().find(|other| may_be_end(other.hint, other.text)) {
            None => Ok(()),
            Some(other) => Err(format!(
                "`{}` may be its end, but the name `{}` is not known: {NAME_IT}",
                excerpt(other.text),
                excerpt(other.name)
            )),
        }
    }

    /// Records moments that are harmless only while they are past: moments in columns of unclear
    /// meaning, begins and sightings; and durations that may count from one of them.
    pub(super) fn doubt(&self, list: &mut List, ends: Ends) {
        let is_without_end = ends == Ends::Never && !self.states_end();
        if let Ends::After(lasts) = ends {
            self.doubt_duration(list, lasts);
        }
        for other in &self.others {
            match other.hint {
                Hint::Moment if is_without_end => list.doubt_end(other.text),
                Hint::Past if is_without_end => list.doubt_moment_of(DoubtKind::Sight, other.text),
                Hint::Begin => list.doubt_moment_of(DoubtKind::Begin, other.text),
                _ => {}
            }
        }
        let begins = [Role::From, Role::First].into_iter().flat_map(|role| self.all(role));
        begins.for_each(|begin| list.doubt_moment_of(DoubtKind::Begin, begin.text));
    }
}
