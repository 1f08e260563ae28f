//! State that this node keeps of one member: its streams, acknowledgements, liveness and route.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::congestion;
use crate::control::{PeerReport, Status};
use crate::departure::Departure;
use crate::flow::{ReceiverWindow, SentSoFar};
use crate::receive::{MissingEvents, ReceiveStream};
use crate::repair_sources::RepairSources;
use crate::replay_window::ReplayWindow;
use crate::route::Route;
use crate::token_bucket::TokenBucket;
use crate::{Frame, Incarnation, Lane, LeaveReason, PeerInfo, PerLane, Reach, Settings, Time};

/// A member, alive as far as this node knows.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) streams: PerLane<ReceiveStream>,
    pub(crate) controls: ReplayWindow,
    pub(crate) bulk: ReplayWindow,
    /// Highest plausible heartbeat number, from the peer itself or from reports.
    pub(crate) heartbeat_seq: u64,
    /// The heartbeat with the highest number that the peer itself sent.
    own_heartbeat: OwnHeartbeat,
    /// When the peer first joined.
    since: Time,
    /// When the peer joined last; later than `since` if it was out of reach meanwhile.
    rejoined_at: Time,
    /// Number of peers that the peer has worked with for a while, from its last status.
    pub(crate) established: u16,
    /// The last status frame that the peer broadcast, relayed to nodes that ask to meet the peer.
    pub(crate) introduction: Option<Frame>,
    /// How far the peer has acknowledged this node's lanes.
    pub(crate) windows: PerLane<ReceiverWindow>,
    /// Window bytes of the peer's events received here and not acknowledged yet.
    unacked_bytes: usize,
    /// Repetitions left of an acknowledgement for which the sender may be waiting.
    ack_repeats: u8,
    /// When the next acknowledgement is due at the latest.
    ack_at: Option<Time>,
    pub(crate) suspicion: Option<Suspicion>,
    /// When the peer last answered the probe of a suspicion.
    pub(crate) answered: Option<Time>,
    /// The open query for the positions that the peer has sent.
    pub(crate) position_query: Option<PositionQuery>,
    /// The departure in progress, if the peer is about to leave.
    pub(crate) departure: Option<Departure>,
    /// Gaps up to these positions are from a time when the peer was out of reach.
    pub(crate) unreachable_until: PerLane<u64>,
    pub(crate) route: Route,
    /// Other peers that have the peer's events.
    pub(crate) repair_sources: RepairSources,
    /// Peers to which this node relays the peer's frames, each until its lease expires.
    pub(crate) relay_targets: BTreeMap<Incarnation, Time>,
    /// Budget, in bytes, for repair requests of the peer.
    pub(crate) repairs: TokenBucket,
    /// Peers that asked whether this peer is alive, to be notified once it is known.
    pub(crate) liveness_queriers: BTreeSet<Incarnation>,
}

/// A heartbeat that came from its peer, not from a report.
#[derive(Debug, Clone, Copy)]
struct OwnHeartbeat {
    number: u64,
    arrived: Time,
}

/// A peer was probed for the positions that it has sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PositionQuery {
    pub(crate) nonce: u64,
    /// Time of the first query.
    pub(crate) since: Time,
    /// Time of the last query.
    pub(crate) asked: Time,
}

/// A peer was probed for a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspicion {
    pub(crate) since: Time,
    pub(crate) deadline: Time,
    pub(crate) nonce: u64,
    /// The peer of the same name, if that caused the suspicion.
    pub(crate) rival: Option<NameRival>,
}

/// Another peer of the same name. Both must prove that they are alive after `since`; only then is
/// it a conflict. A frame that introduced one of them may have been in flight since before its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameRival {
    pub(crate) priority: NamePriority,
    pub(crate) since: Time,
}

