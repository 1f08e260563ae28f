//! What nodes tell each other of third ones: that they live, and what they have of
//! their events.

use std::ops::Bound;

use crate::context::Context;
use crate::control::{Control, Knowledge, MAX_DIGEST};
use crate::departed::Memory;
use crate::membership::{Membership, Path};
use crate::peer::{Peer, PositionAsked};
use crate::planted::{Fault, planted};
use crate::receive::ReceiveStream;
use crate::{Destination, Incarnation, Lane, LeaveReason, Output, Settings, Time};

impl Membership {
    /// What to tell of those that left lately and of the peers, the next [`MAX_DIGEST`]
    /// in turn.
    pub(crate) fn digest(&mut self, now: Time) -> Vec<Knowledge> {
        let departed = self.departed.digest(now, MAX_DIGEST / 2);
        let told = self.told;
        let from = told.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.peers.range((from, Bound::Unbounded));
        let before = told.into_iter().flat_map(|told| self.peers.range(..=told));
        let peers = after.chain(before).map(|(_, peer)| peer);
        let most = MAX_DIGEST - departed.len();
        let mut digest: Vec<_> = peers.take(most).map(Peer::knowledge).collect();
        self.told = digest.last().map(|last| last.of);
        digest.extend(departed);
        digest
    }

    /// A sign of life that a peer itself gave, with the way it came.
    pub(crate) fn on_beat(
        &mut self,
        now: Time,
        (incarnation, beat): (Incarnation, u64),
        path: Path,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if !peer.on_own_beat(beat, now) {
            return;
        }
        self.on_news(now, incarnation, path, ctx);
    }

    /// Another tells of a sign of life of a peer.
    fn on_hearsay(
        &mut self,
        now: Time,
        (incarnation, beat): (Incarnation, u64),
        from: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        let is_new = beat > peer.beat || planted(Fault::DeadKeptAlive) && beat == peer.beat;
        if is_new && peer.is_plausible(beat, now) {
            peer.beat = beat;
            self.on_news(now, incarnation, Path::Via(from), ctx);
        }
    }

