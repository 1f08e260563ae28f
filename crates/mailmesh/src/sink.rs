//! Takes what delivery has to say: decodes events, merges changes, fills inboxes.
//! Runs where frames are received, in a callback of the bus or on the driver's task,
//! and never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailmesh_codec::{decode_digest, decode_events};
use mailmesh_delivery::{self as delivery, Incarnation, Output};
use mailmesh_events::{Change, Event, Lane};
use mailmesh_state::Applied;
use mailmesh_transport::{LogThrottle, Sink};

use crate::directs::{MeshDirects, PushesOfMembers};
use crate::mesh::Mesh;
use crate::{Gap, GapReason, Incoming, LeaveReason, Member, MemberRef, Received};

pub(crate) struct MeshSink {
    pub(crate) mesh: Arc<Mesh>,
    members: BTreeMap<Incarnation, MemberRef>,
    pushes: Arc<PushesOfMembers>,
    /// Events of a frame on their way to the inboxes; empty between frames.
    ready: Vec<Incoming>,
    logs: Logs,
}

/// What an hour of trouble would repeat.
#[derive(Default)]
struct Logs {
    gap: LogThrottle,
    unsealed: LogThrottle,
    refused: LogThrottle,
    conflict: LogThrottle,
}

impl MeshSink {
    /// The sink, and the one of direct messages.
    pub(crate) fn both(mesh: &Arc<Mesh>) -> (Self, MeshDirects) {
        let pushes = Arc::<PushesOfMembers>::default();
        let sink = Self {
            mesh: mesh.clone(),
            members: BTreeMap::new(),
            pushes: pushes.clone(),
            ready: Vec::new(),
            logs: Logs::default(),
        };
        (sink, MeshDirects::new(mesh.clone(), pushes))
    }

    fn deliver(&mut self, from: Incarnation, lane: Lane, first: u64, count: u16, body: &Bytes) {
        let Some(from) = self.members.get(&from).cloned() else { return };
        let mut ready = std::mem::take(&mut self.ready);
        let mut unreadable = 0;
        let mut changed = false;
        // A sender that lies may begin at the last number there is.
        let numbers = (0..).map(|index| first.wrapping_add(index));
        for (number, decoded) in numbers.zip(decode_events(body, count)) {
            match decoded {
                Ok(event) => {
                    self.tell_unreadable(&from, lane, &mut unreadable);
                    changed |= self.merge(&event);
                    let received = Received { from: from.clone(), lane, number, event };
                    ready.push(Incoming::Event(received.into()));
                }
                Err(error) => {
                    self.mesh.inboxes.offer(&mut ready);
                    unreadable += 1;
                    self.mesh.refusals.count(&error);
                }
            }
        }
        self.mesh.inboxes.offer(&mut ready);
        self.ready = ready;
        self.tell_unreadable(&from, lane, &mut unreadable);
        if changed {
            self.mesh.tell_digest();
        }
    }

    /// Takes a change of the mirror out of an event.
    fn merge(&self, event: &Event) -> bool {
        let change = match event {
            Event::Network(change) => Change::Network(change.clone()),
            Event::Certificate(change) => Change::Certificate(change.clone()),
            Event::Value(change) => Change::Value(change.clone()),
            _ => return false,
        };
        self.apply(&change)
    }

    fn apply(&self, change: &Change) -> bool {
        if change.has_private_key() && !self.mesh.is_sealed() {
            if self.logs.unsealed.is_ready() {
                tracing::warn!(
                    "a certificate came over an open mesh and was not taken; set `mesh.key`"
                );
            }
            return false;
        }
        match self.mesh.mirror.apply(change, self.mesh.now()) {
            Applied::Changed => true,
            Applied::Stale => false,
            Applied::Refused(error) => {
                if self.logs.refused.is_ready() {
                    tracing::warn!(%error, "a change of another node was refused");
                }
                false
            }
        }
    }

    fn tell_unreadable(&self, from: &MemberRef, lane: Lane, missed: &mut u64) {
        if *missed > 0 {
            self.tell_gap(from, lane, std::mem::take(missed), GapReason::Malformed);
        }
    }

    fn tell_gap(&self, from: &MemberRef, lane: Lane, missed: u64, reason: GapReason) {
        if self.logs.gap.is_ready() {
            tracing::warn!(from = %from.name, %lane, missed, "gap: events {reason}");
        }
        if lane == Lane::Urgent {
            self.mesh.reconciler.lock().on_gap(from.incarnation);
        }
        self.mesh.offer(Incoming::Gap(Gap { from: from.clone(), lane, missed, reason }));
    }

    fn digest(&self, from: Incarnation, tag: &Bytes) {
        // A node that does not know the age of its store says nothing of its mirror, and compares
        // nothing.
        if tag.is_empty() || !self.mesh.is_settled() {
            return;
        }
        match decode_digest(tag) {
            Ok(theirs) => {
                let ours = self.mesh.mirror.digest();
                if theirs == ours {
                    self.mesh.agreed.notify_waiters();
                }
                let messages = {
                    // Its work on a direct message takes longer than a callback may wait. The
                    // next heartbeat has the digest again.
                    let Some(mut reconciler) = self.mesh.reconciler.try_lock() else { return };
                    reconciler.on_digest(from, theirs, ours, self.mesh.elapsed());
                    if reconciler.is_busy() {
                        self.mesh.reconciling.notify_one();
                    }
                    reconciler.take_to_send()
                };
                self.mesh.send_sync(messages);
            }
            Err(error) => self.mesh.refusals.count(&error),
        }
    }