/// Decides which of two live nodes keeps their common name: the lower value wins. The order is more
/// established peers, then the earlier start, then the lower incarnation. So a node that was cut
/// off does not displace the node that took its place and works with the majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamePriority {
    established: Reverse<u16>,
    started_ms: u64,
    pub(crate) incarnation: Incarnation,
}

impl NamePriority {
    pub(crate) fn new(established: u16, started_ms: u64, incarnation: Incarnation) -> Self {
        Self { established: Reverse(established), started_ms, incarnation }
    }
}

/// A peer counts as established once it has been a member for this long.
const ESTABLISHED_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
/// Upper bound of a node's heartbeat rate, answers to probes included.
const MAX_HEARTBEATS_PER_SECOND: u64 = 1_000;
/// How often an acknowledgement that may unblock the sender is repeated, one per heartbeat of
/// the sender. The first one may be lost.
const ACK_REPEATS: u8 = 2;
/// A peer that was here at least this long is not evicted early from the former peers.
const SHORT_LIVED: std::time::Duration = std::time::Duration::from_secs(10);

/// The node to which a repair request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NakTarget {
    Sender,
    Other(Incarnation),
}

impl Peer {
    pub(crate) fn new(
        incarnation: Incarnation,
        status: &Status,
        ours: PerLane<SentSoFar>,
        now: Time,
        s: &Arc<Settings>,
    ) -> Self {
        Self {
            info: PeerInfo {
                name: status.name.clone(),
                incarnation,
                started_ms: status.started_ms,
                version: status.version,
                last_heard: now,
                promised_after: status.positions,
                reach: Reach::Direct,
            },
            streams: status
                .positions
                .map(|position| ReceiveStream::starting_after(position, s.clone())),
            controls: ReplayWindow::default(),
            bulk: ReplayWindow::default(),
            heartbeat_seq: 0,
            own_heartbeat: OwnHeartbeat { number: 0, arrived: now },
            since: now,
            rejoined_at: now,
            established: status.established,
            introduction: None,
            windows: ours.map(|sent| ReceiverWindow::at(sent, s, now)),
            unacked_bytes: 0,
            ack_repeats: 0,
            ack_at: None,
            suspicion: None,
            answered: None,
            position_query: None,
            departure: None,
            unreachable_until: PerLane::default(),
            route: Route::since(now),
            repair_sources: RepairSources::default(),
            relay_targets: BTreeMap::new(),
            repairs: TokenBucket::full(s.repair_rate_per_peer, now),
            liveness_queriers: BTreeSet::new(),
        }
    }

    /// A peer that was out of reach is back and has sent events up to `positions`.
    pub(crate) fn rejoin(&mut self, positions: PerLane<u64>, now: Time, settings: &Settings) {
        self.rejoined_at = now;
        self.route = Route::since(now);
        self.suspicion = None;
        self.departure = None;
        self.position_query = None;
        self.unreachable_until = positions;
        self.windows = PerLane::from_fn(|_| ReceiverWindow::behind(settings, now));
    }

    /// Clears the state that counts only while the peer is a member.
    pub(crate) fn clear_live_state(&mut self) {
        self.route.end_relay();
        self.repair_sources = RepairSources::default();
        self.relay_targets.clear();
        self.liveness_queriers.clear();
        self.introduction = None;
        self.info.reach = Reach::Direct;
    }

    pub(crate) fn priority(&self) -> NamePriority {
        NamePriority::new(self.established, self.info.started_ms, self.info.incarnation)
    }

    /// Whether the peer has been a member for long enough to count in a name conflict.
    pub(crate) fn is_established(&self, now: Time) -> bool {
        self.departure.is_none() && now.since(self.rejoined_at) >= ESTABLISHED_AFTER
    }

    pub(crate) fn positions(&self) -> PerLane<u64> {
        PerLane::from_fn(|lane| self.streams[lane].position())
    }

