//! What nodes tell each other of third ones: that they live, and what they have of
//! their events.

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
    /// What to tell of those that left lately and of the peers, the next [`MAX_DIGEST`]
    /// in turn.
    pub(crate) fn digest(&mut self, now: Time) -> Vec<PeerReport> {
        let former_peers = self.former_peers.digest(now, MAX_DIGEST / 2);
        let told = self.last_reported;
        let from = told.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.peers.range((from, Bound::Unbounded));
        let before = told.into_iter().flat_map(|told| self.peers.range(..=told));
        let peers = after.chain(before).map(|(_, peer)| peer);
        let most = MAX_DIGEST - former_peers.len();
        let mut digest: Vec<_> = peers.take(most).map(Peer::report).collect();
        self.last_reported = digest.last().map(|last| last.peer);
        digest.extend(former_peers);
        digest
    }

    /// A sign of life that a peer itself gave, with the way it came.
    pub(crate) fn on_heartbeat_seq(
        &mut self,
        now: Time,
        (incarnation, heartbeat_seq): (Incarnation, u64),
        path: Arrival,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if !peer.on_own_heartbeat(heartbeat_seq, now) {
            return;
        }
        self.on_news(now, incarnation, path, ctx);
    }

    /// Another tells of a sign of life of a peer.
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
        path: Arrival,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if let Arrival::Via(via) = path {
            peer.info.last_heard = now;
            peer.clear_suspicion();
            peer.route.on_news(now, via, false, &self.settings);
            ctx.update_reach(peer);
        }
        // Those that asked whether it lives.
        let report = peer.report();
        for asker in std::mem::take(&mut peer.liveness_queriers) {
            ctx.send.push((Destination::One(asker), Control::PeerReport(report)));
        }
    }

    /// A member tells what it knows of another node.
    pub(crate) fn on_peer_report(
        &mut self,
        now: Time,
        from: Incarnation,
        told: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        let is_sound = !told.positions.contains(&u64::MAX) && !told.sent.contains(&u64::MAX);
        // Of itself it tells by its heartbeats; its own events it has in another ring.
        if !self.peers.contains_key(&from) || !is_sound || told.peer == from {
            return;
        }
        if told.is_suspected {
            self.readmit_for_last_events(now, told, ctx);
        }
        let Some(peer) = self.peers.get_mut(&told.peer) else {
            self.on_unknown_peer(now, from, told, ctx);
            return;
        };
        let is_ending = peer.departure.is_some();
        let counts = peer.departure.as_ref().is_none_or(|departure| departure.accepts_reports(now));
        if counts && !planted(Fault::RepairSourcesIgnored) {
            peer.repair_sources.record(from, told.positions);
        }
        for lane in Lane::ALL.into_iter().filter(|_| counts) {
            let sent = told.positions[lane.index()].max(told.sent[lane.index()]);
            let stream = peer.stream(lane);
            stream.on_reported_position(now, sent);
            if is_ending {
                stream.accept_reported_position(now);
                stream.ask_at_once(now);
            }
        }
        if !told.is_suspected {
            self.on_reported_heartbeat(now, (told.peer, told.heartbeat_seq), from, ctx);
        }
    }

    /// A member heard more of who fell silent here than we did, and does not hear it any
    /// more: it is taken in again until it is delivered or told missing, then leaves again.
    fn readmit_for_last_events(&mut self, now: Time, told: PeerReport, ctx: &mut Context<'_>) {
        let Some(known) = self.former_peers.report(told.peer) else { return };
        if known.positions.iter().zip(told.positions).any(|(mine, theirs)| *mine > theirs) {
            self.former_peers.report_one(told.peer, now + self.settings.former_peer_report_time);
        }
        let sent = [0, 1].map(|lane| told.positions[lane].max(told.sent[lane]));
        if self.readmit(now, told.peer, sent, ctx) {
            self.begin_departure(now, told.peer, LeaveReason::Failed, ctx);
        }
    }

    /// Takes in again who fell silent here, if it sent more than came.
    pub(crate) fn readmit(
        &mut self,
        now: Time,
        of: Incarnation,
        sent: [u64; 2],
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(silent) = self.former_peers.failed(of) else { return false };
        let had = silent.positions();
        let is_more = sent.iter().zip(had).any(|(sent, had)| *sent > had);
        if !is_more {
            return false;
        }
        // Not for long: past the bound of those that live there is room for some.
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
        peer.info.promised_after = had;
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        for (stream, sent) in peer.streams.iter_mut().zip(sent) {
            stream.on_reported_position(now, sent);
        }
        self.peers.insert(of, *peer);
        true
    }

    /// On others' word more was given up of a peer that is back than it says it sent. Its
    /// answer to a question of now decides: by then it has sent whatever anybody heard of.
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
        let before = peer.position_query;
        let since = before.map_or(now, |before| before.since);
        if now.since(since) >= self.settings.repair_timeout {
            // It cannot answer, as it is heard through another alone: its word of now must do.
            for stream in &mut peer.streams {
                stream.on_answer(now, stream.sender_position());
            }
            peer.position_query = None;
        } else if before.is_none_or(|b| now.since(b.asked) >= self.settings.probe_timeout) {
            peer.position_query = Some(PositionQuery { nonce, since, asked: now });
            ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
        }
    }

    /// A peer answered how much it has sent.
    pub(crate) fn on_position_answer(
        &mut self,
        now: Time,
        (incarnation, nonce): (Incarnation, u64),
        positions: Option<[u64; 2]>,
    ) {
        if let (Some(peer), Some(positions)) = (self.peers.get_mut(&incarnation), positions)
            && peer.position_query.take_if(|asked| asked.nonce == nonce).is_some()
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

    /// A member answers a question about another node.
    pub(crate) fn on_peer_query_answer(
        &mut self,
        now: Time,
        from: Incarnation,
        told: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        self.on_peer_report(now, from, told, ctx);
        if let Some(peer) = self.peers.get_mut(&told.peer)
            && let Some(departure) = &mut peer.departure
            && (if departure.reason == LeaveReason::Bye {
                told.is_complete()
            } else {
                told.is_suspected
            })
        {
            departure.on_answer(from);
        }
        self.resolve(now, told.peer, ctx);
    }

    /// A member asks about another node, and says what it knows itself.
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
            let know = PeerReport { is_suspected: true, ..known };
            ctx.send.push((to, Control::PeerReport(know)));
            return;
        };
        ctx.send.push((to, Control::PeerReport(peer.report())));
        if meet && let Some(introduction) = &peer.introduction {
            ctx.relay.push((from, introduction.clone()));
        }
        // The one who asks does not hear it. Do we? Told once it answers.
        let asks = !meet && theirs.is_suspected && peer.is_unsuspected();
        if asks
            && peer.liveness_queriers.len() < self.settings.max_relay_targets
            && peer.liveness_queriers.insert(from)
        {
            ctx.send.push((Destination::One(of), Control::Probe { nonce: ctx.nonce }));
        }
    }

    /// A member told of a node that is not known here: ask to meet it.
    fn on_unknown_peer(
        &mut self,
        now: Time,
        from: Incarnation,
        told: PeerReport,
        ctx: &mut Context<'_>,
    ) {
        let of = told.peer;
        let is_news = match self.former_peers.failed(of) {
            Some(peer) => {
                told.heartbeat_seq > peer.heartbeat_seq
                    && peer.is_plausible(told.heartbeat_seq, now)
            }
            None => !self.former_peers.has_ended(of),
        };
        let asked = self.introduction_requests.get(&of).copied();
        let recent = asked.is_some_and(|asked| now.since(asked) < self.settings.probe_timeout);
        if told.is_suspected || !is_news || recent || of == ctx.own {
            return;
        }
        if self.introduction_requests.len() >= self.settings.max_peers {
            // Old questions; each is asked again when it is told of again.
            self.introduction_requests.clear();
        }
        self.introduction_requests.insert(of, now);
        let (positions, sent) = ([0; 2], [0; 2]);
        let mine = PeerReport { peer: of, heartbeat_seq: 0, positions, is_suspected: false, sent };
        ctx.send.push((Destination::One(from), Control::PeerQuery { mine, meet: true }));
    }

    /// A member says that of another's events it has none before a number.
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

    /// A member passed on an event of another that is new here.
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

    /// A member wants passed on what comes from another, or no longer.
    pub(crate) fn on_relay_request(
        &mut self,
        now: Time,
        from: Incarnation,
        (whom, on): (Incarnation, bool),
    ) {
        let limit = self.settings.max_relay_targets;
        let Some(peer) = self.peers.get_mut(&whom).filter(|_| from != whom) else { return };
        let known = peer.relay_targets.contains_key(&from);
        if on && (known || peer.relay_targets.len() < limit) {
            peer.relay_targets.insert(from, now + self.settings.relay_lease);
        } else if !on {
            peer.relay_targets.remove(&from);
        }
    }
}

impl Peer {
    /// It lives: unless a rival of its name is asked the same, nothing speaks against it.
    pub(crate) fn clear_suspicion(&mut self) {
        self.suspicion = self.suspicion.filter(|suspicion| suspicion.rival.is_some());
        if self.suspicion.is_none() {
            self.departure.take_if(|departure| departure.reason != LeaveReason::Bye);
        }
    }
}
