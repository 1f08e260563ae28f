//! What a node does with the frames that come.

use crate::control::{Control, MAX_DIGEST, PeerReport, Status};
use crate::membership::Arrival;
use crate::planted::{Fault, planted};
use crate::receive::Accepted;
use crate::{Destination, Endpoint, Frame, FrameKind, Incarnation, Lane, Output, Time, Via};

impl Endpoint {
    /// A frame came from its sender.
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

    /// A frame of one node came, passed on by the peer `via`
    /// ([`Output::Relay`]).
    pub fn handle_relayed(&mut self, now: Time, Via { peer: via, number }: Via, frame: Frame) {
        let own = self.identity.incarnation;
        let is_ours = frame.incarnation == own || via == own || frame.incarnation == via;
        let is_direct = matches!(frame.kind, FrameKind::Direct | FrameKind::Bulk);
        if self.has_left || is_ours || is_direct {
            return;
        }
        // A frame for one node is passed on to nobody.
        if frame.to.is_some() {
            self.counters.malformed += 1;
            return;
        }
        let Some(peer) = self.membership.get_mut(via) else {
            self.counters.unknown_sender += 1;
            return;
        };
        // What somebody recorded and puts again is no sign of life.
        if !peer.controls.accept(number) {
            self.counters.replays_rejected += 1;
            return;
        }
        self.with_members(now, |members, ctx| members.on_heard_directly(now, via, ctx));
        self.handle(now, frame, Arrival::Via(via));
    }

    fn handle(&mut self, now: Time, frame: Frame, path: Arrival) {
        match frame.kind {
            FrameKind::Control => self.handle_control(now, &frame, path),
            FrameKind::Data(lane) => self.handle_data(now, lane, frame, path),
            FrameKind::Direct | FrameKind::Bulk => self.handle_direct(now, frame, path),
            FrameKind::Relay => self.counters.malformed += 1,
        }
    }

