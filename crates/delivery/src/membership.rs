//! Who takes part: joining, leaving, failing, coming back.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::control::{Control, Status};
use crate::flow::InFlight;
use crate::former_peers::{FormerPeers, Recall};
use crate::name_conflict::{FrozenPriority, OwnNameClaim};
use crate::output::{NameConflict, Output};
use crate::peer::{NakTarget, Peer};
use crate::planted::{Fault, planted};
use crate::token_bucket::TokenBucket;
use crate::{Destination, Frame, Incarnation, Lane, LeaveReason, PeerInfo, Settings, Time};

#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) settings: Settings,
    pub(crate) peers: BTreeMap<Incarnation, Peer>,
    pub(crate) former_peers: FormerPeers,
    /// A live node of our own name, asked to prove that it lives.
    pub(crate) own_name_claim: Option<OwnNameClaim>,
    pub(crate) frozen_priority: Option<FrozenPriority>,
    /// Who was told of by others and asked to be introduced, and when.
    pub(crate) introduction_requests: BTreeMap<Incarnation, Time>,
    /// How many of those that left may be taken in again on others' word.
    pub(crate) readmissions: TokenBucket,
    /// The last peer told of in a digest.
    pub(crate) last_reported: Option<Incarnation>,
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    Direct,
    /// Passed on by this peer.
    Via(Incarnation),
}

impl Membership {
    pub(crate) fn new(settings: Settings, now: Time) -> Self {
        Self {
            settings,
            peers: BTreeMap::new(),
            former_peers: FormerPeers::default(),
            own_name_claim: None,
            frozen_priority: None,
            introduction_requests: BTreeMap::new(),
            readmissions: TokenBucket::full(settings.admission_burst, now),
            last_reported: None,
        }
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
        self.former_peers.accept(incarnation, number)
    }

    /// Takes in a peer by its status. `false` if it may not take part.
    pub(crate) fn introduce(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        status: &Status,
        ours: [(u64, u64); 2],
        ctx: &mut Context<'_>,
    ) -> bool {
        if self.peers.contains_key(&incarnation) {
            return true;
        }
        if self.peers.len() >= self.settings.max_peers {
            ctx.counters.too_many_peers += 1;
            return false;
        }
        let mut peer = match self.former_peers.recall(incarnation) {
            Recall::Ended => return false,
            Recall::None => Peer::new(incarnation, status, ours, now, self.settings),
            Recall::Failed(mut peer) => {
                peer.rejoin(status.positions, now, &self.settings);
                *peer
            }
        };
        self.former_peers.report_all(now + self.settings.former_peer_report_time);
        self.suspect_same_name(now, &mut peer, ctx);
        peer.info.last_heard = now;
        peer.info.promised_after = peer.positions();
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        self.introduction_requests.remove(&incarnation);
        self.peers.insert(incarnation, peer);
        true
    }

