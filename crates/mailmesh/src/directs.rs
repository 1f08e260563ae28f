//! Takes the direct messages of members: those between mirrors, about clocks, about keys. Runs
//! on the driver's task, beside the sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mailmesh_codec::{decode_sync, round_of_entries};
use mailmesh_delivery::Incarnation;
use mailmesh_events::{Change, SyncMessage};
use mailmesh_transport::DirectSink;
use parking_lot::Mutex;

use crate::Incoming;
use crate::keys::Asked;
use crate::mesh::Mesh;
use crate::wire::Bucket;

pub(crate) struct MeshDirects {
    mesh: Arc<Mesh>,
    pushes: Arc<PushesOfMembers>,
}

/// The sink adds and removes the members.
#[derive(Debug, Default)]
pub(crate) struct PushesOfMembers(Mutex<BTreeMap<Incarnation, Pushes>>);

impl PushesOfMembers {
    pub(crate) fn joined(&self, member: Incarnation) {
        self.0.lock().insert(member, Pushes::new());
    }

    pub(crate) fn left(&self, member: Incarnation) {
        self.0.lock().remove(&member);
    }

    fn may_come(&self, from: Incarnation, now: Instant) -> bool {
        self.0.lock().get_mut(&from).is_some_and(|pushes| pushes.may_come(now))
    }
}

/// Messages of entries that a member sends unasked: so many at once, and then so many a second.
/// After a comparison the peer sends what this node lacks, a few hundred entries a message; entries
/// past the bound are found by the next comparison.
#[derive(Debug)]
struct Pushes(Bucket);

impl Pushes {
    const AT_ONCE: f64 = 1_024.0;
    const PER_SECOND: f64 = 128.0;

    fn new() -> Self {
        Self(Bucket::new(Self::PER_SECOND, Self::AT_ONCE))
    }

    fn may_come(&mut self, now: Instant) -> bool {
        let may = self.0.has_one(now);
        if may {
            self.0.take();
        }
        may
    }
}

impl DirectSink for MeshDirects {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        self.sync(from, &body);
    }
}

impl MeshDirects {
    pub(crate) fn new(mesh: Arc<Mesh>, pushes: Arc<PushesOfMembers>) -> Self {
        Self { mesh, pushes }
    }

    fn sync(&self, from: Incarnation, body: &Bytes) {
        if let Some(round) = round_of_entries(body)
            && !self.mesh.reconciler.lock().has_asked(from, round)
            && !self.pushes.may_come(from, Instant::now())
        {
            self.mesh.refusals.pushed_too_much();
            return;
        }
        let message = match decode_sync(body) {
            Ok(message) => message,
            Err(error) => return self.mesh.refusals.count(&error),
        };
        if matches!(&message, SyncMessage::Part { changes, .. } | SyncMessage::Entries { changes, .. }
            if !self.mesh.is_sealed() && changes.iter().any(Change::has_private_key))
        {
            return;
        }
        match message {
            SyncMessage::AskTime { asked } => {
                let now = self.mesh.time.wall();
                return self.mesh.send_sync(vec![(from, SyncMessage::Time { asked, now })]);
            }
            SyncMessage::Time { asked, now } => {
                self.mesh.time.on_answer(from, asked, now);
                self.mesh.set_time();
                return self.mesh.disk.get().map_or((), |disk| disk.on_time(&self.mesh));
            }
            SyncMessage::AskKeys { number, action } => {
                // Of an open mesh there are none. What does not fit is asked again.
                if self.mesh.is_sealed() {
                    let _full = self.mesh.asked.try_send(Asked { from, number, action });
                }
                return;
            }
            SyncMessage::Keys { number, held } => {
                return self.mesh.questions.on_answer(from, number, held);
            }
            // Nobody is given what may have been removed long ago; it is asked for again.
            _ if !self.mesh.is_settled() => return,
            _ => {}
        }
        let (taken, messages) = {
            let mut reconciler = self.mesh.reconciler.lock();
            let taken = reconciler.on_message(
                from,
                message,
                &self.mesh.mirror,
                self.mesh.now(),
                self.mesh.elapsed(),
            );
            (taken, reconciler.take_to_send())
        };
        self.mesh.send_sync(messages);
        if !taken.is_empty() {
            self.mesh.tell_digest();
        }
        self.mesh.inboxes.offer(&mut taken.into_iter().map(Incoming::Synced).collect());
    }
}
