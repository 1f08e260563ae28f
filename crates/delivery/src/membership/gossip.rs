//! Gossip: what nodes report about other peers, namely heartbeats and event positions.

use std::ops::Bound;

use super::{Arrival, Membership, leaving};
use crate::context::Context;
use crate::control::{Control, MAX_DIGEST, PeerReport};
use crate::peer::{Peer, PositionQuery};
use crate::planted::{Fault, planted};
use crate::receive::ReceiveStream;
use crate::{Destination, Incarnation, Lane, LeaveReason, PerLane, Time};

/// Builds the digest of the next heartbeat: up to half of [`MAX_DIGEST`] entries report former
/// peers, the rest report members in turn.
pub(crate) fn digest(members: &mut Membership, now: Time) -> Vec<PeerReport> {
    let former_peers = members.former_peers.digest(now, MAX_DIGEST / 2);
    let last = members.last_reported;
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    let after = members.peers.range((from, Bound::Unbounded));
    let before = last.into_iter().flat_map(|last| members.peers.range(..=last));
    let peers = after.chain(before).map(|(_, peer)| peer);
    let most = MAX_DIGEST - former_peers.len();
    let mut digest: Vec<_> = peers.take(most).map(Peer::report).collect();
    members.last_reported = digest.last().map(|last| last.peer);
    digest.extend(former_peers);
    digest
}

/// A peer gave this heartbeat number itself; `arrival` is the route of the message.
pub(crate) fn on_heartbeat_seq(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    heartbeat_seq: u64,
    arrival: Arrival,
    ctx: &mut Context<'_>,
) {
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    if !peer.on_own_heartbeat(heartbeat_seq, now) {
        return;
    }
    on_news(members, now, incarnation, arrival, ctx);
}

/// The peer `from` reports a heartbeat of another peer.
fn on_reported_heartbeat(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    PeerReport { peer: incarnation, heartbeat_seq, .. }: PeerReport,
    ctx: &mut Context<'_>,
) {
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    let is_new = heartbeat_seq > peer.heartbeat_seq
        || planted(Fault::DeadKeptAlive) && heartbeat_seq == peer.heartbeat_seq;
    if is_new && peer.is_plausible(heartbeat_seq, now) {
        peer.heartbeat_seq = heartbeat_seq;
        on_news(members, now, incarnation, Arrival::Via(from), ctx);
    }
}

fn on_news(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    arrival: Arrival,
    ctx: &mut Context<'_>,
) {
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    if let Arrival::Via(via) = arrival {
        peer.info.last_heard = now;
        peer.clear_suspicion();
        peer.route.on_news(now, via, false, &members.settings);
        ctx.update_reach(peer);
    }
    // Answer the peers that asked whether this peer is alive.
    let report = peer.report();
    for querier in std::mem::take(&mut peer.liveness_queriers) {
        ctx.send.push((Destination::One(querier), Control::PeerReport(report)));
    }
}

/// A member reports what it knows about another node.
pub(crate) fn on_peer_report(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    report: PeerReport,
    ctx: &mut Context<'_>,
) {
    let is_sound = !report.positions.contains(&u64::MAX) && !report.sent.contains(&u64::MAX);
    // A peer reports about itself in heartbeats only. It must not become a repair source of its
    // own events, because it refuses a `RelayNak` for them.
    if !members.peers.contains_key(&from) || !is_sound || report.peer == from {
        return;
    }
    if report.is_suspected {
        readmit_for_last_events(members, now, report, ctx);
    }
    let Some(peer) = members.peers.get_mut(&report.peer) else {
        on_unknown_peer(members, now, from, report, ctx);
        return;
    };
    let is_ending = peer.departure.is_some();
    let counts = peer.departure.as_ref().is_none_or(|departure| departure.accepts_reports(now));
    if counts && !planted(Fault::RepairSourcesIgnored) {
        peer.repair_sources.record(from, report.positions);
    }
    for lane in Lane::ALL.into_iter().filter(|_| counts) {
        let sent = report.positions[lane].max(report.sent[lane]);
        let stream = peer.stream(lane);
        stream.on_reported_position(now, sent);
        if is_ending {
            stream.accept_reported_position(now);
            stream.ask_at_once(now);
        }
    }
    if !report.is_suspected {
        on_reported_heartbeat(members, now, from, report, ctx);
    }
}

/// A member has more events of a former peer than this node and suspects that peer too. The
/// peer is readmitted until the missing events are delivered or reported missing, then it
/// leaves again.
fn readmit_for_last_events(
    members: &mut Membership,
    now: Time,
    report: PeerReport,
    ctx: &mut Context<'_>,
) {
    let Some(known) = members.former_peers.report(report.peer) else { return };
    if known.positions.iter().zip(report.positions).any(|(mine, theirs)| *mine > theirs) {
        members
            .former_peers
            .report_one(report.peer, now + members.settings.former_peer_report_time);
    }
    let sent = PerLane::from_fn(|lane| report.positions[lane].max(report.sent[lane]));
    if members.readmit(now, report.peer, sent, ctx) {
        leaving::begin(members, now, report.peer, LeaveReason::Failed, ctx);
    }
}