    /// This node's report about the peer, as sent to other peers.
    pub(crate) fn report(&self) -> PeerReport {
        let is_suspected = self.suspicion.is_some() || self.departure.is_some();
        let (peer, positions) = (self.info.incarnation, self.positions());
        // For a live peer, report only the positions that it announced itself. Otherwise a report
        // from another peer would circulate for ever.
        let is_alive = self.departure.is_none();
        let sent = PerLane::from_fn(|lane| {
            let stream = &self.streams[lane];
            if is_alive { stream.sender_position() } else { stream.known_position() }
        });
        PeerReport { peer, heartbeat_seq: self.heartbeat_seq, positions, is_suspected, sent }
    }

    /// Whether the peer can have reached this heartbeat number by now, at the highest rate.
    pub(crate) fn is_plausible(&self, heartbeat_seq: u64, now: Time) -> bool {
        let OwnHeartbeat { number, arrived } = self.own_heartbeat;
        let seconds = now.since(arrived).as_secs() + 1;
        heartbeat_seq <= number.saturating_add(seconds.saturating_mul(MAX_HEARTBEATS_PER_SECOND))
    }

    /// The peer sent a heartbeat number itself. Returns whether the number is new.
    pub(crate) fn on_own_heartbeat(&mut self, heartbeat_seq: u64, now: Time) -> bool {
        let is_new = heartbeat_seq > self.own_heartbeat.number;
        if is_new {
            self.own_heartbeat = OwnHeartbeat { number: heartbeat_seq, arrived: now };
            // A higher number that other peers reported before may have been a lie.
            self.heartbeat_seq = if self.is_plausible(self.heartbeat_seq, now) {
                self.heartbeat_seq.max(heartbeat_seq)
            } else {
                heartbeat_seq
            };
        }
        is_new
    }

    /// Whether too little is known of the peer to remember it for long: it was here only briefly,
    /// and none of its events was delivered.
    pub(crate) fn is_short_lived(&self) -> bool {
        self.info.last_heard.since(self.since) < SHORT_LIVED
            && self.streams.iter().all(|s| !s.has_delivered())
    }

    /// Whether the peer seems alive, so that it can be queried about other peers.
    pub(crate) fn is_unsuspected(&self) -> bool {
        self.suspicion.is_none() && self.departure.is_none()
    }

    pub(crate) fn stream(&mut self, lane: Lane) -> &mut ReceiveStream {
        &mut self.streams[lane]
    }

    /// Selects the node to ask for missing events: first the sender, then a repair source and the
    /// sender in turn. While the peer is relayed, three of four requests go to a repair source.
    pub(crate) fn nak_target(&self, lane: Lane, missing: MissingEvents) -> Option<NakTarget> {
        let tries = missing.tries;
        let answers = self.departure.is_none()
            && missing.range.first >= self.streams[lane].unavailable_before();
        let source = self.repair_source(lane, missing.range.first, tries / 2);
        let others_turn = match self.info.reach {
            Reach::Direct => tries % 2 == 1,
            Reach::Relayed { .. } => tries % 4 != 3,
        };
        match source {
            Some(source) if others_turn || !answers => Some(NakTarget::Other(source)),
            _ => answers.then_some(NakTarget::Sender),
        }
    }

    fn repair_source(&self, lane: Lane, number: u64, turn: u32) -> Option<Incarnation> {
        // If the sender cannot help, also ask sources that have not reported this position. Their
        // reports may be old, and they may hold events behind holes of their own.
        let guess = self.departure.is_some() || number < self.streams[lane].unavailable_before();
        self.repair_sources.pick(lane, number, guess, turn)
    }

    /// Gives up missing events that no node can provide, and releases what follows.
    pub(crate) fn give_up_unobtainable(
        &mut self,
        now: Time,
        lane: Lane,
        released: &mut Vec<crate::receive::Released>,
    ) {
        loop {
            let stream = &self.streams[lane];
            let Some(next) = stream.missing() else { return };
            let limit = match &self.departure {
                Some(departure) if departure.may_give_up() => u64::MAX,
                _ => stream.unavailable_before(),
            };
            if next >= limit || self.repair_source(lane, next, 0).is_some() {
                return;
            }
            let end = if self.departure.is_none() && stream.cannot_catch_up(now) {
                stream.sender_position().saturating_add(1)
            } else {
                self.repair_sources.next_available(lane, next).map_or(limit, |from| from.min(limit))
            };
            self.streams[lane].give_up(now, end, released);
        }
    }

