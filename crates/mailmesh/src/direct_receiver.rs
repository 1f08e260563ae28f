//! Handles direct messages of members: reconciliation, clock queries and key requests. Runs on the
//! driver's task, beside the sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mailmesh_codec::{decode_direct, peek_entries_round};
use mailmesh_delivery::Incarnation;
use mailmesh_events::{Change, ClockMessage, DirectMessage, SyncMessage};
use mailmesh_transport::DirectSink;
use parking_lot::Mutex;

use crate::clock_sync::ClockSync;
use crate::keys::KeyService;
use crate::refusals::Refusals;
use crate::replication::Replication;
use crate::token_bucket::TokenBucket;

pub(crate) struct DirectReceiver {
    parts: DirectReceiverParts,
    push_limits: Arc<PushLimits>,
}

/// The parts of a node that handle direct messages.
pub(crate) struct DirectReceiverParts {
    pub(crate) replication: Arc<Replication>,
    pub(crate) clocks: Arc<ClockSync>,
    /// `None` without a cluster key.
    pub(crate) keys: Option<Arc<KeyService>>,
    pub(crate) refusals: Arc<Refusals>,
}

/// The push limit of each member. The sink adds and removes the members.
#[derive(Debug, Default)]
pub(crate) struct PushLimits(Mutex<BTreeMap<Incarnation, PushLimit>>);

impl PushLimits {
    pub(crate) fn on_joined(&self, member: Incarnation) {
        self.0.lock().insert(member, PushLimit::new());
    }

    pub(crate) fn on_left(&self, member: Incarnation) {
        self.0.lock().remove(&member);
    }

    fn try_push(&self, from: Incarnation, now: Instant) -> bool {
        self.0.lock().get_mut(&from).is_some_and(|limit| limit.try_push(now))
    }
}

/// Token bucket for entries that a member pushes without a request. After a comparison a peer
/// pushes the entries that this node lacks, a few hundred per message. Entries beyond the limit are
/// found by the next comparison.
#[derive(Debug)]
struct PushLimit(TokenBucket);

impl PushLimit {
    const BURST: f64 = 1_024.0;
    const PER_SECOND: f64 = 128.0;

    fn new() -> Self {
        Self(TokenBucket::new(Self::PER_SECOND, Self::BURST))
    }

    fn try_push(&mut self, now: Instant) -> bool {
        let has_room = self.0.has_one(now);
        if has_room {
            self.0.take();
        }
        has_room
    }
}

impl DirectSink for DirectReceiver {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        self.receive(from, &body);
    }
}

impl DirectReceiver {
    pub(crate) fn new(parts: DirectReceiverParts, push_limits: Arc<PushLimits>) -> Self {
        Self { parts, push_limits }
    }

    fn receive(&self, from: Incarnation, body: &Bytes) {
        let DirectReceiverParts { replication, clocks, keys, refusals, .. } = &self.parts;
        if let Some(round) = peek_entries_round(body)
            && !replication.has_asked(from, round)
            && !self.push_limits.try_push(from, Instant::now())
        {
            return refusals.count_excess_push();
        }
        let message = match decode_direct(body) {
            Ok(message) => message,
            Err(error) => return refusals.count(&error),
        };
        match message {
            DirectMessage::Sync(message) => self.receive_sync(from, message),
            DirectMessage::Clock(message) => {
                clocks.on_message(from, message);
                if matches!(message, ClockMessage::Answer { .. }) {
                    replication.on_time_known();
                }
            }
            DirectMessage::Keys(message) => {
                // Without a cluster key there are no keys to answer about.
                if let Some(keys) = keys {
                    keys.on_message(from, message);
                }
            }
            _ => {}
        }
    }

    fn receive_sync(&self, from: Incarnation, message: SyncMessage) {
        let DirectReceiverParts { replication, keys, .. } = &self.parts;
        if let SyncMessage::Part { changes, .. } | SyncMessage::Entries { changes, .. } = &message
            && keys.is_none()
            && changes.iter().any(Change::has_private_key)
        {
            return;
        }
        replication.on_message(from, message);
    }
}
