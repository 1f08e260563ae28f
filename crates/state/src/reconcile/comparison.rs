//! Finds the difference of two mirrors by coded symbols and exchanges only that.
//!
//! 1. The node asks for symbols of the whole content, which both nodes keep current:
//!    [`INITIAL_SYMBOLS`] first, then doubling the total up to [`SKETCH_SYMBOLS`].
//! 2. If these do not decode, they give an estimate of the number of differences. The node then
//!    asks for symbols of shares of the content, several shares at a time, with as many symbols as
//!    the estimate needs. A share that does not decode gets half as many symbols again.
//! 3. After each answer that decodes, the node asks for the entries that only the peer has, then
//!    sends the entries that only this node has.

use mailmesh_events::{Change, CodedSymbol, Share, SyncMessage, limits};

use super::full_transfer::ENTRIES_PER_SHARE;
use super::{ReconcileConfig, pack};
use crate::Mirror;
use crate::entries::SKETCH_SYMBOLS;

/// Symbols in the first query: 1 kB, enough for some 40 differences.
const INITIAL_SYMBOLS: u16 = 64;
/// Shares in one query.
const SHARES_PER_QUERY: u16 = 32;
/// Maximum number of symbols for a share. A share that needs more differs in nearly everything.
pub(super) const MAX_SYMBOLS_PER_SHARE: u16 = 2_048;
/// Entries in one query.
const ITEMS_PER_QUERY: usize = 512;

#[derive(Debug)]
pub(super) struct Comparison {
    pending: Query,
    /// Symbols of the whole content received so far.
    whole_symbols: Vec<CodedSymbol>,
    /// Shares whose symbols did not decode yet, with those symbols.
    undecoded: Vec<(Share, Vec<CodedSymbol>)>,
    /// Symbols received earlier for the share that the pending query asks more symbols for.
    retried_symbols: Vec<CodedSymbol>,
    /// The next share to compare; `None` while the whole content is compared.
    next_share: Option<Share>,
    /// Estimated number of symbols that a share needs.
    symbols_per_share: u16,
    /// Items of entries to ask the peer for.
    theirs: Vec<u64>,
    /// Items of entries to send to the peer.
    ours: Vec<u64>,
    /// Whether any difference was found.
    found_any: bool,
}

/// The query that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Query {
    Symbols { first: Share, shares: u16, from: u16, count: u16 },
    Entries { items: Vec<u64> },
}

/// The next step of the exchange after an answer.
#[derive(Debug)]
pub(super) enum ComparisonStep {
    /// The message does not complete the pending query.
    Wait,
    /// Send the next query, and `push` to the peer, which lacks those entries.
    Ask { push: Vec<Change> },
    /// The comparison is complete. Send `push` to the peer, which lacks those entries.
    Complete { push: Vec<Change>, found_any: bool },
    /// The mirrors differ in too much for a comparison.
    TooDifferent,
}

impl Comparison {
    pub(super) fn new() -> Self {
        let first = Share::default();
        Self {
            pending: Query::Symbols { first, shares: 1, from: 0, count: INITIAL_SYMBOLS },
            whole_symbols: Vec::new(),
            undecoded: Vec::new(),
            retried_symbols: Vec::new(),
            next_share: None,
            symbols_per_share: 0,
            theirs: Vec::new(),
            ours: Vec::new(),
            found_any: false,
        }
    }

    /// The message of the pending query.
    pub(super) fn request(&self, round: u32) -> SyncMessage {
        match &self.pending {
            Query::Symbols { first, shares, from, count } => SyncMessage::AskSymbols {
                round,
                first: *first,
                shares: *shares,
                from: *from,
                count: *count,
            },
            Query::Entries { items } => SyncMessage::AskEntries { round, items: items.clone() },
        }
    }

