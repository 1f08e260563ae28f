//! Relays the frames of peers to members that do not hear those peers.

use super::{Membership, leaving};
use crate::context::Context;
use crate::planted::{Fault, planted};
use crate::stream::StreamId;
use crate::{Frame, Incarnation, Time};

/// Forwards a new frame to the peers that asked for a relay of its sender. A frame for this
/// node alone is not forwarded, because no other node can open it.
pub(crate) fn to_targets(
    members: &mut Membership,
    now: Time,
    frame: &Frame,
    ctx: &mut Context<'_>,
) {
    if frame.to.is_some() {
        return;
    }
    if let Some(peer) = members.peers.get_mut(&frame.incarnation) {
        peer.relay_targets.retain(|_, until| *until > now);
        if planted(Fault::RelayTargetNotServed) {
            return;
        }
        for to in peer.relay_targets.keys() {
            ctx.relay.push((*to, frame.for_relay()));
        }
    }
}

/// The member `via` relayed an event that is new to this node.
pub(crate) fn on_event(
    members: &mut Membership,
    now: Time,
    of: Incarnation,
    via: Incarnation,
    ctx: &mut Context<'_>,
) {
    if let Some(peer) = members.peers.get_mut(&of)
        && peer.departure.is_none()
    {
        peer.route.on_news(now, via, true, &members.settings);
        ctx.update_reach(peer);
    }
}

/// A member starts, renews or ends its relay of another peer's frames.
pub(crate) fn on_request(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    of: Incarnation,
    on: bool,
) {
    let limit = members.settings.max_relay_targets;
    let Some(peer) = members.peers.get_mut(&of).filter(|_| from != of) else { return };
    let known = peer.relay_targets.contains_key(&from);
    if on && (known || peer.relay_targets.len() < limit) {
        peer.relay_targets.insert(from, now + members.settings.relay_lease);
    } else if !on {
        peer.relay_targets.remove(&from);
    }
}

/// The sender of a stream no longer has its events below the number `before`.
pub(crate) fn on_unavailable(
    members: &mut Membership,
    now: Time,
    StreamId { sender, lane }: StreamId,
    before: u64,
    ctx: &mut Context<'_>,
) {
    if let Some(peer) = members.peers.get_mut(&sender) {
        peer.stream(lane).on_unavailable(now, before);
    }
    leaving::resolve(members, now, sender, ctx);
}

/// A member reports that it has no events of another node's stream below the number `before`.
pub(crate) fn on_unavailable_relay(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    StreamId { sender, lane }: StreamId,
    before: u64,
    ctx: &mut Context<'_>,
) {
    if let Some(peer) = members.peers.get_mut(&sender) {
        if !planted(Fault::RelayUnavailableIgnored) {
            peer.repair_sources.note_unavailable(from, lane, before);
        }
        peer.stream(lane).ask_at_once(now);
    }
    leaving::resolve(members, now, sender, ctx);
}
