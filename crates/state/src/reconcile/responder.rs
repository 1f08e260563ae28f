//! Answers peers that compare their mirror with this node's, or take it over.

use std::time::Duration;

use mailmesh_events::{Change, Share, SyncMessage, limits};

use super::ReconcileConfig;
use super::comparison::{self, MAX_SYMBOLS_PER_SHARE};
use super::full_transfer::ENTRIES_PER_SHARE;
use crate::Mirror;
use crate::entries::SKETCH_SYMBOLS;
use crate::planted::{Fault, planted};

/// Approximate minimum size of an entry, in bytes.
const MIN_ENTRY_BYTES: u64 = 50;
/// Shares with more entries get no answer. Peers request shares of about 256 entries, by the count
/// in an earlier digest, so that count may be out of date.
const MAX_SHARE_ENTRIES: u64 = 16 * ENTRIES_PER_SHARE;
/// Items looked up for one token.
const ITEMS_PER_TOKEN: u64 = 256;
/// Entries whose symbols are computed for one token.
const ENTRIES_PER_TOKEN: u64 = 8_192;

/// Answers within a token bucket; one part costs one token.
#[derive(Debug)]
pub(super) struct Responder {
    config: ReconcileConfig,
    /// Tokens left; at most one second's worth.
    tokens: f64,
    refilled: Duration,
}

impl Responder {
    pub(super) fn new(config: ReconcileConfig) -> Self {
        Self { config, tokens: config.max_parts_per_second.into(), refilled: Duration::ZERO }
    }

    /// The answers to a query. None if the query breaks the protocol or the bucket has too few
    /// tokens.
    pub(super) fn answer(
        &mut self,
        query: SyncMessage,
        mirror: &Mirror,
        at: Duration,
    ) -> Vec<SyncMessage> {
        self.refill(at);
        match query {
            SyncMessage::Request { round, first, shares } => {
                self.parts(round, (first, shares), mirror)
            }
            SyncMessage::AskSymbols { round, first, shares, from, count } => {
                let symbols = self.symbols((first, shares), (from, count), mirror);
                let message = |symbols| SyncMessage::Symbols { round, first, from, count, symbols };
                symbols.map(message).into_iter().collect()
            }
            SyncMessage::AskEntries { round, items } => self.entries(round, &items, mirror),
            _ => Vec::new(),
        }
    }

    /// Whether an unrequested message of entries may be sent now; if so, takes its token.
    pub(super) fn may_send(&mut self, at: Duration) -> bool {
        self.refill(at);
        self.take(1)
    }

    fn refill(&mut self, at: Duration) {
        let rate = f64::from(self.config.max_parts_per_second);
        let earned = at.saturating_sub(self.refilled).as_secs_f64() * rate;
        self.tokens = (self.tokens + earned).min(rate);
        self.refilled = at;
    }

    fn take(&mut self, parts: u64) -> bool {
        let parts = parts as f64;
        let has_enough = self.tokens >= parts || planted(Fault::AnswersWithoutBound);
        if has_enough {
            self.tokens -= parts;
        }
        has_enough
    }

    /// The parts of the requested shares. Shares beyond the token bucket get no answer, and the
    /// peer requests them again.
    fn parts(
        &mut self,
        round: u32,
        (first, shares): (Share, u16),
        mirror: &Mirror,
    ) -> Vec<SyncMessage> {
        if shares > limits::SYNC_SHARES || !are_shares_valid(first, shares) {
            return Vec::new();
        }
        let mut parts = Vec::new();
        for index in (first.index..).take(shares.into()) {
            let share = Share { index, ..first };
            // Checked before the share is built. A share that is too large gets no answer; the peer
            // requests smaller ones after its next look at this node's digest.
            let entries = mirror.digest().entries >> first.bits;
            if entries > MAX_SHARE_ENTRIES
                || entries.saturating_mul(MIN_ENTRY_BYTES) / self.config.part_bytes as u64
                    > self.tokens as u64
            {
                break;
            }
            let mut packs = pack(mirror.entries_in(share), self.config.part_bytes);
            if packs.is_empty() {
                packs.push(Vec::new());
            }
            if packs.len() > usize::from(u16::MAX) || !self.take(packs.len() as u64) {
                break;
            }
            let last = packs.len() - 1;
            let part = |(part, changes): (usize, Vec<Change>)| {
                let (more, part) = (part < last, part as u16);
                SyncMessage::Part { round, share, part, changes, more }
            };
            parts.extend(packs.into_iter().enumerate().map(part));
        }
        parts
    }

    fn symbols(
        &mut self,
        (first, shares): (Share, u16),
        (from, count): (u16, u16),
        mirror: &Mirror,
    ) -> Option<Vec<mailmesh_events::CodedSymbol>> {
        let is_whole = first.bits == 0;
        let last = u64::from(from) + u64::from(count);
        let max = if is_whole { SKETCH_SYMBOLS as u64 } else { MAX_SYMBOLS_PER_SHARE.into() };
        if count == 0
            || last > max
            || usize::from(shares) * usize::from(count) > limits::SYNC_SYMBOLS
            || !are_shares_valid(first, shares)
        {
            return None;
        }
        let entries_per_share = mirror.digest().entries >> first.bits;
        if !is_whole && entries_per_share > MAX_SHARE_ENTRIES {
            return None;
        }
        let entries = entries_per_share.saturating_mul(shares.into());
        let price = if is_whole { 1 } else { 1 + entries / ENTRIES_PER_TOKEN };
        if !self.take(price) {
            return None;
        }
        let mut symbols = Vec::with_capacity(usize::from(shares) * usize::from(count));
        for index in (first.index..).take(shares.into()) {
            let all = mirror.symbols(Share { index, ..first }, last as usize);
            symbols.extend_from_slice(&all[usize::from(from)..]);
        }
        Some(symbols)
    }

    fn entries(&mut self, round: u32, items: &[u64], mirror: &Mirror) -> Vec<SyncMessage> {
        if !self.take(1 + items.len() as u64 / ITEMS_PER_TOKEN) {
            return Vec::new();
        }
        let changes = mirror.entries_by_item(items);
        if changes.is_empty() {
            return vec![SyncMessage::Entries { round, changes, more: false }];
        }
        let messages: Vec<_> = comparison::messages(round, changes, &self.config).collect();
        if self.take(messages.len() as u64) { messages } else { Vec::new() }
    }
}

/// Whether these shares exist.
fn are_shares_valid(first: Share, shares: u16) -> bool {
    let end = u64::from(first.index) + u64::from(shares);
    shares > 0 && first.bits <= limits::SHARE_BITS && end <= 1 << first.bits
}

/// Packs changes into lists of about `bytes` bytes.
pub(super) fn pack(changes: Vec<Change>, bytes: usize) -> Vec<Vec<Change>> {
    let mut packs: Vec<Vec<Change>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let size = change.size_estimate();
        match packs.last_mut() {
            Some(pack) if size <= room && pack.len() < limits::SYNC_CHANGES => {
                room -= size;
                pack.push(change);
            }
            _ => {
                room = bytes.saturating_sub(size);
                packs.push(vec![change]);
            }
        }
    }
    packs
}
