//! A record (a row of a table, a JSON object or a decision) by the names of its columns or keys,
//! and how a record enters the list.

use std::net::IpAddr;

use mailmesh_events::{Network, Rule};

use crate::column::{
    Hint, Role, is_destination_type, is_host, is_in_utc, is_of_family, may_be_length,
};
use crate::end_in_comment::end_in;
use crate::ends::date::is_date;
use crate::ends::duration::{is_duration, parse_duration};
use crate::ends::no_end::is_no_end;
use crate::ends::{BareNumber, parse_end, parse_end_in_unit};
use crate::exception::{excepted, excepted_in_reason, holds_exceptions};
use crate::list::DoubtKind;
use crate::network::length::{networks_between, networks_with_length, read_with_lengths};
use crate::network::{
    ParsedNetwork, is_addresses, is_length, is_netmask, is_within, network, networks,
};
use crate::secret_key::excerpt;
use crate::verdict::{
    Statement, begins_with_other_verdict, is_action_of, is_allowance, is_false, is_place_name,
    is_remediation, is_true, may_be_other_verdict, may_be_state_of_country, statement_of,
    verdict_word,
};
use crate::words::{bounded_line, clean, words};
use crate::{Ends, Entry, List, ListError, Reason};

/// The texts of a record, by role.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    /// Texts of the same role are in the order of their ranks.
    texts: Vec<(Role, usize, &'a str)>,
    /// The statements of columns or keys on whether the network is blocked.
    said: Vec<Statement>,
    /// The columns or keys with a statement in unknown words, and their values.
    unclear: Vec<(&'a str, &'a str)>,
    /// Columns or keys without a role; one of them may hold an end.
    others: Vec<(&'a str, Hint, &'a str)>,
    /// This crate wrote the record, so its reason is neither a verdict nor an end nor an exception.
    is_export: bool,
    /// The record states that its entry has no end, so no other text is taken for one.
    is_endless: bool,
}

impl<'a> Record<'a> {
    /// Sets a text. The caller sets the texts of one role in the order of their ranks.
    pub(crate) fn set(&mut self, role: Role, rank: usize, text: &'a str) {
        self.texts.push((role, rank, text));
    }

    /// Adds the statement of a column or key on whether the network is blocked.
    pub(crate) fn add(&mut self, name: &'a str, value: &'a str) {
        match statement_of(name, value) {
            Some(Statement::Unclear) => self.unclear.push((name, clean(value))),
            said => self.said.extend(said.filter(|said| !self.said.contains(said))),
        }
    }

    /// Marks the record as written by this crate.
    pub(crate) fn set_export(&mut self) {
        self.is_export = true;
    }

    /// Marks the entry of the record as one without an end.
    pub(crate) fn set_endless(&mut self) {
        self.is_endless = true;
    }

    /// Adds a column or key without a role.
    pub(crate) fn add_other(&mut self, name: &'a str, hint: Hint, text: &'a str) {
        if !clean(text).is_empty() {
            self.others.push((name, hint, clean(text)));
        }
    }

    /// The non-empty texts of a role with their ranks, lowest rank first.
    fn all(&self, role: Role) -> impl Iterator<Item = (usize, &'a str)> {
        let texts = self.texts.iter().filter(move |(known, ..)| *known == role);
        texts.map(|(_, rank, text)| (*rank, clean(text))).filter(|(_, text)| !text.is_empty())
    }

