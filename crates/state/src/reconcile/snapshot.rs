//! Taking over the whole content of a peer, share by share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_events::{Share, SyncMessage, limits};

use super::Timing;

/// Entries of a share, about.
pub(super) const SHARE: u64 = 256;
/// A peer with more entries than this lies: no mirror holds as many.
const MOST_ENTRIES: u64 = 1 << 23;
/// Shares asked for at first.
const FIRST: usize = 4;
/// A share is lost when so many that were asked for later have come.
const OVERTAKEN: u64 = 3;
/// Most parts of a share.
const PARTS: u16 = 4_096;

/// Shares on their way, as many as the path and the peer bear: one more with each that
/// comes, half as many when one is lost, then one more with each window (after RFC 5681).
/// Shares are the same on every node, so that another peer can go on where one ended.
#[derive(Debug)]
pub(super) struct Snapshot {
    bits: u8,
    /// The next share not asked for yet.
    next: u32,
    /// Shares that got lost.
    again: BTreeSet<u32>,
    flight: BTreeMap<u32, Flight>,
    /// Shares that may be on their way.
    window: f64,
    /// From which window on it grows slowly.
    threshold: f64,
    /// Counts shares asked for.
    asked: u64,
    /// A loss among those before this count is of a window that was halved already.
    halved_at: u64,
    /// How long a share takes, smoothed.
    takes: Option<Duration>,
    /// How often in a row nothing came for as long as was waited.
    silences: u32,
    /// Whether shares have come since it began, or went on with another peer.
    progressed: bool,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    at: Duration,
    /// It is asked for again: how long that takes says nothing.
    again: bool,
    parts: BTreeSet<u16>,
    /// Number of parts, once the last has come.
    count: Option<u16>,
}

/// What a part led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was not awaited.
    Nothing,
    /// It was.
    Progress,
    Complete,
}

impl Snapshot {
    /// Of a peer that has about so many entries.
    pub(super) fn new(entries: u64, timing: &Timing) -> Self {
        let bits = (entries.min(MOST_ENTRIES) / SHARE).max(1).ilog2() as u8;
        Self {
            bits: bits.min(limits::SHARE_BITS),
            next: 0,
            again: BTreeSet::new(),
            flight: BTreeMap::new(),
            window: FIRST.min(timing.window) as f64,
            threshold: timing.window as f64,
            asked: 0,
            halved_at: 0,
            takes: None,
            silences: 0,
            progressed: false,
        }
    }

    /// Whether its shares are of about the right size for a peer with so many entries.
    pub(super) fn fits(&self, entries: u64) -> bool {
        let share = entries >> self.bits;
        share <= 4 * SHARE && (self.bits == 0 || share >= SHARE / 16)
    }

    /// Whether shares have come.
    pub(super) fn has_progressed(&self) -> bool {
        self.progressed
    }

    /// What goes on with another peer.
    pub(super) fn resumed(mut self, timing: &Timing) -> Self {
        self.again.extend(std::mem::take(&mut self.flight).into_keys());
        Self {
            again: self.again,
            next: self.next,
            ..Self { bits: self.bits, ..Self::new(0, timing) }
        }
    }

    /// Asks for as much as may be on its way.
    pub(super) fn ask(&mut self, round: u32, at: Duration) -> Vec<SyncMessage> {
        let mut asks: Vec<(u32, u16)> = Vec::new();
        while self.flight.len() < self.window as usize {
            let before = self.next;
            let Some(index) = self.take_next() else { break };
            self.asked += 1;
            let (number, again) = (self.asked, self.next == before);
            let flight = Flight { number, at, again, parts: BTreeSet::new(), count: None };
            self.flight.insert(index, flight);
            match asks.last_mut() {
                Some((first, count)) if *first + u32::from(*count) == index => *count += 1,
                _ => asks.push((index, 1)),
            }
        }
        let bits = self.bits;
        let ask = |(index, shares)| {
            let first = Share { bits, index };
            SyncMessage::Request { round, first, shares }
        };
        asks.into_iter().map(ask).collect()
    }

    fn take_next(&mut self) -> Option<u32> {
        self.again.pop_first().or_else(|| {
            let index = self.next;
            (index >> self.bits == 0).then(|| {
                self.next += 1;
                index
            })
        })
    }

    /// How long to wait for the next share.
    pub(super) fn patience(&self, timing: &Timing) -> Duration {
        let takes = self.takes.unwrap_or(timing.retry);
        let patience = (takes * 4).clamp(timing.retry / 10, timing.retry);
        (patience * (1 << self.silences.min(8))).min(timing.retry)
    }

