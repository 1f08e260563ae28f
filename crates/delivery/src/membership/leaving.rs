//! A peer leaves: the members ask each other for its last events first.

use std::collections::BTreeSet;

use super::Membership;
use crate::context::Context;
use crate::control::{Control, PeerReport};
use crate::departure::Departure;
use crate::output::{NameConflict, Output};
use crate::peer::Peer;
use crate::planted::{Fault, planted};
use crate::{Destination, Incarnation, Lane, LeaveReason, PerLane, Time};

/// A peer said goodbye at these positions. `winner` is the node that keeps its name, if it left
/// because of a name conflict.
pub(crate) fn on_bye(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    positions: PerLane<u64>,
    winner: Option<Incarnation>,
    ctx: &mut Context<'_>,
) {
    members.readmit(now, incarnation, positions, ctx);
    let Some(peer) = members.peers.get_mut(&incarnation) else {
        let received = members.former_peers.failed(incarnation).map(Peer::positions);
        let misses =
            received.is_some_and(|received| positions.iter().zip(received).any(|(p, r)| *p > r));
        // If events of the peer are missing, it stays remembered as failed, so that reports
        // from other peers can still readmit it.
        if !misses {
            members.former_peers.mark_ended(incarnation, members.settings.max_former_peers);
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
    begin(members, now, incarnation, LeaveReason::Bye, ctx);
}

/// Starts the departure of a peer and queries the other peers about it.
pub(crate) fn begin(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    reason: LeaveReason,
    ctx: &mut Context<'_>,
) {
    for other in stop_awaiting(members, incarnation, ctx) {
        resolve(members, now, other, ctx);
    }
    let others = members
        .peers
        .iter()
        .filter(|(other, peer)| **other != incarnation && peer.is_unsuspected());
    let mut others: BTreeSet<_> = others.map(|(other, _)| *other).collect();
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    if reason == LeaveReason::Bye && peer.is_complete() {
        // The goodbye carries the last positions, and every event up to them is here.
        others.clear();
    }
    if planted(Fault::LastEventsNotAskedFor) {
        others.clear();
    }
    if !others.is_empty() {
        let mine = PeerReport { is_suspected: true, ..peer.report() };
        ctx.send.push((Destination::All, Control::PeerQuery { mine, meet: false }));
    }
    let hold_until = match (reason, &peer.suspicion) {
        // The peer was out of reach, and perhaps the peers that have its events were too. Those
        // peers announce themselves with their next heartbeat.
        (LeaveReason::Bye, _)
            if now.since(peer.info.last_heard) >= members.settings.failure_timeout =>
        {
            now + members.settings.heartbeat_max + members.settings.peer_query_timeout
        }
        (LeaveReason::Bye, _) => now + members.settings.goodbye_timeout,
        (_, Some(_)) => now,
        (_, None) => peer.info.last_heard + members.settings.failure_timeout,
    };
    peer.departure = Some(Departure::begin(now, reason, others, hold_until, &members.settings));
    for stream in &mut peer.streams {
        stream.accept_reported_position(now);
        stream.ask_at_once(now);
    }
    resolve(members, now, incarnation, ctx);
}

/// Gives up the events of a peer that no peer can provide. If its departure is complete, the
/// peer is removed, and the departures that waited for its answer are resolved too.
pub(crate) fn resolve(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) {
    let mut unresolved = BTreeSet::new();
    let mut next = Some(incarnation);
    while let Some(incarnation) = next {
        if let Some(reason) = resolve_peer(members, now, incarnation, ctx) {
            remove(members, incarnation, reason, ctx);
            // Its earlier reports may have arrived since its departure began, so other
            // departures may depend on it again.
            unresolved.extend(stop_awaiting(members, incarnation, ctx));
        }
        next = unresolved.pop_first();
    }
}

/// Gives up unobtainable events of a peer. Returns its reason to leave if it leaves now.
fn resolve_peer(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) -> Option<LeaveReason> {
    let peer = members.peers.get_mut(&incarnation)?;
    for lane in Lane::ALL {
        let mut released = Vec::new();
        peer.give_up_unobtainable(now, lane, &mut released);
        ctx.release(peer, lane, released);
    }
    let departure = peer.departure.as_ref()?;
    let may_leave = departure.reason == LeaveReason::Bye || departure.may_give_up();
    let is_hasty = planted(Fault::GoodbyeWithHoles) && departure.reason == LeaveReason::Bye;
    (may_leave && (is_hasty || peer.is_complete())).then_some(departure.reason)
}

/// Removes a member. Held frames are released and holes are reported before `Output::Left`.
fn remove(
    members: &mut Membership,
    incarnation: Incarnation,
    reason: LeaveReason,
    ctx: &mut Context<'_>,
) {
    let Some(mut peer) = members.peers.remove(&incarnation) else {
        return;
    };
    for lane in Lane::ALL {
        let mut released = Vec::new();
        peer.stream(lane).finish(&mut released);
        ctx.release(&mut peer, lane, released);
    }
    ctx.outputs.push_back(Output::Left { peer: peer.info.clone(), reason });
    let report_until = ctx.now + members.settings.former_peer_report_time;
    members.former_peers.remember(peer, reason, report_until, members.settings.max_former_peers);
    for peer in members.peers.values_mut() {
        peer.relay_targets.remove(&incarnation);
        peer.liveness_queriers.remove(&incarnation);
        // The removed peer is no longer a rival. A peer heard since then is cleared.
        if let Some(suspicion) = &mut peer.suspicion
            && suspicion.rival.take_if(|rival| rival.priority.incarnation == incarnation).is_some()
            && peer.info.last_heard > suspicion.since
        {
            peer.clear_suspicion();
        }
    }
}

/// A suspected or removed peer neither answers queries nor relays. Returns the peers whose
/// departure or repair may change because of that.
fn stop_awaiting(
    members: &mut Membership,
    absent: Incarnation,
    ctx: &mut Context<'_>,
) -> Vec<Incarnation> {
    let mut affected = Vec::new();
    for peer in members.peers.values_mut().filter(|peer| peer.info.incarnation != absent) {
        let was_source = peer.repair_sources.remove(absent);
        peer.route.remove(absent);
        ctx.update_reach(peer);
        if let Some(departure) = &mut peer.departure {
            departure.on_answer(absent);
        }
        if was_source || peer.departure.is_some() {
            affected.push(peer.info.incarnation);
        }
    }
    affected
}
