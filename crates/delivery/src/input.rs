//! Input handling of the endpoint: every received frame enters the state machine here.

use crate::control::{Control, MAX_DIGEST, PeerReport, ProbeAnswer, Status};
use crate::flow::SentSoFar;
use crate::membership::{Arrival, failure, gossip, leaving, name_conflict, relay};
use crate::planted::{Fault, planted};
use crate::receive::Accepted;
use crate::stream::StreamId;
use crate::{
    Destination, Endpoint, Frame, FrameKind, Incarnation, Lane, Output, PerLane, Time, Via,
    retransmit,
};

impl Endpoint {
    /// Handles a frame that arrived directly from its sender.
    pub fn handle_frame(&mut self, now: Time, frame: Frame) {
        let own = self.identity.incarnation;
        if self.has_left || frame.incarnation == own {
            return;
        }
        if frame.to.is_some_and(|to| to != own) {
            self.counters.misdirected += 1;
            return;
        }
        self.handle(now, frame, Arrival::Direct);
    }

    /// Handles a frame that the peer `via` relayed for another node ([`Output::Relay`]).
    pub fn handle_relayed(&mut self, now: Time, Via { peer: via, number }: Via, frame: Frame) {
        let own = self.identity.incarnation;
        let is_ours = frame.incarnation == own || via == own || frame.incarnation == via;
        let is_direct = matches!(frame.kind, FrameKind::Direct | FrameKind::Bulk);
        if self.has_left || is_ours || is_direct {
            return;
        }
        // A frame that is addressed to one node is never relayed.
        if frame.to.is_some() {
            self.counters.malformed += 1;
            return;
        }
        let Some(peer) = self.membership.get_mut(via) else {
            self.counters.unknown_sender += 1;
            return;
        };
        // A replayed relay message does not prove that the relaying peer is alive.
        if !peer.controls.accept(number) {
            self.counters.replays_rejected += 1;
            return;
        }
        self.with_members(now, |members, ctx| failure::on_heard_directly(members, now, via, ctx));
        self.handle(now, frame, Arrival::Via(via));
    }

    fn handle(&mut self, now: Time, frame: Frame, arrival: Arrival) {
        match frame.kind {
            FrameKind::Control => self.handle_control(now, &frame, arrival),
            FrameKind::Data(lane) => self.handle_data(now, lane, frame, arrival),
            FrameKind::Direct | FrameKind::Bulk => self.handle_direct(now, frame, arrival),
            FrameKind::Relay => self.counters.malformed += 1,
        }
    }

    fn handle_data(&mut self, now: Time, lane: Lane, frame: Frame, arrival: Arrival) {
        let from = frame.incarnation;
        let in_range = frame.first.checked_add(frame.count.into()).is_some();
        // Event frames are for all nodes, because kept frames may be relayed to any peer.
        if frame.count == 0 || frame.first == 0 || !in_range || frame.to.is_some() {
            self.counters.malformed += 1;
            return;
        }
        let Some(peer) = self.membership.get_mut(from) else {
            self.counters.unknown_sender +=
                self.unknown_senders.keep(frame, self.settings.unknown_sender_bytes);
            return;
        };
        let for_relay = (!peer.relay_targets.is_empty()).then(|| frame.clone());
        let mut released = Vec::new();
        let accepted = peer.stream(lane).on_data(now, frame, &mut released);
        match accepted {
            Accepted::Fresh => {}
            Accepted::Duplicate => self.counters.duplicates += 1,
            Accepted::NoRoom => self.counters.reorder_dropped += 1,
            Accepted::Malformed => self.counters.malformed += 1,
        }
        let is_new = matches!(accepted, Accepted::Fresh | Accepted::NoRoom);
        self.with_members(now, |members, ctx| {
            if let Some(peer) = members.get_mut(from) {
                ctx.release(peer, lane, released);
            }
            match arrival {
                Arrival::Direct if is_new => failure::on_heard_directly(members, now, from, ctx),
                Arrival::Via(_) if is_new && planted(Fault::RelayedHeardDirectly) => {
                    failure::on_heard_directly(members, now, from, ctx);
                }
                Arrival::Via(via) if is_new => relay::on_event(members, now, from, via, ctx),
                _ => {}
            }
            if let Some(frame) = for_relay.filter(|_| accepted == Accepted::Fresh) {
                relay::to_targets(members, now, &frame, ctx);
            }
            leaving::resolve(members, now, from, ctx);
        });
        if is_new {
            self.heartbeat.on_event_received(now, self.membership.len());
        }
    }

