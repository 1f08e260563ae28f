//! Timers of the members: repair requests, acknowledgements, relay leases and failures.

use super::{Membership, leaving};
use crate::context::Context;
use crate::control::Control;
use crate::peer::NakTarget;
use crate::planted::{Fault, planted};
use crate::stream::StreamId;
use crate::{Destination, Incarnation, Lane, LeaveReason, Time};

pub(crate) fn on_deadline(members: &mut Membership, now: Time, ctx: &mut Context<'_>) {
    let settings = members.settings.clone();
    let due = members.peers.iter().filter(|(_, peer)| peer.deadline(&settings) <= now);
    let due: Vec<Incarnation> = due.map(|(incarnation, _)| *incarnation).collect();
    for incarnation in due {
        on_peer_deadline(members, now, incarnation, ctx);
    }
}

fn on_peer_deadline(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) {
    let settings = members.settings.clone();
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    for lane in Lane::ALL {
        if planted(Fault::LaneForgotten) && lane == Lane::Events {
            continue;
        }
        let mut released = Vec::new();
        let is_alive = peer.departure.is_none();
        let missing = peer.stream(lane).on_deadline(now, is_alive, &mut released);
        ctx.release(peer, lane, released);
        let Some(missing) = missing else { continue };
        let range = missing.range;
        let request = match peer.nak_target(lane, missing) {
            None => continue,
            Some(NakTarget::Sender) => {
                (Destination::One(incarnation), Control::Nak { lane, range })
            }
            Some(NakTarget::Other(source)) => {
                ctx.counters.relay_naks += 1;
                let stream = StreamId { sender: incarnation, lane };
                (Destination::One(source), Control::RelayNak { stream, range })
            }
        };
        ctx.counters.naks += 1;
        if !planted(Fault::NothingAskedFor) {
            ctx.send.push(request);
        }
    }
    if let Some(positions) = peer.take_ack(now, &members.settings) {
        ctx.send.push((Destination::One(incarnation), Control::Ack { positions }));
    }
    if let Some(via) = peer.route.on_deadline(now, &settings) {
        let on = Control::RelayRequest { of: incarnation, on: true };
        ctx.send.push((Destination::One(via), on));
    }
    let mine = peer.report();
    if let Some(departure) = &mut peer.departure {
        let queried = departure.on_deadline(now).into_iter().map(Destination::One);
        ctx.send.extend(queried.map(|to| (to, Control::PeerQuery { mine, meet: false })));
        leaving::resolve(members, now, incarnation, ctx);
    } else if let Some(rival) = peer.answers_late(now) {
        peer.suspicion = Some(ctx.suspect(incarnation, Some(rival)));
    } else if peer.is_silent(now, &settings) {
        let replaced = peer.suspicion.is_some_and(|s| s.rival.is_some());
        let reason = if replaced { LeaveReason::Replaced } else { LeaveReason::Failed };
        leaving::begin(members, now, incarnation, reason, ctx);
    }
}