    fn on_news(&mut self, now: Time, incarnation: Incarnation, path: Path, ctx: &mut Context<'_>) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if let Path::Via(via) = path {
            peer.info.last_heard = now;
            peer.clear_doubt();
            peer.hearing.on_news(now, via, false, &self.settings);
            ctx.note_reach(peer);
        }
        // Those that asked whether it lives.
        let knowledge = peer.knowledge();
        for asker in std::mem::take(&mut peer.askers) {
            ctx.send.push((Destination::One(asker), Control::Know(knowledge)));
        }
    }

    /// A member tells what it knows of another node.
    pub(crate) fn on_knowledge(
        &mut self,
        now: Time,
        from: Incarnation,
        told: Knowledge,
        ctx: &mut Context<'_>,
    ) {
        let is_sound = !told.positions.contains(&u64::MAX) && !told.sent.contains(&u64::MAX);
        // Of itself it tells by its heartbeats; its own events it has in another ring.
        if !self.peers.contains_key(&from) || !is_sound || told.of == from {
            return;
        }
        if told.in_doubt {
            self.recall_for_last_words(now, told, ctx);
        }
        let Some(peer) = self.peers.get_mut(&told.of) else {
            self.on_stranger(now, from, told, ctx);
            return;
        };
        let is_ending = peer.ending.is_some();
        let counts = peer.ending.as_ref().is_none_or(|ending| ending.believes(now));
        if counts && !planted(Fault::HoldersNotNoted) {
            peer.holders.note(from, told.positions);
        }
        for lane in Lane::ALL.into_iter().filter(|_| counts) {
            let sent = told.positions[lane.index()].max(told.sent[lane.index()]);
            let stream = peer.stream(lane);
            stream.on_rumour(now, sent);
            if is_ending {
                stream.believe_rumour(now);
                stream.ask_at_once(now);
            }
        }
        if !told.in_doubt {
            self.on_hearsay(now, (told.of, told.beat), from, ctx);
        }
    }

    /// A member heard more of who fell silent here than we did, and does not hear it any
    /// more: it is taken in again until it is delivered or told missing, then leaves again.
    fn recall_for_last_words(&mut self, now: Time, told: Knowledge, ctx: &mut Context<'_>) {
        let Some(known) = self.departed.knowledge(told.of) else { return };
        if known.positions.iter().zip(told.positions).any(|(mine, theirs)| *mine > theirs) {
            self.departed.tell(told.of, now + self.settings.departed_told);
        }
        let sent = [0, 1].map(|lane| told.positions[lane].max(told.sent[lane]));
        if self.take_back(now, told.of, sent, ctx) {
            self.begin_ending(now, told.of, LeaveReason::Failed, ctx);
        }
    }

    /// Takes in again who fell silent here, if it sent more than came.
    pub(crate) fn take_back(
        &mut self,
        now: Time,
        of: Incarnation,
        sent: [u64; 2],
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(silent) = self.departed.silent(of) else { return false };
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
        let Settings { newcomers, newcomers_per_second, .. } = self.settings;
        if !self.recalls.take_one(now, newcomers_per_second, newcomers) {
            ctx.counters.put_off += 1;
            return false;
        }
        let Memory::Failed(mut peer) = self.departed.recall(of) else { return false };
        peer.return_with(sent, now, &self.settings);
        peer.info.awaited_after = had;
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        for (stream, sent) in peer.streams.iter_mut().zip(sent) {
            stream.on_rumour(now, sent);
        }
        self.peers.insert(of, *peer);
        true
    }

    /// On others' word more was given up of a peer that is back than it says it sent. Its
    /// answer to a question of now decides: by then it has sent whatever anybody heard of.
    pub(crate) fn ask_if_ahead(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if !peer.streams.iter().any(ReceiveStream::is_ahead) {
            peer.position_asked = None;
            return;
        }
        let nonce = ctx.nonce;
        let before = peer.position_asked;
        let since = before.map_or(now, |before| before.since);
        if now.since(since) >= self.settings.repair_timeout {
            // It cannot answer, as it is heard through another alone: its word of now must do.
            for stream in &mut peer.streams {
                stream.on_answer(now, stream.said());
            }
            peer.position_asked = None;
        } else if before.is_none_or(|b| now.since(b.asked) >= self.settings.probe_timeout) {
            peer.position_asked = Some(PositionAsked { nonce, since, asked: now });
            ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
        }
    }

    /// A peer answered how much it has sent.
    pub(crate) fn on_positions(
        &mut self,
        now: Time,
        (incarnation, nonce): (Incarnation, u64),
        positions: Option<[u64; 2]>,
    ) {
        if let (Some(peer), Some(positions)) = (self.peers.get_mut(&incarnation), positions)
            && peer.position_asked.take_if(|asked| asked.nonce == nonce).is_some()
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
    pub(crate) fn on_answer(
        &mut self,
        now: Time,
        from: Incarnation,
        told: Knowledge,
        ctx: &mut Context<'_>,
    ) {
        self.on_knowledge(now, from, told, ctx);
        if let Some(peer) = self.peers.get_mut(&told.of)
            && let Some(ending) = &mut peer.ending
            && (if ending.reason == LeaveReason::Bye { told.is_complete() } else { told.in_doubt })
        {
            ending.on_answer(from);
        }
        self.settle(now, told.of, ctx);
    }

    /// A member asks about another node, and says what it knows itself.
    pub(crate) fn on_ask(
        &mut self,
        now: Time,
        from: Incarnation,
        (theirs, meet): (Knowledge, bool),
        ctx: &mut Context<'_>,
    ) {
        if !self.peers.contains_key(&from) {
            return;
        }
        if !meet {
            self.on_knowledge(now, from, theirs, ctx);
        }
        let (of, to) = (theirs.of, Destination::One(from));
        let Some(peer) = self.peers.get_mut(&of) else {
            let (positions, sent) = ([0; 2], [0; 2]);
            let unknown = Knowledge { of, beat: 0, positions, in_doubt: true, sent };
            let known = self.departed.knowledge(of).unwrap_or(unknown);
            let know = Knowledge { in_doubt: true, ..known };
            ctx.send.push((to, Control::Know(know)));
            return;
        };
        ctx.send.push((to, Control::Know(peer.knowledge())));
        if meet && let Some(introduction) = &peer.introduction {
            ctx.relay.push((from, introduction.clone()));
        }
        // The one who asks does not hear it. Do we? Told once it answers.
        let asks = !meet && theirs.in_doubt && peer.is_trusted();
        if asks && peer.askers.len() < self.settings.max_followers && peer.askers.insert(from) {
            ctx.send.push((Destination::One(of), Control::Probe { nonce: ctx.nonce }));
        }
    }

    /// A member told of a node that is not known here: ask to meet it.
    fn on_stranger(
        &mut self,
        now: Time,
        from: Incarnation,
        told: Knowledge,
        ctx: &mut Context<'_>,
    ) {
        let of = told.of;
        let is_news = match self.departed.silent(of) {
            Some(peer) => told.beat > peer.beat && peer.is_plausible(told.beat, now),
            None => !self.departed.has_ended(of),
        };
        let asked = self.strangers.get(&of).copied();
        let lately = asked.is_some_and(|asked| now.since(asked) < self.settings.probe_timeout);
        if told.in_doubt || !is_news || lately || of == ctx.own {
            return;
        }
        if self.strangers.len() >= self.settings.max_peers {
            // Old questions; each is asked again when it is told of again.
            self.strangers.clear();
        }
        self.strangers.insert(of, now);
        let (positions, sent) = ([0; 2], [0; 2]);
        let mine = Knowledge { of, beat: 0, positions, in_doubt: false, sent };
        ctx.send.push((Destination::One(from), Control::Ask { mine, meet: true }));
    }

    /// A member says that of another's events it has none before a number.
    pub(crate) fn on_lacks(
        &mut self,
        now: Time,
        from: Incarnation,
        (of, lane, before): (Incarnation, Lane, u64),
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&of) {
            if !planted(Fault::LacksIgnored) {
                peer.holders.lacks(from, lane, before);
            }
            peer.stream(lane).ask_at_once(now);
        }
        self.settle(now, of, ctx);
    }

    /// A member passed on an event of another that is new here.
    pub(crate) fn on_relayed(
        &mut self,
        now: Time,
        of: Incarnation,
        via: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&of)
            && peer.ending.is_none()
        {
            peer.hearing.on_news(now, via, true, &self.settings);
            ctx.note_reach(peer);
        }
    }

    /// A member wants passed on what comes from another, or no longer.
    pub(crate) fn on_follow(
        &mut self,
        now: Time,
        from: Incarnation,
        (whom, on): (Incarnation, bool),
    ) {
        let limit = self.settings.max_followers;
        let Some(peer) = self.peers.get_mut(&whom).filter(|_| from != whom) else { return };
        let known = peer.followers.contains_key(&from);
        if on && (known || peer.followers.len() < limit) {
            peer.followers.insert(from, now + self.settings.relay_lease);
        } else if !on {
            peer.followers.remove(&from);
        }
    }
}

impl Peer {
    /// It lives: unless a rival of its name is asked the same, nothing speaks against it.
    pub(crate) fn clear_doubt(&mut self) {
        self.suspicion = self.suspicion.filter(|suspicion| suspicion.rival.is_some());
        if self.suspicion.is_none() {
            self.ending.take_if(|ending| ending.reason != LeaveReason::Bye);
        }
    }
}
