//! Departure: the steps between a suspicion or a goodbye and the end of a membership.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::control::{Control, PeerReport};
use crate::membership::Membership;
use crate::planted::{Fault, planted};
use crate::{Destination, Incarnation, Lane, LeaveReason, Output, Settings, Time};

/// A departure in progress. Before the peer leaves, the other peers are asked whether they hear it
/// and which of its events they have. Missing events are repaired from them.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) reason: LeaveReason,
    /// Peers that have not answered, or that hear the peer and are probing it.
    awaited: BTreeSet<Incarnation>,
    ask_at: Time,
    /// Time between the next repeated query and the one after it; doubles with each query.
    wait: std::time::Duration,
    /// Until then holes stay open, because a goodbye may overtake events. A departure without a
    /// goodbye does not complete before then at all, because the peer may be heard again.
    hold_until: Option<Time>,
    /// Until then reports from other peers count. Without the limit, ever higher reports would keep
    /// the peer a member.
    reports_until: Time,
    /// Until then answers are awaited; `None` once the time is over.
    answers_until: Option<Time>,
}

impl Departure {
    /// Starts a departure, given that `others` were queried by a broadcast. Holes are not given up
    /// before `hold_until`.
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

    /// A peer answered and has nothing to add, or is no longer a member.
    pub(crate) fn on_answer(&mut self, peer: Incarnation) {
        self.awaited.remove(&peer);
    }

    /// Whether no further answer is awaited.
    pub(crate) fn is_answered(&self) -> bool {
        self.awaited.is_empty() || self.answers_until.is_none()
    }

    /// Whether holes that no peer can fill may be given up.
    pub(crate) fn may_give_up(&self) -> bool {
        self.is_answered() && self.hold_until.is_none()
    }

    /// Whether reports from other peers about the departing peer still count.
    pub(crate) fn accepts_reports(&self, now: Time) -> bool {
        now < self.reports_until
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let asks = self.answers_until.map(|until| until.min(self.ask_at));
        asks.filter(|_| !self.awaited.is_empty()).into_iter().chain(self.hold_until).min()
    }

    /// Returns the peers to query again now.
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
    /// Starts the departure of a peer and queries the other peers about it.
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
        let others = self
            .peers
            .iter()
            .filter(|(other, peer)| **other != incarnation && peer.is_unsuspected());
        let mut others: BTreeSet<_> = others.map(|(other, _)| *other).collect();
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
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

    /// Gives up the events of a peer that no peer can provide. If its departure is complete, the
    /// peer is removed, and the departures that waited for its answer are resolved too.
    pub(crate) fn resolve(&mut self, now: Time, incarnation: Incarnation, ctx: &mut Context<'_>) {
        let mut unresolved = BTreeSet::new();
        let mut next = Some(incarnation);
        while let Some(incarnation) = next {
            if let Some(reason) = self.resolve_peer(now, incarnation, ctx) {
                self.remove(incarnation, reason, ctx);
                // Its earlier reports may have arrived since its departure began, so other
                // departures may depend on it again.
                unresolved.extend(self.stop_awaiting(incarnation, ctx));
            }
            next = unresolved.pop_first();
        }
    }

    /// Gives up unobtainable events of a peer. Returns its reason to leave if it leaves now.
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

    /// Removes a member. Held frames are released and holes are reported before `Output::Left`.
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
            // The removed peer is no longer a rival. A peer heard since then is cleared.
            if let Some(suspicion) = &mut peer.suspicion
                && suspicion
                    .rival
                    .take_if(|rival| rival.priority.incarnation == incarnation)
                    .is_some()
                && peer.info.last_heard > suspicion.since
            {
                peer.clear_suspicion();
            }
        }
    }

    /// A suspected or removed peer neither answers queries nor relays. Returns the peers whose
    /// departure or repair may change because of that.
    fn stop_awaiting(&mut self, absent: Incarnation, ctx: &mut Context<'_>) -> Vec<Incarnation> {
        let mut affected = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| peer.info.incarnation != absent) {
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
    fn an_unanswered_query_is_repeated_for_300_ms() {
        let others = [id(1), id(2), id(3)].into();
        let mut departure =
            Departure::begin(at(0), LeaveReason::Failed, others, at(0), &Settings::default());
        departure.on_answer(id(2));
        let mut queried = Vec::new();
        while let Some(deadline) = departure.deadline() {
            assert!(!departure.is_answered());
            queried.push((deadline.elapsed().as_millis(), departure.on_deadline(deadline)));
        }
        let both = vec![id(1), id(3)];
        let expected = [(20, both.clone()), (60, both.clone()), (140, both), (300, vec![])];
        assert_eq!(queried, expected);
        assert!(departure.is_answered() && departure.may_give_up());
    }

    #[test]
    fn holes_stay_open_for_50_ms_after_a_goodbye() {
        let mut departure =
            Departure::begin(at(0), LeaveReason::Bye, [].into(), at(50), &Settings::default());
        assert!(departure.is_answered() && !departure.may_give_up());
        assert_eq!(departure.deadline(), Some(at(50)));
        assert!(departure.on_deadline(at(50)).is_empty());
        assert!(departure.may_give_up() && departure.deadline().is_none());
    }
}
