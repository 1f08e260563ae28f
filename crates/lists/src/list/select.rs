//! Selects the entries of a list that are to be imported.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use mailmesh_events::{Network, Rule, UnixMillis};

use super::List;
use super::cutter::Cutter;
use crate::{Ends, Entry, MAX_BAD, NEVER, Reason, reserved};

/// The terms of an import.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Whether the networks are to be blocked or allowed.
    pub rule: Rule,
    /// The moment of the import.
    pub now: UnixMillis,
    /// The lifetime of entries without an end of their own; `None`: they hold until removed.
    pub ttl: Option<Duration>,
    /// Whether networks of any width are accepted.
    pub any_width: bool,
    /// Whether blocks of private and reserved networks are accepted; loopback never is.
    pub include_private: bool,
}

impl Default for Terms {
    /// Blocks of public networks within the bounds of width, at moment 0: no entry has ended.
    fn default() -> Self {
        let (rule, now) = (Rule::Block, UnixMillis(0));
        Self { rule, now, ttl: None, any_width: false, include_private: false }
    }
}

/// Networks that a list names but that are not imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOutNetworks {
    /// The first [`MAX_BAD`] private or reserved networks that are left out.
    pub private: Vec<PrivateNetwork>,
    /// The number of private or reserved networks that are left out.
    pub private_count: usize,
    /// The first [`MAX_BAD`] entries that are left out because they have ended.
    pub ended: Vec<Ended>,
    /// The number of entries that have ended.
    pub ended_count: usize,
}

/// A private or reserved network that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateNetwork {
    /// The line of the network in the file, from 1.
    pub line: usize,
    /// The network.
    pub network: Network,
}

/// An entry that is left out because it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The line of the entry in the file, from 1.
    pub line: usize,
    /// The network of the entry.
    pub network: Network,
    /// The end of the entry; the moment of the import if the list only says that it has passed.
    pub end: UnixMillis,
}

impl List {
    /// Keeps the entries to be imported on these terms, and counts the others. Of two entries with
    /// the same network, the one that ends last is kept; if they end together, the later one.
    pub fn select_for_import(&mut self, terms: &Terms) -> LeftOutNetworks {
        self.apply_exceptions(terms);
        let mut entries = std::mem::take(&mut self.entries);
        for entry in entries.iter_mut().filter(|entry| entry.ends == Ends::Never) {
            entry.ends = terms.ttl.map_or(Ends::Never, Ends::After);
        }
        let mut left_out_networks = LeftOutNetworks::default();
        let mut verdicts: Vec<Option<Reason>> =
            entries.iter().map(|entry| self.judge(entry, terms, &mut left_out_networks)).collect();
        let doubts = std::mem::take(&mut self.doubts).into_iter();
        let doubts: HashMap<usize, String> =
            doubts.filter_map(|doubt| Some((doubt.unit, doubt.fault(terms.now)?))).collect();
        for unit in units(&entries) {
            if let Some(why) = doubts.get(&entries[unit.start].unit)
                && verdicts[unit.clone()].contains(&None)
            {
                self.keep_bad(entries[unit.start].line, why);
                verdicts[unit].fill(Some(Reason::Bad));
                continue;
            }
            self.refuse_whole_line(&entries[unit.clone()], &mut verdicts[unit], terms);
        }
        leave_out_duplicates(&entries, &mut verdicts, terms.now);
        for unit in units(&entries) {
            let verdicts = &verdicts[unit];
            if let (false, Some(Some(reason))) = (verdicts.contains(&None), verdicts.first()) {
                self.left_out.add(*reason, 1);
            }
        }
        let mut verdicts = verdicts.into_iter();
        entries.retain(|_| verdicts.next() == Some(None));
        self.entries = entries;
        left_out_networks
    }

