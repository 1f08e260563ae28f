//! Membership: peers join, fail, return and leave.

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

/// The members, the former peers, and the state of failure detection and flow control.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) settings: Settings,
    pub(crate) peers: BTreeMap<Incarnation, Peer>,
    pub(crate) former_peers: FormerPeers,
    /// A node that uses this node's name and is being probed.
    pub(crate) own_name_claim: Option<OwnNameClaim>,
    pub(crate) frozen_priority: Option<FrozenPriority>,
    /// Nodes for which a peer was asked for an introduction, and when.
    pub(crate) introduction_requests: BTreeMap<Incarnation, Time>,
    /// Budget for readmitting former peers because of reports from other peers.
    pub(crate) readmissions: TokenBucket,
    /// The last member in the previous digest; the next digest starts after it.
    pub(crate) last_reported: Option<Incarnation>,
}

/// How a message arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    Direct,
    /// The message was relayed by this peer.
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

    /// Whether a message with this number may introduce (or reintroduce) a non-member. Rejects
    /// replays from before the peer failed.
    pub(crate) fn may_introduce(&mut self, incarnation: Incarnation, number: u64) -> bool {
        self.former_peers.accept(incarnation, number)
    }

    /// Admits a peer by its status. `ours` is our last event number and the bytes sent, per lane.
    /// Returns `false` if the peer must not join.
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

    /// The bus reports that the link to a peer is closed: probe the peer. A relayed peer is not
    /// probed, because its link is known to be closed.
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

    /// Whether no active receiver blocks the lane.
    pub(crate) fn may_send(&self, lane: Lane, sent: &InFlight) -> bool {
        !self.blocking(lane, sent).any(|_| true)
    }

    /// Time at which the next blocking receiver of the lane reaches its deadline.
    pub(crate) fn blocked_deadline(&self, lane: Lane, sent: &InFlight) -> Option<Time> {
        let others_idle = self.others_idle(lane, sent);
        let windows = self.blocking(lane, sent).map(|peer| &peer.windows[lane.index()]);
        windows.map(|window| window.deadline(others_idle, sent, &self.settings)).min()
    }

    /// Until when to wait for acknowledgements of all events up to `last`; `None` if they are
    /// complete.
    pub(crate) fn unacked_until(&self, lane: Lane, last: u64, sent: &InFlight) -> Option<Time> {
        let until =
            |peer: &Peer| peer.windows[lane.index()].unacked_until(last, sent, &self.settings);
        self.active().filter_map(until).max()
    }

    /// The receivers that have not acknowledged all events up to `last`, per lane.
    pub(crate) fn unacknowledged(&self, last: [u64; 2]) -> impl Iterator<Item = &PeerInfo> {
        let is_behind = move |peer: &&Peer| {
            peer.windows.iter().zip(last).any(|(window, last)| !window.has(last))
        };
        self.active().filter(is_behind).map(|peer| &peer.info)
    }

    /// The peers that have no departure in progress.
    fn active(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.departure.is_none())
    }

    fn blocking(&self, lane: Lane, sent: &InFlight) -> impl Iterator<Item = &Peer> {
        self.active()
            .filter(move |peer| peer.windows[lane.index()].blocks_lane(sent, &self.settings))
    }

    /// Whether a receiver has acknowledged nearly everything while another one blocks the lane.
    fn others_idle(&self, lane: Lane, sent: &InFlight) -> bool {
        self.active().any(|peer| peer.windows[lane.index()].is_idle(sent, &self.settings))
    }

    /// Updates the receiver windows after an event frame was sent.
    pub(crate) fn on_sent(&mut self, now: Time, lane: Lane, sent: &InFlight) {
        let settings = self.settings;
        for peer in self.peers.values_mut() {
            peer.windows[lane.index()].on_sent(sent, &settings, now);
        }
    }

    /// Stops waiting for receivers that block the lane past their deadline. Returns how many of
    /// them are now excluded from flow control.
    pub(crate) fn exclude_overdue(&mut self, now: Time, lane: Lane, sent: &InFlight) -> u64 {
        let (mut count, others_idle) = (0, self.others_idle(lane, sent));
        for peer in self.peers.values_mut() {
            let window = &mut peer.windows[lane.index()];
            let overdue = window.deadline(others_idle, sent, &self.settings) <= now
                && !planted(Fault::NeverExcluded);
            if overdue && window.blocks_lane(sent, &self.settings) {
                count += u64::from(window.suspend(others_idle, &self.settings, now));
            }
        }
        count
    }

    /// Prepares the receiver windows before an event is sent after the event `last`.
    pub(crate) fn on_sending(&mut self, now: Time, lane: Lane, last: u64) {
        for peer in self.peers.values_mut() {
            peer.windows[lane.index()].on_sending(last, now);
        }
    }

    /// A new frame from its sender proves that the sender is alive. It does not clear a suspicion
    /// with a rival: the frame may have been in flight when the sender died.
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
            // While the peer was unreachable, it may have heard more of the former peers than this
            // node reported. Report them all again, so that it can add that.
            self.former_peers.report_all(now + self.settings.former_peer_report_time);
        }
        ctx.update_reach(peer);
    }

    /// Forwards a new frame to the peers that asked for a relay of its sender. A frame for this
    /// node alone is not forwarded, because no other node can open it.
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

    /// The sender no longer has the events of a lane below a number.
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

    /// A peer said goodbye at these positions. `winner` is the node that keeps its name, if it left
    /// because of a name conflict.
    pub(crate) fn on_bye(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        (positions, winner): ([u64; 2], Option<Incarnation>),
        ctx: &mut Context<'_>,
    ) {
        self.readmit(now, incarnation, positions, ctx);
        let Some(peer) = self.peers.get_mut(&incarnation) else {
            let received = self.former_peers.failed(incarnation).map(Peer::positions);
            let misses = received
                .is_some_and(|received| positions.iter().zip(received).any(|(p, r)| *p > r));
            // If events of the peer are missing, it stays remembered as failed, so that reports
            // from other peers can still readmit it.
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
            let is_alive = peer.departure.is_none();
            let missing = peer.stream(lane).on_deadline(now, is_alive, &mut released);
            ctx.release(peer, lane, released);
            let Some(missing) = missing else { continue };
            let (first, last) = (missing.first, missing.last);
            let request = match peer.nak_target(lane, missing) {
                None => continue,
                Some(NakTarget::Sender) => {
                    (Destination::One(incarnation), Control::Nak { lane, first, last })
                }
                Some(NakTarget::Other(source)) => {
                    ctx.counters.relay_naks += 1;
                    let nak = Control::RelayNak { from: incarnation, lane, first, last };
                    (Destination::One(source), nak)
                }
            };
            ctx.counters.naks += 1;
            if !planted(Fault::NothingAskedFor) {
                ctx.send.push(request);
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
            let queried = departure.on_deadline(now).into_iter().map(Destination::One);
            ctx.send.extend(queried.map(|to| (to, Control::PeerQuery { mine, meet: false })));
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