    pub(crate) fn deadline(&self, settings: &Settings) -> Time {
        let liveness = match &self.departure {
            Some(departure) => departure.deadline(),
            None => {
                let suspicion = self.suspicion.map(|suspicion| suspicion.deadline);
                Some(suspicion.into_iter().fold(self.silent_at(settings), Time::min))
            }
        };
        let holes = self.streams.iter().filter_map(ReceiveStream::deadline);
        let all = holes.chain(liveness).chain(self.ack_at).chain(self.route.deadline());
        all.min().unwrap_or(Time::from_start(std::time::Duration::MAX))
    }

    /// When the other peers are queried about this peer if it stays silent.
    fn silent_at(&self, settings: &Settings) -> Time {
        self.info.last_heard + settings.failure_timeout.saturating_sub(settings.peer_query_timeout)
    }

    /// Received events used `taken` bytes of the window. Acknowledge them after `ack_delay`, or at
    /// once if they fill a step of the congestion window.
    pub(crate) fn on_delivered_bytes(&mut self, taken: usize, now: Time, settings: &Settings) {
        self.unacked_bytes += taken;
        let soon = now + settings.ack_delay;
        let many = self.unacked_bytes as u64 >= congestion::step(settings);
        self.ack_at = Some(if many { now } else { self.ack_at.map_or(soon, |at| at.min(soon)) });
    }

    /// The peer announced its positions. If this node has all of them, the peer may be blocked by a
    /// lost acknowledgement, so the acknowledgement is repeated.
    pub(crate) fn on_positions(&mut self, sent: PerLane<u64>, now: Time) {
        for (stream, position) in self.streams.iter_mut().zip(sent) {
            stream.on_position(now, position);
        }
        if self.ack_repeats > 0 && self.is_complete() {
            self.ack_repeats -= 1;
            self.ack_at = Some(now);
        }
    }

    /// Returns the positions to acknowledge, if an acknowledgement is due.
    pub(crate) fn take_ack(&mut self, now: Time, settings: &Settings) -> Option<PerLane<u64>> {
        self.ack_at.take_if(|at| *at <= now)?;
        if self.unacked_bytes as u64 >= congestion::step(settings) {
            self.ack_repeats = ACK_REPEATS;
        }
        self.unacked_bytes = 0;
        Some(self.positions())
    }

    /// Whether the peer was silent for so long that its departure begins.
    pub(crate) fn is_silent(&self, now: Time, settings: &Settings) -> bool {
        self.silent_at(settings) <= now
            || self.suspicion.is_some_and(|suspicion| suspicion.deadline <= now)
    }

    /// Returns the rival of a suspect whose probe timed out although the suspect was heard since.
    /// The suspect is alive: the probe or its answer was lost.
    pub(crate) fn answers_late(&self, now: Time) -> Option<NameRival> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.deadline <= now)?;
        suspicion.rival.filter(|_| self.info.last_heard > suspicion.since)
    }

    /// Whether every event that is known to be sent was delivered or given up.
    pub(crate) fn is_complete(&self) -> bool {
        self.streams.iter().all(ReceiveStream::is_complete)
    }

    /// Clears the suspicion of a peer that is alive, unless a peer of the same name is probed as
    /// well. Without suspicion, a departure ends too, except after a goodbye.
    pub(crate) fn clear_suspicion(&mut self) {
        self.suspicion = self.suspicion.filter(|suspicion| suspicion.rival.is_some());
        if self.suspicion.is_none() {
            self.departure.take_if(|departure| departure.reason != LeaveReason::Bye);
        }
    }
}
