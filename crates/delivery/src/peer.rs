use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::congestion;
use crate::control::{PeerReport, Status};
use crate::departure::Departure;
use crate::flow::ReceiverWindow;
use crate::receive::{MissingEvents, ReceiveStream};
use crate::repair_sources::RepairSources;
use crate::replay_window::ReplayWindow;
use crate::route::Route;
use crate::token_bucket::TokenBucket;
use crate::{Frame, Incarnation, Lane, PeerInfo, Reach, Settings, Time};

/// A live peer.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) streams: [ReceiveStream; 2],
    pub(crate) controls: ReplayWindow,
    pub(crate) bulk: ReplayWindow,
    /// Its latest sign of life that we know of, by its own word or others'.
    pub(crate) heartbeat_seq: u64,
    /// The latest by its own word, and when that came.
    own_heartbeat: (u64, Time),
    /// When it was first taken in.
    since: Time,
    /// When it was taken in last: it may have been out of reach.
    rejoined_at: Time,
    /// Number of peers that it has worked with for a while, as its last status says.
    pub(crate) established: u16,
    /// The frame that told its status, for who asks to meet it.
    pub(crate) introduction: Option<Frame>,
    /// How far it has come in our lanes.
    pub(crate) windows: [ReceiverWindow; 2],
    /// Bytes of its events that we took and did not confirm.
    unacked_bytes: usize,
    /// So much was confirmed that it may wait for it: how often that is said again.
    ack_repeats: u8,
    /// When we confirm them at the latest.
    ack_at: Option<Time>,
    pub(crate) suspicion: Option<Suspicion>,
    /// When it last answered a question.
    pub(crate) answered: Option<Time>,
    /// It was asked how much it has sent.
    pub(crate) position_query: Option<PositionQuery>,
    /// It is about to leave.
    pub(crate) departure: Option<Departure>,
    /// It was out of reach; gaps up to these positions are of that time.
    pub(crate) unreachable_until: [u64; 2],
    pub(crate) route: Route,
    /// Who else has its events.
    pub(crate) repair_sources: RepairSources,
    /// To whom we pass on what comes from it, until when.
    pub(crate) relay_targets: BTreeMap<Incarnation, Time>,
    /// What it may still ask to be sent again.
    pub(crate) repairs: TokenBucket,
    /// Who wants to know whether it lives, when that is known.
    pub(crate) liveness_queriers: BTreeSet<Incarnation>,
}

/// A peer was asked how much it has sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PositionQuery {
    pub(crate) nonce: u64,
    /// The first time, and the last.
    pub(crate) since: Time,
    pub(crate) asked: Time,
}

/// A peer was asked for a sign of life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspicion {
    pub(crate) since: Time,
    pub(crate) deadline: Time,
    pub(crate) nonce: u64,
    /// Another peer has the same name.
    pub(crate) rival: Option<NameRival>,
}

/// Two peers of one name, since when. Only if both prove after that moment that they
/// live is it a conflict: what introduced one may have been on its way since before
/// it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameRival {
    pub(crate) rank: NamePriority,
    pub(crate) since: Time,
}

/// Of two live nodes of one name the one of lower rank may stay: the one that has worked with
/// more others, then the one that started earlier, then the lesser incarnation. So a node that
/// was cut off does not end the one that took its place and works with the majority.
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

/// From when on a peer counts as one that a node works with.
const ESTABLISHED_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
/// No node gives more signs of life, answers included.
const MAX_HEARTBEATS_PER_SECOND: u64 = 1_000;
/// How often a confirmation that may be waited for is said again, with a heartbeat each, when
/// nothing follows: it may be lost.
const ACK_REPEATS: u8 = 2;
/// Who was here for longer is remembered, whatever came of it.
const SHORT_LIVED: std::time::Duration = std::time::Duration::from_secs(10);

/// Whom to ask for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NakTarget {
    Sender,
    Other(Incarnation),
}

