//! Finding what two mirrors differ in by coded symbols, and exchanging just that.
//!
//! 1. Symbols of the whole content, which both keep current: [`INITIAL_SYMBOLS`], then twice as
//!    many in all, up to [`SKETCH_SYMBOLS`].
//! 2. If these do not tell, they tell how many differences there are, about. Symbols of
//!    shares of the content follow, as many as that needs, several shares at a time; for a
//!    share that needs more, half as many again.
//! 3. After each answer that tells: the entries that only they have are asked for, then
//!    those that only we have are sent.

use mailmesh_events::{Change, CodedSymbol, Share, SyncMessage, limits};

use super::{ReconcileConfig, pack};
use crate::Mirror;
use crate::entries::SKETCH_SYMBOLS;

/// Symbols asked for first: enough for some 40 differences, 1 kB.
const INITIAL_SYMBOLS: u16 = 64;
/// Entries of a share, about.
const ENTRIES_PER_SHARE: u64 = 256;
/// Shares asked for at a time.
const SHARES_PER_QUERY: u16 = 32;
/// Most symbols of a share: what needs more, differs in nearly everything.
pub(super) const MAX_SYMBOLS_PER_SHARE: u16 = 2_048;
/// Entries asked for at a time.
const ITEMS_PER_QUERY: usize = 512;

#[derive(Debug)]
pub(super) struct Comparison {
    pending: Query,
    /// Of the whole content: what came so far.
    whole_symbols: Vec<CodedSymbol>,
    /// Shares that need more symbols than they got, and those.
    undecoded: Vec<(Share, Vec<CodedSymbol>)>,
    /// Symbols of the share that is asked for again.
    retried_symbols: Vec<CodedSymbol>,
    /// The next share not compared yet; `None` while the whole is compared.
    next_share: Option<Share>,
    /// Symbols that the next shares are likely to need.
    symbols_per_share: u16,
    /// Items to ask for.
    theirs: Vec<u64>,
    /// Items to send.
    ours: Vec<u64>,
    /// There was a difference.
    found_any: bool,
}

/// What an answer is awaited to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Query {
    Symbols { first: Share, shares: u16, from: u16, count: u16 },
    Entries { items: Vec<u64> },
}

/// What an answer led to.
#[derive(Debug)]
pub(super) enum ComparisonStep {
    /// It is not what was asked for.
    Wait,
    /// The next question is to be asked; what they lack is to be sent.
    Ask { push: Vec<Change> },
    /// All is compared; what they lack is to be sent.
    Complete { push: Vec<Change>, found_any: bool },
    /// They differ in too much.
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

    /// The question that is open.
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

    /// Symbols came: of so many shares from `first` on, `count` each from `from` on.
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

    /// Entries came; whether these were the last of the answer.
    pub(super) fn on_entries(&mut self, more: bool, mirror: &Mirror) -> ComparisonStep {
        if more || !matches!(self.pending, Query::Entries { .. }) {
            return ComparisonStep::Wait;
        }
        self.next_query(mirror)
    }

    /// The next question.
    fn next_query(&mut self, mirror: &Mirror) -> ComparisonStep {
        self.found_any |= !self.theirs.is_empty() || !self.ours.is_empty();
        if !self.theirs.is_empty() {
            let items = self.theirs.split_off(self.theirs.len().saturating_sub(ITEMS_PER_QUERY));
            self.pending = Query::Entries { items };
            return ComparisonStep::Ask { push: Vec::new() };
        }
        // What came may have taken the place of what only we received.
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

/// The entries in messages of about the size of a part.
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

/// Symbols that most shares with about so many differences do with: half as many again,
/// and some, since a second request costs more than a few symbols too many.
fn symbols_for(differences: u64) -> u16 {
    let max = limits::SYNC_SYMBOLS as u64 / u64::from(SHARES_PER_QUERY);
    (differences * 3 / 2 + 8).min(max) as u16
}

/// How many differences there are, about, by symbols too few to tell which. What falls on
/// symbol i is each with a chance of p = 1 / (1 + i/2): of d differences, n of them more on
/// one side, the square of the count is n²p² + d p (1 - p) on average.
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
    fn differences_are_estimated_within_a_third() {
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