    fn handle_direct(&mut self, now: Time, frame: Frame, arrival: Arrival) {
        let from = frame.incarnation;
        let Some(peer) = self.membership.get_mut(from) else {
            self.counters.unknown_sender +=
                self.unknown_senders.keep(frame, self.settings.unknown_sender_bytes);
            return;
        };
        let is_bulk = frame.kind == FrameKind::Bulk;
        let window = if is_bulk { &mut peer.bulk } else { &mut peer.controls };
        if !window.accept(frame.first) {
            self.counters.replays_rejected += 1;
            return;
        }
        // A buffered frame whose introduction was relayed does not prove a direct route.
        if arrival == Arrival::Direct {
            self.with_members(now, |members, ctx| {
                failure::on_heard_directly(members, now, from, ctx)
            });
        }
        self.outputs.push_back(Output::Direct { from, body: frame.body });
    }

    fn handle_control(&mut self, now: Time, frame: &Frame, arrival: Arrival) {
        let Some(control) = Control::decode(&frame.body) else {
            self.counters.malformed += 1;
            return;
        };
        let for_all =
            matches!(control, Control::Hello(_) | Control::Heartbeat(_) | Control::Bye { .. });
        if arrival != Arrival::Direct && !for_all {
            self.counters.malformed += 1;
            return;
        }
        let from = frame.incarnation;
        if let Some(peer) = self.membership.get_mut(from) {
            if !peer.controls.accept(frame.first) {
                self.counters.replays_rejected += 1;
                return;
            }
            self.with_members(now, |members, ctx| {
                if arrival == Arrival::Direct {
                    failure::on_heard_directly(members, now, from, ctx);
                }
                if for_all {
                    relay::to_targets(members, now, frame, ctx);
                }
            });
        }
        match control {
            Control::Hello(status) => self.handle_hello(now, frame, status, arrival),
            Control::Heartbeat(status) => self.handle_heartbeat(now, frame, status, arrival),
            Control::Bye { positions, winner } => self.handle_bye(now, frame, positions, winner),
            Control::Probe { nonce } => self.answer_probe(from, nonce),
            Control::ProbeAnswer(answer) => self.handle_probe_answer(now, from, answer, arrival),
            Control::Ack { positions } => self.handle_ack(now, from, positions),
            Control::Nak { lane, range } => retransmit::own_events(self, now, from, lane, range),
            Control::Unavailable { lane, before } => {
                let stream = StreamId { sender: from, lane };
                self.with_members(now, |members, ctx| {
                    relay::on_unavailable(members, now, stream, before, ctx)
                });
            }
            Control::PeerQuery { mine, meet } => {
                self.with_members(now, |members, ctx| {
                    gossip::on_peer_query(members, now, from, mine, meet, ctx);
                });
            }
            Control::PeerReport(report) => {
                self.with_members(now, |members, ctx| {
                    gossip::on_peer_query_answer(members, now, from, report, ctx)
                });
            }
            Control::RelayNak { stream, range } => {
                retransmit::relayed_events(self, now, from, stream, range);
            }
            Control::RelayUnavailable { stream, before } => {
                self.with_members(now, |members, ctx| {
                    relay::on_unavailable_relay(members, now, from, stream, before, ctx)
                });
            }
            Control::RelayRequest { of, on } => {
                if self.membership.get(from).is_some() {
                    relay::on_request(&mut self.membership, now, from, of, on);
                }
            }
        }
    }

