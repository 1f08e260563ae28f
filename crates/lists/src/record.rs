//! A row of a table, an object of JSON or a decision as a record by the names of its columns or
//! keys, and its way into the list.

use std::net::IpAddr;

use mailmesh_events::Rule;

use crate::field::{
    Bare, Parsed, bounded, clean, ends, ends_after, is_addresses, is_length, is_netmask, is_no_end,
    is_within, network, networks, range, shown,
};
use crate::free_text::{end_in, is_duration};
use crate::list::DoubtKind;
use crate::moment::is_date;
use crate::role::{Hint, Role, is_destination, is_host, is_in_utc, is_of_family, may_be_length};
use crate::verdict::{Said, is_allowance, is_ban, is_false, is_remediation, is_true};
use crate::{Ends, Entry, List, ListError, Reason};

/// The texts of a record, by role.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    /// Those of one role in the order of their ranks.
    texts: Vec<(Role, usize, &'a str)>,
    /// The statements of its columns or keys on whether it is blocked.
    said: Vec<Said>,
    /// Columns or keys without a role, in which an end may be.
    others: Vec<(&'a str, Hint, &'a str)>,
    /// It was written by this crate, and says itself that it has no end: no text is one.
    is_export: bool,
}

impl<'a> Record<'a> {
    /// Sets a text, after those of the same role that count more.
    pub(crate) fn set(&mut self, role: Role, rank: usize, text: &'a str) {
        self.texts.push((role, rank, text));
    }

    /// Adds the statement of a column or key on whether the network is blocked.
    pub(crate) fn add(&mut self, said: Option<Said>) {
        self.said.extend(said.filter(|said| !self.said.contains(said)));
    }

    /// Marks the record as written by this crate, with the place of its end empty.
    pub(crate) fn set_export(&mut self) {
        self.is_export = true;
    }

    /// Adds a column or key without a role.
    pub(crate) fn add_other(&mut self, name: &'a str, hint: Hint, text: &'a str) {
        if !clean(text).is_empty() {
            self.others.push((name, hint, clean(text)));
        }
    }

    /// The texts of a role that are filled, with their ranks: those that count most first.
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

    /// Whether the record names a network.
    pub(crate) fn names_network(&self) -> bool {
        self.has(Role::Network) || self.has(Role::First)
    }

    /// Takes the record into the list.
    pub(crate) fn take(&self, list: &mut List, line: usize) -> Result<(), ListError> {
        if !self.names_network() && !self.has(Role::From) && self.has(Role::Destination) {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if let Some(reason) = self.left_out(list.rule.0) {
            list.leave_out(reason);
            return Ok(());
        }
        if is_addresses(self.get(Role::Reason)) {
            list.refuse(line, "the reason is an address: are there two on the line?");
            return Ok(());
        }
        match self.read() {
            Ok((networks, ends)) => {
                self.doubt(list, ends == Ends::Never && !self.says_end());
                self.push(list, line, &networks, ends)
            }
            Err(why) => {
                list.refuse(line, why);
                Ok(())
            }
        }
    }

    /// The reason to leave the record out, if its source means no entry for this rule by it.
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
        if self.has(Role::Network) && is_destination(kind) {
            return Some(Reason::OtherScope);
        }
        let is_decision = self.has(Role::Scope) || self.has(Role::Lasts);
        let is_decided = is_decision && is_remediation(kind, self.has(Role::Scope));
        let decided = if is_decided { kind } else { "" };
        let action = self.get(Role::Action);
        let is_other = |said: &str| !said.is_empty() && !is_ban(said);
        let is_trusted = is_true(self.get(Role::Trusted));
        let is_inactive = self.has(Role::Active) && is_false(self.get(Role::Active));
        let is_no_ban = if rule == Rule::Allow {
            let is_blocked = self.said.contains(&Said::Blocked);
            is_ban(decided) || is_ban(action) || is_inactive || is_blocked
        } else {
            let is_other = is_other(decided) || is_other(action) || is_allowance(kind);
            let is_not = self.said.iter().any(|said| *said != Said::Blocked);
            is_other || is_trusted || is_inactive || is_not
        };
        is_no_ban.then_some(Reason::NotABan)
    }

