//! Name conflicts: two nodes of one name. Usually one is a restart of the other. If both prove that
//! they are alive, the operator has made a mistake.

use super::Membership;
use crate::context::Context;
use crate::control::{Control, Status};
use crate::output::{NameConflict, Output};
use crate::peer::{NamePriority, NameRival, Peer};
use crate::planted::{Fault, planted};
use crate::{Destination, Identity, Incarnation, Time};

/// A node that uses this node's own name, and the probe sent to it.
#[derive(Debug, Clone)]
pub(crate) struct OwnNameClaim {
    priority: NamePriority,
    nonce: u64,
    probed_at: Time,
}

/// This node's count of established peers when it met a node of its own name. The count is frozen
/// so that both nodes compare the same numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrozenPriority {
    established: u16,
    heard: Time,
}

/// Without news of a node of our name for this long, the next meeting starts afresh.
const CLAIM_MEMORY: std::time::Duration = std::time::Duration::from_secs(30);

/// A newcomer has the name of another peer. Usually the older incarnation ended, or the
/// newcomer's introduction is from before its own end. Probe both.
pub(crate) fn suspect_both(
    members: &mut Membership,
    now: Time,
    newcomer: &mut Peer,
    ctx: &mut Context<'_>,
) {
    let rival = |peer: &Peer| Some(NameRival { priority: peer.priority(), since: now });
    for old in members.peers.values_mut().filter(|old| old.info.name == newcomer.info.name) {
        let incarnation = newcomer.info.incarnation;
        newcomer.suspicion = Some(ctx.suspect(incarnation, rival(old)));
        let incarnation = old.info.incarnation;
        old.suspicion = Some(ctx.suspect(incarnation, rival(newcomer)));
    }
}

/// A node uses this node's own name: probe whether it is alive now.
pub(crate) fn on_own_name_claimed(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    status: &Status,
    ctx: &mut Context<'_>,
) {
    members.frozen_priority =
        Some(FrozenPriority { established: established(members, now), heard: now });
    let priority = NamePriority::new(status.established, status.started_ms, incarnation);
    let is_probed = members.own_name_claim.as_ref().is_some_and(|claim| {
        claim.priority.incarnation == incarnation
            && now.since(claim.probed_at) < members.settings.probe_timeout
    });
    if is_probed {
        return;
    }
    let nonce = ctx.nonce;
    members.own_name_claim = Some(OwnNameClaim { priority, nonce, probed_at: now });
    if !planted(Fault::OwnNameNotProbed) {
        ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
    }
}

/// Number of peers that this node has worked with for a while, as its status reports it.
pub(crate) fn established(members: &Membership, now: Time) -> u16 {
    match members.frozen_priority.filter(|frozen| now.since(frozen.heard) < CLAIM_MEMORY) {
        Some(frozen) => frozen.established,
        None => {
            let established = members.iter().filter(|peer| peer.is_established(now)).count();
            u16::try_from(established).unwrap_or(u16::MAX)
        }
    }
}

/// A probe was answered, so the peer is alive now. If its rival has proven the same, or the
/// peer has this node's name, two live nodes share a name. Returns the winner if this node must
/// give up its name.
pub(crate) fn on_probe_answer(
    members: &mut Membership,
    incarnation: Incarnation,
    nonce: u64,
    own: &Identity,
    ctx: &mut Context<'_>,
) -> Option<Incarnation> {
    if let Some(peer) = members.peers.get_mut(&incarnation)
        && let Some(suspicion) = peer.suspicion.take_if(|s| s.nonce == nonce)
    {
        peer.answered = Some(ctx.now);
        peer.clear_suspicion();
        let (name, priority) = (peer.info.name.clone(), peer.priority());
        if let Some(NameRival { priority: other, since }) = suspicion.rival
            && members
                .peers
                .get(&other.incarnation)
                .is_some_and(|rival| rival.answered >= Some(since))
        {
            ctx.outputs.push_back(Output::NameConflict(conflict(name, priority, other)));
        }
    }
    let claim = members
        .own_name_claim
        .take_if(|claim| claim.priority.incarnation == incarnation && claim.nonce == nonce)?;
    let own_priority =
        NamePriority::new(established(members, ctx.now), own.started_ms, own.incarnation);
    let conflict = conflict(own.name.clone(), own_priority, claim.priority);
    let winner = (conflict.loser == own.incarnation).then_some(conflict.winner);
    ctx.outputs.push_back(Output::NameConflict(conflict));
    winner
}

fn conflict(name: crate::NodeName, one: NamePriority, other: NamePriority) -> NameConflict {
    let (winner, loser) = (one.min(other).incarnation, one.max(other).incarnation);
    NameConflict { name, winner, loser }
}