    /// Handles symbols: `count` for each of some shares from `first` on, beginning with symbol
    /// `from`.
    pub(super) fn on_symbols(
        &mut self,
        (first, from, count): (Share, u16, u16),
        symbols: &[CodedSymbol],
        mirror: &Mirror,
    ) -> ComparisonStep {
        let Query::Symbols {
            first: pending_first,
            shares,
            from: pending_from,
            count: pending_count,
        } = self.pending
        else {
            return ComparisonStep::Wait;
        };
        if (first, from, count) != (pending_first, pending_from, pending_count)
            || symbols.len() != usize::from(shares) * usize::from(count)
        {
            return ComparisonStep::Wait;
        }
        if first.bits == 0 {
            self.on_whole(symbols, mirror)
        } else {
            self.on_shares(first, symbols, mirror)
        }
    }

    fn on_whole(&mut self, symbols: &[CodedSymbol], mirror: &Mirror) -> ComparisonStep {
        self.whole_symbols.extend(symbols);
        let received = self.whole_symbols.len();
        if let Some(difference) = mirror.difference(Share::default(), &self.whole_symbols) {
            (self.theirs, self.ours) = (difference.theirs, difference.ours);
            return self.next_query(mirror);
        }
        if received < SKETCH_SYMBOLS {
            let count = received.min(SKETCH_SYMBOLS - received) as u16;
            let first = Share::default();
            self.pending = Query::Symbols { first, shares: 1, from: received as u16, count };
            return ComparisonStep::Ask { push: Vec::new() };
        }
        let symbols = std::mem::take(&mut self.whole_symbols);
        let ours = mirror.symbols(Share::default(), SKETCH_SYMBOLS);
        let differences = estimate_differences(&symbols, &ours);
        let entries = mirror.digest().entries;
        if differences > entries / 2 {
            return ComparisonStep::TooDifferent;
        }
        let bits =
            ((entries / ENTRIES_PER_SHARE).max(2).ilog2() as u8).clamp(1, limits::SHARE_BITS);
        self.next_share = Some(Share { bits, index: 0 });
        self.symbols_per_share = symbols_for(differences >> bits);
        self.next_query(mirror)
    }

    fn on_shares(
        &mut self,
        first: Share,
        symbols: &[CodedSymbol],
        mirror: &Mirror,
    ) -> ComparisonStep {
        let Query::Symbols { shares, count, .. } = self.pending else {
            return ComparisonStep::Wait;
        };
        let received = std::mem::take(&mut self.retried_symbols);
        let (mut found, mut decoded) = (0, 0);
        for (index, symbols) in (first.index..).zip(symbols.chunks(count.into())) {
            let share = Share { index, ..first };
            let all = [&received, symbols].concat();
            match mirror.difference(share, &all) {
                Some(difference) => {
                    found += difference.theirs.len() + difference.ours.len();
                    decoded += 1;
                    self.theirs.extend(difference.theirs);
                    self.ours.extend(difference.ours);
                }
                None if all.len() >= MAX_SYMBOLS_PER_SHARE.into() => {
                    return ComparisonStep::TooDifferent;
                }
                None => self.undecoded.push((share, all)),
            }
        }
        if shares > 1 && decoded > 0 {
            self.symbols_per_share =
                self.symbols_per_share.max(symbols_for((found / decoded) as u64));
        }
        self.next_query(mirror)
    }

    /// Handles entries; `more` if the answer has further messages.
    pub(super) fn on_entries(&mut self, more: bool, mirror: &Mirror) -> ComparisonStep {
        if more || !matches!(self.pending, Query::Entries { .. }) {
            return ComparisonStep::Wait;
        }
        self.next_query(mirror)
    }