    fn handle_data(&mut self, now: Time, lane: Lane, frame: Frame, path: Arrival) {
        let from = frame.incarnation;
        let in_range = frame.first.checked_add(frame.count.into()).is_some();
        // Events are for all: what is kept of them may be passed on to anybody.
        if frame.count == 0 || frame.first == 0 || !in_range || frame.to.is_some() {
            self.counters.malformed += 1;
            return;
        }
        let Some(peer) = self.membership.get_mut(from) else {
            self.counters.unknown_sender +=
                self.unknown_senders.keep(frame, self.settings.unknown_sender_bytes);
            return;
        };
        let followed = (!peer.relay_targets.is_empty()).then(|| frame.clone());
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
            match path {
                Arrival::Direct if is_new => members.on_heard_directly(now, from, ctx),
                Arrival::Via(_) if is_new && planted(Fault::RelayedHeardDirectly) => {
                    members.on_heard_directly(now, from, ctx);
                }
                Arrival::Via(via) if is_new => members.on_relayed_event(now, from, via, ctx),
                _ => {}
            }
            if let Some(frame) = followed.filter(|_| accepted == Accepted::Fresh) {
                members.relay_to_targets(now, &frame, ctx);
            }
            members.resolve(now, from, ctx);
        });
        if is_new {
            self.heartbeat.on_event_received(now, self.membership.len());
        }
    }

    fn handle_direct(&mut self, now: Time, frame: Frame, path: Arrival) {
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
        // What waited for an introduction that came through another is no sign of the way.
        if path == Arrival::Direct {
            self.with_members(now, |members, ctx| members.on_heard_directly(now, from, ctx));
        }
        self.outputs.push_back(Output::Direct { from, body: frame.body });
    }

    fn handle_control(&mut self, now: Time, frame: &Frame, path: Arrival) {
        let from = frame.incarnation;
        let Some(control) = Control::decode(&frame.body) else {
            self.counters.malformed += 1;
            return;
        };
        let for_all =
            matches!(control, Control::Hello(_) | Control::Heartbeat(_) | Control::Bye { .. });
        if path != Arrival::Direct && !for_all {
            self.counters.malformed += 1;
            return;
        }
        if let Some(peer) = self.membership.get_mut(from) {
            if !peer.controls.accept(frame.first) {
                self.counters.replays_rejected += 1;
                return;
            }
            self.with_members(now, |members, ctx| {
                if path == Arrival::Direct {
                    members.on_heard_directly(now, from, ctx);
                }
                if for_all {
                    members.relay_to_targets(now, frame, ctx);
                }
            });
        }
        let is_proven = self.is_proven(frame, path);
        match control {
            Control::Hello(status) | Control::Heartbeat(status)
                if status.name == self.identity.name =>
            {
                self.with_members(now, |members, ctx| {
                    members.on_own_name_claimed(now, from, &status, ctx)
                });
            }
            Control::Hello(status) => {
                self.greet(now, from, is_proven);
                self.handle_status(now, frame, status, path);
            }
            Control::Heartbeat(status) => {
                // So that a newcomer knows us before our next event.
                if self.membership.get(from).is_none() {
                    self.greet(now, from, is_proven);
                }
                self.handle_status(now, frame, status, path);
            }
            Control::Bye { positions, .. } if positions.contains(&u64::MAX) => {
                self.counters.malformed += 1;
            }
            // Of who is not a member: not the one of before it was last here.
            Control::Bye { .. }
                if self.membership.get(from).is_none()
                    && !self.membership.may_introduce(from, frame.first) =>
            {
                self.counters.replays_rejected += 1;
            }
            // A stranger's is worth remembering, but not any number of them.
            Control::Bye { .. }
                if self.membership.get(from).is_none()
                    && !self.membership.former_peers.knows(from)
                    && !self.may_admit(now) => {}
            Control::Bye { positions, winner } => {
                let bye = (positions, winner);
                self.with_members(now, |members, ctx| members.on_bye(now, from, bye, ctx));
            }
            Control::Probe { nonce } => {
                self.heartbeat_seq += 1;
                let (heartbeat_seq, positions) = (self.heartbeat_seq, Some(self.positions));
                let answer = Control::ProbeAnswer { nonce, heartbeat_seq, positions };
                self.transmit(Destination::One(from), &answer);
            }
            Control::ProbeAnswer { positions: Some(positions), .. }
                if positions.contains(&u64::MAX) =>
            {
                self.counters.malformed += 1;
            }
            Control::ProbeAnswer { nonce, heartbeat_seq, positions } => {
                let own = self.identity.clone();
                let winner = self.with_members(now, |members, ctx| {
                    members.on_heartbeat_seq(now, (from, heartbeat_seq), path, ctx);
                    members.on_position_answer(now, (from, nonce), positions);
                    members.on_probe_answer(from, nonce, &own, ctx)
                });
                self.winner = self.winner.or(winner);
            }
            Control::Ack { positions } => self.handle_ack(now, from, positions),
            Control::Nak { lane, first, last } => self.retransmit(now, from, lane, (first, last)),
            Control::Unavailable { lane, before } => {
                let gone = (lane, before);
                self.with_members(now, |members, ctx| members.on_unavailable(now, from, gone, ctx));
            }
            Control::PeerQuery { mine, meet } => {
                self.with_members(now, |members, ctx| {
                    members.on_peer_query(now, from, (mine, meet), ctx);
                });
            }
            Control::PeerReport(told) => {
                self.with_members(now, |members, ctx| {
                    members.on_peer_query_answer(now, from, told, ctx)
                });
            }
            Control::RelayNak { from: sender, lane, first, last } => {
                self.relay_repair(now, from, (sender, lane), (first, last));
            }
            Control::RelayUnavailable { from: sender, lane, before } => {
                let note_unavailable = (sender, lane, before);
                self.with_members(now, |members, ctx| {
                    members.on_relay_unavailable(now, from, note_unavailable, ctx)
                });
            }
            Control::RelayRequest { whom, on } => {
                if self.membership.get(from).is_some() {
                    self.membership.on_relay_request(now, from, (whom, on));
                }
            }
        }
    }

    /// Whether the sender lives, for all that we know: a member, who is vouched for by one
    /// that passes on what it says, or who made a frame for us, which it cannot have before
    /// we began. Who only said something to all may be a recording of a life that ended.
    fn is_proven(&self, frame: &Frame, path: Arrival) -> bool {
        frame.to.is_some()
            || path != Arrival::Direct
            || self.membership.get(frame.incarnation).is_some()
    }

    /// Tells who does not know us how we are; who has not shown that it lives is asked to,
    /// by a greeting that wants an answer.
    fn greet(&mut self, now: Time, to: Incarnation, is_proven: bool) {
        if self.membership.get(to).is_none() && !self.may_greet(now, to) {
            return;
        }
        let status = self.status(now);
        let control = if is_proven { Control::Heartbeat(status) } else { Control::Hello(status) };
        self.transmit(Destination::One(to), &control);
    }

    /// A member confirms what it has taken.
    fn handle_ack(&mut self, now: Time, from: Incarnation, positions: [u64; 2]) {
        let Some(peer) = self.membership.get_mut(from) else { return };
        for lane in Lane::ALL {
            let i = lane.index();
            let (last, sent) = (self.positions[i], &self.in_flight[i]);
            peer.windows[i].on_ack(positions[i], last, sent, &self.settings, now);
        }
    }

    fn handle_status(&mut self, now: Time, frame: &Frame, status: Status, path: Arrival) {
        let from = frame.incarnation;
        let is_sound = !status.positions.contains(&u64::MAX)
            && status.tag.len() <= self.settings.max_tag
            && status.digest.len() <= MAX_DIGEST;
        if !is_sound {
            self.counters.malformed += 1;
            return;
        }
        if !self.is_proven(frame, path) {
            self.counters.unproven_introductions += 1;
            return;
        }
        let is_new = self.membership.get(from).is_none();
        let ours = Lane::ALL
            .map(|lane| (self.positions[lane.index()], self.in_flight[lane.index()].total()));
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
        let is_in = self
            .with_members(now, |members, ctx| members.introduce(now, from, &introduced, ours, ctx));
        if !is_in {
            return;
        }
        if is_new {
            if let Some(peer) = self.membership.get_mut(from) {
                peer.controls.accept(frame.first);
                if let Arrival::Via(via) = path {
                    // Most likely it has what it introduced.
                    peer.repair_sources.record(via, status.positions);
                }
            }
            if path == Arrival::Direct {
                self.with_members(now, |members, ctx| members.on_heard_directly(now, from, ctx));
            }
        }
        self.with_members(now, |members, ctx| {
            members.on_heartbeat_seq(now, (from, status.heartbeat_seq), path, ctx);
        });
        if is_new {
            // Those that left are compared by digests.
            self.heartbeat.on_event_received(now, self.membership.len());
            for waiting in self.unknown_senders.take(from) {
                self.handle(now, waiting, path);
            }
        }
        if let Some(peer) = self.membership.get_mut(from) {
            if frame.to.is_none() {
                peer.introduction = frame.for_introduction();
            }
            peer.on_positions(status.positions, now);
            peer.established = status.established;
        }
        self.with_members(now, |members, ctx| members.query_position_if_ahead(now, from, ctx));
        // What it knows of others, and what the layer above would ask it for, is of no
        // use while we do not hear it ourselves.
        if path == Arrival::Direct {
            self.outputs.push_back(Output::Tag { from, tag: status.tag });
            self.handle_digest(now, from, &status.digest);
        }
    }

    fn handle_digest(&mut self, now: Time, from: Incarnation, digest: &[PeerReport]) {
        let own = self.identity.incarnation;
        for told in digest {
            if told.peer == own {
                self.handle_ack(now, from, told.positions);
            } else {
                self.with_members(now, |members, ctx| {
                    members.on_peer_report(now, from, *told, ctx);
                });
            }
        }
    }
}
