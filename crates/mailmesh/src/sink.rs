//! Handles the output of the delivery core: decodes events, merges changes, fills inboxes. Runs on
//! the receive path, in a callback of the bus or on the driver's task, and never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_codec::decode_events;
use mailmesh_delivery::{self as delivery, Incarnation, Output};
use mailmesh_events::{Change, Lane};
use mailmesh_state::Applied;
use mailmesh_transport::{LogThrottle, Sink};

use crate::clock_sync::ClockSync;
use crate::direct_receiver::PushLimits;
use crate::direct_sender::DirectSender;
use crate::inbox::Inboxes;
use crate::lifecycle::Lifecycle;
use crate::member_log::MemberLog;
use crate::refusals::Refusals;
use crate::replication::Replication;
use crate::{Gap, GapReason, Incoming, LeaveReason, Member, MemberRef, Received};

pub(crate) struct NodeSink {
    parts: SinkParts,
    members: BTreeMap<Incarnation, MemberRef>,
    push_limits: Arc<PushLimits>,
    /// Decoded events of one frame; empty between frames.
    ready: Vec<Incoming>,
    logs: LogThrottles,
}

/// The parts of a node that the sink feeds.
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

/// Warnings that would repeat during a long fault.
#[derive(Default)]
struct LogThrottles {
    gap: LogThrottle,
    unsealed: LogThrottle,
    refused: LogThrottle,
    conflict: LogThrottle,
}

impl NodeSink {
    /// `push_limits` gets an entry for each member.
    pub(crate) fn new(parts: SinkParts, push_limits: Arc<PushLimits>) -> Self {
        let (members, ready) = (BTreeMap::new(), Vec::new());
        Self { parts, members, push_limits, ready, logs: LogThrottles::default() }
    }

    fn deliver(&mut self, from: Incarnation, lane: Lane, first: u64, count: u16, body: &Bytes) {
        let Some(from) = self.members.get(&from).cloned() else { return };
        let mut ready = std::mem::take(&mut self.ready);
        let mut unreadable = 0;
        let mut changed = false;
        // A malicious sender may start at the largest number.
        let numbers = (0..).map(|index| first.wrapping_add(index));
        for (number, decoded) in numbers.zip(decode_events(body, count)) {
            match decoded {
                Ok(event) => {
                    self.report_unreadable(&from, lane, &mut unreadable);
                    match Change::try_from(event) {
                        Ok(change) => changed |= self.apply(&change),
                        Err(event) => {
                            let received = Received { from: from.clone(), lane, number, event };
                            ready.push(Incoming::Event(received.into()));
                        }
                    }
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
        self.report_unreadable(&from, lane, &mut unreadable);
        if changed {
            self.parts.replication.publish_digest();
        }
    }

    /// Merges a change of the mirror. The watches report it.
    fn apply(&self, change: &Change) -> bool {
        if change.has_private_key() && !self.parts.direct.is_sealed() {
            if self.logs.unsealed.is_ready() {
                tracing::warn!("a certificate arrived unsealed and was ignored; set `mesh.key`");
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

    fn report_unreadable(&self, from: &MemberRef, lane: Lane, missed: &mut u64) {
        if *missed > 0 {
            self.report_gap(from, lane, std::mem::take(missed), GapReason::Malformed);
        }
    }

    fn report_gap(&self, from: &MemberRef, lane: Lane, missed: u64, reason: GapReason) {
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
        self.push_limits.on_joined(peer.incarnation);
        self.parts.replication.on_joined(peer.incarnation);
        self.parts.clocks.on_joined(peer.incarnation, &peer.name);
        self.parts.inboxes.offer_one(Incoming::Joined(Member::new(peer, Duration::ZERO, None)));
        // After the inboxes: a caller that waited for this member and then opens an inbox does not
        // get the member twice.
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
        self.push_limits.on_left(peer.incarnation);
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
                    "another live node has this name, and has more members or is older: stepping \
                     back; give each node a name of its own (mesh.name)"
                );
                // Only now, so that a refused publisher gets the reason.
                self.parts.direct.handle().close_lanes();
            }
        } else if self.logs.conflict.is_ready() {
            tracing::error!(
                %name, one = ?conflict.winner, other = ?conflict.loser,
                "two live nodes have one name, and one of them steps back; give each node a name \
                 of its own (mesh.name)"
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
                self.deliver(from, from_delivery(lane), first, count, &body);
            }
            Output::Gap(gap) => {
                if let Some(from) = self.members.get(&gap.from) {
                    let reason = match gap.reason {
                        delivery::GapReason::Unreachable => GapReason::Unreachable,
                        _ => GapReason::Lost,
                    };
                    self.report_gap(from, from_delivery(gap.lane), gap.missed, reason);
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

fn from_delivery(lane: delivery::Lane) -> Lane {
    match lane {
        delivery::Lane::Urgent => Lane::Urgent,
        delivery::Lane::Events => Lane::Events,
    }
}
