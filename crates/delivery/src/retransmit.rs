//! Who asks for events that it missed is answered, within its share.

use crate::control::Control;
use crate::repair::Answer;
use crate::{Destination, Endpoint, Frame, Incarnation, Lane, Output, Time};

/// Bytes that an answer counts as besides its frames: who asks for nothing that there is costs
/// time.
const REQUEST_COST: usize = 4096;

/// Of what somebody is sent something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RepairBudget {
    /// What each member may have.
    PerPeer,
    /// What nobody else needs.
    Spare,
}

impl Endpoint {
    /// Sends again what a member asked for.
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
        // Of what is not sent yet nothing can be missing: the request was for another, put
        // before us by somebody who recorded it.
        let last = last.min(self.positions[lane.index()]);
        if !is_sound || first > last {
            self.counters.malformed += 1;
            return;
        }
        let sent = &self.in_flight[lane.index()];
        peer.windows[lane.index()].on_loss(last, sent, &self.settings, now);
        let Some(share) = self.repair_budget(now, from) else { return };
        let answer = self.repair.answer_own(now, lane, first, last);
        self.charge(from, share, &answer);
        let to = Destination::One(from);
        if let Some(before) = answer.unavailable_before {
            self.transmit(to, &Control::Unavailable { lane, before });
        }
        self.counters.retransmitted_frames += answer.frames.len() as u64;
        let frames = answer.frames.into_iter();
        self.outputs.extend(frames.map(|frame| Output::Transmit { to, frame }));
    }

    /// Passes on what a member cannot have from its sender.
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
        let Some(share) = self.repair_budget(now, to) else { return };
        let stream = self.membership.get(from).map(|peer| &peer.streams[lane.index()]);
        let held = stream.into_iter().flat_map(|stream| stream.held(first, last));
        let answer = self.repair.answer_relayed(now, (from, lane), (first, last), held);
        self.charge(to, share, &answer);
        if let Some(before) = answer.unavailable_before {
            self.transmit(Destination::One(to), &Control::RelayUnavailable { from, lane, before });
        }
        for frame in answer.frames {
            self.relay(to, frame.for_relay());
        }
    }

    /// Of what a member gets an answer now, if it does.
    fn repair_budget(&mut self, now: Time, who: Incarnation) -> Option<RepairBudget> {
        let rate = self.settings.repair_rate_per_peer;
        if self.membership.get_mut(who)?.repairs.refill(now, rate, rate) {
            return Some(RepairBudget::PerPeer);
        }
        self.repair.take_spare_budget(now, REQUEST_COST).then_some(RepairBudget::Spare)
    }

    /// What an answer costs who asked.
    fn charge(&mut self, who: Incarnation, share: RepairBudget, answer: &Answer) {
        let frames: usize = answer.frames.iter().map(Frame::cost).sum();
        if let Some(peer) = self.membership.get_mut(who).filter(|_| share == RepairBudget::PerPeer)
        {
            peer.repairs.take(frames + REQUEST_COST);
        }
    }
}