    fn read(&self) -> Result<(Vec<Parsed>, Ends), String> {
        if !self.names_network() && (self.has(Role::From) || self.has(Role::To)) {
            return Err("`from` and `to` may be a range, or source and destination: name them \
                        `start` and `end`, or `src` and `dst`"
                .to_owned());
        }
        let networks = self.networks()?;
        let mut until = self.until()?;
        let last = self.get(Role::Last);
        // Beside a network, `end` is when, unless it is an address.
        if self.has(Role::Network) && until == Ends::Never && last.parse::<IpAddr>().is_err() {
            until = ends(last, Bare::Moment)?;
        }
        if until == Ends::Never && self.has(Role::Network) && is_date(self.get(Role::To)) {
            until = ends(self.get(Role::To), Bare::Moment)?;
        }
        let lasts = match ends(self.get(Role::Lasts), Bare::Seconds)? {
            Ends::Never => self.lasts_in()?,
            lasts => lasts,
        };
        let ends = if until == Ends::Never { lasts } else { until };
        if ends == Ends::Never && !self.says_end() {
            self.find_end()?;
        }
        Ok((networks, ends))
    }

    /// The end that its column or key has; the name of that may say that it is one of UTC.
    fn until(&self) -> Result<Ends, String> {
        let Some((rank, text)) = self.all(Role::Until).next() else { return Ok(Ends::Never) };
        Ok(match ends(text, Bare::Moment)? {
            Ends::Local(moment) if is_in_utc(rank) => Ends::At(moment),
            ends => ends,
        })
    }

    /// Whether a column or key for ends is filled, if only to say that there is none.
    fn says_end(&self) -> bool {
        self.texts.iter().any(|(role, _, text)| role.is_end() && !clean(text).is_empty())
    }

    /// The end by a duration whose unit the name of its column gives.
    fn lasts_in(&self) -> Result<Ends, String> {
        for (role, _, text) in &self.texts {
            if let Role::LastsIn(unit) = role
                && !clean(text).is_empty()
            {
                return ends_after(text, *unit);
            }
        }
        Ok(Ends::Never)
    }