    /// The bus says that the way to a peer closed: ask for a sign of life. Unless
    /// others pass on what it says: then it is known that the way is closed.
    pub(crate) fn on_link_down(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&incarnation)
            && peer.is_unsuspected()
            && peer.info.reach == crate::Reach::Direct
        {
            peer.suspicion = Some(self.settings.suspect(now, incarnation, None, ctx));
        }
    }

    /// Whether no active receiver keeps the lane closed.
    pub(crate) fn may_send(&self, lane: Lane, sent: &InFlight) -> bool {
        !self.blocking(lane, sent).any(|_| true)
    }

    /// Until when a receiver keeps the lane closed.
    pub(crate) fn blocked_deadline(&self, lane: Lane, sent: &InFlight) -> Option<Time> {
        let others_idle = self.others_idle(lane, sent);
        let confirmed = self.blocking(lane, sent).map(|peer| &peer.windows[lane.index()]);
        confirmed.map(|confirmed| confirmed.deadline(others_idle, sent, &self.settings)).min()
    }

    /// Until when it is worth waiting for the receivers to confirm everything up to the
    /// event `last` of the lane; `None` if they have.
    pub(crate) fn unacked_until(&self, lane: Lane, last: u64, sent: &InFlight) -> Option<Time> {
        let awaited =
            |peer: &Peer| peer.windows[lane.index()].unacked_until(last, sent, &self.settings);
        self.active().filter_map(awaited).max()
    }

    /// The receivers that have not confirmed everything up to these events.
    pub(crate) fn unacknowledged(&self, last: [u64; 2]) -> impl Iterator<Item = &PeerInfo> {
        let note_unavailable = move |peer: &&Peer| {
            peer.windows.iter().zip(last).any(|(confirmed, last)| !confirmed.has(last))
        };
        self.active().filter(note_unavailable).map(|peer| &peer.info)
    }

    /// Those that are not about to leave.
    fn active(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.departure.is_none())
    }

    fn blocking(&self, lane: Lane, sent: &InFlight) -> impl Iterator<Item = &Peer> {
        self.active()
            .filter(move |peer| peer.windows[lane.index()].blocks_lane(sent, &self.settings))
    }

    /// Whether some receiver has nearly nothing to confirm, while the lane is closed.
    fn others_idle(&self, lane: Lane, sent: &InFlight) -> bool {
        self.active().any(|peer| peer.windows[lane.index()].is_idle(sent, &self.settings))
    }

    /// Something was sent.
    pub(crate) fn on_sent(&mut self, now: Time, lane: Lane, sent: &InFlight) {
        let settings = self.settings;
        for peer in self.peers.values_mut() {
            peer.windows[lane.index()].on_sent(sent, &settings, now);
        }
    }

    /// No longer waits for who keeps the lane closed for too long. How many were set aside.
    pub(crate) fn exclude_overdue(&mut self, now: Time, lane: Lane, sent: &InFlight) -> u64 {
        let (mut count, others_idle) = (0, self.others_idle(lane, sent));
        for peer in self.peers.values_mut() {
            let confirmed = &mut peer.windows[lane.index()];
            let overdue = confirmed.deadline(others_idle, sent, &self.settings) <= now
                && !planted(Fault::NeverExcluded);
            if overdue && confirmed.blocks_lane(sent, &self.settings) {
                count += u64::from(confirmed.suspend(others_idle, &self.settings, now));
            }
        }
        count
    }

    /// An event is sent after the event `last` of the lane.
    pub(crate) fn on_sending(&mut self, now: Time, lane: Lane, last: u64) {
        for peer in self.peers.values_mut() {
            peer.windows[lane.index()].on_sending(last, now);
        }
    }

    /// A frame that its sender had not sent before is a sign of life. It does not clear
    /// a suspect with a rival: the frame may have been on its way when its sender died.
    pub(crate) fn on_heard_directly(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&incarnation) else {
            return;
        };
        peer.info.last_heard = now;
        peer.clear_suspicion();
        if let Some(via) = peer.route.on_direct(now) {
            let off = Control::RelayRequest { whom: incarnation, on: false };
            ctx.send.push((Destination::One(via), off));
            // What we told of others while it did not reach us it may have had to add to.
            self.former_peers.report_all(now + self.settings.former_peer_report_time);
        }
        ctx.update_reach(peer);
    }

    /// A frame of a peer that is new here: for those that do not hear it themselves. What is for
    /// this node alone no other can open.
    pub(crate) fn relay_to_targets(&mut self, now: Time, frame: &Frame, ctx: &mut Context<'_>) {
        if frame.to.is_some() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&frame.incarnation) {
            peer.relay_targets.retain(|_, until| *until > now);
            if planted(Fault::RelayTargetNotServed) {
                return;
            }
            for to in peer.relay_targets.keys() {
                ctx.relay.push((*to, frame.for_relay()));
            }
        }
    }

    /// A peer no longer has the events of a lane before a number.
    pub(crate) fn on_unavailable(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        (lane, before): (Lane, u64),
        ctx: &mut Context<'_>,
    ) {
        if let Some(peer) = self.peers.get_mut(&incarnation) {
            peer.stream(lane).on_unavailable(now, before);
        }
        self.resolve(now, incarnation, ctx);
    }

    /// A peer said goodbye after these positions, perhaps because another node
    /// keeps its name.
    pub(crate) fn on_bye(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        (positions, winner): ([u64; 2], Option<Incarnation>),
        ctx: &mut Context<'_>,
    ) {
        self.readmit(now, incarnation, positions, ctx);
        let Some(peer) = self.peers.get_mut(&incarnation) else {
            let silent = self.former_peers.failed(incarnation).map(Peer::positions);
            let misses = silent.is_some_and(|had| positions.iter().zip(had).any(|(p, h)| *p > h));
            // One that is missed something of stays known as silent: others tell of it.
            if !misses {
                self.former_peers.mark_ended(incarnation, self.settings.max_former_peers);
            }
            return;
        };
        if let Some(winner) = winner {
            let (name, loser) = (peer.info.name.clone(), incarnation);
            ctx.outputs.push_back(Output::NameConflict(NameConflict { name, winner, loser }));
        }
        for (stream, position) in peer.streams.iter_mut().zip(positions) {
            stream.on_final_position(now, position);
        }
        self.begin_departure(now, incarnation, LeaveReason::Bye, ctx);
    }

    pub(crate) fn on_deadline(&mut self, now: Time, ctx: &mut Context<'_>) {
        let settings = self.settings;
        let due = self.peers.iter().filter(|(_, peer)| peer.deadline(&settings) <= now);
        let due: Vec<Incarnation> = due.map(|(incarnation, _)| *incarnation).collect();
        for incarnation in due {
            self.on_peer_deadline(now, incarnation, ctx);
        }
    }

    fn on_peer_deadline(&mut self, now: Time, incarnation: Incarnation, ctx: &mut Context<'_>) {
        let settings = self.settings;
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        for lane in Lane::ALL {
            if planted(Fault::LaneForgotten) && lane == Lane::Events {
                continue;
            }
            let mut released = Vec::new();
            let lives = peer.departure.is_none();
            let missing = peer.stream(lane).on_deadline(now, lives, &mut released);
            ctx.release(peer, lane, released);
            let Some(missing) = missing else { continue };
            let (first, last) = (missing.first, missing.last);
            let ask = match peer.nak_target(lane, missing) {
                None => continue,
                Some(NakTarget::Sender) => {
                    (Destination::One(incarnation), Control::Nak { lane, first, last })
                }
                Some(NakTarget::Other(source)) => {
                    ctx.counters.relay_naks += 1;
                    let pull = Control::RelayNak { from: incarnation, lane, first, last };
                    (Destination::One(source), pull)
                }
            };
            ctx.counters.naks += 1;
            if !planted(Fault::NothingAskedFor) {
                ctx.send.push(ask);
            }
        }
        if let Some(positions) = peer.take_ack(now, &self.settings) {
            ctx.send.push((Destination::One(incarnation), Control::Ack { positions }));
        }
        if let Some(via) = peer.route.on_deadline(now, &settings) {
            let on = Control::RelayRequest { whom: incarnation, on: true };
            ctx.send.push((Destination::One(via), on));
        }
        let mine = peer.report();
        if let Some(departure) = &mut peer.departure {
            let asked = departure.on_deadline(now).into_iter().map(Destination::One);
            ctx.send.extend(asked.map(|to| (to, Control::PeerQuery { mine, meet: false })));
            self.resolve(now, incarnation, ctx);
        } else if let Some(rival) = peer.answers_late(now) {
            peer.suspicion = Some(settings.suspect(now, incarnation, Some(rival), ctx));
        } else if peer.is_silent(now, &settings) {
            let replaced = peer.suspicion.is_some_and(|s| s.rival.is_some());
            let reason = if replaced { LeaveReason::Replaced } else { LeaveReason::Failed };
            self.begin_departure(now, incarnation, reason, ctx);
        }
    }
}
