//! Who takes part: joining, leaving, failing, coming back, and two nodes of one
//! name.

use std::collections::BTreeMap;

use crate::control::{Control, Status};
use crate::departed::{Departed, Memory};
use crate::flow::{Confirmed, Outstanding};
use crate::output::{Conflict, Output};
use crate::peer::{Peer, Rank, Rival, Suspicion};
use crate::receive::Released;
use crate::{
    Counters, Destination, Gap, GapReason, Identity, Incarnation, Lane, LeaveReason, Settings, Time,
};

/// What membership wants sent.
pub(crate) type ToSend = Vec<(Destination, Control)>;

#[derive(Debug)]
pub(crate) struct Membership {
    settings: Settings,
    peers: BTreeMap<Incarnation, Peer>,
    departed: Departed,
    /// A live node of our own name, asked to prove that it lives.
    twin: Option<Twin>,
}

#[derive(Debug)]
struct Twin {
    incarnation: Incarnation,
    started_ms: u64,
    nonce: u64,
    asked: Time,
}

impl Membership {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, peers: BTreeMap::new(), departed: Departed::default(), twin: None }
    }

    pub(crate) fn get(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.get(&incarnation)
    }

    pub(crate) fn get_mut(&mut self, incarnation: Incarnation) -> Option<&mut Peer> {
        self.peers.get_mut(&incarnation)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.peers.values().map(|peer| peer.deadline(&self.settings)).min()
    }

    /// Whether a message of this number may introduce who is not a member: not if it
    /// is one of before it failed, put on the network again.
    pub(crate) fn may_introduce(&mut self, incarnation: Incarnation, number: u64) -> bool {
        self.departed.accept(incarnation, number)
    }

    /// Takes in a peer by its status. `false` if it may not take part.
    pub(crate) fn introduce(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        status: &Status,
        ours: [u64; 2],
        ctx: &mut Context<'_>,
    ) -> bool {
        if self.peers.contains_key(&incarnation) {
            return true;
        }
        if self.peers.len() >= self.settings.max_peers {
            ctx.counters.too_many_peers += 1;
            return false;
        }
        let mut peer = match self.departed.recall(incarnation) {
            Memory::Ended => return false,
            Memory::None => Peer::new(incarnation, status, ours, now, self.settings),
            Memory::Failed(mut peer) => {
                peer.suspicion = None;
                peer.unreachable_until = status.positions;
                peer.confirmed = [Confirmed::behind(now); 2];
                *peer
            }
        };
        self.suspect_namesake(now, &mut peer, ctx);
        peer.info.last_heard = now;
        peer.info.awaited_after = [peer.streams[0].position(), peer.streams[1].position()];
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        self.peers.insert(incarnation, peer);
        true
    }

    /// Two peers of one name: most often the old life ended, or what introduces the
    /// newcomer is from before its end. Ask both.
    fn suspect_namesake(&mut self, now: Time, newcomer: &mut Peer, ctx: &mut Context<'_>) {
        let settings = self.settings;
        let rival = |peer: &Peer| Some(Rival { rank: peer.rank(), since: now });
        for old in self.peers.values_mut().filter(|old| old.info.name == newcomer.info.name) {
            let incarnation = newcomer.info.incarnation;
            newcomer.suspicion = Some(settings.suspect(now, incarnation, rival(old), ctx));
            let incarnation = old.info.incarnation;
            old.suspicion = Some(settings.suspect(now, incarnation, rival(newcomer), ctx));
        }
    }

    /// The bus says that the way to a peer closed: ask for a sign of life.
    pub(crate) fn on_link_down(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&incarnation)
            && peer.suspicion.is_none()
        {
            peer.suspicion = Some(self.settings.suspect(now, incarnation, None, ctx));
        }
    }

    /// Whether no active receiver keeps the lane closed.
    pub(crate) fn is_open(&self, lane: Lane, sent: &Outstanding) -> bool {
        let closes = |peer: &Peer| peer.confirmed[lane.index()].closes(sent, &self.settings);
        !self.peers.values().any(closes)
    }

    /// When a receiver that keeps the lane closed is set aside.
    pub(crate) fn lag_deadline(&self, lane: Lane, sent: &Outstanding) -> Option<Time> {
        let confirmed = self.peers.values().map(|peer| &peer.confirmed[lane.index()]);
        let closing = confirmed.filter(|confirmed| confirmed.closes(sent, &self.settings));
        closing.map(|confirmed| confirmed.deadline(&self.settings)).min()
    }

    /// Sets aside who keeps the lane closed and confirmed nothing for too long.
    pub(crate) fn set_aside(&mut self, now: Time, lane: Lane, sent: &Outstanding) -> u64 {
        let mut count = 0;
        for peer in self.peers.values_mut() {
            let confirmed = &mut peer.confirmed[lane.index()];
            let overdue = confirmed.deadline(&self.settings) <= now;
            if overdue && confirmed.closes(sent, &self.settings) {
                confirmed.set_aside();
                count += 1;
            }
        }
        count
    }

    /// An event is sent after the event `last` of the lane.
    pub(crate) fn on_sending(&mut self, now: Time, lane: Lane, last: u64) {
        for peer in self.peers.values_mut() {
            peer.confirmed[lane.index()].on_sending(last, now);
        }
    }

    /// Any frame is a sign of life. It does not clear a suspect with a rival: the
    /// frame may have been on its way when its sender died.
    pub(crate) fn on_heard(&mut self, now: Time, incarnation: Incarnation) {
        let Some(peer) = self.peers.get_mut(&incarnation) else {
            return;
        };
        peer.info.last_heard = now;
        if peer.suspicion.is_some_and(|suspicion| suspicion.rival.is_none()) {
            peer.suspicion = None;
        }
    }

    /// Somebody bears our own name: have it prove that it is alive now.
    pub(crate) fn on_twin(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        status: &Status,
        ctx: &mut Context<'_>,
    ) {
        let asked_lately = self.twin.as_ref().is_some_and(|twin| {
            twin.incarnation == incarnation && now.since(twin.asked) < self.settings.probe_timeout
        });
        if asked_lately {
            return;
        }
        let nonce = ctx.nonce;
        self.twin = Some(Twin { incarnation, started_ms: status.started_ms, nonce, asked: now });
        ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
    }

    /// An answer to a probe. The sender is alive now: if its rival has proven the
    /// same, or it is a twin of ours, two live nodes have one name. Gives the elder if
    /// we are the one that must step back.
    pub(crate) fn on_probe_answer(
        &mut self,
        incarnation: Incarnation,
        nonce: u64,
        own: &Identity,
        ctx: &mut Context<'_>,
    ) -> Option<Incarnation> {
        if let Some(peer) = self.peers.get_mut(&incarnation)
            && let Some(suspicion) = peer.suspicion.take_if(|s| s.nonce == nonce)
        {
            peer.answered = Some(ctx.now);
            let (name, rank) = (peer.info.name.clone(), peer.rank());
            if let Some(Rival { rank: other, since }) = suspicion.rival
                && self.peers.get(&other.1).is_some_and(|rival| rival.answered >= Some(since))
            {
                ctx.outputs.push_back(Output::Conflict(conflict(name, rank, other)));
            }
        }
        let twin = self.twin.take_if(|t| t.incarnation == incarnation && t.nonce == nonce)?;
        let one = (own.started_ms, own.incarnation);
        let other = (twin.started_ms, twin.incarnation);
        let conflict = conflict(own.name.clone(), one, other);
        let elder = (conflict.younger == own.incarnation).then_some(conflict.elder);
        ctx.outputs.push_back(Output::Conflict(conflict));
        elder
    }

    /// A peer no longer has the events of a lane before a number.
    pub(crate) fn on_gone(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        (lane, before): (Lane, u64),
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&incarnation) {
            let mut released = Vec::new();
            peer.stream(lane).on_gone(now, before, &mut released);
            ctx.release(peer, lane, released);
        }
    }

    /// A peer said goodbye after these positions, perhaps because an elder has its
    /// name.
    pub(crate) fn on_bye(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        (positions, elder): ([u64; 2], Option<Incarnation>),
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&incarnation) {
            if let Some(elder) = elder {
                let (name, younger) = (peer.info.name.clone(), incarnation);
                ctx.outputs.push_back(Output::Conflict(Conflict { name, elder, younger }));
            }
            peer.leaving = true;
            for (stream, position) in peer.streams.iter_mut().zip(positions) {
                stream.on_position(now, position);
                stream.on_goodbye(now);
            }
            self.remove_finished(incarnation, ctx);
        } else {
            self.departed.end(incarnation, self.settings.max_departed);
        }
    }

    /// Removes a peer that said goodbye, once all it sent is here.
    pub(crate) fn remove_finished(&mut self, incarnation: Incarnation, ctx: &mut Context<'_>) {
        if self.peers.get(&incarnation).is_some_and(Peer::has_finished) {
            self.remove(incarnation, LeaveReason::Bye, ctx);
        }
    }

    pub(crate) fn on_deadline(&mut self, now: Time, ctx: &mut Context<'_>) {
        let settings = self.settings;
        let due: Vec<Incarnation> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.deadline(&settings) <= now)
            .map(|(incarnation, _)| *incarnation)
            .collect();
        for incarnation in due {
            let Some(peer) = self.peers.get_mut(&incarnation) else {
                continue;
            };
            for lane in Lane::ALL {
                let mut released = Vec::new();
                let missing = peer.stream(lane).on_deadline(now, &mut released);
                ctx.release(peer, lane, released);
                if let Some((first, last)) = missing {
                    ctx.counters.naks += 1;
                    let nak = Control::Nak { lane, first, last };
                    ctx.send.push((Destination::One(incarnation), nak));
                }
            }
            if let Some(positions) = peer.take_ack(now) {
                let ack = Control::Ack { positions };
                ctx.send.push((Destination::One(incarnation), ack));
            }
            if let Some(rival) = peer.answers_late(now) {
                peer.suspicion = Some(settings.suspect(now, incarnation, Some(rival), ctx));
            }
            if peer.has_finished() {
                self.remove(incarnation, LeaveReason::Bye, ctx);
            } else if peer.has_failed(now, &settings) {
                let replaced = peer.suspicion.is_some_and(|s| s.rival.is_some());
                let reason = match (peer.leaving, replaced) {
                    (true, _) => LeaveReason::Bye,
                    (false, true) => LeaveReason::Replaced,
                    (false, false) => LeaveReason::Failed,
                };
                self.remove(incarnation, reason, ctx);
            }
        }
    }

    /// What is held or missing is settled before the peer leaves.
    fn remove(&mut self, incarnation: Incarnation, reason: LeaveReason, ctx: &mut Context<'_>) {
        let Some(mut peer) = self.peers.remove(&incarnation) else {
            return;
        };
        for lane in Lane::ALL {
            let mut released = Vec::new();
            peer.stream(lane).finish(&mut released);
            ctx.release(&mut peer, lane, released);
        }
        ctx.outputs.push_back(Output::Left { peer: peer.info.clone(), reason });
        self.departed.remember(peer, reason, self.settings.max_departed);
    }
}

