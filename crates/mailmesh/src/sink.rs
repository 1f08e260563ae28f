//! Takes what delivery has to say: decodes events, merges changes, fills inboxes.
//! Runs where frames are received, in a callback of the bus or on the driver's task,
//! and never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_codec::decode_events;
use mailmesh_delivery::{self as delivery, Incarnation, Output};
use mailmesh_events::{Change, Event, Lane};
use mailmesh_state::Applied;
use mailmesh_transport::{LogThrottle, Sink};

use crate::clock_sync::ClockSync;
use crate::direct_sender::DirectSender;
use crate::directs::PushesOfMembers;
use crate::inbox::Inboxes;
use crate::lifecycle::Lifecycle;
use crate::member_log::MemberLog;
use crate::refusals::Refusals;
use crate::replication::Replication;
use crate::{Gap, GapReason, Incoming, LeaveReason, Member, MemberRef, Received};

pub(crate) struct NodeSink {
    parts: SinkParts,
    members: BTreeMap<Incarnation, MemberRef>,
    pushes: Arc<PushesOfMembers>,
    /// Events of a frame on their way to the inboxes; empty between frames.
    ready: Vec<Incoming>,
    logs: Logs,
}

/// The parts of a node that the sink hands something to.
#[derive(Clone)]
pub(crate) struct SinkParts {
    pub(crate) own: Incarnation,
    pub(crate) replication: Arc<Replication>,
    pub(crate) clocks: Arc<ClockSync>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) member_log: Arc<MemberLog>,
    pub(crate) direct: DirectSender,
}

/// What an hour of trouble would repeat.
#[derive(Default)]
struct Logs {
    gap: LogThrottle,
    unsealed: LogThrottle,
    refused: LogThrottle,
    conflict: LogThrottle,
}

impl NodeSink {
    /// The sink. `pushes` has an entry for each member.
    pub(crate) fn new(parts: SinkParts, pushes: Arc<PushesOfMembers>) -> Self {
        let (members, ready) = (BTreeMap::new(), Vec::new());
        Self { parts, members, pushes, ready, logs: Logs::default() }
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
                    self.parts.inboxes.offer(&mut ready);
                    unreadable += 1;
                    self.parts.refusals.count(&error);
                }
            }
        }
        self.parts.inboxes.offer(&mut ready);
        self.ready = ready;
        self.tell_unreadable(&from, lane, &mut unreadable);
        if changed {
            self.parts.replication.publish_digest();
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
        if change.has_private_key() && !self.parts.direct.is_sealed() {
            if self.logs.unsealed.is_ready() {
                tracing::warn!(
                    "a certificate came over an open mesh and was not taken; set `mesh.key`"
                );
            }
            return false;
        }
        match self.parts.replication.apply(change) {
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
            self.parts.replication.on_gap(from.incarnation);
        }
        self.parts.inboxes.offer_one(Incoming::Gap(Gap {
            from: from.clone(),
            lane,
            missed,
            reason,
        }));
    }

    fn joined(&mut self, peer: &delivery::PeerInfo) {
        self.parts.member_log.on_joined(peer);
        self.members.insert(peer.incarnation, Member::reference(peer));
        self.pushes.joined(peer.incarnation);
        self.parts.replication.on_joined(peer.incarnation);
        self.parts.clocks.on_joined(peer.incarnation, &peer.name);
        self.parts.inboxes.offer_one(Incoming::Joined(Member::new(peer, Duration::ZERO, None)));
        // After the inboxes: an inbox that is opened by a caller who waited for this member does
        // not get the member again.
        self.parts.lifecycle.set_members(self.members.len());
    }

    fn left(&mut self, peer: &delivery::PeerInfo, reason: delivery::LeaveReason) {
        let reason = match reason {
            delivery::LeaveReason::Bye => LeaveReason::Bye,
            delivery::LeaveReason::Replaced => LeaveReason::Replaced,
            _ => LeaveReason::Failed,
        };
        self.members.remove(&peer.incarnation);
        let is_back = self.members.values().any(|member| member.name == peer.name);
        let at = self.parts.replication.time.uptime();
        self.parts.member_log.on_left(peer, reason, is_back, at);
        self.pushes.left(peer.incarnation);
        self.parts.replication.on_left(peer.incarnation);
        self.parts.clocks.on_left(peer.incarnation);
        let member = Member::new(peer, Duration::ZERO, None);
        self.parts.inboxes.offer_one(Incoming::Left { member, reason });
        self.parts.lifecycle.set_members(self.members.len());
    }

    fn reach(&self, peer: Incarnation, reach: delivery::Reach) {
        let Some(member) = self.members.get(&peer) else { return };
        match reach {
            delivery::Reach::Relayed { via } => {
                let via = self.members.get(&via).map_or("?", |via| via.name.as_str());
                self.parts.member_log.on_relayed(peer, &member.name, via);
            }
            _ => self.parts.member_log.on_direct(peer),
        }
    }

    fn conflict(&self, conflict: &delivery::NameConflict) {
        let name = conflict.name.clone();
        self.parts.inboxes.offer_one(Incoming::DuplicateName { name: name.clone() });
        if conflict.loser == self.parts.own {
            let is_first = self.parts.lifecycle.lose_name(&name);
            if is_first {
                tracing::error!(
                    %name,
                    "another live node has this name, and works with more nodes or is older: stepping back; give each node a name of its own (mesh.name)"
                );
                // Only now: a publisher that is refused is told why.
                self.parts.direct.handle().close_lanes();
            }
        } else if self.logs.conflict.is_ready() {
            tracing::error!(
                %name, one = ?conflict.winner, other = ?conflict.loser,
                "two live nodes have one name, and one of them steps back; give each node a name of its own (mesh.name)"
            );
        }
    }
}

impl Sink for NodeSink {
    fn process_stalled(&mut self, stall: Duration) {
        self.parts.member_log.on_stall(stall);
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
            Output::Tag { from, tag } => {
                if let Err(error) = self.parts.replication.on_digest(from, &tag) {
                    self.parts.refusals.count(&error);
                }
            }
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
