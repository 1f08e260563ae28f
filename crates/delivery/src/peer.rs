use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::allowance::Allowance;
use crate::congestion;
use crate::control::{Knowledge, Status};
use crate::ending::Ending;
use crate::flow::Confirmed;
use crate::holders::Holders;
use crate::reach::Hearing;
use crate::receive::{Missing, ReceiveStream};
use crate::replay_window::ReplayWindow;
use crate::{Frame, Incarnation, Lane, PeerInfo, Reach, Settings, Time};

/// A live peer.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) streams: [ReceiveStream; 2],
    pub(crate) controls: ReplayWindow,
    pub(crate) bulk: ReplayWindow,
    /// Its latest sign of life that we know of, by its own word or others'.
    pub(crate) beat: u64,
    /// The latest by its own word, and when that came.
    own_beat: (u64, Time),
    /// When it was first taken in.
    since: Time,
    /// When it was taken in last: it may have been out of reach.
    here_since: Time,
    /// Number of peers that it has worked with for a while, as its last status says.
    pub(crate) settled: u16,
    /// The frame that told its status, for who asks to meet it.
    pub(crate) introduction: Option<Frame>,
    /// How far it has come in our lanes.
    pub(crate) confirmed: [Confirmed; 2],
    /// Bytes of its events that we took and did not confirm.
    unconfirmed_bytes: usize,
    /// So much was confirmed that it may wait for it: how often that is said again.
    repeats: u8,
    /// When we confirm them at the latest.
    ack_at: Option<Time>,
    pub(crate) suspicion: Option<Suspicion>,
    /// When it last answered a question.
    pub(crate) answered: Option<Time>,
    /// It was asked how much it has sent.
    pub(crate) position_asked: Option<PositionAsked>,
    /// It is about to leave.
    pub(crate) ending: Option<Ending>,
    /// It was out of reach; gaps up to these positions are of that time.
    pub(crate) unreachable_until: [u64; 2],
    pub(crate) hearing: Hearing,
    /// Who else has its events.
    pub(crate) holders: Holders,
    /// To whom we pass on what comes from it, until when.
    pub(crate) followers: BTreeMap<Incarnation, Time>,
    /// What it may still ask to be sent again.
    pub(crate) repairs: Allowance,
    /// Who wants to know whether it lives, when that is known.
    pub(crate) askers: BTreeSet<Incarnation>,
}

/// A peer was asked how much it has sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PositionAsked {
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
    pub(crate) rival: Option<Rival>,
}

/// Two peers of one name, since when. Only if both prove after that moment that they
/// live is it a conflict: what introduced one may have been on its way since before
/// it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rival {
    pub(crate) rank: Rank,
    pub(crate) since: Time,
}

/// Of two live nodes of one name the one of lower rank may stay: the one that has worked with
/// more others, then the one that started earlier, then the lesser incarnation. So a node that
/// was cut off does not end the one that took its place and works with the majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    settled: Reverse<u16>,
    started_ms: u64,
    pub(crate) incarnation: Incarnation,
}

impl Rank {
    pub(crate) fn new(settled: u16, started_ms: u64, incarnation: Incarnation) -> Self {
        Self { settled: Reverse(settled), started_ms, incarnation }
    }
}

/// From when on a peer counts as one that a node works with.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(5);
/// No node gives more signs of life, answers included.
const BEATS_A_SECOND: u64 = 1_000;
/// How often a confirmation that may be waited for is said again, with a heartbeat each, when
/// nothing follows: it may be lost.
const REPEATS: u8 = 2;
/// Who was here for longer is remembered, whatever came of it.
const LIGHT: std::time::Duration = std::time::Duration::from_secs(10);

