use crate::control::Status;
use crate::flow::Confirmed;
use crate::receive::ReceiveStream;
use crate::replay_window::ReplayWindow;
use crate::{Incarnation, Lane, PeerInfo, Settings, Time};

/// A live peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) streams: [ReceiveStream; 2],
    pub(crate) controls: ReplayWindow,
    /// How far it has come in our lanes.
    pub(crate) confirmed: [Confirmed; 2],
    /// Bytes of its events that we took and did not confirm.
    unconfirmed_bytes: usize,
    /// When we confirm them at the latest.
    ack_at: Option<Time>,
    pub(crate) suspicion: Option<Suspicion>,
    /// When it last answered a question.
    pub(crate) answered: Option<Time>,
    /// It said goodbye, and leaves when its last events are here.
    pub(crate) leaving: bool,
    /// It was out of reach; gaps up to these positions are of that time.
    pub(crate) unreachable_until: [u64; 2],
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

/// Of two live nodes of one name the one of lower rank may stay: start time, then
/// incarnation.
pub(crate) type Rank = (u64, Incarnation);

impl Peer {
    pub(crate) fn new(
        incarnation: Incarnation,
        status: &Status,
        ours: [u64; 2],
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
            },
            streams: status.positions.map(|position| ReceiveStream::starting_after(position, s)),
            controls: ReplayWindow::default(),
            confirmed: ours.map(|position| Confirmed::at(position, now)),
            unconfirmed_bytes: 0,
            ack_at: None,
            suspicion: None,
            answered: None,
            leaving: false,
            unreachable_until: [0; 2],
        }
    }

    pub(crate) fn rank(&self) -> Rank {
        (self.info.started_ms, self.info.incarnation)
    }

    pub(crate) fn stream(&mut self, lane: Lane) -> &mut ReceiveStream {
        &mut self.streams[lane.index()]
    }

    pub(crate) fn deadline(&self, settings: &Settings) -> Time {
        let silent = self.info.last_heard + settings.failure_timeout;
        let suspicion = self.suspicion.map(|suspicion| suspicion.deadline);
        let holes = self.streams.iter().filter_map(ReceiveStream::deadline);
        holes.chain(suspicion).chain(self.ack_at).fold(silent, Time::min)
    }

    /// We took `len` bytes of its events: confirm them soon, or at once if many.
    pub(crate) fn on_taken(&mut self, len: usize, now: Time, settings: &Settings) {
        self.unconfirmed_bytes += len;
        let soon = now + settings.ack_delay;
        let many = self.unconfirmed_bytes >= settings.window / 8;
        self.ack_at = Some(if many { now } else { self.ack_at.map_or(soon, |at| at.min(soon)) });
    }

    /// The positions to confirm, if that is due.
    pub(crate) fn take_ack(&mut self, now: Time) -> Option<[u64; 2]> {
        self.ack_at.take_if(|at| *at <= now)?;
        self.unconfirmed_bytes = 0;
        Some([self.streams[0].position(), self.streams[1].position()])
    }

    pub(crate) fn has_failed(&self, now: Time, settings: &Settings) -> bool {
        self.info.last_heard + settings.failure_timeout <= now
            || self.suspicion.is_some_and(|suspicion| suspicion.deadline <= now)
    }

    /// The rival of a suspect whose time is over, but which was heard meanwhile:
    /// it lives, and the probe or its answer was lost.
    pub(crate) fn answers_late(&self, now: Time) -> Option<Rival> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.deadline <= now)?;
        suspicion.rival.filter(|_| self.info.last_heard > suspicion.since)
    }

    /// Whether a peer that is leaving has delivered everything.
    pub(crate) fn has_finished(&self) -> bool {
        self.leaving && self.streams.iter().all(ReceiveStream::is_complete)
    }
}
