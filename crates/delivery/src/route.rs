//! Route of one peer: heard directly, or through a relay while the direct link fails.

use crate::{Incarnation, Reach, Settings, Time};

/// The current route of a peer.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// When the peer was last heard directly, or became known.
    direct: Time,
    lease: Option<RelayLease>,
}

/// The peer `via` relays the frames of this route's peer.
#[derive(Debug, Clone)]
struct RelayLease {
    via: Incarnation,
    /// When `via` last brought something new.
    heard: Time,
    renew_at: Time,
}

impl Route {
    /// The route of a peer that becomes known now. Its direct link may still be opening, so a relay
    /// is used no sooner than for a peer that falls silent.
    pub(crate) fn since(now: Time) -> Self {
        Self { direct: now, lease: None }
    }

    /// Ends the relay without notifying the relaying peer.
    pub(crate) fn end_relay(&mut self) {
        self.lease = None;
    }

    /// The peer was heard directly. Returns the relaying peer, which must be notified to stop.
    pub(crate) fn on_direct(&mut self, now: Time) -> Option<Incarnation> {
        self.direct = now;
        self.lease.take().map(|lease| lease.via)
    }

    /// The peer `via` reported something new about this peer. The route then leads through `via`,
    /// unless the direct route or another relay works. `wanted`: events are known to be missing
    /// here, so a relay is used sooner.
    pub(crate) fn on_news(
        &mut self,
        now: Time,
        via: Incarnation,
        wanted: bool,
        settings: &Settings,
    ) {
        let patience = if wanted { settings.relay_after / 6 } else { settings.relay_after };
        if now.since(self.direct) < patience {
            return;
        }
        match &mut self.lease {
            Some(lease) if lease.via == via => lease.heard = now,
            Some(lease) if now.since(lease.heard) < settings.relay_after => {}
            _ => self.lease = Some(RelayLease { via, heard: now, renew_at: now }),
        }
    }

    /// A peer left or is suspected, so it relays nothing.
    pub(crate) fn remove(&mut self, peer: Incarnation) {
        self.lease.take_if(|lease| lease.via == peer);
    }

    pub(crate) fn reach(&self) -> Reach {
        self.lease.as_ref().map_or(Reach::Direct, |lease| Reach::Relayed { via: lease.via })
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.lease.as_ref().map(|lease| lease.renew_at)
    }

    /// Returns the relaying peer if its lease must be renewed now.
    pub(crate) fn on_deadline(&mut self, now: Time, settings: &Settings) -> Option<Incarnation> {
        let lease = self.lease.as_mut().filter(|lease| lease.renew_at <= now)?;
        lease.renew_at = now + settings.relay_lease / 4;
        Some(lease.via)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    const B: Incarnation = Incarnation([2; 16]);
    const C: Incarnation = Incarnation([3; 16]);

    #[test]
    fn a_peer_is_relayed_until_it_is_heard_directly() {
        let settings = Settings::default();
        let mut route = Route::since(at(0));
        route.on_direct(at(0));
        route.on_news(at(1_499), B, false, &settings);
        assert_eq!(route.reach(), Reach::Direct);
        route.on_news(at(1_500), B, false, &settings);
        assert_eq!(route.reach(), Reach::Relayed { via: B });
        assert_eq!(route.on_deadline(at(1_500), &settings), Some(B));
        assert_eq!(route.deadline(), Some(at(2_000)));
        route.on_news(at(2_000), C, false, &settings);
        assert_eq!(route.reach(), Reach::Relayed { via: B }, "the relay through B works");
        route.on_news(at(3_000), C, false, &settings);
        assert_eq!(route.reach(), Reach::Relayed { via: C }, "the relay through B is silent");
        assert_eq!(route.on_direct(at(3_100)), Some(C));
        assert_eq!((route.reach(), route.deadline()), (Reach::Direct, None));
    }

    #[test]
    fn a_new_peer_is_relayed_no_sooner_than_a_silent_one() {
        let mut route = Route::since(at(7_000));
        route.on_news(at(8_499), B, false, &Settings::default());
        assert_eq!(route.reach(), Reach::Direct);
        route.on_news(at(8_500), B, false, &Settings::default());
        assert_eq!(route.reach(), Reach::Relayed { via: B });
    }

    #[test]
    fn a_peer_is_relayed_sooner_while_its_events_are_missing() {
        let mut route = Route::since(at(0));
        route.on_news(at(249), B, true, &Settings::default());
        assert_eq!(route.reach(), Reach::Direct);
        route.on_news(at(250), B, true, &Settings::default());
        assert_eq!(route.reach(), Reach::Relayed { via: B });
        route.remove(B);
        assert_eq!(route.reach(), Reach::Direct);
    }
}