    /// A part of a share came.
    pub(super) fn on_part(&mut self, share: Share, part: u16, is_last: bool, at: Duration) -> Step {
        if share.bits != self.bits || part >= PARTS {
            return Step::Nothing;
        }
        let Some(flight) = self.flight.get_mut(&share.index) else { return Step::Nothing };
        let is_new = flight.parts.insert(part);
        if is_last {
            flight.count = Some(part + 1);
        }
        if !is_new {
            return Step::Nothing;
        }
        if flight.count != Some(flight.parts.len() as u16) {
            return Step::Progress;
        }
        let (number, took) = (flight.number, at.saturating_sub(flight.at));
        if !flight.again {
            self.takes = Some(self.takes.map_or(took, |takes| (takes * 7 + took) / 8));
        }
        self.flight.remove(&share.index);
        (self.silences, self.progressed) = (0, true);
        self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        self.window = self.window.min(self.most());
        let is_lost = |flight: &Flight| flight.number + OVERTAKEN <= number;
        let lost = self.flight.iter().filter(|(_, flight)| is_lost(flight));
        let lost: Vec<(u32, u64)> = lost.map(|(index, flight)| (*index, flight.number)).collect();
        for (index, number) in lost {
            self.flight.remove(&index);
            self.again.insert(index);
            if number > self.halved_at {
                self.halve();
            }
        }
        let is_over =
            self.flight.is_empty() && self.again.is_empty() && self.next >> self.bits != 0;
        if is_over { Step::Complete } else { Step::Progress }
    }

    fn most(&self) -> f64 {
        f64::from(limits::SYNC_SHARES)
    }

    fn halve(&mut self) {
        self.threshold = (self.window / 2.0).max(2.0);
        self.window = self.threshold;
        self.halved_at = self.asked;
    }

    /// Nothing came for as long as is waited.
    pub(super) fn on_silence(&mut self) {
        self.silences += 1;
        self.again.extend(std::mem::take(&mut self.flight).into_keys());
        self.halve();
        self.window = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing::DEFAULT;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The shares that messages ask for.
    fn shares(asks: &[SyncMessage]) -> Vec<u32> {
        let of = |ask: &SyncMessage| match ask {
            SyncMessage::Request { first, shares, .. } => {
                first.index..first.index + u32::from(*shares)
            }
            other => panic!("{other:?}"),
        };
        asks.iter().flat_map(of).collect()
    }

    /// Takes all from a peer that loses every `loses`th share; gives how often it was asked
    /// for one, and the largest window.
    fn taken_over(entries: u64, loses: Option<usize>) -> (usize, usize) {
        let mut snapshot = Snapshot::new(entries, &TIMING);
        let (bits, mut asked, mut widest) = (snapshot.bits, 0, 0);
        let mut open = std::collections::VecDeque::from(shares(&snapshot.ask(1, ms(0))));
        for turn in 1.. {
            widest = widest.max(open.len());
            let Some(index) = open.pop_front() else {
                snapshot.on_silence();
                open.extend(shares(&snapshot.ask(1, ms(turn))));
                assert!(!open.is_empty(), "it stands still");
                continue;
            };
            asked += 1;
            if loses.is_some_and(|loses| asked % loses == 0) {
                continue;
            }
            let share = Share { bits, index };
            assert_ne!(snapshot.on_part(share, 1, true, ms(turn)), Step::Complete);
            if snapshot.on_part(share, 0, false, ms(turn)) == Step::Complete {
                assert_eq!(snapshot.on_part(share, 0, false, ms(turn)), Step::Nothing);
                return (asked, widest);
            }
            open.extend(shares(&snapshot.ask(1, ms(turn))));
        }
        unreachable!("it ends");
    }

    #[test]
    fn every_share_is_asked_for_once_and_lost_ones_again() {
        assert_eq!(taken_over(1, None).0, 1);
        let (asked, widest) = taken_over(1_000_000, None);
        assert_eq!(asked, 1 << 11);
        assert!(widest >= 32, "{widest}");
        let (asked, widest) = taken_over(1_000_000, Some(10));
        assert!((2_250..2_500).contains(&asked) && widest < 32, "{asked} {widest}");
        assert!(taken_over(10_000, Some(2)).0 < 200);
    }

    #[test]
    fn another_peer_goes_on_where_one_ended() {
        let mut snapshot = Snapshot::new(256 << 4, &TIMING);
        assert_eq!(shares(&snapshot.ask(1, ms(0))), [0, 1, 2, 3]);
        let share = |index| Share { bits: 4, index };
        assert_eq!(snapshot.on_part(share(1), 0, true, ms(1)), Step::Progress);
        let mut snapshot = snapshot.resumed(&TIMING);
        assert_eq!(shares(&snapshot.ask(2, ms(9))), [0, 2, 3, 4]);
        assert_eq!(snapshot.on_part(Share { bits: 3, index: 0 }, 0, true, ms(9)), Step::Nothing);
        assert_eq!(snapshot.on_part(share(0), PARTS, true, ms(9)), Step::Nothing);
    }
}
