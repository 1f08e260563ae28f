//! Answers to members that request missing events, within their share of the repair rate.

use crate::control::Control;
use crate::repair::Answer;
use crate::{Destination, Endpoint, Frame, Incarnation, Lane, Output, Time};

/// Fixed charge in bytes per request, so that a request that no frame answers is rate-limited too.
const REQUEST_COST: usize = 4096;

/// The budget that pays for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RepairBudget {
    /// The share of the requesting peer.
    PerPeer,
    /// The common budget, beyond what it reserves for the other peers.
    Spare,
}

impl Endpoint {
    /// Retransmits events of this node that a member requested.
    pub(crate) fn retransmit(
        &mut self,
        now: Time,
        from: Incarnation,
        lane: Lane,
        (first, last): (u64, u64),
    ) {
        let Some(peer) = self.membership.get_mut(from) else {
            self.counters.unknown_sender += 1;
            return;
        };
        let is_sound = first > 0 && last >= first;
        // An event that is not sent yet cannot be missing. Such a request is faulty, or somebody
        // recorded it elsewhere and replays it here.
        let last = last.min(self.positions[lane.index()]);
        if !is_sound || first > last {
            self.counters.malformed += 1;
            return;
        }
        let sent = &self.in_flight[lane.index()];
        peer.windows[lane.index()].on_loss(last, sent, &self.settings, now);
        let Some(budget) = self.repair_budget(now, from) else { return };
        let answer = self.repair.answer_own(now, lane, first, last);
        self.charge(from, budget, &answer);
        let to = Destination::One(from);
        if let Some(before) = answer.unavailable_before {
            self.transmit(to, &Control::Unavailable { lane, before });
        }
        self.counters.retransmitted_frames += answer.frames.len() as u64;
        let frames = answer.frames.into_iter();
        self.outputs.extend(frames.map(|frame| Output::Transmit { to, frame }));
    }

    /// Relays events that the member `to` cannot get from their sender.
    pub(crate) fn relay_repair(
        &mut self,
        now: Time,
        to: Incarnation,
        (from, lane): (Incarnation, Lane),
        (first, last): (u64, u64),
    ) {
        let is_ours = from == self.identity.incarnation || from == to;
        if self.membership.get(to).is_none() {
            self.counters.unknown_sender += 1;
            return;
        }
        let is_sound = !is_ours && first > 0 && last >= first;
        if !is_sound {
            self.counters.malformed += 1;
            return;
        }
        let Some(budget) = self.repair_budget(now, to) else { return };
        let stream = self.membership.get(from).map(|peer| &peer.streams[lane.index()]);
        let held = stream.into_iter().flat_map(|stream| stream.held(first, last));
        let answer = self.repair.answer_relayed(now, (from, lane), (first, last), held);
        self.charge(to, budget, &answer);
        if let Some(before) = answer.unavailable_before {
            self.transmit(Destination::One(to), &Control::RelayUnavailable { from, lane, before });
        }
        for frame in answer.frames {
            self.relay(to, frame.for_relay());
        }
    }

    /// The budget that pays for an answer to `requester` now; `None` if there is none.
    fn repair_budget(&mut self, now: Time, requester: Incarnation) -> Option<RepairBudget> {
        let rate = self.settings.repair_rate_per_peer;
        if self.membership.get_mut(requester)?.repairs.refill(now, rate, rate) {
            return Some(RepairBudget::PerPeer);
        }
        self.repair.take_spare_budget(now, REQUEST_COST).then_some(RepairBudget::Spare)
    }

    /// Charges an answer to the peer that requested it.
    fn charge(&mut self, requester: Incarnation, budget: RepairBudget, answer: &Answer) {
        let frames: usize = answer.frames.iter().map(Frame::cost).sum();
        if let Some(peer) =
            self.membership.get_mut(requester).filter(|_| budget == RepairBudget::PerPeer)
        {
            peer.repairs.take(frames + REQUEST_COST);
        }
    }
}
