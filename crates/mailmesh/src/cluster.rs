use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo, Reach};
use mailmesh_events::{Event, UnixMillis};
use mailmesh_transport::{Driver, EndpointReader, EndpointState, EndpointStatus, GateCounter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::disk::Disk;
use crate::keys::{self, Asked};
use crate::mesh::Mesh;
use crate::{
    AwayNode, Blocks, Certs, ClusterBuilder, Endpoint, Error, Filter, Inbox, Keys, Member,
    Namespace, Status, Values,
};

/// Longest time that a node stepping back waits for a member to hold its mirror.
const HANDING_OVER: Duration = Duration::from_secs(10);
/// How often the mirror is swept of what has ended.
const TICK: Duration = Duration::from_secs(1);

/// Why a node stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// [`Cluster::shutdown`] was called.
    ShutDown,
    /// The node's task ended by a bug; the log has it.
    Failed,
    /// Another live node has the same name, and has worked with more nodes or is older.
    DuplicateName {
        /// The name of both.
        name: NodeName,
    },
}

/// A node of a cluster: publishes events, gives inboxes, keeps the mirror.
///
/// Cheap to clone. [`shutdown`](Self::shutdown) drains and says goodbye; when the
/// last clone is dropped without it, the others notice as if it had been killed.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mesh: Arc<Mesh>,
    driver: Arc<Driver>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.mesh.inboxes.close();
        if let Some(disk) = self.mesh.disk.get() {
            disk.abandon();
        }
    }
}