    /// Chooses the next query.
    fn next_query(&mut self, mirror: &Mirror) -> ComparisonStep {
        self.found_any |= !self.theirs.is_empty() || !self.ours.is_empty();
        if !self.theirs.is_empty() {
            let items = self.theirs.split_off(self.theirs.len().saturating_sub(ITEMS_PER_QUERY));
            self.pending = Query::Entries { items };
            return ComparisonStep::Ask { push: Vec::new() };
        }
        // Entries received meanwhile may have replaced some that only this node had.
        let push = mirror.entries_by_item(&std::mem::take(&mut self.ours));
        if let Some((first, received)) = self.undecoded.pop() {
            let from = received.len() as u16;
            let count = (from / 2).max(8).min(MAX_SYMBOLS_PER_SHARE - from);
            self.pending = Query::Symbols { first, shares: 1, from, count };
            self.retried_symbols = received;
            return ComparisonStep::Ask { push };
        }
        match self.next_share {
            Some(first) if first.index >> first.bits == 0 => {
                let left = (1_u32 << first.bits) - first.index;
                let shares = left.min(SHARES_PER_QUERY.into());
                self.next_share = Some(Share { index: first.index + shares, ..first });
                let (shares, count) = (shares as u16, self.symbols_per_share);
                self.pending = Query::Symbols { first, shares, from: 0, count };
                ComparisonStep::Ask { push }
            }
            _ => ComparisonStep::Complete { push, found_any: self.found_any },
        }
    }
}

/// Splits entries into messages of about the size of a part.
pub(super) fn messages(
    round: u32,
    changes: Vec<Change>,
    config: &ReconcileConfig,
) -> impl Iterator<Item = SyncMessage> {
    let packs = pack(changes, config.part_bytes);
    let last = packs.len().saturating_sub(1);
    packs.into_iter().enumerate().map(move |(index, changes)| SyncMessage::Entries {
        round,
        changes,
        more: index < last,
    })
}

/// Symbols with which most shares with this many differences decode: half as many again and a few
/// more, since a second query costs more than a few spare symbols.
fn symbols_for(differences: u64) -> u16 {
    let max = limits::SYNC_SYMBOLS as u64 / u64::from(SHARES_PER_QUERY);
    (differences * 3 / 2 + 8).min(max) as u16
}

/// Estimates the number of differences from symbols that do not decode. Symbol i contains each item
/// with probability p = 1 / (1 + i/2). Let d be the number of differences, and n the surplus of
/// items on one side. The square of the difference of the counts is then n²p² + d p (1 - p) on
/// average.
fn estimate_differences(theirs: &[CodedSymbol], ours: &[CodedSymbol]) -> u64 {
    let count = |(a, b): (&CodedSymbol, &CodedSymbol)| a.count.wrapping_sub(b.count) as f64;
    let counts: Vec<f64> = theirs.iter().zip(ours).map(count).collect();
    let more = counts.first().copied().unwrap_or(0.0);
    let (mut squares, mut weights) = (0.0, 0.0);
    for (index, count) in counts.iter().enumerate().skip(counts.len() / 4) {
        let p = 1.0 / (1.0 + index as f64 / 2.0);
        squares += count * count - more * more * p * p;
        weights += p * (1.0 - p);
    }
    let estimate = (squares / weights).max(more.abs());
    if estimate.is_finite() { estimate.min(1e15) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::riblt::{ItemHasher, Sketch};

    #[test]
    fn the_number_of_differences_is_estimated_within_a_third() {
        let items = |from: u64, count: u64| {
            (from..from + count).map(|n| n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        };
        let sketch = |from: u64, count: u64| {
            let mut sketch = Sketch::new(ItemHasher::new([3; 16]), SKETCH_SYMBOLS);
            items(from, count).for_each(|item| sketch.add(item));
            sketch
        };
        let cases: [((u64, u64), (u64, u64)); 3] = [
            ((0, 50_000), (1_000, 50_000)),
            ((0, 50_000), (0, 47_000)),
            ((0, 60_000), (20_000, 60_000)),
        ];
        for (theirs, ours) in cases {
            let real = theirs.0.abs_diff(ours.0) + (theirs.0 + theirs.1).abs_diff(ours.0 + ours.1);
            let estimate = estimate_differences(
                sketch(theirs.0, theirs.1).symbols(),
                sketch(ours.0, ours.1).symbols(),
            );
            assert!(estimate.abs_diff(real) < real / 3, "{estimate} of {real}");
        }
    }
}