    fn joined(&mut self, peer: &delivery::PeerInfo) {
        if self.mesh.turnover.lock().joined(Instant::now()) {
            tracing::info!(name = %peer.name, incarnation = ?peer.incarnation, "node joined");
        }
        self.members.insert(peer.incarnation, Member::reference(peer));
        self.pushes.joined(peer.incarnation);
        self.mesh.away.lock().joined(&peer.name);
        self.mesh.reconciler.lock().on_joined(peer.incarnation);
        self.mesh.time.on_joined(peer.incarnation, &peer.name);
        self.mesh.ask_time();
        self.mesh.offer(Incoming::Joined(Member::new(peer, Duration::ZERO, None)));
        // After it was told: an inbox opened by who waited for it does not get it again.
        self.mesh.member_count.send_replace(self.members.len());
    }

    fn left(&mut self, peer: &delivery::PeerInfo, reason: delivery::LeaveReason) {
        let reason = match reason {
            delivery::LeaveReason::Bye => LeaveReason::Bye,
            delivery::LeaveReason::Replaced => LeaveReason::Replaced,
            _ => LeaveReason::Failed,
        };
        let incarnation = peer.incarnation;
        let is_logged = self.mesh.turnover.lock().left(Instant::now());
        match reason {
            _ if !is_logged => {}
            // Most likely it is this node that was away.
            LeaveReason::Failed if self.mesh.standstill.is_recent() => {
                tracing::info!(name = %peer.name, ?incarnation, "node left: it {reason} since this node stood still");
            }
            LeaveReason::Failed => {
                tracing::warn!(name = %peer.name, ?incarnation, "node left: it {reason}; killed, stopped or cut off");
            }
            _ => tracing::info!(name = %peer.name, ?incarnation, "node left: it {reason}"),
        }
        self.members.remove(&peer.incarnation);
        // It may have a new life already.
        if !self.members.values().any(|member| member.name == peer.name) {
            self.mesh.away.lock().left(&peer.name, self.mesh.elapsed());
        }
        self.pushes.left(peer.incarnation);
        self.mesh.reconciler.lock().on_left(peer.incarnation, self.mesh.elapsed());
        self.mesh.time.on_left(peer.incarnation);
        self.mesh.cut_ways.lock().on_left(peer.incarnation);
        self.mesh.set_time();
        let member = Member::new(peer, Duration::ZERO, None);
        self.mesh.offer(Incoming::Left { member, reason });
        self.mesh.member_count.send_replace(self.members.len());
    }

    fn reach(&self, peer: Incarnation, reach: delivery::Reach) {
        let Some(member) = self.members.get(&peer) else { return };
        let mut ways = self.mesh.cut_ways.lock();
        match reach {
            delivery::Reach::Relayed { via } => {
                let via = self.members.get(&via).map_or("?", |via| via.name.as_str());
                ways.on_relayed(peer, &member.name, via);
            }
            _ => {
                if let Some(name) = ways.on_direct(peer) {
                    tracing::info!(%name, "a member is heard directly again");
                }
            }
        }
    }

    fn conflict(&self, conflict: &delivery::NameConflict) {
        let name = conflict.name.clone();
        self.mesh.offer(Incoming::DuplicateName { name: name.clone() });
        if conflict.loser == self.mesh.identity.incarnation {
            let is_first = self.mesh.yields.send_if_modified(|yields| {
                let is_first = yields.is_none();
                yields.get_or_insert(name.clone());
                is_first
            });
            if is_first {
                tracing::error!(
                    %name,
                    "another live node has this name, and works with more nodes or is older: stepping back; give each node a name of its own (mesh.name)"
                );
                // Only now: a publisher that is refused is told why.
                if let Some(messenger) = self.mesh.messenger.get() {
                    messenger.close_lanes();
                }
            }
        } else if self.logs.conflict.is_ready() {
            tracing::error!(
                %name, one = ?conflict.winner, other = ?conflict.loser,
                "two live nodes have one name, and one of them steps back; give each node a name of its own (mesh.name)"
            );
        }
    }
}

impl Sink for MeshSink {
    fn stood_still(&mut self, stall: Duration) {
        self.mesh.standstill.ended();
        tracing::warn!(
            "this node stood still for {:.1} s (stopped or starved): others may have taken it for failed",
            stall.as_secs_f64()
        );
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Deliver { from, lane, first, count, body } => {
                self.deliver(from, of_delivery(lane), first, count, &body);
            }
            Output::Gap(gap) => {
                if let Some(from) = self.members.get(&gap.from) {
                    let reason = match gap.reason {
                        delivery::GapReason::Unreachable => GapReason::Unreachable,
                        _ => GapReason::Lost,
                    };
                    self.tell_gap(from, of_delivery(gap.lane), gap.missed, reason);
                }
            }
            Output::Joined(peer) => self.joined(&peer),
            Output::Left { peer, reason } => self.left(&peer, reason),
            Output::NameConflict(conflict) => self.conflict(&conflict),
            Output::Reach { peer, reach } => self.reach(peer, reach),
            Output::Tag { from, tag } => self.digest(from, &tag),
            _ => {}
        }
    }
}

fn of_delivery(lane: delivery::Lane) -> Lane {
    match lane {
        delivery::Lane::Urgent => Lane::Urgent,
        delivery::Lane::Events => Lane::Events,
    }
}
