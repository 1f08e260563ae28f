//! Keeps the mirror of a node equal to the mirrors of the members.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_codec::{CodecError, decode_digest, encode_digest};
use mailmesh_delivery::Incarnation;
use mailmesh_events::{Change, SyncMessage, UnixMillis};
use mailmesh_state::{Applied, Mirror, ReconcileConfig, Reconciler};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster_time::ClusterTime;
use crate::direct_sender::DirectSender;
use crate::persister::{ClusterView, Persister};

/// Shortest time between two checks for late answers.
const MIN_DEADLINE_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Replication {
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) time: Arc<ClusterTime>,
    /// Keeps the mirror on disk, if the node has a store.
    pub(crate) persister: Option<Persister>,
    reconciler: Mutex<Reconciler<Incarnation>>,
    /// Notified when the reconciler starts to wait for an answer.
    reconciling: Notify,
    /// Notified when a member's digest equals this node's.
    agreed: Notify,
    direct: DirectSender,
}

impl Replication {
    pub(crate) fn new(
        own: Incarnation,
        mirror: Arc<Mirror>,
        time: Arc<ClusterTime>,
        persister: Option<Persister>,
        direct: DirectSender,
    ) -> Self {
        Self {
            mirror,
            time,
            persister,
            reconciler: Mutex::new(Reconciler::new(own, ReconcileConfig::default())),
            reconciling: Notify::new(),
            agreed: Notify::new(),
            direct,
        }
    }

    /// Cluster time, used for stamps and expiry.
    pub(crate) fn now(&self) -> UnixMillis {
        self.time.now()
    }

    /// Whether the mirror may be compared with those of members: not while stored content may be
    /// too old.
    pub(crate) fn may_compare(&self) -> bool {
        self.persister.as_ref().is_none_or(Persister::is_decided)
    }

    /// Puts the mirror's digest on the next heartbeat, if the mirror may be compared.
    pub(crate) fn publish_digest(&self) {
        if self.may_compare() {
            self.direct.handle().set_tag(digest_tag(&self.mirror));
        }
    }

    /// Merges a change from a member.
    pub(crate) fn apply(&self, change: &Change) -> Applied {
        self.mirror.apply(change, self.now())
    }

    pub(crate) fn on_joined(&self, peer: Incarnation) {
        self.reconciler.lock().on_joined(peer);
    }

    pub(crate) fn on_left(&self, peer: Incarnation) {
        self.reconciler.lock().on_left(peer, self.time.uptime());
    }

    /// Events of a member's urgent lane are missing; some may have been changes.
    pub(crate) fn on_gap(&self, peer: Incarnation) {
        self.reconciler.lock().on_gap(peer);
    }

    /// Compares the mirror with a member's, by the digest on the member's heartbeat.
    pub(crate) fn on_digest(&self, from: Incarnation, tag: &Bytes) -> Result<(), CodecError> {
        // A node whose stored content may be too old publishes no digest and compares none.
        if tag.is_empty() || !self.may_compare() {
            return Ok(());
        }
        let theirs = decode_digest(tag)?;
        let ours = self.mirror.digest();
        if theirs == ours {
            self.agreed.notify_waiters();
        }
        let messages = {
            // The reconciler may be busy with a direct message for longer than a callback may wait.
            // The next heartbeat brings the digest again.
            let Some(mut reconciler) = self.reconciler.try_lock() else { return Ok(()) };
            reconciler.on_digest(from, theirs, ours, self.time.uptime());
            if reconciler.is_busy() {
                self.reconciling.notify_one();
            }
            reconciler.take_outgoing()
        };
        self.direct.send(messages);
        Ok(())
    }

    /// Whether this node has requested the member's entries of this round.
    pub(crate) fn has_asked(&self, peer: Incarnation, round: u32) -> bool {
        self.reconciler.lock().has_exchange(peer, round)
    }

    /// Handles a message of a member's reconciler.
    pub(crate) fn on_message(&self, from: Incarnation, message: SyncMessage) {
        // The node must not send entries that may have been removed long ago. Peers repeat their
        // requests.
        if !self.may_compare() {
            return;
        }
        let (taken, messages) = {
            let mut reconciler = self.reconciler.lock();
            let (now, at) = (self.now(), self.time.uptime());
            let taken = reconciler.on_message(from, message, &self.mirror, now, at);
            (taken, reconciler.take_outgoing())
        };
        self.direct.send(messages);
        if !taken.is_empty() {
            self.publish_digest();
        }
    }

    /// Waits until a member's digest equals this node's. Cancel-safe.
    pub(crate) async fn agreed(&self) {
        self.agreed.notified().await;
    }

    /// Waits until an answer is late, then repeats the request. Cancel-safe.
    pub(crate) async fn ask_again_when_late(&self) {
        let late = loop {
            let deadline = self.reconciler.lock().next_deadline();
            match deadline {
                Some(deadline) => break self.time.instant(deadline),
                None => self.reconciling.notified().await,
            }
        };
        tokio::time::sleep_until(late.max(Instant::now() + MIN_DEADLINE_INTERVAL)).await;
        let messages = {
            let mut reconciler = self.reconciler.lock();
            reconciler.on_deadline(self.time.uptime());
            reconciler.take_outgoing()
        };
        self.direct.send(messages);
    }

    /// Drops expired entries, and puts entries in force again whose replacements have expired.
    pub(crate) fn sweep(&self) {
        // After a clock step, only the dropping waits.
        if self.time.may_sweep() {
            for warning in &self.mirror.sweep(self.now()).expiring {
                warn_of_expiry(&warning.change, warning.days_left);
            }
        } else {
            self.mirror.unexpire(self.now());
        }
        // Needed even if nothing expired: when two threads set the digest at once, the older digest
        // may have been set last.
        self.publish_digest();
    }

    /// A member has answered a clock query.
    pub(crate) fn on_time_known(&self) {
        if let Some(persister) = &self.persister
            && persister.confirm_age()
        {
            self.publish_digest();
        }
    }

    /// Decides about stored content that may be too old. Runs every second.
    pub(crate) fn decide_on_stored(&self, members: usize) {
        if let Some(persister) = self.persister.as_ref().filter(|p| !p.is_decided())
            && persister.decide(&ClusterView::of(&self.time, &self.direct.peers(), members))
        {
            self.publish_digest();
        }
    }

    /// Recomputes the fingerprints with another key. Blocks.
    pub(crate) fn rekey(&self, key: [u8; 16]) {
        self.mirror.rekey(key);
        self.reconciler.lock().on_rekeyed();
        self.publish_digest();
    }
}

/// The heartbeat tag with a mirror's digest.
pub(crate) fn digest_tag(mirror: &Mirror) -> Bytes {
    Bytes::copy_from_slice(&encode_digest(&mirror.digest()))
}

/// Logs that a certificate expires soon, at a level that rises as expiry comes near.
fn warn_of_expiry(change: &Change, days: u32) {
    let Change::Certificate(change) = change else { return };
    let names = &change.names;
    match days {
        0 => {
            tracing::error!(%names, "the certificate has expired, and there is no newer one; renew \
                it")
        }
        1 => {
            tracing::error!(%names, "the certificate expires within a day, and there is no newer \
                one; renew it")
        }
        7 => {
            tracing::warn!(%names, "the certificate expires within 7 days, and there is no newer \
                one")
        }
        _ => tracing::info!(%names, days, "the certificate expires soon"),
    }
}