    fn get(&self, role: Role) -> &'a str {
        self.all(role).next().map_or("", |(_, text)| text)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.texts.iter().any(|(known, ..)| *known == role)
    }

    /// Whether the record has a column or key for a network.
    pub(crate) fn names_network(&self) -> bool {
        self.has(Role::Network) || self.has(Role::First)
    }

    /// Adds the record to the list, or counts why it is not added.
    pub(crate) fn take(&self, list: &mut List, line: usize) -> Result<(), ListError> {
        if self.is_export {
            return self.take_exported(list, line);
        }
        if !self.names_network() && !self.has(Role::From) && self.has(Role::Destination) {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if let Some(reason) = self.left_out(list.rule()) {
            list.leave_out(reason);
            if reason == Reason::NotABan && self.is_let_in(list.rule()) {
                self.except(list)?;
            }
            return Ok(());
        }
        if let Some(why) = self.unclear(list.rule()) {
            list.refuse(line, why);
            return self.except(list);
        }
        let exceptions = self.exceptions();
        if !exceptions.is_empty() {
            list.refuse(line, "it has exceptions: write each as a line, `!` before");
            return except_all(list, &exceptions);
        }
        let reason = self.get(Role::Reason);
        let excepted_there = excepted_in_reason(reason);
        if is_addresses(reason) || !excepted_there.is_empty() {
            list.refuse(line, "the reason is an address: are there two on the line?");
            return except_all(list, &excepted_there);
        }
        match self.read() {
            Ok((networks, ends)) => {
                self.doubt(list, ends == Ends::Never && !self.says_end());
                self.push(list, line, &networks, ends)
            }
            Err(why) => {
                list.refuse(line, why);
                except_all(list, &excepted(self.get(Role::Network)))
            }
        }
    }

    fn take_exported(&self, list: &mut List, line: usize) -> Result<(), ListError> {
        let (reason, origin) = (self.get(Role::Reason), self.get(Role::Origin));
        match self.networks().and_then(|networks| Ok((networks, self.until()?))) {
            Ok((networks, ends)) => push_unchecked(list, line, &networks, reason, origin, ends),
            Err(why) => {
                list.refuse(line, why);
                Ok(())
            }
        }
    }

    /// The networks in columns or keys of exceptions.
    fn exceptions(&self) -> Vec<Network> {
        let of_exceptions = self.others.iter().filter(|(name, _, text)| {
            // Cheap check first: an address contains one of these, most columns do not.
            text.contains(['.', ':']) && holds_exceptions(name)
        });
        let networks = of_exceptions.flat_map(|(_, _, text)| words(text));
        let within = |word: &str| word.trim_matches(['[', ']', '"', ';']).to_owned();
        networks.filter_map(|word| network(&within(word)).ok()).map(|p| p.network).collect()
    }

    /// The reason to leave the record out if its source does not mean it for this rule.
    fn left_out(&self, rule: Rule) -> Option<Reason> {
        let scope = self.get(Role::Scope);
        let is_ours = ["", "ip", "range"].iter().any(|known| scope.eq_ignore_ascii_case(known));
        let value = self.get(Role::Network);
        let is_scoped = value.split_once(':').is_some_and(|(scope, _)| {
            ["country", "as", "username", "user", "session"]
                .iter()
                .any(|known| scope.eq_ignore_ascii_case(known))
        });
        if !is_ours || (is_scoped && network(value).is_err()) {
            return Some(Reason::OtherScope);
        }
        if is_true(self.get(Role::Simulated)) {
            return Some(Reason::Simulated);
        }
        let kind = self.get(Role::Kind);
        // `ip-dst` of MISP.
        if self.has(Role::Network) && is_destination_type(kind) {
            return Some(Reason::OtherScope);
        }
        let is_decision = self.has(Role::Scope) || self.has(Role::Lasts);
        let is_decided = is_decision && is_remediation(kind, self.has(Role::Scope));
        let decided = if is_decided { kind } else { "" };
        let is_other = |said: &str| !said.is_empty() && !is_action_of(said, rule);
        let action = self.get(Role::Action);
        // An unknown action of a CrowdSec decision is not a ban; elsewhere it makes the record bad.
        let action =
            if self.has(Role::Scope) || verdict_word(action).is_some() { action } else { "" };
        let is_no_ban = is_other(decided)
            || is_other(action)
            || (rule == Rule::Block && is_allowance(kind))
            || self.said.iter().any(|said| said.is_other(rule));
        is_no_ban.then_some(Reason::NotABan)
    }

    /// Whether the source allows a network of a block list, rather than having ended its ban.
    fn is_let_in(&self, rule: Rule) -> bool {
        let is_off = self.said.contains(&Statement::Off);
        let is_allowed = self.said.contains(&Statement::Allowed)
            || [Role::Action, Role::Kind]
                .into_iter()
                .any(|role| is_action_of(self.get(role), Rule::Allow));
        rule == Rule::Block && is_allowed && !is_off
    }

    /// Excludes the networks of the record from wider entries of the list.
    fn except(&self, list: &mut List) -> Result<(), ListError> {
        let networks = self.networks().unwrap_or_default();
        networks.iter().try_for_each(|parsed| list.except_by_longest_match(parsed.network))
    }

    /// Why it is unclear whether the source means the record for this rule.
    fn unclear(&self, rule: Rule) -> Option<String> {
        let is_of_country = |name: &str| {
            may_be_state_of_country(name)
                && self.others.iter().any(|(name, ..)| is_place_name(name))
        };
        if let Some((name, value)) = self.unclear.iter().find(|(name, _)| !is_of_country(name)) {
            let is_end = is_date(value) || parse_duration(value).is_ok();
            let end =
                if is_end { ": it may be its end; name it `expires` or `ttl` then" } else { "" };
            let (name, value) = (excerpt(name), excerpt(value));
            return Some(format!("`{name}` says `{value}`, which is no known verdict{end}"));
        }
        let action = self.get(Role::Action);
        if !action.is_empty() && verdict_word(action).is_none() && !self.has(Role::Scope) {
            return Some(format!("`{}` is no known action", excerpt(action)));
        }
        let simulated = self.get(Role::Simulated);
        if !simulated.is_empty() && !is_false(simulated) && simulated != "null" {
            return Some(format!("`{}` is neither yes nor no (simulated)", excerpt(simulated)));
        }
        let of_other =
            self.others.iter().find(|(name, _, text)| may_be_other_verdict(name, text, rule));
        let (name, _, text) = of_other?;
        Some(format!(
            "`{}` in `{}` may say that it is not meant: name the column `action`, if it does",
            excerpt(text),
            excerpt(name)
        ))
    }

    fn read(&self) -> Result<(Vec<ParsedNetwork>, Ends), String> {
        if !self.names_network() && (self.has(Role::From) || self.has(Role::To)) {
            return Err("`from` and `to` may be a range, or source and destination: name them \
                        `start` and `end`, or `src` and `dst`"
                .to_owned());
        }
        let networks = self.networks()?;
        let mut until = self.until()?;
        let last = self.get(Role::Last);
        // Beside a network, `end` is a moment, unless it holds an address.
        if self.has(Role::Network) && until == Ends::Never && last.parse::<IpAddr>().is_err() {
            until = parse_end(last, BareNumber::Moment)?;
        }
        if until == Ends::Never && self.has(Role::Network) && is_date(self.get(Role::To)) {
            until = parse_end(self.get(Role::To), BareNumber::Moment)?;
        }
        let lasts = match parse_end(self.get(Role::Lasts), BareNumber::Seconds)? {
            Ends::Never => self.lasts_in()?,
            lasts => lasts,
        };
        let ends = if until == Ends::Never { lasts } else { until };
        if ends == Ends::Never && !self.says_end() {
            self.find_end()?;
        }
        Ok((networks, ends))
    }

    /// The end in a column or key for moments; the column's name may say that it is in UTC.
    fn until(&self) -> Result<Ends, String> {
        let Some((rank, text)) = self.all(Role::Until).next() else { return Ok(Ends::Never) };
        Ok(match parse_end(text, BareNumber::Moment)? {
            Ends::Local(moment) if is_in_utc(rank) => Ends::At(moment),
            ends => ends,
        })
    }

    /// Whether a column or key for ends is filled, even if only with "no end".
    fn says_end(&self) -> bool {
        self.texts.iter().any(|(role, _, text)| role.is_end() && !clean(text).is_empty())
    }

    /// The end from a duration whose unit the column's name gives.
    fn lasts_in(&self) -> Result<Ends, String> {
        for (role, _, text) in &self.texts {
            if let Role::LastsIn(unit) = role
                && !clean(text).is_empty()
            {
                return parse_end_in_unit(text, *unit);
            }
        }
        Ok(Ends::Never)
    }

    /// Refuses a possible end under an unknown name: ignoring it would block the network for ever.
    fn find_end(&self) -> Result<(), String> {
        for (name, hint, text) in &self.others {
            let is_end = match hint {
                Hint::End => !is_false(text) && !is_true(text) && !is_no_end(text),
                Hint::Nothing => is_date(text) || is_duration(text) || end_in(text).is_some(),
                Hint::Past | Hint::Begin | Hint::Moment => false,
            };
            if is_end {
                return Err(format!(
                    "`{}` may be its end, but the name `{}` is not known: name it `expires` or \
                     `ttl`, or `seen` if it is none",
                    excerpt(text),
                    excerpt(name)
                ));
            }
        }
        Ok(())
    }

    /// Records moments that are harmless only while they are past: moments in columns of unclear
    /// meaning, begins and sightings.
    fn doubt(&self, list: &mut List, is_without_end: bool) {
        for (_, hint, text) in &self.others {
            match hint {
                Hint::Moment if is_without_end => list.doubt_end(text),
                Hint::Past if is_without_end => list.doubt_moment_of(DoubtKind::Sight, text),
                Hint::Begin => list.doubt_moment_of(DoubtKind::Begin, text),
                _ => {}
            }
        }
        let begins = [Role::From, Role::First].into_iter().flat_map(|role| self.all(role));
        begins.for_each(|(_, text)| list.doubt_moment_of(DoubtKind::Begin, text));
    }

    fn networks(&self) -> Result<Vec<ParsedNetwork>, String> {
        let (first, last) = (self.get(Role::First), self.get(Role::Last));
        let mut masks: Vec<&str> = self.all(Role::Mask).map(|(_, text)| text).collect();
        let is_length_of = |rank: usize, text: &str| {
            let is_bare = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_length(text) || is_netmask(text) || (is_bare && may_be_length(rank))
        };
        let (lengths, texts): (Vec<_>, Vec<_>) =
            self.all(Role::Network).partition(|(rank, text)| is_length_of(*rank, text));
        let mut texts = texts.into_iter().filter(|(_, text)| networks(text).is_ok()).peekable();
        let has_address = texts.peek().is_some() || !first.is_empty();
        let has_length = has_address && !lengths.is_empty();
        if has_length {
            masks.extend(lengths.into_iter().map(|(_, text)| text));
        }
        let masks = masks.iter().map(|mask| mask.strip_prefix('/').unwrap_or(mask));
        let masks: Vec<&str> = masks.collect();
        let Some((rank, text)) = texts.next() else {
            let text = self.get(Role::Network);
            return if first.is_empty() || !text.is_empty() {
                networks(text)
            } else {
                read_with_lengths(&masks, |mask| networks_between(first, last, mask))
            };
        };
        let mut read = read_with_lengths(&masks, |mask| networks_with_length(text, mask))?;
        if has_length && !text.contains('/') && read.iter().any(|parsed| parsed.has_host_bits) {
            return Err(format!(
                "`{}` is no network of length `{}`: is the address meant, or the network?",
                excerpt(text),
                excerpt(masks[0])
            ));
        }
        for (other_rank, other) in texts {
            // A street or host name is not an address; a host beside a network does not count.
            let Ok(others) = networks(other) else { continue };
            let is_around = |parsed: &ParsedNetwork| {
                others.iter().any(|other| is_within(parsed.network, other.network))
            };
            if is_host(other_rank) || read.iter().all(is_around) {
                continue;
            }
            if !is_of_family(rank) || !is_of_family(other_rank) {
                return Err(format!(
                    "it has two addresses, `{}` and `{}`: which one is meant?",
                    excerpt(text),
                    excerpt(other)
                ));
            }
            read.extend(others);
        }
        Ok(read)
    }

    fn push(
        &self,
        list: &mut List,
        line: usize,
        networks: &[ParsedNetwork],
        ends: Ends,
    ) -> Result<(), ListError> {
        let reason = match self.get(Role::Reason) {
            "" if !self.has(Role::Scope) => self.get(Role::Kind),
            reason => reason,
        };
        let origin = self.get(Role::Origin);
        if self.is_endless {
            return push_unchecked(list, line, networks, reason, origin, ends);
        }
        push_meant(list, line, networks, reason, origin, ends)
    }
}