    /// Refuses what may be an end under a name that is not known: a block would hold for ever.
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
                    shown(text),
                    shown(name)
                ));
            }
        }
        Ok(())
    }

    /// Remembers moments that are no end as long as they are past: of columns that do not say of
    /// what, and of begins and sights.
    fn doubt(&self, list: &mut List, is_without_end: bool) {
        for (_, hint, text) in &self.others {
            match hint {
                Hint::Moment if is_without_end => list.doubt(text),
                Hint::Past if is_without_end => list.doubt_as(DoubtKind::Sight, text),
                Hint::Begin => list.doubt_as(DoubtKind::Begin, text),
                _ => {}
            }
        }
        let begins = [Role::From, Role::First].into_iter().flat_map(|role| self.all(role));
        begins.for_each(|(_, text)| list.doubt_as(DoubtKind::Begin, text));
    }

    fn networks(&self) -> Result<Vec<Parsed>, String> {
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
                agreed(&masks, |mask| spanned(first, last, mask))
            };
        };
        let mut read = agreed(&masks, |mask| of_length(text, mask))?;
        if has_length && !text.contains('/') && read.iter().any(|parsed| parsed.has_host_bits) {
            return Err(format!(
                "`{}` is no network of length `{}`: is the address meant, or the network?",
                shown(text),
                shown(masks[0])
            ));
        }
        for (other_rank, other) in texts {
            // A street or the name of a host is no address; nor is a host beside one.
            let Ok(others) = networks(other) else { continue };
            let is_around = |parsed: &Parsed| {
                others.iter().any(|other| is_within(parsed.network, other.network))
            };
            if is_host(other_rank) || read.iter().all(is_around) {
                continue;
            }
            if !is_of_family(rank) || !is_of_family(other_rank) {
                return Err(format!(
                    "it has two addresses, `{}` and `{}`: which one is meant?",
                    shown(text),
                    shown(other)
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
        networks: &[Parsed],
        ends: Ends,
    ) -> Result<(), ListError> {
        let reason = match self.get(Role::Reason) {
            "" if !self.has(Role::Scope) => self.get(Role::Kind),
            reason => reason,
        };
        let origin = self.get(Role::Origin);
        if self.is_export {
            return push_unchecked(list, line, networks, reason, origin, ends);
        }
        push(list, line, networks, reason, origin, ends)
    }
}

/// The advice for an end in a comment.
const NAME_IT: &str = "write it in a column `expires` or `ttl`";

/// The networks by every mask or length that a record has: they must agree.
fn agreed(
    masks: &[&str],
    read: impl Fn(&str) -> Result<Vec<Parsed>, String>,
) -> Result<Vec<Parsed>, String> {
    let Some((first, others)) = masks.split_first() else { return read("") };
    let networks = read(first)?;
    for other in others {
        if read(other)? != networks {
            return Err(format!(
                "its lengths do not agree: `{}` and `{}`",
                shown(first),
                shown(other)
            ));
        }
    }
    Ok(networks)
}

/// The networks of a text, with the mask or length beside it: if the text has one too, they agree.
fn of_length(text: &str, mask: &str) -> Result<Vec<Parsed>, String> {
    if mask.is_empty() {
        return networks(text);
    }
    let Some((address, _)) = text.split_once(['/', '-']) else {
        return spanned(text, "", mask);
    };
    let (read, [with_mask]) = (networks(text)?, [network(&format!("{}/{mask}", clean(address)))?]);
    if read.iter().map(|parsed| parsed.network).ne([with_mask.network]) {
        return Err(format!("`{}` and the length `{}` do not agree", shown(text), shown(mask)));
    }
    Ok(read)
}

/// Takes networks into the list, with a note for host bits. Addresses are no reason.
pub(crate) fn push(
    list: &mut List,
    line: usize,
    networks: &[Parsed],
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
        list.doubt_in(reason);
    }
    push_unchecked(list, line, networks, reason, origin, ends)
}

fn push_unchecked(
    list: &mut List,
    line: usize,
    networks: &[Parsed],
    reason: &str,
    origin: &str,
    ends: Ends,
) -> Result<(), ListError> {
    let (reason, origin) = (bounded(reason), bounded(origin));
    for Parsed { network, has_host_bits } in networks {
        if *has_host_bits {
            list.note(line, format_args!("host bits are set: read as {network}"));
        }
        let (reason, origin) = (reason.clone(), origin.clone());
        list.push(Entry { line, network: *network, reason, origin, ends, unit: 0 })?;
    }
    Ok(())
}

/// The networks between two addresses, or of an address and a mask; of all three if they agree.
pub(crate) fn spanned(first: &str, last: &str, mask: &str) -> Result<Vec<Parsed>, String> {
    let with_mask = if mask.is_empty() {
        None
    } else {
        let prefix = format!("{first}/{mask}");
        Some(network(&prefix)?)
    };
    if last.is_empty() {
        return match with_mask {
            Some(parsed) => Ok(vec![parsed]),
            None => Ok(vec![network(first)?]),
        };
    }
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", shown(text)))
    };
    let networks = range(address(first)?, address(last)?)?;
    match with_mask {
        Some(parsed) if networks != [Parsed { has_host_bits: false, ..parsed }] => {
            Err(format!("{first} to {last} is not {}", parsed.network))
        }
        _ => Ok(networks),
    }
}
