//! How a peer leaves.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::control::{Control, PeerReport};
use crate::membership::Membership;
use crate::planted::{Fault, planted};
use crate::{Destination, Incarnation, Lane, LeaveReason, Output, Settings, Time};

/// A peer seems dead, or said goodbye: before it leaves, the others are asked whether
/// they hear it and what they have of it, and what is missing here is had from them.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) reason: LeaveReason,
    /// Who has not answered, or hears the peer and is asking it.
    awaited: BTreeSet<Incarnation>,
    ask_at: Time,
    /// How long the answers to the next question are awaited.
    wait: std::time::Duration,
    /// It does not leave with holes before then: what fills them may have been
    /// overtaken; nor at all, unless it said so, as it may be heard again.
    hold_until: Option<Time>,
    /// What others say it sent counts until then: who says ever more must not hold it here.
    reports_until: Time,
    /// No answer is awaited after that.
    answers_until: Option<Time>,
}

impl Departure {
    /// Begins to ask `others`, by a question to all. It does not end before
    /// `hold_until`, except well.
    pub(crate) fn begin(
        now: Time,
        reason: LeaveReason,
        others: BTreeSet<Incarnation>,
        hold_until: Time,
        settings: &Settings,
    ) -> Self {
        Self {
            reason,
            awaited: others,
            ask_at: now + settings.nak_retry,
            wait: settings.nak_retry * 2,
            hold_until: Some(hold_until).filter(|until| *until > now),
            reports_until: now + settings.failure_timeout,
            answers_until: Some(now + settings.peer_query_timeout),
        }
    }

    /// A peer answered, and has nothing to add, or is no longer there.
    pub(crate) fn on_answer(&mut self, who: Incarnation) {
        self.awaited.remove(&who);
    }

    /// Whether every answer came that is awaited.
    pub(crate) fn is_answered(&self) -> bool {
        self.awaited.is_empty() || self.answers_until.is_none()
    }

    /// Whether holes that nobody can fill may be given up.
    pub(crate) fn may_give_up(&self) -> bool {
        self.is_answered() && self.hold_until.is_none()
    }

    /// Whether what others say it sent still counts.
    pub(crate) fn accepts_reports(&self, now: Time) -> bool {
        now < self.reports_until
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let asks = self.answers_until.map(|until| until.min(self.ask_at));
        asks.filter(|_| !self.awaited.is_empty()).into_iter().chain(self.hold_until).min()
    }

    /// Whom to ask again now.
    pub(crate) fn on_deadline(&mut self, now: Time) -> Vec<Incarnation> {
        self.hold_until = self.hold_until.filter(|until| *until > now);
        self.answers_until = self.answers_until.filter(|until| *until > now);
        if self.answers_until.is_none() || self.ask_at > now {
            return Vec::new();
        }
        self.ask_at = now + self.wait;
        self.wait *= 2;
        self.awaited.iter().copied().collect()
    }
}

impl Membership {
    /// A peer is about to leave: what do the others know of it?
    pub(crate) fn begin_departure(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        reason: LeaveReason,
        ctx: &mut Context<'_>,
    ) {
        for other in self.stop_awaiting(incarnation, ctx) {
            self.resolve(now, other, ctx);
        }
        let others =
            self.peers.iter().filter(|(who, peer)| **who != incarnation && peer.is_unsuspected());
        let mut others: BTreeSet<_> = others.map(|(who, _)| *who).collect();
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        if reason == LeaveReason::Bye && peer.is_complete() {
            // It said itself what it has sent, and that is here.
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
            // It was out of reach, and with it perhaps those that have what it sent: they
            // show themselves with their next heartbeat.
            (LeaveReason::Bye, _)
                if now.since(peer.info.last_heard) >= self.settings.failure_timeout =>
            {
                now + self.settings.heartbeat_max + self.settings.peer_query_timeout
            }
            (LeaveReason::Bye, _) => now + self.settings.goodbye_timeout,
            (_, Some(_)) => now,
            (_, None) => peer.info.last_heard + self.settings.failure_timeout,
        };
        peer.departure = Some(Departure::begin(now, reason, others, hold_until, &self.settings));
        for stream in &mut peer.streams {
            stream.accept_reported_position(now);
            stream.ask_at_once(now);
        }
        self.resolve(now, incarnation, ctx);
    }

