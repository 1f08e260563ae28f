use crate::control::Status;
use crate::receive::ReceiveStream;
use crate::replay_window::ReplayWindow;
use crate::{Incarnation, Lane, PeerInfo, Settings, Time};

/// A live peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) streams: [ReceiveStream; 2],
    pub(crate) controls: ReplayWindow,
    pub(crate) suspicion: Option<Suspicion>,
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
    /// A peer of the same name came; it may have left again since.
    pub(crate) rival: Option<Rank>,
}

/// Of two live nodes of one name the one of lower rank may stay: start time, then
/// incarnation.
pub(crate) type Rank = (u64, Incarnation);

impl Peer {
    pub(crate) fn new(incarnation: Incarnation, status: &Status, now: Time, s: Settings) -> Self {
        Self {
            info: PeerInfo {
                name: status.name.clone(),
                incarnation,
                started_ms: status.started_ms,
                version: status.version,
                last_heard: now,
            },
            streams: status.positions.map(|position| ReceiveStream::starting_after(position, s)),
            controls: ReplayWindow::default(),
            suspicion: None,
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
        holes.chain(suspicion).fold(silent, Time::min)
    }

    pub(crate) fn has_failed(&self, now: Time, settings: &Settings) -> bool {
        self.info.last_heard + settings.failure_timeout <= now
            || self.suspicion.is_some_and(|suspicion| suspicion.deadline <= now)
    }

    /// The rival of a suspect whose time is over, but which was heard meanwhile:
    /// it lives, and the probe or its answer was lost.
    pub(crate) fn answers_late(&self, now: Time) -> Option<Rank> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.deadline <= now)?;
        suspicion.rival.filter(|_| self.info.last_heard > suspicion.since)
    }

    /// Whether a peer that is leaving has delivered everything.
    pub(crate) fn has_finished(&self) -> bool {
        self.leaving && self.streams.iter().all(ReceiveStream::is_complete)
    }
}
