//! The public handle of one node.

use std::sync::Arc;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo, Reach};
use mailmesh_events::Event;
use mailmesh_transport::{EndpointReader, EndpointState, EndpointStatus, GateCountsReader};

use crate::lifecycle::StopReason;
use crate::parts::Inner;
use crate::persister::Persister;
use crate::{
    Blocks, Certs, ClockOffset, Endpoint, Filter, FormerMember, Inbox, Keys, Member, MirrorError,
    MirrorWatch, Namespace, PublishError, Status, Values, ticker,
};

/// One node of a cluster: publishes events, opens inboxes, keeps the mirror.
///
/// The handle is cheap to clone. [`shutdown`](Self::shutdown) sends queued events and says goodbye.
/// If the last clone is dropped without a shutdown, the other nodes see this node fail as if it had
/// been killed.
#[derive(Debug, Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

impl Node {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Publishes an event to the other nodes. Waits while the queue of the event's lane is full. If
    /// the lane is idle, the caller's thread sends the event at once.
    ///
    /// # Errors
    /// [`PublishError::MirrorEvent`] for changes of the mirror, [`PublishError::UnknownEvent`] for
    /// events of a newer version, [`PublishError::Encode`] if the event cannot be encoded,
    /// [`PublishError::Stopped`] if the node has stopped.
    pub async fn publish(&self, event: impl Into<Event>) -> Result<(), PublishError> {
        let event = event.into();
        check_publishable(&event)?;
        self.inner.publisher.publish(&event).await
    }

    /// Same as [`publish`](Self::publish), but fails instead of waiting.
    ///
    /// # Errors
    /// [`PublishError::Full`] if the queue of the lane is full, and those of
    /// [`publish`](Self::publish).
    pub fn try_publish(&self, event: impl Into<Event>) -> Result<(), PublishError> {
        let event = event.into();
        check_publishable(&event)?;
        self.inner.publisher.try_publish(&event)
    }

    /// Opens an inbox, which receives every event that arrives from now on and passes `filter`.
    /// Changes of the mirror are received by watches; see [`watch`](Self::watch).
    #[must_use]
    pub fn inbox(&self, filter: Filter) -> Inbox {
        self.inner.inboxes.open(filter)
    }

    /// A stream of all present entries of the mirror followed by every change, without loss in
    /// between. [`Blocks::watch`], [`Certs::watch`] and [`Values::watch`] report one kind each.
    #[must_use]
    pub fn watch(&self) -> MirrorWatch {
        MirrorWatch::new(&self.inner)
    }

    /// The other nodes of the cluster, sorted by name.
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
        let time = &self.inner.replication.time;
        for member in &mut members {
            let reading = time.reading(member.incarnation);
            member.round_trip = reading.map(|reading| reading.round_trip);
            member.clock_offset = reading.map(|r| ClockOffset::from_millis(r.ahead_ms));
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

    /// Endpoints on which this node listens, with their actual ports; see [`Status::listens`].
    #[must_use]
    pub fn listens(&self) -> Vec<String> {
        self.inner.transport.endpoints.as_ref().map_or_else(Vec::new, |at| at.listens().to_vec())
    }

    /// The state of each endpoint in `connect.endpoints`, without those of this node itself.
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
        self.inner.transport.endpoints.as_ref().map_or_else(Vec::new, EndpointReader::now)
    }

    /// Nodes that were members within the last hour, since this node started, and are none now. A
    /// key rotation does not reach them.
    #[must_use]
    pub fn former_members(&self) -> Vec<FormerMember> {
        self.inner.member_log.former_members(self.inner.replication.time.uptime())
    }

    /// Waits until this node has at least `count` members, or has stopped. Has no timeout of its
    /// own. Cancel-safe.
    pub async fn wait_for_members(&self, count: usize) {
        let mut members = self.inner.lifecycle.watch_members();
        tokio::select! {
            _ = members.wait_for(|members| *members >= count) => {}
            _ = self.stopped() => {}
        }
    }

