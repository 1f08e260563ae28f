//! What the handles, the sink and the clock task of a node share.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_codec::{encode_digest, encode_event, encode_sync};
use mailmesh_delivery::{self as delivery, Incarnation, NodeName};
use mailmesh_events::{Change, Event, Lane, SyncMessage, UnixMillis};
use mailmesh_state::{Mirror, Reconciler};
use mailmesh_transport::{Driver, EndpointReader, GateCounter, Messenger};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::away::Away;
use crate::cluster_time::ClusterTime;
use crate::cut_ways::CutWays;
use crate::disk::Disk;
use crate::gate::Gate;
use crate::inbox::Inboxes;
use crate::keys::{Asked, KeyChain, Questions};
use crate::standstill::Standstill;
use crate::turnover::Turnover;
use crate::wire::Refusals;
use crate::{Error, Incoming, StopReason};

/// How often it is looked whether an answer is late.
const RECONCILER_PACE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) identity: delivery::Identity,
    pub(crate) cluster: String,
    /// Without them the mesh is open.
    pub(crate) keys: Option<Arc<KeyChain>>,
    /// Of this node to others, about their keys.
    pub(crate) questions: Questions,
    /// Takes those of others about this node's.
    pub(crate) asked: mpsc::Sender<Asked>,
    pub(crate) mirror: Mirror,
    pub(crate) reconciler: Mutex<Reconciler<Incarnation>>,
    /// The reconciler waits for an answer.
    pub(crate) reconciling: Notify,
    pub(crate) inboxes: Inboxes,
    pub(crate) refusals: Arc<Refusals>,
    /// What the gate counts, where links come through one.
    pub(crate) links: Option<GateCounter>,
    /// Where the node listens, and the endpoints of its configuration, if it has a network.
    pub(crate) endpoints: Option<EndpointReader>,
    pub(crate) stopped: watch::Sender<Option<StopReason>>,
    /// The name, once another node has it and stays. This node stops when the others have its
    /// mirror.
    pub(crate) yields: watch::Sender<Option<NodeName>>,
    /// Notified when a member's digest equals this node's.
    pub(crate) agreed: Notify,
    pub(crate) cut_ways: Mutex<CutWays>,
    pub(crate) turnover: Mutex<Turnover>,
    pub(crate) standstill: Standstill,
    /// Members that left.
    pub(crate) away: Mutex<Away>,
    /// Number of members, for those who wait for some.
    pub(crate) member_count: watch::Sender<usize>,
    /// What the reconciler's time counts from.
    pub(crate) start: Instant,
    pub(crate) time: ClusterTime,
    /// Where a test holds the node up.
    pub(crate) gate: Gate,
    /// Set once, right after the driver starts.
    pub(crate) driver: OnceLock<Weak<Driver>>,
    /// Set once, before the driver starts, if the mirror is kept in a store.
    pub(crate) disk: OnceLock<Disk>,
    /// Set once, as the driver starts.
    pub(crate) messenger: OnceLock<Messenger>,
}

pub(crate) fn lane(lane: Lane) -> delivery::Lane {
    match lane {
        Lane::Urgent => delivery::Lane::Urgent,
        Lane::Events => delivery::Lane::Events,
    }
}

impl Mesh {
    /// Time of the cluster: what stamps and expiries count by.
    pub(crate) fn now(&self) -> UnixMillis {
        self.time.now()
    }

    /// Time on a monotonic clock.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether frames are sealed, so that private keys may be sent.
    pub(crate) fn is_sealed(&self) -> bool {
        self.keys.is_some()
    }

    fn driver(&self) -> Result<Arc<Driver>, Error> {
        self.driver.get().and_then(Weak::upgrade).ok_or_else(|| self.stop_error())
    }