/// What the parts of a node share while they handle one input.
pub(crate) struct Context<'a> {
    pub(crate) outputs: &'a mut std::collections::VecDeque<Output>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) send: &'a mut ToSend,
    /// A number not used before.
    pub(crate) nonce: u64,
    pub(crate) now: Time,
    pub(crate) settings: Settings,
}

impl Context<'_> {
    /// Hands on what a stream released.
    pub(crate) fn release(&mut self, peer: &mut Peer, lane: Lane, released: Vec<Released>) {
        let from = peer.info.incarnation;
        if !released.is_empty() {
            let taken = released.iter().map(Released::len).sum();
            peer.on_taken(taken, self.now, &self.settings);
        }
        for item in released {
            self.outputs.push_back(match item {
                Released::Data { first, count, body } => {
                    self.counters.delivered = self.counters.delivered.saturating_add(count.into());
                    Output::Deliver { from, lane, first, count, body }
                }
                Released::Missed { first, missed } => {
                    self.counters.gaps += 1;
                    self.counters.missed = self.counters.missed.saturating_add(missed);
                    let reason = if first <= peer.unreachable_until[lane.index()] {
                        GapReason::Unreachable
                    } else {
                        GapReason::Lost
                    };
                    Output::Gap(Gap { from, lane, first, missed, reason })
                }
            });
        }
    }
}

impl Settings {
    /// Asks a peer for a sign of life.
    fn suspect(
        &self,
        now: Time,
        peer: Incarnation,
        rival: Option<Rival>,
        ctx: &mut Context<'_>,
    ) -> Suspicion {
        let nonce = ctx.nonce;
        ctx.send.push((Destination::One(peer), Control::Probe { nonce }));
        Suspicion { since: now, deadline: now + self.probe_timeout, nonce, rival }
    }
}

fn conflict(name: crate::NodeName, one: Rank, other: Rank) -> Conflict {
    Conflict { name, elder: one.min(other).1, younger: one.max(other).1 }
}