    /// Blocked and allowed networks.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::new(&self.inner)
    }

    /// TLS certificates.
    #[must_use]
    pub fn certs(&self) -> Certs<'_> {
        Certs::new(&self.inner)
    }

    /// Typed values of another crate, replicated like blocks and certificates.
    #[must_use]
    pub fn values<N: Namespace>(&self) -> Values<'_, N> {
        Values::new(&self.inner)
    }

    /// The cluster keys: listing and rotation.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(self.inner.keys.as_ref())
    }

    /// Name of this node.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.inner.identity.name
    }

    /// Incarnation of this node: a random number, new with each start.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.inner.identity.incarnation
    }

    /// State and counters of this node, read now.
    #[must_use]
    pub fn status(&self) -> Status {
        let Inner { identity, cluster_name, replication, keys, inboxes, refusals, .. } =
            &*self.inner;
        let (mirror, time) = (&replication.mirror, &replication.time);
        let digest = mirror.digest();
        let members = self.inner.lifecycle.members();
        let (nodes_joined, nodes_left) = self.inner.member_log.totals();
        Status {
            name: identity.name.clone(),
            cluster: cluster_name.clone(),
            incarnation: identity.incarnation,
            started: mailmesh_events::UnixMillis(identity.started_ms),
            key_id: keys.as_ref().and_then(|keys| keys.active_id()),
            listens: self.listens(),
            endpoints: self.endpoints(),
            members,
            locked_out: members == 0 && keys.is_some() && refusals.hears_another_key(),
            inboxes: inboxes.count(),
            inbox_bytes: inboxes.bytes(),
            inbox_dropped: inboxes.dropped(),
            counters: self.inner.driver.counters(),
            nodes_joined,
            nodes_left,
            refused: refusals.counts(),
            links: self.inner.transport.links.as_ref().map(GateCountsReader::now),
            mirror_entries: digest.entries,
            mirror_fingerprint: format!("{:032x}", digest.set_hash),
            mirror_refused: mirror.counters().refused,
            mirror_ahead: mirror.counters().ahead,
            clock_agreed: time.is_agreed(),
            clock_correction_ms: time.correction(),
            store: replication.persister.as_ref().map(Persister::status),
        }
    }

    /// Sends queued events, says goodbye and closes the bus. Inboxes end after their last entry. A
    /// second call does nothing.
    pub async fn shutdown(&self) {
        self.inner.lifecycle.stop(StopReason::ShutDown);
        self.inner.pause_gate.guard(self.inner.driver.shutdown()).await;
        self.inner.inboxes.close();
        ticker::close_store(self.inner.replication.clone()).await;
    }

    /// Waits until every change made to the mirror so far is on this node's disk, where it survives
    /// a crash or a power failure. Returns at once if the node has no store. Cancel-safe.
    ///
    /// # Errors
    /// [`MirrorError::NotSaved`] if a write fails, for example on a full disk. The write is retried
    /// in the background. [`MirrorError::Stopped`] if the store was closed first.
    pub async fn saved(&self) -> Result<(), MirrorError> {
        match &self.inner.replication.persister {
            Some(persister) => persister.saved().await,
            None => Ok(()),
        }
    }

    /// Ends the node like `kill -9`: nothing more is sent, not even a goodbye.
    #[cfg(feature = "testing")]
    pub(crate) fn kill(&self) {
        self.inner.lifecycle.stop(StopReason::ShutDown);
        self.inner.pause_gate.close();
        self.inner.driver.pause();
        self.inner.inboxes.close();
        if let Some(persister) = &self.inner.replication.persister {
            persister.abandon();
        }
    }

    /// Stops the node for a while, like SIGSTOP.
    #[cfg(feature = "testing")]
    pub(crate) fn freeze(&self) {
        self.inner.pause_gate.freeze();
        self.inner.driver.pause();
    }

    /// Lets a frozen node run again, like SIGCONT.
    #[cfg(feature = "testing")]
    pub(crate) fn thaw(&self) {
        self.inner.driver.resume();
        self.inner.pause_gate.thaw();
    }

    /// Whether the node has not stopped yet.
    #[cfg(feature = "testing")]
    pub(crate) fn is_running(&self) -> bool {
        self.inner.lifecycle.stopped().borrow().is_none()
    }

    /// Waits until this node has stopped, and returns the reason. Cancel-safe.
    pub async fn stopped(&self) -> StopReason {
        let mut stopped = self.inner.lifecycle.stopped();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::ShutDown),
            Err(_) => StopReason::ShutDown,
        }
    }
}

/// Refuses events that only the mirror may publish.
fn check_publishable(event: &Event) -> Result<(), PublishError> {
    match event {
        Event::Network(_) | Event::Certificate(_) | Event::Value(_) => {
            Err(PublishError::MirrorEvent)
        }
        // The bytes may encode an event of any kind.
        Event::Unknown(_) => Err(PublishError::UnknownEvent),
        _ => Ok(()),
    }
}