    /// Notes that the node was shut down, unless it has stopped before.
    pub(crate) fn stop(&self) {
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert(StopReason::ShutDown);
            first
        });
    }

    /// Why nothing can be published any more.
    pub(crate) fn stop_error(&self) -> Error {
        match &*self.yields.borrow() {
            Some(name) => Error::SteppedBack { name: name.to_string() },
            None => Error::ShutDown,
        }
    }

    /// Steps back, unless the node has stopped before.
    pub(crate) fn step_back(&self) {
        let Some(name) = self.yields.borrow().clone() else { return };
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert(StopReason::DuplicateName { name });
            first
        });
    }

    pub(crate) async fn publish(&self, driver: &Driver, event: &Event) -> Result<(), Error> {
        let publish = driver.publish(lane(event.lane()), |body| encode_event(event, body));
        match self.gate.run(publish).await {
            Some(published) => published.map_err(|error| self.explain(error.into())),
            None => Err(Error::ShutDown),
        }
    }

    pub(crate) fn try_publish(&self, driver: &Driver, event: &Event) -> Result<(), Error> {
        let publish = || driver.try_publish(lane(event.lane()), |body| encode_event(event, body));
        match self.gate.try_run(publish) {
            Some(published) => published.map_err(|error| self.explain(error.into())),
            None => Err(Error::Full),
        }
    }

    fn explain(&self, error: Error) -> Error {
        if matches!(error, Error::ShutDown) { self.stop_error() } else { error }
    }

    /// A change that this node made: tells the others.
    pub(crate) async fn spread(&self, change: Change) -> Result<(), Error> {
        self.tell_digest();
        self.spread_quietly(change).await
    }

    /// The same, where the digest was told.
    pub(crate) async fn spread_quietly(&self, change: Change) -> Result<(), Error> {
        self.publish(&*self.driver()?, &change.into()).await
    }

    /// The other nodes.
    pub(crate) fn members(&self) -> Result<BTreeMap<Incarnation, NodeName>, Error> {
        let peers = self.driver()?.peers();
        Ok(peers.into_iter().map(|(peer, _)| (peer.incarnation, peer.name)).collect())
    }

    /// This node and the others, who has run longest first.
    pub(crate) fn elders(&self) -> Vec<Incarnation> {
        let own = (self.identity.started_ms, self.identity.incarnation);
        let peers = self.driver().map(|driver| driver.peers()).unwrap_or_default();
        let others = peers.iter().map(|(peer, _)| (peer.started_ms, peer.incarnation));
        let mut all: Vec<_> = others.chain([own]).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, who)| who).collect()
    }

    /// When this node started, by the time of the cluster.
    pub(crate) fn started(&self) -> UnixMillis {
        let elapsed = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        UnixMillis(self.now().0.saturating_sub(elapsed))
    }

    /// Whether peers have said what time it is, and most clocks agree on it.
    pub(crate) fn knows_time(&self) -> bool {
        self.time.has_an_answer() && self.time.is_agreed()
    }

    /// Whether what is in the mirror may be compared with the others.
    pub(crate) fn is_settled(&self) -> bool {
        self.disk.get().is_none_or(Disk::is_settled)
    }

    /// Whether a member has run for that much longer than this node. Each start is told by the
    /// clock of its node, so by how much those differ counts.
    pub(crate) fn has_older_member(&self, by: Duration) -> bool {
        let Ok(driver) = self.driver() else { return false };
        let peers = driver.peers();
        let (own, at) = (self.time.wall(), self.elapsed());
        let started = own.0.saturating_sub(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        peers.iter().any(|(peer, _)| {
            let ahead = self.time.reading(peer.incarnation).map_or(0, |(_, ahead)| ahead);
            let theirs = peer.started_ms.saturating_add_signed(ahead.saturating_neg());
            UnixMillis(theirs).plus(by).0 < started
        })
    }

    /// Puts the mirror's digest on the heartbeats, once that is to be compared with others'.
    pub(crate) fn tell_digest(&self) {
        if let Some(messenger) = self.messenger.get().filter(|_| self.is_settled()) {
            messenger.set_tag(Bytes::copy_from_slice(&encode_digest(&self.mirror.digest())));
        }
    }

    /// Sends what the reconciler has to say.
    pub(crate) fn send_sync(&self, messages: Vec<(Incarnation, SyncMessage)>) {
        let Some(messenger) = self.messenger.get() else { return };
        for (peer, mut message) in messages {
            if let SyncMessage::Part { changes, .. } | SyncMessage::Entries { changes, .. } =
                &mut message
                && !self.is_sealed()
            {
                // There are none; were there any, they would stay here.
                changes.retain(|change| !change.has_private_key());
            }
            match encode_sync(&message) {
                Ok(body) => {
                    // A peer that left meanwhile needs nothing.
                    let _gone = messenger.send_direct(peer, body.into());
                }
                Err(error) => tracing::error!(%error, "a sync message was not sent"),
            }
        }
    }

    /// Asks those for the time that are due to be asked.
    pub(crate) fn ask_time(&self) {
        let (due, asked) = self.time.due();
        self.send_sync(
            due.into_iter().map(|peer| (peer, SyncMessage::AskTime { asked })).collect(),
        );
    }

    /// What the clocks of the others say may have changed.
    pub(crate) fn set_time(&self) {
        self.time.set(|| self.members().unwrap_or_default());
    }

    /// When an answer that the reconciler waits for is late, not sooner than that costs
    /// little.
    pub(crate) fn reconciler_deadline(&self) -> Option<Instant> {
        let deadline = self.reconciler.lock().next_deadline()?;
        Some((self.start + deadline).max(Instant::now() + RECONCILER_PACE))
    }

    /// Asks again for what did not come.
    pub(crate) fn on_reconciler_deadline(&self) {
        let messages = {
            let mut reconciler = self.reconciler.lock();
            reconciler.on_deadline(self.elapsed());
            reconciler.take_outgoing()
        };
        self.send_sync(messages);
    }

    /// What is due every second: clocks, expiry.
    pub(crate) fn tick(&self) {
        self.ask_time();
        self.set_time();
        self.refusals.tick(self.elapsed());
        let slept = self.standstill.slept(self.time.elapsed(), self.elapsed());
        if let Some(slept) = slept {
            self.standstill.ended();
            tracing::warn!(
                "this machine slept for {:.0} s: others may have taken this node for failed",
                slept.as_secs_f64()
            );
        }
        let unlogged = self.turnover.lock().end_of_minute(std::time::Instant::now());
        if let Some((joined, left)) = unlogged {
            tracing::info!(
                "in the last minute {joined} nodes more joined and {left} more left than were logged"
            );
        }
        let cut = self.cut_ways.lock().due(self.elapsed());
        if let Some(cut) = cut {
            tracing::warn!(
                "for 10 s these members are heard only through another: {cut}. Check the network \
                 between them and this node"
            );
        }
        if let Some(keys) = &self.keys {
            keys.tick();
        }
        // After a step of the time only dropping waits.
        let revived = if self.time.may_sweep() {
            let swept = self.mirror.sweep(self.now());
            for (change, days) in &swept.ending {
                warn_of_end(change, *days);
            }
            swept.unexpired
        } else {
            self.mirror.unexpire(self.now())
        };
        for change in revived {
            self.offer(Incoming::Synced(change));
        }
        // Set even if nothing expired: of two threads that set it at once, the later may have set
        // the older digest.
        self.tell_digest();
        if let Some(disk) = self.disk.get() {
            disk.tick(self);
        }
    }

    pub(crate) fn offer(&self, incoming: Incoming) {
        self.inboxes.offer(&mut vec![incoming]);
    }
}

/// The more urgent the louder.
fn warn_of_end(change: &Change, days: u32) {
    let Change::Certificate(change) = change else { return };
    let names = &change.names;
    match days {
        0 => {
            tracing::error!(%names, "the certificate has ended, and no newer one has come; renew it")
        }
        1 => {
            tracing::error!(%names, "the certificate ends within a day, and no newer one has come; renew it")
        }
        7 => {
            tracing::warn!(%names, "the certificate ends within 7 days, and no newer one has come")
        }
        _ => tracing::info!(%names, days, "the certificate ends soon"),
    }
}
