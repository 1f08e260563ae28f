//! Decides when the next heartbeat, and a digest in it, is due.

use std::sync::Arc;

use crate::{Settings, Time};

/// Schedules heartbeats: soon after the last event of a burst, then at doubling intervals up to the
/// maximum (as NORM's decaying flush, RFC 5740, section 5.1.1). Under steady traffic only the
/// maximum interval counts, since later frames reveal losses as holes.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    settings: Arc<Settings>,
    interval: std::time::Duration,
    last: Time,
    due: Time,
    /// When the last digest was sent.
    digest: Option<Time>,
}

impl Heartbeat {
    /// The first heartbeat is due at once.
    pub(crate) fn new(settings: Arc<Settings>, now: Time) -> Self {
        let interval = settings.heartbeat_min;
        Self { settings, interval, last: now, due: now, digest: None }
    }

    pub(crate) fn due(&self) -> Time {
        self.due
    }

    /// This node sent an event.
    pub(crate) fn on_event_sent(&mut self, now: Time) {
        self.interval = self.settings.heartbeat_min;
        self.due = (now + self.interval).min(self.last + self.settings.heartbeat_max);
    }

    /// An event of one of `peers` peers arrived. Other nodes may have missed it, so a digest is
    /// due.
    pub(crate) fn on_event_received(&mut self, now: Time, peers: usize) {
        let interval = self.digest_interval(peers);
        // Not at once: more events are most likely behind this one.
        let soon = now + interval / 2;
        self.due = self.due.min(self.digest.map_or(soon, |last| (last + interval).max(soon)));
    }

    /// Whether the heartbeat that is sent now carries a digest.
    pub(crate) fn takes_digest(&mut self, now: Time, peers: usize) -> bool {
        let takes = self.digest.is_none_or(|last| last + self.digest_interval(peers) <= now);
        if takes {
            self.digest = Some(now);
        }
        takes
    }

    /// With more peers each node sends fewer digests, so that their total cost stays the same.
    fn digest_interval(&self, peers: usize) -> std::time::Duration {
        let times = u32::try_from(peers / 25 + 1).unwrap_or(u32::MAX);
        self.settings.digest_interval.saturating_mul(times).min(self.settings.heartbeat_max)
    }

    /// This node sent a heartbeat.
    pub(crate) fn on_heartbeat(&mut self, now: Time) {
        self.last = now;
        self.interval = (self.interval * 2).min(self.settings.heartbeat_max);
        self.due = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn heartbeats_decay_after_a_burst_to_the_maximum_interval() {
        let mut heartbeat = Heartbeat::new(Arc::default(), at(0));
        heartbeat.on_event_sent(at(0));
        let mut times = Vec::new();
        while times.len() < 8 {
            let due = heartbeat.due();
            times.push(due.elapsed().as_millis());
            heartbeat.on_heartbeat(due);
        }
        assert_eq!(times, [20, 60, 140, 300, 620, 1260, 2260, 3260]);
    }

    #[test]
    fn events_of_peers_trigger_digests_at_a_limited_rate() {
        let mut heartbeat = Heartbeat::new(Arc::default(), at(0));
        let mut digests = Vec::new();
        for ms in 0..2_000 {
            heartbeat.on_event_received(at(ms), 3);
            if heartbeat.due() <= at(ms) {
                if heartbeat.takes_digest(at(ms), 3) {
                    digests.push(ms);
                }
                heartbeat.on_heartbeat(at(ms));
            }
        }
        assert_eq!(digests, [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750]);
        assert_eq!(heartbeat.digest_interval(60), Duration::from_millis(750));
        assert_eq!(heartbeat.digest_interval(10_000), Duration::from_secs(1));
    }

    #[test]
    fn steady_traffic_does_not_postpone_heartbeats_forever() {
        let mut heartbeat = Heartbeat::new(Arc::default(), at(0));
        heartbeat.on_heartbeat(at(0));
        for ms in 1..=995 {
            heartbeat.on_event_sent(at(ms));
        }
        assert_eq!(heartbeat.due(), at(1000));
    }
}
