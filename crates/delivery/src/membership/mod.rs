//! Membership: peers join, fail, return and leave.
//!
//! - [`failure`]: suspicion of a peer: how it starts and is cleared;
//! - [`gossip`]: what members report of each other;
//! - [`leaving`]: goodbyes, failures, and the last events of a peer;
//! - [`relay`]: frames of peers that some members do not hear;
//! - [`name_conflict`]: two nodes with one name;
//! - [`deadlines`]: what is due when, and which peer has failed.

pub(crate) mod deadlines;
pub(crate) mod failure;
pub(crate) mod gossip;
pub(crate) mod leaving;
pub(crate) mod name_conflict;
pub(crate) mod relay;

use std::collections::BTreeMap;
use std::sync::Arc;

use name_conflict::{FrozenPriority, OwnNameClaim};

use crate::context::Context;
use crate::control::Status;
use crate::flow::{InFlight, SentSoFar};
use crate::former_peers::{FormerPeers, Recall};
use crate::output::Output;
use crate::peer::Peer;
use crate::planted::{Fault, planted};
use crate::token_bucket::TokenBucket;
use crate::{Incarnation, Lane, PeerInfo, PerLane, Settings, Time};

/// The members, the former peers, and the state of failure detection and flow control.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) settings: Arc<Settings>,
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
    pub(crate) fn new(settings: Arc<Settings>, now: Time) -> Self {
        let readmissions = TokenBucket::full(settings.admission_burst, now);
        Self {
            settings,
            peers: BTreeMap::new(),
            former_peers: FormerPeers::default(),
            own_name_claim: None,
            frozen_priority: None,
            introduction_requests: BTreeMap::new(),
            readmissions,
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

    /// Admits a peer by its status. `ours` is how far this node has sent each lane.
    /// Returns `false` if the peer must not join.
    pub(crate) fn introduce(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        status: &Status,
        ours: PerLane<SentSoFar>,
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
            Recall::None => Peer::new(incarnation, status, ours, now, &self.settings),
            Recall::Failed(mut peer) => {
                peer.rejoin(status.positions, now, &self.settings);
                *peer
            }
        };
        self.former_peers.report_all(now + self.settings.former_peer_report_time);
        name_conflict::suspect_both(self, now, &mut peer, ctx);
        peer.info.last_heard = now;
        peer.info.promised_after = peer.positions();
        ctx.outputs.push_back(Output::Joined(peer.info.clone()));
        self.introduction_requests.remove(&incarnation);
        self.peers.insert(incarnation, peer);
        true
    }

    /// Whether no active receiver blocks the lane.
    pub(crate) fn may_send(&self, lane: Lane, sent: &InFlight) -> bool {
        !self.blocking(lane, sent).any(|_| true)
    }

    /// Time at which the next blocking receiver of the lane reaches its deadline.
    pub(crate) fn blocked_deadline(&self, lane: Lane, sent: &InFlight) -> Option<Time> {
        let others_idle = self.others_idle(lane, sent);
        let windows = self.blocking(lane, sent).map(|peer| &peer.windows[lane]);
        windows.map(|window| window.deadline(others_idle, sent, &self.settings)).min()
    }

    /// Until when to wait for acknowledgements of all events up to `last`; `None` if they are
    /// complete.
    pub(crate) fn unacked_until(&self, lane: Lane, last: u64, sent: &InFlight) -> Option<Time> {
        let until = |peer: &Peer| peer.windows[lane].unacked_until(last, sent, &self.settings);
        self.active().filter_map(until).max()
    }

    /// The receivers that have not acknowledged all events up to `last`, per lane.
    pub(crate) fn unacknowledged(&self, last: PerLane<u64>) -> impl Iterator<Item = &PeerInfo> {
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
        self.active().filter(move |peer| peer.windows[lane].blocks_lane(sent, &self.settings))
    }

    /// Whether a receiver has acknowledged nearly everything while another one blocks the lane.
    fn others_idle(&self, lane: Lane, sent: &InFlight) -> bool {
        self.active().any(|peer| peer.windows[lane].is_idle(sent, &self.settings))
    }

    /// Updates the receiver windows after an event frame was sent.
    pub(crate) fn on_sent(&mut self, now: Time, lane: Lane, sent: &InFlight) {
        let settings = self.settings.clone();
        for peer in self.peers.values_mut() {
            peer.windows[lane].on_sent(sent, &settings, now);
        }
    }

    /// Stops waiting for receivers that block the lane past their deadline. Returns how many of
    /// them are now excluded from flow control.
    pub(crate) fn exclude_overdue(&mut self, now: Time, lane: Lane, sent: &InFlight) -> u64 {
        let (mut count, others_idle) = (0, self.others_idle(lane, sent));
        for peer in self.peers.values_mut() {
            let window = &mut peer.windows[lane];
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
            peer.windows[lane].on_sending(last, now);
        }
    }

    /// Readmits a failed peer if it sent more events than this node received. Returns whether it
    /// did.
    pub(crate) fn readmit(
        &mut self,
        now: Time,
        of: Incarnation,
        sent: PerLane<u64>,
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
        let Settings { admission_burst, admission_rate, .. } = *self.settings;
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
}