impl Peer {
    pub(crate) fn new(
        incarnation: Incarnation,
        status: &Status,
        ours: [(u64, u64); 2],
        now: Time,
        s: Settings,
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
            streams: status.positions.map(|position| ReceiveStream::starting_after(position, s)),
            controls: ReplayWindow::default(),
            bulk: ReplayWindow::default(),
            heartbeat_seq: 0,
            own_heartbeat: (0, now),
            since: now,
            rejoined_at: now,
            established: status.established,
            introduction: None,
            windows: ours.map(|(position, bytes)| ReceiverWindow::at(position, bytes, &s, now)),
            unacked_bytes: 0,
            ack_repeats: 0,
            ack_at: None,
            suspicion: None,
            answered: None,
            position_query: None,
            departure: None,
            unreachable_until: [0; 2],
            route: Route::since(now),
            repair_sources: RepairSources::default(),
            relay_targets: BTreeMap::new(),
            repairs: TokenBucket::full(s.repair_rate_per_peer, now),
            liveness_queriers: BTreeSet::new(),
        }
    }

    /// It was out of reach, and is back after it has sent so much.
    pub(crate) fn rejoin(&mut self, positions: [u64; 2], now: Time, settings: &Settings) {
        self.rejoined_at = now;
        self.route = Route::since(now);
        self.suspicion = None;
        self.departure = None;
        self.position_query = None;
        self.unreachable_until = positions;
        self.windows = [ReceiverWindow::behind(settings, now); 2];
    }

    /// It leaves: what only counts while it is there is forgotten.
    pub(crate) fn clear_live_state(&mut self) {
        self.route.unfollow();
        self.repair_sources = RepairSources::default();
        self.relay_targets.clear();
        self.liveness_queriers.clear();
        self.introduction = None;
        self.info.reach = Reach::Direct;
    }

    pub(crate) fn rank(&self) -> NamePriority {
        NamePriority::new(self.established, self.info.started_ms, self.info.incarnation)
    }

    /// Whether this node has worked with it for a while.
    pub(crate) fn is_established(&self, now: Time) -> bool {
        self.departure.is_none() && now.since(self.rejoined_at) >= ESTABLISHED_AFTER
    }

    pub(crate) fn positions(&self) -> [u64; 2] {
        [self.streams[0].position(), self.streams[1].position()]
    }

    /// What we know of it, to be told to others.
    pub(crate) fn report(&self) -> PeerReport {
        let is_suspected = self.suspicion.is_some() || self.departure.is_some();
        let (of, positions) = (self.info.incarnation, self.positions());
        // While it lives its own word is enough: what others only heard would go round for ever.
        let lives = self.departure.is_none();
        let sent = |stream: &ReceiveStream| {
            if lives { stream.sender_position() } else { stream.known_position() }
        };
        let sent = [sent(&self.streams[0]), sent(&self.streams[1])];
        PeerReport { peer: of, heartbeat_seq: self.heartbeat_seq, positions, is_suspected, sent }
    }

    /// Whether it may have given that sign of life by now, as fast as any node does.
    pub(crate) fn is_plausible(&self, heartbeat_seq: u64, now: Time) -> bool {
        let (own, at) = self.own_heartbeat;
        let seconds = now.since(at).as_secs() + 1;
        heartbeat_seq <= own.saturating_add(seconds.saturating_mul(MAX_HEARTBEATS_PER_SECOND))
    }

    /// It gave a sign of life itself; whether that is news.
    pub(crate) fn on_own_heartbeat(&mut self, heartbeat_seq: u64, now: Time) -> bool {
        let is_news = heartbeat_seq > self.own_heartbeat.0;
        if is_news {
            self.own_heartbeat = (heartbeat_seq, now);
            // What others said before that may have been a lie.
            self.heartbeat_seq = if self.is_plausible(self.heartbeat_seq, now) {
                self.heartbeat_seq.max(heartbeat_seq)
            } else {
                heartbeat_seq
            };
        }
        is_news
    }

    /// Whether too little is known of it to remember it for long: it was here for a moment, and
    /// nothing came of it.
    pub(crate) fn is_short_lived(&self) -> bool {
        self.info.last_heard.since(self.since) < SHORT_LIVED
            && self.streams.iter().all(|s| !s.has_delivered())
    }

    /// Whether it is there for all we know, so that it can be asked about others.
    pub(crate) fn is_unsuspected(&self) -> bool {
        self.suspicion.is_none() && self.departure.is_none()
    }

    pub(crate) fn stream(&mut self, lane: Lane) -> &mut ReceiveStream {
        &mut self.streams[lane.index()]
    }

    /// Whom to ask for what is missing: its sender first, then those that have it and
    /// the sender in turn; first the others while it is not heard directly.
    pub(crate) fn nak_target(&self, lane: Lane, missing: MissingEvents) -> Option<NakTarget> {
        let tries = missing.tries;
        let answers = self.departure.is_none()
            && missing.first >= self.streams[lane.index()].unavailable_before();
        let source = self.repair_source(lane, missing.first, tries / 2);
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
        // Where the sender is of no help, who does not say that it came that far is
        // asked too: what it says is of a while ago, and it may have events behind a
        // hole of its own.
        let guess =
            self.departure.is_some() || number < self.streams[lane.index()].unavailable_before();
        self.repair_sources.pick(lane, number, guess, turn)
    }

    /// Gives up what is missing and nobody has, and gives what follows.
    pub(crate) fn give_up_unobtainable(
        &mut self,
        now: Time,
        lane: Lane,
        released: &mut Vec<crate::receive::Released>,
    ) {
        loop {
            let stream = &self.streams[lane.index()];
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
            self.streams[lane.index()].give_up(now, end, released);
        }
    }

    pub(crate) fn deadline(&self, settings: &Settings) -> Time {
        let silent = match &self.departure {
            Some(departure) => departure.deadline(),
            None => {
                let suspicion = self.suspicion.map(|suspicion| suspicion.deadline);
                Some(suspicion.into_iter().fold(self.silent_at(settings), Time::min))
            }
        };
        let holes = self.streams.iter().filter_map(ReceiveStream::deadline);
        let all = holes.chain(silent).chain(self.ack_at).chain(self.route.deadline());
        all.min().unwrap_or(Time::from_start(std::time::Duration::MAX))
    }

    /// When the others are asked about it if it stays silent.
    fn silent_at(&self, settings: &Settings) -> Time {
        self.info.last_heard + settings.failure_timeout.saturating_sub(settings.peer_query_timeout)
    }

    /// We took so much of its window: confirm them soon, or at once if many.
    pub(crate) fn on_delivered_bytes(&mut self, taken: usize, now: Time, settings: &Settings) {
        self.unacked_bytes += taken;
        let soon = now + settings.ack_delay;
        let many = self.unacked_bytes as u64 >= congestion::step(settings);
        self.ack_at = Some(if many { now } else { self.ack_at.map_or(soon, |at| at.min(soon)) });
    }

    /// It says that it has sent so much. Does it send no more because what we confirmed got lost,
    /// and we have it all? Then again.
    pub(crate) fn on_positions(&mut self, sent: [u64; 2], now: Time) {
        for (stream, position) in self.streams.iter_mut().zip(sent) {
            stream.on_position(now, position);
        }
        if self.ack_repeats > 0 && self.is_complete() {
            self.ack_repeats -= 1;
            self.ack_at = Some(now);
        }
    }

    /// The positions to confirm, if that is due.
    pub(crate) fn take_ack(&mut self, now: Time, settings: &Settings) -> Option<[u64; 2]> {
        self.ack_at.take_if(|at| *at <= now)?;
        if self.unacked_bytes as u64 >= congestion::step(settings) {
            self.ack_repeats = ACK_REPEATS;
        }
        self.unacked_bytes = 0;
        Some(self.positions())
    }

    /// Whether it was silent for so long that the others are to be asked.
    pub(crate) fn is_silent(&self, now: Time, settings: &Settings) -> bool {
        self.silent_at(settings) <= now
            || self.suspicion.is_some_and(|suspicion| suspicion.deadline <= now)
    }

    /// The rival of a suspect whose time is over, but which was heard meanwhile:
    /// it lives, and the probe or its answer was lost.
    pub(crate) fn answers_late(&self, now: Time) -> Option<NameRival> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.deadline <= now)?;
        suspicion.rival.filter(|_| self.info.last_heard > suspicion.since)
    }

    /// Whether all that is known of its events is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.streams.iter().all(ReceiveStream::is_complete)
    }
}