/// Whom to ask for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Sender,
    Holder(Incarnation),
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
                awaited_after: status.positions,
                reach: Reach::Direct,
            },
            streams: status.positions.map(|position| ReceiveStream::starting_after(position, s)),
            controls: ReplayWindow::default(),
            bulk: ReplayWindow::default(),
            beat: 0,
            own_beat: (0, now),
            since: now,
            here_since: now,
            settled: status.settled,
            introduction: None,
            confirmed: ours.map(|(position, bytes)| Confirmed::at(position, bytes, &s, now)),
            unconfirmed_bytes: 0,
            repeats: 0,
            ack_at: None,
            suspicion: None,
            answered: None,
            position_asked: None,
            ending: None,
            unreachable_until: [0; 2],
            hearing: Hearing::since(now),
            holders: Holders::default(),
            followers: BTreeMap::new(),
            repairs: Allowance::full(s.repair_rate_of_one, now),
            askers: BTreeSet::new(),
        }
    }

    /// It was out of reach, and is back after it has sent so much.
    pub(crate) fn return_with(&mut self, positions: [u64; 2], now: Time, settings: &Settings) {
        self.here_since = now;
        self.hearing = Hearing::since(now);
        self.suspicion = None;
        self.ending = None;
        self.position_asked = None;
        self.unreachable_until = positions;
        self.confirmed = [Confirmed::behind(settings, now); 2];
    }

    /// It leaves: what only counts while it is there is forgotten.
    pub(crate) fn settle(&mut self) {
        self.hearing.unfollow();
        self.holders = Holders::default();
        self.followers.clear();
        self.askers.clear();
        self.introduction = None;
        self.info.reach = Reach::Direct;
    }

    pub(crate) fn rank(&self) -> Rank {
        Rank::new(self.settled, self.info.started_ms, self.info.incarnation)
    }

    /// Whether this node has worked with it for a while.
    pub(crate) fn is_settled(&self, now: Time) -> bool {
        self.ending.is_none() && now.since(self.here_since) >= SETTLED
    }

    pub(crate) fn positions(&self) -> [u64; 2] {
        [self.streams[0].position(), self.streams[1].position()]
    }

    /// What we know of it, to be told to others.
    pub(crate) fn knowledge(&self) -> Knowledge {
        let in_doubt = self.suspicion.is_some() || self.ending.is_some();
        let (of, positions) = (self.info.incarnation, self.positions());
        // While it lives its own word is enough: what others only heard would go round for ever.
        let lives = self.ending.is_none();
        let sent = |stream: &ReceiveStream| if lives { stream.said() } else { stream.announced() };
        let sent = [sent(&self.streams[0]), sent(&self.streams[1])];
        Knowledge { of, beat: self.beat, positions, in_doubt, sent }
    }

    /// Whether it may have given that sign of life by now, as fast as any node does.
    pub(crate) fn is_plausible(&self, beat: u64, now: Time) -> bool {
        let (own, at) = self.own_beat;
        let seconds = now.since(at).as_secs() + 1;
        beat <= own.saturating_add(seconds.saturating_mul(BEATS_A_SECOND))
    }

    /// It gave a sign of life itself; whether that is news.
    pub(crate) fn on_own_beat(&mut self, beat: u64, now: Time) -> bool {
        let is_news = beat > self.own_beat.0;
        if is_news {
            self.own_beat = (beat, now);
            // What others said before that may have been a lie.
            self.beat = if self.is_plausible(self.beat, now) { self.beat.max(beat) } else { beat };
        }
        is_news
    }

    /// Whether too little is known of it to remember it for long: it was here for a moment, and
    /// nothing came of it.
    pub(crate) fn is_light(&self) -> bool {
        self.info.last_heard.since(self.since) < LIGHT && self.streams.iter().all(|s| !s.came())
    }

    /// Whether it is there for all we know, so that it can be asked about others.
    pub(crate) fn is_trusted(&self) -> bool {
        self.suspicion.is_none() && self.ending.is_none()
    }

    pub(crate) fn stream(&mut self, lane: Lane) -> &mut ReceiveStream {
        &mut self.streams[lane.index()]
    }

    /// Whom to ask for what is missing: its sender first, then those that have it and
    /// the sender in turn; first the others while it is not heard directly.
    pub(crate) fn source(&self, lane: Lane, missing: Missing) -> Option<Source> {
        let tries = missing.tries;
        let answers =
            self.ending.is_none() && missing.first >= self.streams[lane.index()].gone_before();
        let holder = self.holder_of(lane, missing.first, tries / 2);
        let others_turn = match self.info.reach {
            Reach::Direct => tries % 2 == 1,
            Reach::Relayed { .. } => tries % 4 != 3,
        };
        match holder {
            Some(holder) if others_turn || !answers => Some(Source::Holder(holder)),
            _ => answers.then_some(Source::Sender),
        }
    }

    fn holder_of(&self, lane: Lane, number: u64, turn: u32) -> Option<Incarnation> {
        // Where the sender is of no help, who does not say that it came that far is
        // asked too: what it says is of a while ago, and it may have events behind a
        // hole of its own.
        let guess = self.ending.is_some() || number < self.streams[lane.index()].gone_before();
        self.holders.of(lane, number, guess, turn)
    }

    /// Gives up what is missing and nobody has, and gives what follows.
    pub(crate) fn give_up_lost(
        &mut self,
        now: Time,
        lane: Lane,
        released: &mut Vec<crate::receive::Released>,
    ) {
        loop {
            let stream = &self.streams[lane.index()];
            let Some(next) = stream.missing() else { return };
            let limit = match &self.ending {
                Some(ending) if ending.may_give_up() => u64::MAX,
                _ => stream.gone_before(),
            };
            if next >= limit || self.holder_of(lane, next, 0).is_some() {
                return;
            }
            let end = if self.ending.is_none() && stream.is_left_behind(now) {
                stream.said().saturating_add(1)
            } else {
                self.holders.next_from(lane, next).map_or(limit, |from| from.min(limit))
            };
            self.streams[lane.index()].give_up(now, end, released);
        }
    }

    pub(crate) fn deadline(&self, settings: &Settings) -> Time {
        let silent = match &self.ending {
            Some(ending) => ending.deadline(),
            None => {
                let suspicion = self.suspicion.map(|suspicion| suspicion.deadline);
                Some(suspicion.into_iter().fold(self.silent_at(settings), Time::min))
            }
        };
        let holes = self.streams.iter().filter_map(ReceiveStream::deadline);
        let all = holes.chain(silent).chain(self.ack_at).chain(self.hearing.deadline());
        all.min().unwrap_or(Time::from_start(std::time::Duration::MAX))
    }

    /// When the others are asked about it if it stays silent.
    fn silent_at(&self, settings: &Settings) -> Time {
        self.info.last_heard + settings.failure_timeout.saturating_sub(settings.settle)
    }

    /// We took so much of its window: confirm them soon, or at once if many.
    pub(crate) fn on_taken(&mut self, taken: usize, now: Time, settings: &Settings) {
        self.unconfirmed_bytes += taken;
        let soon = now + settings.ack_delay;
        let many = self.unconfirmed_bytes as u64 >= congestion::step(settings);
        self.ack_at = Some(if many { now } else { self.ack_at.map_or(soon, |at| at.min(soon)) });
    }

    /// It says that it has sent so much. Does it send no more because what we confirmed got lost,
    /// and we have it all? Then again.
    pub(crate) fn on_positions(&mut self, sent: [u64; 2], now: Time) {
        for (stream, position) in self.streams.iter_mut().zip(sent) {
            stream.on_position(now, position);
        }
        if self.repeats > 0 && self.is_complete() {
            self.repeats -= 1;
            self.ack_at = Some(now);
        }
    }

    /// The positions to confirm, if that is due.
    pub(crate) fn take_ack(&mut self, now: Time, settings: &Settings) -> Option<[u64; 2]> {
        self.ack_at.take_if(|at| *at <= now)?;
        if self.unconfirmed_bytes as u64 >= congestion::step(settings) {
            self.repeats = REPEATS;
        }
        self.unconfirmed_bytes = 0;
        Some(self.positions())
    }

    /// Whether it was silent for so long that the others are to be asked.
    pub(crate) fn is_silent(&self, now: Time, settings: &Settings) -> bool {
        self.silent_at(settings) <= now
            || self.suspicion.is_some_and(|suspicion| suspicion.deadline <= now)
    }

    /// The rival of a suspect whose time is over, but which was heard meanwhile:
    /// it lives, and the probe or its answer was lost.
    pub(crate) fn answers_late(&self, now: Time) -> Option<Rival> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.deadline <= now)?;
        suspicion.rival.filter(|_| self.info.last_heard > suspicion.since)
    }

    /// Whether all that is known of its events is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.streams.iter().all(ReceiveStream::is_complete)
    }
}
