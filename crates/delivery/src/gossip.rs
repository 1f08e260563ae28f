//! Gossip: what nodes report about other peers, namely heartbeats and event positions.

use std::ops::Bound;

use crate::context::Context;
use crate::control::{Control, MAX_DIGEST, PeerReport};
use crate::former_peers::Recall;
use crate::membership::{Arrival, Membership};
use crate::peer::{Peer, PositionQuery};
use crate::planted::{Fault, planted};
use crate::receive::ReceiveStream;
use crate::{Destination, Incarnation, Lane, LeaveReason, Output, Settings, Time};

impl Membership {
    /// Builds the digest of the next heartbeat: up to half of [`MAX_DIGEST`] entries report former
    /// peers, the rest report members in turn.
    pub(crate) fn digest(&mut self, now: Time) -> Vec<PeerReport> {
        let former_peers = self.former_peers.digest(now, MAX_DIGEST / 2);
        let last = self.last_reported;
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.peers.range((from, Bound::Unbounded));
        let before = last.into_iter().flat_map(|last| self.peers.range(..=last));
        let peers = after.chain(before).map(|(_, peer)| peer);
        let most = MAX_DIGEST - former_peers.len();
        let mut digest: Vec<_> = peers.take(most).map(Peer::report).collect();
        self.last_reported = digest.last().map(|last| last.peer);
        digest.extend(former_peers);
        digest
    }

    /// A peer gave this heartbeat number itself; `arrival` is the route of the message.
    pub(crate) fn on_heartbeat_seq(
        &mut self,
        now: Time,
        (incarnation, heartbeat_seq): (Incarnation, u64),
        arrival: Arrival,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if !peer.on_own_heartbeat(heartbeat_seq, now) {
            return;
        }
        self.on_news(now, incarnation, arrival, ctx);
    }

    /// The peer `from` reports a heartbeat of another peer.
    fn on_reported_heartbeat(
        &mut self,
        now: Time,
        (incarnation, heartbeat_seq): (Incarnation, u64),
        from: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        let is_new = heartbeat_seq > peer.heartbeat_seq
            || planted(Fault::DeadKeptAlive) && heartbeat_seq == peer.heartbeat_seq;
        if is_new && peer.is_plausible(heartbeat_seq, now) {
            peer.heartbeat_seq = heartbeat_seq;
            self.on_news(now, incarnation, Arrival::Via(from), ctx);
        }
    }

    fn on_news(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        arrival: Arrival,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if let Arrival::Via(via) = arrival {
            peer.info.last_heard = now;
            peer.clear_suspicion();
            peer.route.on_news(now, via, false, &self.settings);
            ctx.update_reach(peer);
        }
        // Answer the peers that asked whether this peer is alive.
        let report = peer.report();
        for querier in std::mem::take(&mut peer.liveness_queriers) {
            ctx.send.push((Destination::One(querier), Control::PeerReport(report)));
        }
    }

    /// A member reports what it knows about another node.
    pub(crate) fn on_peer_report(
        &mut self,
        now: Time,
        from: Incarnation,
        report: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        let is_sound = !report.positions.contains(&u64::MAX) && !report.sent.contains(&u64::MAX);
        // A peer reports about itself in heartbeats only. It must not become a repair source of its
        // own events, because it refuses a `RelayNak` for them.
        if !self.peers.contains_key(&from) || !is_sound || report.peer == from {
            return;
        }
        if report.is_suspected {
            self.readmit_for_last_events(now, report, ctx);
        }
        let Some(peer) = self.peers.get_mut(&report.peer) else {
            self.on_unknown_peer(now, from, report, ctx);
            return;
        };
        let is_ending = peer.departure.is_some();
        let counts = peer.departure.as_ref().is_none_or(|departure| departure.accepts_reports(now));
        if counts && !planted(Fault::RepairSourcesIgnored) {
            peer.repair_sources.record(from, report.positions);
        }
        for lane in Lane::ALL.into_iter().filter(|_| counts) {
            let sent = report.positions[lane.index()].max(report.sent[lane.index()]);
            let stream = peer.stream(lane);
            stream.on_reported_position(now, sent);
            if is_ending {
                stream.accept_reported_position(now);
                stream.ask_at_once(now);
            }
        }
        if !report.is_suspected {
            self.on_reported_heartbeat(now, (report.peer, report.heartbeat_seq), from, ctx);
        }
    }