    fn judge(
        &mut self,
        entry: &Entry,
        terms: &Terms,
        left_out_networks: &mut LeftOutNetworks,
    ) -> Option<Reason> {
        if let Some(end) = entry.ends.moment(terms.now).filter(|end| *end <= terms.now) {
            left_out_networks.ended_count += 1;
            if left_out_networks.ended.len() < MAX_BAD {
                let Entry { line, network, .. } = *entry;
                left_out_networks.ended.push(Ended { line, network, end });
            }
            return Some(Reason::Ended);
        }
        let network = entry.network;
        if terms.rule == Rule::Allow {
            return refusal(network, terms).map(|_| Reason::Bad);
        }
        let is_loopback = reserved::is_loopback(network);
        if is_loopback || (!terms.include_private && reserved::kind(network).is_some()) {
            left_out_networks.private_count += 1;
            if left_out_networks.private.len() < MAX_BAD {
                left_out_networks.private.push(PrivateNetwork { line: entry.line, network });
            }
            return Some(Reason::Private);
        }
        if refusal(network, terms).is_some() {
            return Some(Reason::Bad);
        }
        if !terms.include_private
            && let Some((inner, kind)) = reserved::inside(network)
        {
            self.note(entry.line, format_args!("{network} has {inner} in it ({kind})"));
        }
        None
    }

    /// Refuses all networks of a line if one of them is bad.
    fn refuse_whole_line(
        &mut self,
        entries: &[Entry],
        verdicts: &mut [Option<Reason>],
        terms: &Terms,
    ) {
        if let Some(at) = verdicts.iter().position(|verdict| *verdict == Some(Reason::Bad)) {
            let why = refusal(entries[at].network, terms);
            self.keep_bad(entries[at].line, why.unwrap_or_default());
            verdicts.fill(Some(Reason::Bad));
        }
    }

    /// Cuts the exceptions of the list out of its entries.
    fn apply_exceptions(&mut self, terms: &Terms) {
        let mut exceptions = std::mem::take(&mut self.exceptions);
        if exceptions.is_empty() {
            return;
        }
        exceptions.sort_by_key(|exception| exception.network);
        let mut cutter = Cutter::new(&exceptions);
        let entries = std::mem::take(&mut self.entries);
        for of_unit in entries.chunk_by(|a, b| a.unit == b.unit) {
            let before = self.entries.len();
            let mut is_bad = false;
            for entry in of_unit {
                let Some(pieces) = cutter.cut(entry) else {
                    is_bad = true;
                    break;
                };
                // Too wide even as listed: keep the entry whole, so that it is refused as listed.
                if pieces.iter().any(|piece| refusal(*piece, terms).is_some())
                    && refusal(entry.network, terms).is_some()
                {
                    self.entries.push(entry.clone());
                    continue;
                }
                let pieces = pieces.into_iter().map(|network| Entry { network, ..entry.clone() });
                self.entries.extend(pieces);
            }
            if is_bad {
                self.entries.truncate(before);
                self.keep_bad(of_unit[0].line, "the list takes too many networks out of it");
                self.left_out.add(Reason::Bad, 1);
            } else if self.entries.len() == before {
                self.left_out.add(Reason::OtherAction, 1);
            }
        }
    }
}

/// The index range of the entries of each unit (line or entry of JSON).
fn units(entries: &[Entry]) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    entries.chunk_by(|a, b| a.unit == b.unit).map(move |of_unit| {
        let range = begin..begin + of_unit.len();
        begin = range.end;
        range
    })
}

/// Leaves out all but one entry of a network: the entry that ends last stays, or else the later.
fn leave_out_duplicates(entries: &[Entry], verdicts: &mut [Option<Reason>], now: UnixMillis) {
    let end = |index: usize| entries[index].ends.moment(now).unwrap_or(NEVER);
    let mut kept: HashMap<Network, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if verdicts[index].is_some() {
            continue;
        }
        let before = *kept.entry(entry.network).or_insert(index);
        if before == index {
            continue;
        }
        let is_later = end(index) >= end(before);
        let (keep, drop) = if is_later { (index, before) } else { (before, index) };
        kept.insert(entry.network, keep);
        verdicts[drop] = Some(Reason::Duplicate);
    }
}

/// Why a network must not be set on these terms; `None` if it may be.
fn refusal(network: Network, terms: &Terms) -> Option<String> {
    let settable = match (terms.rule, terms.any_width) {
        (Rule::Block, true) => network.ensure_blockable_of_any_width(),
        (Rule::Block, false) => network.ensure_blockable(),
        (Rule::Allow, true) => Ok(network),
        (Rule::Allow, false) => network.ensure_allowable(),
    };
    settable.err().map(|error| error.to_string())
}
