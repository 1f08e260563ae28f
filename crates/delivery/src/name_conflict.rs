//! Two nodes of one name: a restart, most often; a mistake of the operator, if both
//! prove that they live.

use crate::context::Context;
use crate::control::{Control, Status};
use crate::membership::Membership;
use crate::output::{NameConflict, Output};
use crate::peer::{NamePriority, NameRival, Peer, Suspicion};
use crate::planted::{Fault, planted};
use crate::{Destination, Identity, Incarnation, Settings, Time};

/// A node that bears our own name.
#[derive(Debug, Clone)]
pub(crate) struct OwnNameClaim {
    rank: NamePriority,
    nonce: u64,
    asked: Time,
}

/// This node's settled-peer count at the meeting, frozen so that both nodes compare the same
/// numbers, and when the node of the same name was last heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrozenPriority {
    established: u16,
    heard: Time,
}

/// A node of our name that was not heard of for this long is met anew.
const CLAIM_MEMORY: std::time::Duration = std::time::Duration::from_secs(30);

impl Membership {
    /// Two peers of one name: most often the old life ended, or what introduces the
    /// newcomer is from before its end. Ask both.
    pub(crate) fn suspect_same_name(
        &mut self,
        now: Time,
        newcomer: &mut Peer,
        ctx: &mut Context<'_>,
    ) {
        let settings = self.settings;
        let rival = |peer: &Peer| Some(NameRival { rank: peer.rank(), since: now });
        for old in self.peers.values_mut().filter(|old| old.info.name == newcomer.info.name) {
            let incarnation = newcomer.info.incarnation;
            newcomer.suspicion = Some(settings.suspect(now, incarnation, rival(old), ctx));
            let incarnation = old.info.incarnation;
            old.suspicion = Some(settings.suspect(now, incarnation, rival(newcomer), ctx));
        }
    }

    /// Somebody bears our own name: have it prove that it is alive now.
    pub(crate) fn on_own_name_claimed(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        status: &Status,
        ctx: &mut Context<'_>,
    ) {
        self.frozen_priority =
            Some(FrozenPriority { established: self.established(now), heard: now });
        let rank = NamePriority::new(status.established, status.started_ms, incarnation);
        let asked_lately = self.own_name_claim.as_ref().is_some_and(|twin| {
            twin.rank.incarnation == incarnation
                && now.since(twin.asked) < self.settings.probe_timeout
        });
        if asked_lately {
            return;
        }
        let nonce = ctx.nonce;
        self.own_name_claim = Some(OwnNameClaim { rank, nonce, asked: now });
        if !planted(Fault::OwnNameNotProbed) {
            ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));
        }
    }

    /// Number of peers that this node works with, as it says of itself.
    pub(crate) fn established(&self, now: Time) -> u16 {
        match self.frozen_priority.filter(|met| now.since(met.heard) < CLAIM_MEMORY) {
            Some(met) => met.established,
            None => {
                let established = self.iter().filter(|peer| peer.is_established(now)).count();
                u16::try_from(established).unwrap_or(u16::MAX)
            }
        }
    }

    /// An answer to a probe. The sender is alive now: if its rival has proven the
    /// same, or it is a twin of ours, two live nodes have one name. Gives the winner
    /// of the name if this node must step back.
    pub(crate) fn on_probe_answer(
        &mut self,
        incarnation: Incarnation,
        nonce: u64,
        own: &Identity,
        ctx: &mut Context<'_>,
    ) -> Option<Incarnation> {
        if let Some(peer) = self.peers.get_mut(&incarnation)
            && let Some(suspicion) = peer.suspicion.take_if(|s| s.nonce == nonce)
        {
            peer.answered = Some(ctx.now);
            peer.clear_suspicion();
            let (name, rank) = (peer.info.name.clone(), peer.rank());
            if let Some(NameRival { rank: other, since }) = suspicion.rival
                && self
                    .peers
                    .get(&other.incarnation)
                    .is_some_and(|rival| rival.answered >= Some(since))
            {
                ctx.outputs.push_back(Output::NameConflict(conflict(name, rank, other)));
            }
        }
        let twin = self
            .own_name_claim
            .take_if(|t| t.rank.incarnation == incarnation && t.nonce == nonce)?;
        let one = NamePriority::new(self.established(ctx.now), own.started_ms, own.incarnation);
        let conflict = conflict(own.name.clone(), one, twin.rank);
        let winner = (conflict.loser == own.incarnation).then_some(conflict.winner);
        ctx.outputs.push_back(Output::NameConflict(conflict));
        winner
    }
}

impl Settings {
    /// Asks a peer for a sign of life.
    pub(crate) fn suspect(
        &self,
        now: Time,
        peer: Incarnation,
        rival: Option<NameRival>,
        ctx: &mut Context<'_>,
    ) -> Suspicion {
        let nonce = ctx.nonce;
        ctx.send.push((Destination::One(peer), Control::Probe { nonce }));
        Suspicion { since: now, deadline: now + self.probe_timeout, nonce, rival }
    }
}

fn conflict(name: crate::NodeName, one: NamePriority, other: NamePriority) -> NameConflict {
    let (winner, loser) = (one.min(other).incarnation, one.max(other).incarnation);
    NameConflict { name, winner, loser }
}
