//! Taking over the whole content of a peer, share by share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_events::{Share, SyncMessage, limits};

use super::ReconcileConfig;

/// Entries of a share, about.
pub(super) const ENTRIES_PER_SHARE: u64 = 256;
/// A peer with more entries than this lies: no mirror holds as many.
const MAX_PLAUSIBLE_ENTRIES: u64 = 1 << 23;
/// Shares requested for at first.
const INITIAL_WINDOW: usize = 4;
/// A share is lost when so many that were requested for later have come.
const REORDER_THRESHOLD: u64 = 3;
/// Most parts of a share.
const MAX_PARTS_PER_SHARE: u16 = 4_096;

/// Shares on their way, as many as the path and the peer bear: one more with each that
/// comes, half as many when one is lost, then one more with each window (after RFC 5681).
/// Shares are the same on every node, so that another peer can go on where one ended.
#[derive(Debug)]
pub(super) struct FullTransfer {
    bits: u8,
    /// The next share not requested for yet.
    next: u32,
    /// Shares that got lost.
    lost: BTreeSet<u32>,
    in_flight: BTreeMap<u32, ShareInFlight>,
    /// Shares that may be on their way.
    window: f64,
    /// From which window on it grows slowly.
    threshold: f64,
    /// Counts shares requested for.
    requested: u64,
    /// A loss among those before this count is of a window that was halved already.
    loss_recovery_until: u64,
    /// How long a share smoothed_rtt, smoothed.
    smoothed_rtt: Option<Duration>,
    /// How often in a row nothing came for as long as was waited.
    timeouts: u32,
    /// Whether shares have come since it began, or went on with another peer.
    has_progress: bool,
}

#[derive(Debug)]
struct ShareInFlight {
    sequence: u64,
    at: Duration,
    /// It is requested for again: how long that smoothed_rtt says nothing.
    is_retransmission: bool,
    parts: BTreeSet<u16>,
    /// Number of parts, once the last has come.
    count: Option<u16>,
}

/// What a part led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartOutcome {
    /// It was not awaited.
    Unexpected,
    /// It was.
    Progress,
    Complete,
}

impl FullTransfer {
    /// Of a peer that has about so many entries.
    pub(super) fn new(entries: u64, config: &ReconcileConfig) -> Self {
        let bits = (entries.min(MAX_PLAUSIBLE_ENTRIES) / ENTRIES_PER_SHARE).max(1).ilog2() as u8;
        Self {
            bits: bits.min(limits::SHARE_BITS),
            next: 0,
            lost: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            window: INITIAL_WINDOW.min(config.slow_start_threshold) as f64,
            threshold: config.slow_start_threshold as f64,
            requested: 0,
            loss_recovery_until: 0,
            smoothed_rtt: None,
            timeouts: 0,
            has_progress: false,
        }
    }

    /// Whether its shares are of about the right size for a peer with so many entries.
    pub(super) fn fits(&self, entries: u64) -> bool {
        let share = entries >> self.bits;
        share <= 4 * ENTRIES_PER_SHARE && (self.bits == 0 || share >= ENTRIES_PER_SHARE / 16)
    }

    /// Whether shares have come.
    pub(super) fn has_progress(&self) -> bool {
        self.has_progress
    }

    /// What goes on with another peer.
    pub(super) fn resumed(mut self, config: &ReconcileConfig) -> Self {
        self.lost.extend(std::mem::take(&mut self.in_flight).into_keys());
        Self {
            lost: self.lost,
            next: self.next,
            ..Self { bits: self.bits, ..Self::new(0, config) }
        }
    }

    /// Asks for as much as may be on its way.
    pub(super) fn requests(&mut self, round: u32, at: Duration) -> Vec<SyncMessage> {
        let mut requests: Vec<(u32, u16)> = Vec::new();
        while self.in_flight.len() < self.window as usize {
            let before = self.next;
            let Some(index) = self.take_next() else { break };
            self.requested += 1;
            let (sequence, is_retransmission) = (self.requested, self.next == before);
            let flight = ShareInFlight {
                sequence,
                at,
                is_retransmission,
                parts: BTreeSet::new(),
                count: None,
            };
            self.in_flight.insert(index, flight);
            match requests.last_mut() {
                Some((first, count)) if *first + u32::from(*count) == index => *count += 1,
                _ => requests.push((index, 1)),
            }
        }
        let bits = self.bits;
        let request = |(index, shares)| {
            let first = Share { bits, index };
            SyncMessage::Request { round, first, shares }
        };
        requests.into_iter().map(request).collect()
    }

    fn take_next(&mut self) -> Option<u32> {
        self.lost.pop_first().or_else(|| {
            let index = self.next;
            (index >> self.bits == 0).then(|| {
                self.next += 1;
                index
            })
        })
    }

    /// How long to wait for the next share.
    pub(super) fn timeout(&self, config: &ReconcileConfig) -> Duration {
        let smoothed_rtt = self.smoothed_rtt.unwrap_or(config.answer_timeout);
        let timeout = (smoothed_rtt * 4).clamp(config.answer_timeout / 10, config.answer_timeout);
        (timeout * (1 << self.timeouts.min(8))).min(config.answer_timeout)
    }