    /// A member has more events of a former peer than this node and suspects that peer too. The
    /// peer is readmitted until the missing events are delivered or reported missing, then it
    /// leaves again.
    fn readmit_for_last_events(&mut self, now: Time, report: PeerReport, ctx: &mut Context<'_>) {
        let Some(known) = self.former_peers.report(report.peer) else { return };
        if known.positions.iter().zip(report.positions).any(|(mine, theirs)| *mine > theirs) {
            self.former_peers.report_one(report.peer, now + self.settings.former_peer_report_time);
        }
        let sent = [0, 1].map(|lane| report.positions[lane].max(report.sent[lane]));
        if self.readmit(now, report.peer, sent, ctx) {
            self.begin_departure(now, report.peer, LeaveReason::Failed, ctx);
        }
    }

    /// Readmits a failed peer if it sent more events than this node received. Returns whether it
    /// did.
    pub(crate) fn readmit(
        &mut self,
        now: Time,
        of: Incarnation,
        sent: [u64; 2],
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(failed) = self.former_peers.failed(of) else { return false };
        let received = failed.positions();
        let is_more = sent.iter().zip(received).any(|(sent, received)| *sent > received);
        if !is_more {
            return false;
        }
        // A readmitted peer stays only briefly, so the limit allows an eighth more than
        // `max_peers`.
        if self.peers.len() > self.settings.max_peers + self.settings.max_peers / 8 {
            ctx.counters.too_many_peers += 1;
            return false;
        }
        let Settings { admission_burst, admission_rate, .. } = self.settings;
        if !self.readmissions.try_take_one(now, admission_rate, admission_burst) {
            ctx.counters.admissions_deferred += 1;
            return false;
        }
        let Recall::Failed(mut peer) = self.former_peers.recall(of) else { return false };
        peer.rejoin(sent, now, &self.settings);
        peer.info.promised_after = received;
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        for (stream, sent) in peer.streams.iter_mut().zip(sent) {
            stream.on_reported_position(now, sent);
        }
        self.peers.insert(of, *peer);
        true
    }

    /// Because of reports from other peers, this node gave up more events of a peer than the peer
    /// says it sent. The peer's answer to a new probe decides: by then it has sent every event that
    /// any peer can know of.
    pub(crate) fn query_position_if_ahead(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if !peer.streams.iter().any(ReceiveStream::is_past_sender) {
            peer.position_query = None;
            return;
        }
        let nonce = ctx.nonce;
        let previous = peer.position_query;
        let since = previous.map_or(now, |previous| previous.since);
        if now.since(since) >= self.settings.repair_timeout {
            // The peer does not answer, most likely because only a relay reaches it. Its own
            // announced position decides instead.
            for stream in &mut peer.streams {
                stream.on_answer(now, stream.sender_position());
            }
            peer.position_query = None;
        } else if previous.is_none_or(|p| now.since(p.asked) >= self.settings.probe_timeout) {
            peer.position_query = Some(PositionQuery { nonce, since, asked: now });
            ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
        }
    }

    /// A peer answered a position query.
    pub(crate) fn on_position_answer(
        &mut self,
        now: Time,
        (incarnation, nonce): (Incarnation, u64),
        positions: Option<[u64; 2]>,
    ) {
        if let (Some(peer), Some(positions)) = (self.peers.get_mut(&incarnation), positions)
            && peer.position_query.take_if(|query| query.nonce == nonce).is_some()
        {
            for (stream, position) in peer.streams.iter_mut().zip(positions) {
                if planted(Fault::LiarsBelievedOfTheReturned) {
                    stream.on_position(now, position);
                } else {
                    stream.on_answer(now, position);
                }
            }
        }
    }

    /// A member answers a query about another node.
    pub(crate) fn on_peer_query_answer(
        &mut self,
        now: Time,
        from: Incarnation,
        report: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        self.on_peer_report(now, from, report, ctx);
        if let Some(peer) = self.peers.get_mut(&report.peer)
            && let Some(departure) = &mut peer.departure
            && (if departure.reason == LeaveReason::Bye {
                report.is_complete()
            } else {
                report.is_suspected
            })
        {
            departure.on_answer(from);
        }
        self.resolve(now, report.peer, ctx);
    }