impl Cluster {
    /// Begins a node.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    pub(crate) fn new(mesh: Arc<Mesh>, driver: Arc<Driver>, asked: mpsc::Receiver<Asked>) -> Self {
        let ticker = tick(mesh.clone(), Arc::downgrade(&driver));
        let answers = mesh.gate.hold_up(keys::work(mesh.clone(), asked));
        let tasks = [tokio::spawn(mesh.gate.hold_up(ticker)), tokio::spawn(answers)];
        Self { inner: Arc::new(Inner { mesh, driver, tasks }) }
    }

    /// Publishes an event to the other nodes; waits while the lane's queue is
    /// full. When the lane is idle, the caller's thread sends it right away.
    ///
    /// # Errors
    /// [`Error::MirrorEvent`] for changes of the mirror, [`Error::UnknownEvent`] for
    /// events of a newer version, [`Error::Codec`] for what cannot be encoded, [`Error::ShutDown`], [`Error::SteppedBack`].
    pub async fn publish(&self, event: impl Into<Event>) -> Result<(), Error> {
        let event = event.into();
        by_hand(&event)?;
        self.inner.mesh.publish(&self.inner.driver, &event).await
    }

    /// As [`publish`](Self::publish), but does not wait.
    ///
    /// # Errors
    /// [`Error::Full`], and those of [`publish`](Self::publish).
    pub fn try_publish(&self, event: impl Into<Event>) -> Result<(), Error> {
        let event = event.into();
        by_hand(&event)?;
        self.inner.mesh.try_publish(&self.inner.driver, &event)
    }

    /// A queue of what comes from now on, as `filter` has it.
    #[must_use]
    pub fn inbox(&self, filter: Filter) -> Inbox {
        self.inner.mesh.inboxes.open(filter)
    }

    /// The other nodes.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let peers = self.inner.driver.peers();
        let name_of = |incarnation| {
            let named = peers.iter().find(|(peer, _)| peer.incarnation == incarnation);
            named.map(|(peer, _)| peer.name.clone())
        };
        let member = |(peer, heard_ago): &(PeerInfo, _)| match peer.reach {
            Reach::Relayed { via } => Member::new(peer, *heard_ago, name_of(via)),
            _ => Member::new(peer, *heard_ago, None),
        };
        let mut members: Vec<_> = peers.iter().map(member).collect();
        let mesh = &self.inner.mesh;
        for member in &mut members {
            let reading = mesh.time.reading(member.incarnation);
            let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            member.round_trip_us = reading.map(|(took, _)| micros(took));
            member.clock_ahead_ms = reading.map(|(_, ahead)| ahead);
        }
        for status in self.endpoint_statuses() {
            let is_linked = status.state == EndpointState::Linked;
            let linked = members.iter_mut().find(|m| Some(m.incarnation) == status.leads_to);
            if let Some(member) = linked.filter(|_| is_linked) {
                member.endpoints.push(status.endpoint);
            }
        }
        members.sort_by(|a, b| (&a.name, a.incarnation).cmp(&(&b.name, b.incarnation)));
        members
    }

    /// Where this node listens: endpoints with the ports that it has, as [`Status::listens`].
    #[must_use]
    pub fn listens(&self) -> Vec<String> {
        self.inner.mesh.endpoints.as_ref().map_or_else(Vec::new, |at| at.listens().to_vec())
    }

    /// The endpoints of `connect.endpoints` but this node's own, and how this node is doing with
    /// each.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let peers = self.inner.driver.peers();
        let name_of = |incarnation| {
            let named = peers.iter().find(|(peer, _)| peer.incarnation == incarnation);
            named.map(|(peer, _)| peer.name.clone())
        };
        let all = self.endpoint_statuses().into_iter();
        all.map(|status| Endpoint::new(status, name_of)).collect()
    }

    fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        self.inner.mesh.endpoints.as_ref().map_or_else(Vec::new, EndpointReader::now)
    }

    /// Nodes that were members within the last hour, since this node began, and are none now: a
    /// rotation of keys does not reach them.
    #[must_use]
    pub fn away(&self) -> Vec<AwayNode> {
        self.inner.mesh.away.lock().list(self.inner.mesh.elapsed())
    }

    /// Waits until there are at least `count` other nodes, or this one has
    /// stopped. Put a time-out around it.
    pub async fn wait_for_members(&self, count: usize) {
        let mut members = self.inner.mesh.member_count.subscribe();
        tokio::select! {
            _ = members.wait_for(|members| *members >= count) => {}
            _ = self.stopped() => {}
        }
    }

    /// Blocked and allowed networks.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(&self.inner.mesh)
    }

    /// Certificates.
    #[must_use]
    pub fn certs(&self) -> Certs<'_> {
        Certs::new(&self.inner.mesh)
    }

    /// Values of a downstream crate, replicated as blocks and certificates are.
    #[must_use]
    pub fn values<N: Namespace>(&self) -> Values<'_, N> {
        Values::new(&self.inner.mesh)
    }

    /// The cluster's keys.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.inner.mesh)
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.inner.mesh.identity.name
    }

    /// This node's life.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.inner.mesh.identity.incarnation
    }

    /// How this node is.
    #[must_use]
    pub fn status(&self) -> Status {
        let mesh = &self.inner.mesh;
        let counters = self.inner.driver.counters();
        let digest = mesh.mirror.digest();
        let members = *mesh.member_count.borrow();
        let (nodes_joined, nodes_left) = mesh.turnover.lock().totals();
        Status {
            name: mesh.identity.name.clone(),
            cluster: mesh.cluster.clone(),
            incarnation: mesh.identity.incarnation,
            started: mailmesh_events::UnixMillis(mesh.identity.started_ms),
            key_id: mesh.keys.as_ref().map(|keys| keys.ids()[0].to_string()),
            listens: self.listens(),
            endpoints: self.endpoints(),
            members,
            locked_out: members == 0 && mesh.is_sealed() && mesh.refusals.hears_another_key(),
            inboxes: mesh.inboxes.count(),
            inbox_bytes: mesh.inboxes.bytes(),
            inbox_dropped: mesh.inboxes.dropped(),
            sent: counters.delivery.sent,
            delivered: counters.delivery.delivered,
            nodes_joined,
            nodes_left,
            gaps: counters.delivery.gaps,
            missed: counters.delivery.missed,
            duplicates: counters.delivery.duplicates,
            naks: counters.delivery.naks,
            retransmitted_frames: counters.delivery.retransmitted_frames,
            replay_bytes: counters.replay_bytes,
            relay_naks: counters.delivery.relay_naks,
            relayed_frames: counters.delivery.relayed_frames,
            relay_bytes: counters.relay_bytes,
            receivers_excluded: counters.delivery.receivers_excluded,
            reorder_dropped: counters.delivery.reorder_dropped,
            unknown_sender: counters.delivery.unknown_sender,
            too_many_peers: counters.delivery.too_many_peers,
            replays_rejected: counters.delivery.replays_rejected,
            unproven_introductions: counters.delivery.unproven_introductions,
            admissions_deferred: counters.delivery.admissions_deferred,
            misdirected: counters.delivery.misdirected,
            malformed: counters.delivery.malformed,
            refused: mesh.refusals.counts(),
            links: mesh.links.as_ref().map(GateCounter::now),
            intake_dropped: counters.intake_dropped,
            directs_dropped: counters.directs_dropped,
            put_failed: counters.put_failed,
            waiting_bytes: counters.waiting_bytes,
            mirror_entries: digest.entries,
            mirror_fingerprint: format!("{:032x}", digest.fingerprint),
            mirror_refused: mesh.mirror.counters().refused,
            mirror_ahead: mesh.mirror.counters().ahead,
            clock_agreed: mesh.time.is_agreed(),
            clock_correction_ms: mesh.time.correction(),
            store: mesh.disk.get().map(Disk::status),
        }
    }

    /// Sends what waits, says goodbye and closes the bus. Inboxes end after what
    /// they hold. Does nothing the second time.
    pub async fn shutdown(&self) {
        self.inner.mesh.stop();
        self.inner.mesh.gate.hold_up(self.inner.driver.shutdown()).await;
        self.inner.mesh.inboxes.close();
        close_store(self.inner.mesh.clone()).await;
    }

    /// Waits until all that has changed in the mirror so far is on this node's disk: what a
    /// crash or a loss of power does not take. At once without a store.
    ///
    /// # Errors
    /// [`Error::NotSaved`] if the disk is full, or fails; it is tried again meanwhile.
    pub async fn saved(&self) -> Result<(), Error> {
        match self.inner.mesh.disk.get() {
            Some(disk) => disk.saved().await,
            None => Ok(()),
        }
    }

    /// Ends the node as `kill -9` would: nothing more is sent, not even a goodbye.
    #[cfg(feature = "testing")]
    pub(crate) fn kill(&self) {
        self.inner.mesh.stop();
        self.inner.mesh.gate.close();
        self.inner.driver.hold();
        self.inner.mesh.inboxes.close();
        if let Some(disk) = self.inner.mesh.disk.get() {
            disk.abandon();
        }
    }

    /// Stands the node still, as SIGSTOP would.
    #[cfg(feature = "testing")]
    pub(crate) fn freeze(&self) {
        self.inner.mesh.gate.freeze();
        self.inner.driver.hold();
    }

    /// Lets it go on.
    #[cfg(feature = "testing")]
    pub(crate) fn thaw(&self) {
        self.inner.driver.go_on();
        self.inner.mesh.gate.thaw();
    }

    /// Whether the node has not stopped.
    #[cfg(feature = "testing")]
    pub(crate) fn is_running(&self) -> bool {
        self.inner.mesh.stopped.borrow().is_none()
    }

    /// Waits until this node has stopped, and says why.
    pub async fn stopped(&self) -> StopReason {
        let mut stopped = self.inner.mesh.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::ShutDown),
            Err(_) => StopReason::ShutDown,
        }
    }
}

