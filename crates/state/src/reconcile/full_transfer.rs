//! Taking over the whole content of a peer, share by share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_events::{Share, SyncMessage, limits};

use super::ReconcileConfig;

/// Approximate number of entries in a share.
pub(super) const ENTRIES_PER_SHARE: u64 = 256;
/// No mirror holds more entries; a peer that claims more is wrong or lies.
const MAX_PLAUSIBLE_ENTRIES: u64 = 1 << 23;
/// Shares in the first requests.
const INITIAL_WINDOW: usize = 4;
/// A share counts as lost once a share requested this many requests later has arrived (like the
/// packet threshold of RFC 9002, section 6.1.1).
const REORDER_THRESHOLD: u64 = 3;
/// Maximum number of parts of a share.
const MAX_PARTS_PER_SHARE: u16 = 4_096;

/// The state of a full transfer. A congestion window limits the shares in flight: slow start adds
/// one for each share received, a loss halves the window, congestion avoidance then adds one for
/// each window (as RFC 5681). Shares are the same on every node, so another peer can continue a
/// transfer.
#[derive(Debug)]
pub(super) struct FullTransfer {
    bits: u8,
    /// The next share that was never requested.
    next: u32,
    /// Shares that were lost and are to be requested again.
    lost: BTreeSet<u32>,
    in_flight: BTreeMap<u32, ShareInFlight>,
    /// Congestion window, in shares.
    window: f64,
    /// Slow-start threshold, in shares.
    threshold: f64,
    /// Number of requests for shares so far.
    requested: u64,
    /// The value of `requested` at the last loss. Losses of requests up to it do not halve the
    /// window again.
    loss_recovery_until: u64,
    /// Smoothed time from the request of a share to its last part.
    smoothed_rtt: Option<Duration>,
    /// Number of timeouts in a row.
    timeouts: u32,
    /// Whether a share was received from the current peer.
    has_progress: bool,
}

#[derive(Debug)]
struct ShareInFlight {
    sequence: u64,
    at: Duration,
    /// The share was requested before, so its round trip is ambiguous and not measured (Karn's
    /// algorithm).
    is_retransmission: bool,
    parts: BTreeSet<u16>,
    /// Number of parts, known once the last part is received.
    count: Option<u16>,
}

/// The result of handling a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartOutcome {
    /// The part was not expected.
    Unexpected,
    /// The part was expected, and parts are still missing.
    Progress,
    Complete,
}

impl FullTransfer {
    /// A transfer from a peer that claims this many entries.
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

    /// Whether the share size suits a peer with this many entries.
    pub(super) fn fits(&self, entries: u64) -> bool {
        let share = entries >> self.bits;
        share <= 4 * ENTRIES_PER_SHARE && (self.bits == 0 || share >= ENTRIES_PER_SHARE / 16)
    }

    /// Whether a share was received from the current peer.
    pub(super) fn has_progress(&self) -> bool {
        self.has_progress
    }

    /// The transfer continued with another peer: shares in flight are requested again.
    pub(super) fn resumed(mut self, config: &ReconcileConfig) -> Self {
        self.lost.extend(std::mem::take(&mut self.in_flight).into_keys());
        Self {
            lost: self.lost,
            next: self.next,
            ..Self { bits: self.bits, ..Self::new(0, config) }
        }
    }

    /// Requests for as many shares as the window allows.
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

    /// How long to wait for the next share: four times the smoothed round trip, doubled with each
    /// timeout in a row, and at most the answer timeout.
    pub(super) fn timeout(&self, config: &ReconcileConfig) -> Duration {
        let smoothed_rtt = self.smoothed_rtt.unwrap_or(config.answer_timeout);
        let timeout = (smoothed_rtt * 4).clamp(config.answer_timeout / 10, config.answer_timeout);
        (timeout * (1 << self.timeouts.min(8))).min(config.answer_timeout)
    }

    /// Handles a part of a share.
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

    /// No share arrived in time: all shares in flight are requested again, starting with one.
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

    /// The shares that these messages request.
    fn shares(requests: &[SyncMessage]) -> Vec<u32> {
        let of = |request: &SyncMessage| match request {
            SyncMessage::Request { first, shares, .. } => {
                first.index..first.index + u32::from(*shares)
            }
            other => panic!("{other:?}"),
        };
        requests.iter().flat_map(of).collect()
    }

    /// Transfers everything from a peer that loses every `loss_interval`th share. Returns the
    /// number of requested shares and the largest window.
    fn transfer_all(entries: u64, loss_interval: Option<usize>) -> (usize, usize) {
        let mut transfer = FullTransfer::new(entries, &CONFIG);
        let (bits, mut requested, mut max_window) = (transfer.bits, 0, 0);
        let mut unanswered = std::collections::VecDeque::from(shares(&transfer.requests(1, ms(0))));
        for turn in 1.. {
            max_window = max_window.max(unanswered.len());
            let Some(index) = unanswered.pop_front() else {
                transfer.on_timeout();
                unanswered.extend(shares(&transfer.requests(1, ms(turn))));
                assert!(!unanswered.is_empty(), "the transfer stalls");
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
        unreachable!("the transfer ends");
    }

    #[test]
    fn every_share_is_requested_once_and_lost_ones_again() {
        assert_eq!(transfer_all(1, None).0, 1);
        let (requested, max_window) = transfer_all(1_000_000, None);
        assert_eq!(requested, 1 << 11);
        assert!(max_window >= 32, "{max_window}");
        let (requested, max_window) = transfer_all(1_000_000, Some(10));
        assert!((2_250..2_500).contains(&requested) && max_window < 32, "{requested} {max_window}");
        assert!(transfer_all(10_000, Some(2)).0 < 200);
    }

    #[test]
    fn another_peer_continues_a_transfer() {
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