/// Because of reports from other peers, this node gave up more events of a peer than the peer
/// says it sent. The peer's answer to a new probe decides: by then it has sent every event that
/// any peer can know of.
pub(crate) fn query_position_if_ahead(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) {
    let Some(peer) = members.peers.get_mut(&incarnation) else { return };
    if !peer.streams.iter().any(ReceiveStream::is_past_sender) {
        peer.position_query = None;
        return;
    }
    let nonce = ctx.nonce;
    let previous = peer.position_query;
    let since = previous.map_or(now, |previous| previous.since);
    if now.since(since) >= members.settings.repair_timeout {
        // The peer does not answer, most likely because only a relay reaches it. Its own
        // announced position decides instead.
        for stream in &mut peer.streams {
            stream.on_answer(now, stream.sender_position());
        }
        peer.position_query = None;
    } else if previous.is_none_or(|p| now.since(p.asked) >= members.settings.probe_timeout) {
        peer.position_query = Some(PositionQuery { nonce, since, asked: now });
        ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
    }
}

/// A peer answered a position query.
pub(crate) fn on_position_answer(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    nonce: u64,
    positions: Option<PerLane<u64>>,
) {
    if let (Some(peer), Some(positions)) = (members.peers.get_mut(&incarnation), positions)
        && peer.position_query.take_if(|query| query.nonce == nonce).is_some()
    {
        for (stream, position) in peer.streams.iter_mut().zip(positions) {
            if planted(Fault::LiarsBelievedOfTheReturned) {
                stream.on_position(now, position);
            } else {
                stream.on_answer(now, position);
            }
        }
    }
}

/// A member answers a query about another node.
pub(crate) fn on_peer_query_answer(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    report: PeerReport,
    ctx: &mut Context<'_>,
) {
    on_peer_report(members, now, from, report, ctx);
    if let Some(peer) = members.peers.get_mut(&report.peer)
        && let Some(departure) = &mut peer.departure
        && (if departure.reason == LeaveReason::Bye {
            report.is_complete()
        } else {
            report.is_suspected
        })
    {
        departure.on_answer(from);
    }
    leaving::resolve(members, now, report.peer, ctx);
}

/// A member queries another node and reports what it knows itself. With `meet` it asks only for
/// an introduction.
pub(crate) fn on_peer_query(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    theirs: PeerReport,
    meet: bool,
    ctx: &mut Context<'_>,
) {
    if !members.peers.contains_key(&from) {
        return;
    }
    if !meet {
        on_peer_report(members, now, from, theirs, ctx);
    }
    let (of, to) = (theirs.peer, Destination::One(from));
    let Some(peer) = members.peers.get_mut(&of) else {
        let known = members.former_peers.report(of).unwrap_or(PeerReport::unknown(of));
        let report = PeerReport { is_suspected: true, ..known };
        ctx.send.push((to, Control::PeerReport(report)));
        return;
    };
    ctx.send.push((to, Control::PeerReport(peer.report())));
    if meet && let Some(introduction) = &peer.introduction {
        ctx.relay.push((from, introduction.clone()));
    }
    // The querier does not hear the peer. Probe the peer, and report to the querier once it
    // answers.
    let is_probe_due = !meet && theirs.is_suspected && peer.is_unsuspected();
    if is_probe_due
        && peer.liveness_queriers.len() < members.settings.max_relay_targets
        && peer.liveness_queriers.insert(from)
    {
        ctx.send.push((Destination::One(of), Control::Probe { nonce: ctx.nonce }));
    }
}

/// A member reports a node that is unknown here: ask that member for an introduction.
fn on_unknown_peer(
    members: &mut Membership,
    now: Time,
    from: Incarnation,
    report: PeerReport,
    ctx: &mut Context<'_>,
) {
    let of = report.peer;
    let is_news = match members.former_peers.failed(of) {
        Some(peer) => {
            report.heartbeat_seq > peer.heartbeat_seq
                && peer.is_plausible(report.heartbeat_seq, now)
        }
        None => !members.former_peers.has_ended(of),
    };
    let requested = members.introduction_requests.get(&of).copied();
    let recent = requested.is_some_and(|at| now.since(at) < members.settings.probe_timeout);
    if report.is_suspected || !is_news || recent || of == ctx.own {
        return;
    }
    if members.introduction_requests.len() >= members.settings.max_peers {
        // Forget the old requests. A request is repeated when a peer reports the node again.
        members.introduction_requests.clear();
    }
    members.introduction_requests.insert(of, now);
    let mine = PeerReport::unknown(of);
    ctx.send.push((Destination::One(from), Control::PeerQuery { mine, meet: true }));
}