/// Refuses what only the mirror may publish.
fn by_hand(event: &Event) -> Result<(), Error> {
    match event {
        Event::Network(_) | Event::Certificate(_) | Event::Value(_) => Err(Error::MirrorEvent),
        // Its bytes may be an event of any kind.
        Event::Unknown(_) => Err(Error::UnknownEvent),
        _ => Ok(()),
    }
}

/// Waits until an answer that the reconciler waits for is late.
async fn reconciler_late(mesh: &Mesh) {
    loop {
        if let Some(deadline) = mesh.reconciler_deadline() {
            return tokio::time::sleep_until(deadline).await;
        }
        mesh.reconciling.notified().await;
    }
}

/// The next whole second of the cluster's time: so mirrors drop what has ended at the same
/// moment, and seldom differ over it.
fn next_tick(now: UnixMillis) -> Instant {
    let second = TICK.as_millis() as u64;
    let left = Duration::from_millis(second - now.0 % second);
    // Not twice around a second that a timer or a step of the time missed by a little.
    Instant::now() + if left < TICK / 4 { left + TICK } else { left }
}

/// Sweeps the mirror every second; ends the node when it must step back.
async fn tick(mesh: Arc<Mesh>, driver: std::sync::Weak<Driver>) {
    let (mut stopped, mut yields) = (mesh.stopped.subscribe(), mesh.yields.subscribe());
    let mut due = Instant::now();
    let mut leave_at = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {
                due = next_tick(mesh.now());
                if driver.upgrade().is_some_and(|driver| !driver.is_running()) {
                    tracing::error!("the node's task ended by a bug; restart the node, and report it");
                    mesh.stopped.send_if_modified(|stopped| {
                        stopped.get_or_insert(StopReason::Failed);
                        true
                    });
                    break;
                }
                mesh.tick();
                keys::follow(&mesh);
                keys::search(&mesh);
            }
            () = reconciler_late(&mesh) => mesh.on_reconciler_deadline(),
            Ok(_) = yields.wait_for(Option::is_some), if leave_at.is_none() => {
                leave_at = Some(Instant::now() + HANDING_OVER);
            }
            () = mesh.agreed.notified(), if leave_at.is_some() => {
                mesh.step_back();
                break;
            }
            () = tokio::time::sleep_until(leave_at.unwrap_or(due)), if leave_at.is_some() => {
                tracing::error!(
                    entries = mesh.mirror.digest().entries,
                    "no other node had this node's mirror after {} s: what this node wrote while it was alone may be missing on the others",
                    HANDING_OVER.as_secs()
                );
                mesh.step_back();
                break;
            }
            _ = stopped.wait_for(Option::is_some) => break,
        }
    }
    if matches!(&*mesh.stopped.borrow(), Some(StopReason::ShutDown)) {
        return;
    }
    if let Some(driver) = driver.upgrade() {
        driver.shutdown().await;
    }
    mesh.inboxes.close();
    close_store(mesh).await;
}

/// Writes what waits, and closes the store.
async fn close_store(mesh: Arc<Mesh>) {
    if mesh.disk.get().is_some() {
        let close = move || mesh.disk.get().map(Disk::close);
        let _panicked = tokio::task::spawn_blocking(close).await;
    }
}
