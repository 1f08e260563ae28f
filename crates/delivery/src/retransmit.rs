//! Answers to members that request missing events, within their share of the repair rate.

use crate::control::Control;
use crate::repair::Answer;
use crate::stream::{EventRange, StreamId};
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

/// Retransmits events of this node that a member requested.
pub(crate) fn own_events(
    endpoint: &mut Endpoint,
    now: Time,
    from: Incarnation,
    lane: Lane,
    range: EventRange,
) {
    let Some(peer) = endpoint.membership.get_mut(from) else {
        endpoint.counters.unknown_sender += 1;
        return;
    };
    // An event that is not sent yet cannot be missing. Such a request is faulty, or somebody
    // recorded it elsewhere and replays it here.
    let range = range.up_to(endpoint.positions[lane]);
    if !range.is_sound() {
        endpoint.counters.malformed += 1;
        return;
    }
    let sent = &endpoint.in_flight[lane];
    peer.windows[lane].on_loss(range.last, sent, &endpoint.settings, now);
    let Some(budget) = repair_budget(endpoint, now, from) else { return };
    let answer = endpoint.repair.answer_own(now, lane, range);
    charge(endpoint, from, budget, &answer);
    let to = Destination::One(from);
    if let Some(before) = answer.unavailable_before {
        endpoint.transmit(to, &Control::Unavailable { lane, before });
    }
    endpoint.counters.retransmitted_frames += answer.frames.len() as u64;
    let frames = answer.frames.into_iter();
    endpoint.outputs.extend(frames.map(|frame| Output::Transmit { to, frame }));
}

/// Relays events that the member `to` cannot get from their sender.
pub(crate) fn relayed_events(
    endpoint: &mut Endpoint,
    now: Time,
    to: Incarnation,
    stream: StreamId,
    range: EventRange,
) {
    let is_ours = stream.sender == endpoint.identity.incarnation || stream.sender == to;
    if endpoint.membership.get(to).is_none() {
        endpoint.counters.unknown_sender += 1;
        return;
    }
    if is_ours || !range.is_sound() {
        endpoint.counters.malformed += 1;
        return;
    }
    let Some(budget) = repair_budget(endpoint, now, to) else { return };
    let received = endpoint.membership.get(stream.sender).map(|peer| &peer.streams[stream.lane]);
    let held = received.into_iter().flat_map(|received| received.held(range));
    let answer = endpoint.repair.answer_relayed(now, stream, range, held);
    charge(endpoint, to, budget, &answer);
    if let Some(before) = answer.unavailable_before {
        let unavailable = Control::RelayUnavailable { stream, before };
        endpoint.transmit(Destination::One(to), &unavailable);
    }
    for frame in answer.frames {
        endpoint.relay(to, frame.for_relay());
    }
}

/// The budget that pays for an answer to `requester` now; `None` if there is none.
fn repair_budget(
    endpoint: &mut Endpoint,
    now: Time,
    requester: Incarnation,
) -> Option<RepairBudget> {
    let rate = endpoint.settings.repair_rate_per_peer;
    if endpoint.membership.get_mut(requester)?.repairs.refill(now, rate, rate) {
        return Some(RepairBudget::PerPeer);
    }
    endpoint.repair.take_spare_budget(now, REQUEST_COST).then_some(RepairBudget::Spare)
}

/// Charges an answer to the peer that requested it.
fn charge(endpoint: &mut Endpoint, requester: Incarnation, budget: RepairBudget, answer: &Answer) {
    let frames: usize = answer.frames.iter().map(Frame::cost).sum();
    if let Some(peer) =
        endpoint.membership.get_mut(requester).filter(|_| budget == RepairBudget::PerPeer)
    {
        peer.repairs.take(frames + REQUEST_COST);
    }
}
