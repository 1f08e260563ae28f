use crate::{Incarnation, Reach, Settings, Time};

/// How a peer is heard: directly, or through another while that is not possible.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// When it was last heard directly, or became known.
    direct: Time,
    follow: Option<RelayLease>,
}

/// A peer passes on what comes from this one.
#[derive(Debug, Clone)]
struct RelayLease {
    via: Incarnation,
    /// When that last brought news.
    heard: Time,
    renew_at: Time,
}

impl Route {
    /// Of a peer that becomes known now. Its own link may still be on its way, so it is not
    /// listened to through another sooner than one that falls silent.
    pub(crate) fn since(now: Time) -> Self {
        Self { direct: now, follow: None }
    }

    /// Nothing is passed on to us any more.
    pub(crate) fn unfollow(&mut self) {
        self.follow = None;
    }

    /// Heard directly; gives whom to tell that it need not pass on any more.
    pub(crate) fn on_direct(&mut self, now: Time) -> Option<Incarnation> {
        self.direct = now;
        self.follow.take().map(|follow| follow.via)
    }

    /// A peer told something new of this one; the way then leads through that peer if
    /// there is no other. `wanted`: events are known to be missing here.
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
        match &mut self.follow {
            Some(follow) if follow.via == via => follow.heard = now,
            Some(follow) if now.since(follow.heard) < settings.relay_after => {}
            _ => self.follow = Some(RelayLease { via, heard: now, renew_at: now }),
        }
    }

    /// A peer left: it passes on nothing.
    pub(crate) fn remove(&mut self, who: Incarnation) {
        self.follow.take_if(|follow| follow.via == who);
    }

    pub(crate) fn reach(&self) -> Reach {
        self.follow.as_ref().map_or(Reach::Direct, |follow| Reach::Relayed { via: follow.via })
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.follow.as_ref().map(|follow| follow.renew_at)
    }

    /// Whom to ask, now, to pass on for a while longer.
    pub(crate) fn on_deadline(&mut self, now: Time, settings: &Settings) -> Option<Incarnation> {
        let follow = self.follow.as_mut().filter(|follow| follow.renew_at <= now)?;
        follow.renew_at = now + settings.relay_lease / 4;
        Some(follow.via)
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
    fn a_peer_is_followed_through_another_until_it_is_heard_directly() {
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
        assert_eq!(route.reach(), Reach::Relayed { via: B }, "B works");
        route.on_news(at(3_000), C, false, &settings);
        assert_eq!(route.reach(), Reach::Relayed { via: C }, "B does not");
        assert_eq!(route.on_direct(at(3_100)), Some(C));
        assert_eq!((route.reach(), route.deadline()), (Reach::Direct, None));
    }

    #[test]
    fn a_peer_that_was_never_heard_is_given_the_same_time() {
        let mut route = Route::since(at(7_000));
        route.on_news(at(8_499), B, false, &Settings::default());
        assert_eq!(route.reach(), Reach::Direct);
        route.on_news(at(8_500), B, false, &Settings::default());
        assert_eq!(route.reach(), Reach::Relayed { via: B });
    }

    #[test]
    fn while_events_are_missing_it_is_followed_sooner() {
        let mut route = Route::since(at(0));
        route.on_news(at(249), B, true, &Settings::default());
        assert_eq!(route.reach(), Reach::Direct);
        route.on_news(at(250), B, true, &Settings::default());
        assert_eq!(route.reach(), Reach::Relayed { via: B });
        route.remove(B);
        assert_eq!(route.reach(), Reach::Direct);
    }
}