    /// Gives up what is missing of a peer and nobody has, and lets it leave if it is
    /// about to and nothing more can come of it; then those the same that waited for it.
    pub(crate) fn resolve(&mut self, now: Time, incarnation: Incarnation, ctx: &mut Context<'_>) {
        let mut unresolved = BTreeSet::new();
        let mut next = Some(incarnation);
        while let Some(incarnation) = next {
            if let Some(reason) = self.resolve_peer(now, incarnation, ctx) {
                self.remove(incarnation, reason, ctx);
                // Of what it sent before, some may have come since it began to end.
                unresolved.extend(self.stop_awaiting(incarnation, ctx));
            }
            next = unresolved.pop_first();
        }
    }

    /// Why a peer leaves now, if it does.
    fn resolve_peer(
        &mut self,
        now: Time,
        incarnation: Incarnation,
        ctx: &mut Context<'_>,
    ) -> Option<LeaveReason> {
        let peer = self.peers.get_mut(&incarnation)?;
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

    /// What is held or missing is settled before the peer leaves.
    fn remove(&mut self, incarnation: Incarnation, reason: LeaveReason, ctx: &mut Context<'_>) {
        let Some(mut peer) = self.peers.remove(&incarnation) else {
            return;
        };
        for lane in Lane::ALL {
            let mut released = Vec::new();
            peer.stream(lane).finish(&mut released);
            ctx.release(&mut peer, lane, released);
        }
        ctx.outputs.push_back(Output::Left { peer: peer.info.clone(), reason });
        let report_until = ctx.now + self.settings.former_peer_report_time;
        self.former_peers.remember(peer, reason, report_until, self.settings.max_former_peers);
        for peer in self.peers.values_mut() {
            peer.relay_targets.remove(&incarnation);
            peer.liveness_queriers.remove(&incarnation);
            // Whoever only bore its name, or said so, no longer speaks against it.
            if let Some(suspicion) = &mut peer.suspicion
                && suspicion.rival.take_if(|rival| rival.rank.incarnation == incarnation).is_some()
                && peer.info.last_heard > suspicion.since
            {
                peer.clear_suspicion();
            }
        }
    }

    /// Who seems dead or is gone answers nothing and passes on nothing. Gives the peers for
    /// which that matters.
    fn stop_awaiting(&mut self, who: Incarnation, ctx: &mut Context<'_>) -> Vec<Incarnation> {
        let mut affected = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| peer.info.incarnation != who) {
            let held = peer.repair_sources.remove(who);
            peer.route.remove(who);
            ctx.update_reach(peer);
            if let Some(departure) = &mut peer.departure {
                departure.on_answer(who);
            }
            if held || peer.departure.is_some() {
                affected.push(peer.info.incarnation);
            }
        }
        affected
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[test]
    fn who_does_not_answer_is_asked_again_for_300_ms() {
        let others = [id(1), id(2), id(3)].into();
        let mut departure =
            Departure::begin(at(0), LeaveReason::Failed, others, at(0), &Settings::default());
        departure.on_answer(id(2));
        let mut asked = Vec::new();
        while let Some(deadline) = departure.deadline() {
            assert!(!departure.is_answered());
            asked.push((deadline.elapsed().as_millis(), departure.on_deadline(deadline)));
        }
        let both = vec![id(1), id(3)];
        let expected = [(20, both.clone()), (60, both.clone()), (140, both), (300, vec![])];
        assert_eq!(asked, expected);
        assert!(departure.is_answered() && departure.may_give_up());
    }

    #[test]
    fn after_a_goodbye_holes_stay_open_for_a_while() {
        let mut departure =
            Departure::begin(at(0), LeaveReason::Bye, [].into(), at(50), &Settings::default());
        assert!(departure.is_answered() && !departure.may_give_up());
        assert_eq!(departure.deadline(), Some(at(50)));
        assert!(departure.on_deadline(at(50)).is_empty());
        assert!(departure.may_give_up() && departure.deadline().is_none());
    }
}