    /// A member queries another node and reports what it knows itself. With `meet` it asks only for
    /// an introduction.
    pub(crate) fn on_peer_query(
        &mut self,
        now: Time,
        from: Incarnation,
        (theirs, meet): (PeerReport, bool),
        ctx: &mut Context<'_>,
    ) {
        if !self.peers.contains_key(&from) {
            return;
        }
        if !meet {
            self.on_peer_report(now, from, theirs, ctx);
        }
        let (of, to) = (theirs.peer, Destination::One(from));
        let Some(peer) = self.peers.get_mut(&of) else {
            let (positions, sent) = ([0; 2], [0; 2]);
            let unknown =
                PeerReport { peer: of, heartbeat_seq: 0, positions, is_suspected: true, sent };
            let known = self.former_peers.report(of).unwrap_or(unknown);
            let report = PeerReport { is_suspected: true, ..known };
            ctx.send.push((to, Control::PeerReport(report)));
            return;
        };
        ctx.send.push((to, Control::PeerReport(peer.report())));
        if meet && let Some(introduction) = &peer.introduction {
            ctx.relay.push((from, introduction.clone()));
        }
        // The querier does not hear the peer. Probe the peer, and report to the querier once it
        // answers.
        let is_probe_due = !meet && theirs.is_suspected && peer.is_unsuspected();
        if is_probe_due
            && peer.liveness_queriers.len() < self.settings.max_relay_targets
            && peer.liveness_queriers.insert(from)
        {
            ctx.send.push((Destination::One(of), Control::Probe { nonce: ctx.nonce }));
        }
    }

    /// A member reports a node that is unknown here: ask that member for an introduction.
    fn on_unknown_peer(
        &mut self,
        now: Time,
        from: Incarnation,
        report: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        let of = report.peer;
        let is_news = match self.former_peers.failed(of) {
            Some(peer) => {
                report.heartbeat_seq > peer.heartbeat_seq
                    && peer.is_plausible(report.heartbeat_seq, now)
            }
            None => !self.former_peers.has_ended(of),
        };
        let requested = self.introduction_requests.get(&of).copied();
        let recent = requested.is_some_and(|at| now.since(at) < self.settings.probe_timeout);
        if report.is_suspected || !is_news || recent || of == ctx.own {
            return;
        }
        if self.introduction_requests.len() >= self.settings.max_peers {
            // Forget the old requests. A request is repeated when a peer reports the node again.
            self.introduction_requests.clear();
        }
        self.introduction_requests.insert(of, now);
        let (positions, sent) = ([0; 2], [0; 2]);
        let mine = PeerReport { peer: of, heartbeat_seq: 0, positions, is_suspected: false, sent };
        ctx.send.push((Destination::One(from), Control::PeerQuery { mine, meet: true }));
    }

    /// A member reports that it has no events of another node's lane below a number.
    pub(crate) fn on_relay_unavailable(
        &mut self,
        now: Time,
        from: Incarnation,
        (of, lane, before): (Incarnation, Lane, u64),
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&of) {
            if !planted(Fault::RelayUnavailableIgnored) {
                peer.repair_sources.note_unavailable(from, lane, before);
            }
            peer.stream(lane).ask_at_once(now);
        }
        self.resolve(now, of, ctx);
    }

    /// The member `via` relayed an event that is new to this node.
    pub(crate) fn on_relayed_event(
        &mut self,
        now: Time,
        of: Incarnation,
        via: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&of)
            && peer.departure.is_none()
        {
            peer.route.on_news(now, via, true, &self.settings);
            ctx.update_reach(peer);
        }
    }

    /// A member starts, renews or ends its relay of another peer's frames.
    pub(crate) fn on_relay_request(
        &mut self,
        now: Time,
        from: Incarnation,
        (sender, on): (Incarnation, bool),
    ) {
        let limit = self.settings.max_relay_targets;
        let Some(peer) = self.peers.get_mut(&sender).filter(|_| from != sender) else { return };
        let known = peer.relay_targets.contains_key(&from);
        if on && (known || peer.relay_targets.len() < limit) {
            peer.relay_targets.insert(from, now + self.settings.relay_lease);
        } else if !on {
            peer.relay_targets.remove(&from);
        }
    }
}

impl Peer {
    /// Clears the suspicion of a peer that is alive, unless a peer of the same name is probed as
    /// well. Without suspicion, a departure ends too, except after a goodbye.
    pub(crate) fn clear_suspicion(&mut self) {
        self.suspicion = self.suspicion.filter(|suspicion| suspicion.rival.is_some());
        if self.suspicion.is_none() {
            self.departure.take_if(|departure| departure.reason != LeaveReason::Bye);
        }
    }
}