    fn handle_hello(&mut self, now: Time, frame: &Frame, status: Status, arrival: Arrival) {
        if self.is_own_name_claimed(now, frame, &status) {
            return;
        }
        self.greet(now, frame.incarnation, self.is_proven(frame, arrival));
        self.handle_status(now, frame, status, arrival);
    }

    fn handle_heartbeat(&mut self, now: Time, frame: &Frame, status: Status, arrival: Arrival) {
        if self.is_own_name_claimed(now, frame, &status) {
            return;
        }
        // Greet a newcomer now, so that it does not buffer the next event of this node.
        if self.membership.get(frame.incarnation).is_none() {
            self.greet(now, frame.incarnation, self.is_proven(frame, arrival));
        }
        self.handle_status(now, frame, status, arrival);
    }

    /// Whether the sender of a status uses this node's own name. That sender is then probed.
    fn is_own_name_claimed(&mut self, now: Time, frame: &Frame, status: &Status) -> bool {
        let is_claimed = status.name == self.identity.name;
        if is_claimed {
            self.with_members(now, |members, ctx| {
                name_conflict::on_own_name_claimed(members, now, frame.incarnation, status, ctx)
            });
        }
        is_claimed
    }

    fn handle_bye(
        &mut self,
        now: Time,
        frame: &Frame,
        positions: PerLane<u64>,
        winner: Option<Incarnation>,
    ) {
        let from = frame.incarnation;
        if positions.contains(&u64::MAX) {
            self.counters.malformed += 1;
            return;
        }
        if self.membership.get(from).is_none() {
            // A goodbye from a non-member is ignored if it replays an earlier membership.
            if !self.membership.may_introduce(from, frame.first) {
                self.counters.replays_rejected += 1;
                return;
            }
            // Goodbyes from unknown nodes are remembered, but only at the admission rate.
            if !self.membership.former_peers.knows(from) && !self.may_admit(now) {
                return;
            }
        }
        self.with_members(now, |members, ctx| {
            leaving::on_bye(members, now, from, positions, winner, ctx)
        });
    }

    fn answer_probe(&mut self, from: Incarnation, nonce: u64) {
        self.heartbeat_seq += 1;
        let (heartbeat_seq, positions) = (self.heartbeat_seq, Some(self.positions));
        let answer = Control::ProbeAnswer(ProbeAnswer { nonce, heartbeat_seq, positions });
        self.transmit(Destination::One(from), &answer);
    }

    fn handle_probe_answer(
        &mut self,
        now: Time,
        from: Incarnation,
        ProbeAnswer { nonce, heartbeat_seq, positions }: ProbeAnswer,
        arrival: Arrival,
    ) {
        if positions.is_some_and(|positions| positions.contains(&u64::MAX)) {
            self.counters.malformed += 1;
            return;
        }
        let own = self.identity.clone();
        let winner = self.with_members(now, |members, ctx| {
            gossip::on_heartbeat_seq(members, now, from, heartbeat_seq, arrival, ctx);
            gossip::on_position_answer(members, now, from, nonce, positions);
            name_conflict::on_probe_answer(members, from, nonce, &own, ctx)
        });
        self.winner = self.winner.or(winner);
    }

    /// Whether this frame proves that its sender is alive. The proof is one of these: the sender is
    /// a member; a member relayed the frame; or the frame is addressed to this node, so it is not
    /// older than this node. A broadcast frame may be a recording of an earlier incarnation.
    fn is_proven(&self, frame: &Frame, arrival: Arrival) -> bool {
        frame.to.is_some()
            || arrival != Arrival::Direct
            || self.membership.get(frame.incarnation).is_some()
    }