    /// A part of a share came.
    pub(super) fn on_part(
        &mut self,
        share: Share,
        part: u16,
        is_last: bool,
        at: Duration,
    ) -> PartOutcome {
        if share.bits != self.bits || part >= MAX_PARTS_PER_SHARE {
            return PartOutcome::Unexpected;
        }
        let Some(flight) = self.in_flight.get_mut(&share.index) else {
            return PartOutcome::Unexpected;
        };
        let is_new = flight.parts.insert(part);
        if is_last {
            flight.count = Some(part + 1);
        }
        if !is_new {
            return PartOutcome::Unexpected;
        }
        if flight.count != Some(flight.parts.len() as u16) {
            return PartOutcome::Progress;
        }
        let (sequence, round_trip) = (flight.sequence, at.saturating_sub(flight.at));
        if !flight.is_retransmission {
            self.smoothed_rtt = Some(
                self.smoothed_rtt
                    .map_or(round_trip, |smoothed_rtt| (smoothed_rtt * 7 + round_trip) / 8),
            );
        }
        self.in_flight.remove(&share.index);
        (self.timeouts, self.has_progress) = (0, true);
        self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        self.window = self.window.min(self.max_window());
        let is_lost = |flight: &ShareInFlight| flight.sequence + REORDER_THRESHOLD <= sequence;
        let lost = self.in_flight.iter().filter(|(_, flight)| is_lost(flight));
        let lost: Vec<(u32, u64)> = lost.map(|(index, flight)| (*index, flight.sequence)).collect();
        for (index, sequence) in lost {
            self.in_flight.remove(&index);
            self.lost.insert(index);
            if sequence > self.loss_recovery_until {
                self.on_loss();
            }
        }
        let is_complete =
            self.in_flight.is_empty() && self.lost.is_empty() && self.next >> self.bits != 0;
        if is_complete { PartOutcome::Complete } else { PartOutcome::Progress }
    }

    fn max_window(&self) -> f64 {
        f64::from(limits::SYNC_SHARES)
    }

    fn on_loss(&mut self) {
        self.threshold = (self.window / 2.0).max(2.0);
        self.window = self.threshold;
        self.loss_recovery_until = self.requested;
    }

    /// Nothing came for as long as is waited.
    pub(super) fn on_timeout(&mut self) {
        self.timeouts += 1;
        self.lost.extend(std::mem::take(&mut self.in_flight).into_keys());
        self.on_loss();
        self.window = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: ReconcileConfig = ReconcileConfig::DEFAULT;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The shares that messages ask for.
    fn shares(requests: &[SyncMessage]) -> Vec<u32> {
        let of = |request: &SyncMessage| match request {
            SyncMessage::Request { first, shares, .. } => {
                first.index..first.index + u32::from(*shares)
            }
            other => panic!("{other:?}"),
        };
        requests.iter().flat_map(of).collect()
    }

    /// Takes all from a peer that loss_interval every `loss_interval`th share; gives how often it was requested
    /// for one, and the largest window.
    fn transfer_all(entries: u64, loss_interval: Option<usize>) -> (usize, usize) {
        let mut transfer = FullTransfer::new(entries, &CONFIG);
        let (bits, mut requested, mut max_window) = (transfer.bits, 0, 0);
        let mut unanswered = std::collections::VecDeque::from(shares(&transfer.requests(1, ms(0))));
        for turn in 1.. {
            max_window = max_window.max(unanswered.len());
            let Some(index) = unanswered.pop_front() else {
                transfer.on_timeout();
                unanswered.extend(shares(&transfer.requests(1, ms(turn))));
                assert!(!unanswered.is_empty(), "it stands still");
                continue;
            };
            requested += 1;
            if loss_interval.is_some_and(|loss_interval| requested % loss_interval == 0) {
                continue;
            }
            let share = Share { bits, index };
            assert_ne!(transfer.on_part(share, 1, true, ms(turn)), PartOutcome::Complete);
            if transfer.on_part(share, 0, false, ms(turn)) == PartOutcome::Complete {
                assert_eq!(transfer.on_part(share, 0, false, ms(turn)), PartOutcome::Unexpected);
                return (requested, max_window);
            }
            unanswered.extend(shares(&transfer.requests(1, ms(turn))));
        }
        unreachable!("it ends");
    }

    #[test]
    fn every_share_is_asked_for_once_and_lost_ones_again() {
        assert_eq!(transfer_all(1, None).0, 1);
        let (requested, max_window) = transfer_all(1_000_000, None);
        assert_eq!(requested, 1 << 11);
        assert!(max_window >= 32, "{max_window}");
        let (requested, max_window) = transfer_all(1_000_000, Some(10));
        assert!((2_250..2_500).contains(&requested) && max_window < 32, "{requested} {max_window}");
        assert!(transfer_all(10_000, Some(2)).0 < 200);
    }

    #[test]
    fn another_peer_goes_on_where_one_ended() {
        let mut transfer = FullTransfer::new(256 << 4, &CONFIG);
        assert_eq!(shares(&transfer.requests(1, ms(0))), [0, 1, 2, 3]);
        let share = |index| Share { bits: 4, index };
        assert_eq!(transfer.on_part(share(1), 0, true, ms(1)), PartOutcome::Progress);
        let mut transfer = transfer.resumed(&CONFIG);
        assert_eq!(shares(&transfer.requests(2, ms(9))), [0, 2, 3, 4]);
        assert_eq!(
            transfer.on_part(Share { bits: 3, index: 0 }, 0, true, ms(9)),
            PartOutcome::Unexpected
        );
        assert_eq!(
            transfer.on_part(share(0), MAX_PARTS_PER_SHARE, true, ms(9)),
            PartOutcome::Unexpected
        );
    }
}