/// Adds networks to the list, unless the text beside them says that they are not meant.
pub(crate) fn push_meant(
    list: &mut List,
    line: usize,
    networks: &[ParsedNetwork],
    reason: &str,
    origin: &str,
    ends: Ends,
) -> Result<(), ListError> {
    let rule = list.rule();
    if begins_with_other_verdict(reason, rule) {
        if rule == Rule::Block && is_allowance(reason) {
            list.leave_out(Reason::NotABan);
        } else {
            let why = format!("`{}` may say that it is not meant", excerpt(reason));
            list.refuse(line, why);
        }
        let meant = |parsed: &ParsedNetwork| parsed.network;
        return networks.iter().map(meant).try_for_each(|n| list.except_by_longest_match(n));
    }
    let excepted = excepted_in_reason(reason);
    if !excepted.is_empty() {
        list.refuse(
            line,
            "it names an exception behind its network: write it as a line, `!` before",
        );
        return except_all(list, &excepted);
    }
    push(list, line, networks, reason, origin, ends)
}

/// Excludes networks from the entries of the list, wherever the entries stand.
pub(crate) fn except_all(list: &mut List, networks: &[Network]) -> Result<(), ListError> {
    networks.iter().try_for_each(|network| list.except_everywhere(*network))
}

/// The advice for an end in a comment.
const NAME_IT: &str = "write it in a column `expires` or `ttl`";

/// Adds networks to the list, with a note on host bits. A reason of addresses only is dropped.
pub(crate) fn push(
    list: &mut List,
    line: usize,
    networks: &[ParsedNetwork],
    reason: &str,
    origin: &str,
    ends: Ends,
) -> Result<(), ListError> {
    let reason = if is_addresses(reason) { "" } else { reason };
    if ends == Ends::Never {
        if let Some(end) = end_in(reason) {
            list.refuse(line, format_args!("`{end}` may be its end: {NAME_IT}"));
            return Ok(());
        }
        list.doubt_moments_in(reason);
    }
    push_unchecked(list, line, networks, reason, origin, ends)
}

fn push_unchecked(
    list: &mut List,
    line: usize,
    networks: &[ParsedNetwork],
    reason: &str,
    origin: &str,
    ends: Ends,
) -> Result<(), ListError> {
    let (reason, origin) = (bounded_line(reason), bounded_line(origin));
    for ParsedNetwork { network, has_host_bits } in networks {
        if *has_host_bits {
            list.note(line, format_args!("host bits are set: read as {network}"));
        }
        let (reason, origin) = (reason.clone(), origin.clone());
        list.push(Entry { line, network: *network, reason, origin, ends, unit: 0 })?;
    }
    Ok(())
}