    /// Sends this node's status to a peer that may not know it. A peer that has not proven that it
    /// is alive gets a `Hello`, which requires an answer.
    fn greet(&mut self, now: Time, to: Incarnation, is_proven: bool) {
        if self.membership.get(to).is_none() && !self.may_greet(now, to) {
            return;
        }
        let status = self.status(now);
        let control = if is_proven { Control::Heartbeat(status) } else { Control::Hello(status) };
        self.transmit(Destination::One(to), &control);
    }

    /// A member acknowledges the events of this node up to `positions`, per lane.
    fn handle_ack(&mut self, now: Time, from: Incarnation, positions: PerLane<u64>) {
        let Some(peer) = self.membership.get_mut(from) else { return };
        for lane in Lane::ALL {
            let (last, sent) = (self.positions[lane], &self.in_flight[lane]);
            peer.windows[lane].on_ack(positions[lane], last, sent, &self.settings, now);
        }
    }

    fn handle_status(&mut self, now: Time, frame: &Frame, status: Status, arrival: Arrival) {
        let from = frame.incarnation;
        let is_sound = !status.positions.contains(&u64::MAX)
            && status.tag.len() <= self.settings.max_tag
            && status.digest.len() <= MAX_DIGEST;
        if !is_sound {
            self.counters.malformed += 1;
            return;
        }
        if !self.is_proven(frame, arrival) {
            self.counters.unproven_introductions += 1;
            return;
        }
        let is_new = self.membership.get(from).is_none();
        let ours = PerLane::from_fn(|lane| SentSoFar {
            position: self.positions[lane],
            bytes: self.in_flight[lane].total(),
        });
        if is_new && !self.membership.may_introduce(from, frame.first) {
            self.counters.replays_rejected += 1;
            return;
        }
        if is_new && !self.may_admit(now) {
            return;
        }
        let mut introduced = status.clone();
        if is_new {
            introduced.positions =
                self.unknown_senders.rewind_over_buffered(from, status.positions);
        }
        let is_member = self
            .with_members(now, |members, ctx| members.introduce(now, from, &introduced, ours, ctx));
        if !is_member {
            return;
        }
        if is_new {
            if let Some(peer) = self.membership.get_mut(from) {
                peer.controls.accept(frame.first);
                if let Arrival::Via(via) = arrival {
                    // The relaying peer most likely has the events up to these positions.
                    peer.repair_sources.record(via, status.positions);
                }
            }
            if arrival == Arrival::Direct {
                self.with_members(now, |members, ctx| {
                    failure::on_heard_directly(members, now, from, ctx)
                });
            }
        }
        self.with_members(now, |members, ctx| {
            gossip::on_heartbeat_seq(members, now, from, status.heartbeat_seq, arrival, ctx);
        });
        if is_new {
            // Send a digest soon, so that the nodes compare their former peers.
            self.heartbeat.on_event_received(now, self.membership.len());
            for frame in self.unknown_senders.take(from) {
                self.handle(now, frame, arrival);
            }
        }
        if let Some(peer) = self.membership.get_mut(from) {
            if frame.to.is_none() {
                peer.introduction = frame.for_introduction();
            }
            peer.on_positions(status.positions, now);
            peer.established = status.established;
        }
        self.with_members(now, |members, ctx| {
            gossip::query_position_if_ahead(members, now, from, ctx)
        });
        // Use the peer's tag and digest only while this node hears the peer directly.
        if arrival == Arrival::Direct {
            self.outputs.push_back(Output::Tag { from, tag: status.tag });
            self.handle_digest(now, from, &status.digest);
        }
    }

    fn handle_digest(&mut self, now: Time, from: Incarnation, digest: &[PeerReport]) {
        let own = self.identity.incarnation;
        for report in digest {
            if report.peer == own {
                self.handle_ack(now, from, report.positions);
            } else {
                self.with_members(now, |members, ctx| {
                    gossip::on_peer_report(members, now, from, *report, ctx);
                });
            }
        }
    }
}
