//! Who asks for events that it missed is answered, within its share.

use crate::control::Control;
use crate::repair::Answer;
use crate::{Destination, Frame, Incarnation, Lane, Node, Output, Time};

/// Bytes that an answer counts as besides its frames: who asks for nothing that there is costs
/// time.
const ANSWER_COST: usize = 4096;

/// Of what somebody is sent something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// What each member may have.
    Own,
    /// What nobody else needs.
    Spare,
}

impl Node {
    /// Sends again what a member asked for.
    pub(crate) fn repair(
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
        let sent = &self.outstanding[lane.index()];
        peer.confirmed[lane.index()].on_loss(last, sent, &self.settings, now);
        let Some(share) = self.share(now, from) else { return };
        let answer = self.repair.own(now, lane, first, last);
        self.charge(from, share, &answer);
        let to = Destination::One(from);
        if let Some(before) = answer.lacks_before {
            self.transmit(to, &Control::Gone { lane, before });
        }
        self.counters.replayed_frames += answer.frames.len() as u64;
        let frames = answer.frames.into_iter();
        self.outputs.extend(frames.map(|frame| Output::Transmit { to, frame }));
    }

    /// Passes on what a member cannot have from its sender.
    pub(crate) fn repair_of_other(
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
        let Some(share) = self.share(now, to) else { return };
        let stream = self.membership.get(from).map(|peer| &peer.streams[lane.index()]);
        let held = stream.into_iter().flat_map(|stream| stream.held(first, last));
        let answer = self.repair.of_other(now, (from, lane), (first, last), held);
        self.charge(to, share, &answer);
        if let Some(before) = answer.lacks_before {
            self.transmit(Destination::One(to), &Control::Lacks { from, lane, before });
        }
        for frame in answer.frames {
            self.relay(to, frame.for_others());
        }
    }

    /// Of what a member gets an answer now, if it does.
    fn share(&mut self, now: Time, who: Incarnation) -> Option<Share> {
        let rate = self.settings.repair_rate_of_one;
        if self.membership.get_mut(who)?.repairs.has_any(now, rate, rate) {
            return Some(Share::Own);
        }
        self.repair.spares(now, ANSWER_COST).then_some(Share::Spare)
    }

    /// What an answer costs who asked.
    fn charge(&mut self, who: Incarnation, share: Share, answer: &Answer) {
        let frames: usize = answer.frames.iter().map(Frame::cost).sum();
        if let Some(peer) = self.membership.get_mut(who).filter(|_| share == Share::Own) {
            peer.repairs.take(frames + ANSWER_COST);
        }
    }
}
