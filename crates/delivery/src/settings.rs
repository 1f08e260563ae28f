use std::time::Duration;

use crate::DeliveryError;

/// Least bytes of what must hold frames: a bundle of events, twice over.
const LEAST_BYTES: usize = 64 << 10;
/// Most bytes of a window and the like.
const MOST_BYTES: usize = 1 << 30;

/// Timers and bounds. Each default is reasoned where it is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// First heartbeat after a burst; each following waits twice as long. 20 ms:
    /// a lost tail is found before a person notices.
    pub heartbeat_min: Duration,
    /// Longest time between heartbeats. 1 s: three fit the failure timeout.
    pub heartbeat_max: Duration,
    /// A peer that gives no sign of life for this long has failed. 3 s.
    pub failure_timeout: Duration,
    /// A peer whose link closed is asked for a sign of life, and has failed
    /// without one after this long. 500 ms: many round trips, yet a killed
    /// process is noticed at once.
    pub probe_timeout: Duration,
    /// How long a hole may stay open before its events are asked for again. 2 ms:
    /// links keep order, so few holes fill by themselves. Also the pause after
    /// which the next part of a long repair is asked for.
    pub nak_delay: Duration,
    /// First wait for the answer to a request; doubles with each that stays
    /// without one. 20 ms.
    pub nak_retry: Duration,
    /// Longest wait for an answer. 250 ms.
    pub nak_retry_max: Duration,
    /// How long a hole may stay open without anything of it coming, before it is a
    /// gap. 5 s: over twenty requests, so that a path that loses a third of
    /// everything both ways still fills it; a peer that is silent altogether has
    /// failed before.
    pub repair_timeout: Duration,
    /// How long what is missing of a peer that said goodbye is waited for at least: it
    /// may have been overtaken. 50 ms.
    pub goodbye_timeout: Duration,
    /// How long the others are asked about a peer that seems dead or said goodbye: do
    /// they hear it, and what have they of it that is missing here? 300 ms: four
    /// questions. The asking is part of the failure timeout.
    pub peer_query_timeout: Duration,
    /// What others say a peer has sent counts once its stream was still for this long;
    /// before, it is most likely on its way. 100 ms.
    pub report_delay: Duration,
    /// How often digests are sent at most: what a node knows of the others, on its
    /// heartbeats. 250 ms while events come, times one for each 25 peers; 1 s without.
    pub digest_interval: Duration,
    /// How long those that left are told of on digests, from the end of each, and all of
    /// them from the return of a peer that was out of reach: it may have heard less of
    /// their last events, or more. 6 s: twice the failure timeout, since who was out of
    /// reach for less than that does not return but never went.
    pub former_peer_report_time: Duration,
    /// A peer not heard directly for this long, of which others hear, is listened to
    /// through one of them. 1.5 s: one heartbeat may be lost; while events of it are
    /// missing, a sixth of that.
    pub relay_after: Duration,
    /// How long a peer passes on what comes from another without being asked again.
    /// 2 s; asked four times as often.
    pub relay_lease: Duration,
    /// Most bytes held behind a hole, per stream. 2 MiB; what comes beyond is
    /// dropped and asked for again when the hole is filled. To half of it, as frames are kept
    /// opened and as they came, congestion windows grow.
    pub reorder_bytes: usize,
    /// Most bytes of sent frames kept for who missed some, per lane. 32 MiB; past
    /// it the oldest go, and who asks for them is told so.
    pub replay_bytes: usize,
    /// Most bytes of received frames kept for who missed some and cannot ask their
    /// sender, of all senders together. 32 MiB; past it the oldest go.
    pub relay_bytes: usize,
    /// Most bytes sent and not confirmed by the slowest active receiver, per lane.
    /// 4 MiB; past it the lane is closed and publishers wait.
    pub window: usize,
    /// A receiver that keeps a lane closed and confirms less than a 64th of a window for
    /// this long is set aside; so is one that takes four times this long for a window
    /// while others have nothing to do. For a congestion window it is waited for as long a part
    /// of that as it is of a window, and then goes without a pace. 500 ms.
    pub lag_timeout: Duration,
    /// How long a receiver waits before it confirms less than a 16th of the largest congestion
    /// window. 125 ms: a driver is woken for confirmations eight times a second at most.
    pub ack_delay: Duration,
    /// How long a node that is to leave waits at most until the others have confirmed
    /// what it sent. 2 s; who confirms nothing for `lag_timeout` is not waited for.
    pub linger: Duration,
    /// Most bytes sent again for one request. 256 KiB; the receiver asks for the
    /// rest when it has these.
    pub repair_burst: usize,
    /// Most bytes sent again in a second, to all peers. 64 MiB: live traffic goes
    /// first.
    pub repair_rate: usize,
    /// Most peers that one stream is passed on to, and most that await an answer about
    /// one peer. 64; more are not served.
    pub max_relay_targets: usize,
    /// Of [`repair_rate`](Self::repair_rate), the share of each peer, and at once the bytes of
    /// one second of it. 16 MiB/s; more while more than half of what may be sent at once is
    /// left. Who asks for all again and again leaves the others theirs.
    pub repair_rate_per_peer: usize,
    /// Most nodes taken in, or greeted, at once; more wait for their next sign of life. 256.
    pub admission_burst: usize,
    /// Most of these in a second after that. 64: who comes as ever new nodes fills nobody's
    /// membership.
    pub admission_rate: usize,
    /// Most live peers. 1,024; more are not heard, and counted.
    pub max_peers: usize,
    /// Most departed peers whose positions are remembered, so that a peer that
    /// comes back is told what it missed. 4,096; past it the longest gone is
    /// forgotten and would come back as new.
    pub max_former_peers: usize,
    /// Most bytes kept of senders whose introduction is still on its way. 1 MiB;
    /// past it the oldest frames go, which the receiver then sees as a hole.
    pub unknown_sender_bytes: usize,
    /// Longest tag on a heartbeat in bytes. 256.
    pub max_tag: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_min: Duration::from_millis(20),
            heartbeat_max: Duration::from_secs(1),
            failure_timeout: Duration::from_secs(3),
            probe_timeout: Duration::from_millis(500),
            nak_delay: Duration::from_millis(2),
            nak_retry: Duration::from_millis(20),
            nak_retry_max: Duration::from_millis(250),
            repair_timeout: Duration::from_secs(5),
            goodbye_timeout: Duration::from_millis(50),
            peer_query_timeout: Duration::from_millis(300),
            report_delay: Duration::from_millis(100),
            digest_interval: Duration::from_millis(250),
            former_peer_report_time: Duration::from_secs(6),
            relay_after: Duration::from_millis(1_500),
            relay_lease: Duration::from_secs(2),
            reorder_bytes: 2 << 20,
            replay_bytes: 32 << 20,
            relay_bytes: 32 << 20,
            window: 4 << 20,
            lag_timeout: Duration::from_millis(500),
            ack_delay: Duration::from_millis(125),
            linger: Duration::from_secs(2),
            repair_burst: 256 << 10,
            repair_rate: 64 << 20,
            repair_rate_per_peer: 16 << 20,
            admission_burst: 256,
            admission_rate: 64,
            max_relay_targets: 64,
            max_peers: 1024,
            max_former_peers: 4096,
            unknown_sender_bytes: 1 << 20,
            max_tag: 256,
        }
    }
}

impl Settings {
    /// Sets the time after which a silent peer has failed, and `former_peer_report_time` to twice
    /// that if it is less.
    ///
    /// # Errors
    /// [`DeliveryError::Setting`] if fewer than two heartbeats fit.
    pub fn with_failure_timeout(mut self, timeout: Duration) -> Result<Self, DeliveryError> {
        if timeout < self.heartbeat_max * 2 {
            return Err(DeliveryError::Setting {
                setting: "failure_timeout",
                why: "it is shorter than two heartbeats (2 s), so live peers would be taken for dead",
            });
        }
        self.failure_timeout = timeout;
        self.former_peer_report_time = self.former_peer_report_time.max(timeout.saturating_mul(2));
        Ok(self)
    }

    /// Whether a node can work with these together.
    ///
    /// # Errors
    /// [`DeliveryError::Setting`] names the first that is out of its range.
    pub fn check(&self) -> Result<(), DeliveryError> {
        let fail = |setting, why| Err(DeliveryError::Setting { setting, why });
        let times = [
            ("heartbeat_min", self.heartbeat_min),
            ("heartbeat_max", self.heartbeat_max),
            ("failure_timeout", self.failure_timeout),
            ("probe_timeout", self.probe_timeout),
            ("nak_delay", self.nak_delay),
            ("nak_retry", self.nak_retry),
            ("nak_retry_max", self.nak_retry_max),
            ("repair_timeout", self.repair_timeout),
            ("goodbye_timeout", self.goodbye_timeout),
            ("peer_query_timeout", self.peer_query_timeout),
            ("report_delay", self.report_delay),
            ("digest_interval", self.digest_interval),
            ("relay_after", self.relay_after),
            ("relay_lease", self.relay_lease),
            ("lag_timeout", self.lag_timeout),
            ("ack_delay", self.ack_delay),
            ("linger", self.linger),
        ];
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(3_600));
        for (setting, time) in times {
            if !(least..=most).contains(&time) {
                return fail(setting, "a time is 1 ms to an hour");
            }
        }
        if self.former_peer_report_time > most * 2 {
            return fail("former_peer_report_time", "it is more than two hours");
        }
        let sizes = [
            ("reorder_bytes", self.reorder_bytes),
            ("window", self.window),
            ("repair_burst", self.repair_burst),
            ("repair_rate", self.repair_rate),
            ("repair_rate_per_peer", self.repair_rate_per_peer),
            ("unknown_sender_bytes", self.unknown_sender_bytes),
        ];
        for (setting, bytes) in sizes {
            if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
                return fail(
                    setting,
                    "it is less than 64 KiB, so that few frames fit, or more than 1 GiB",
                );
            }
        }
        for (setting, bytes) in
            [("replay_bytes", self.replay_bytes), ("relay_bytes", self.relay_bytes)]
        {
            if bytes > 64 * MOST_BYTES {
                return fail(setting, "it is more than 64 GiB");
            }
        }
        let counts = [
            ("max_relay_targets", self.max_relay_targets, 1 << 16),
            ("max_peers", self.max_peers, 1 << 16),
            ("admission_burst", self.admission_burst, 1 << 16),
            ("admission_rate", self.admission_rate, 1 << 16),
            ("max_former_peers", self.max_former_peers, 1 << 20),
        ];
        for (setting, count, most) in counts {
            if !(1..=most).contains(&count) {
                return fail(setting, "it is 0, or more than can be kept");
            }
        }
        match self {
            s if s.heartbeat_min > s.heartbeat_max => {
                fail("heartbeat_min", "it is longer than `heartbeat_max`")
            }
            s if s.failure_timeout < s.heartbeat_max * 2 => fail(
                "failure_timeout",
                "it is shorter than two heartbeats (`heartbeat_max`), so live peers would be taken for dead",
            ),
            s if s.peer_query_timeout >= s.failure_timeout => fail(
                "peer_query_timeout",
                "the others are asked within the failure timeout, which is shorter",
            ),
            s if s.relay_after >= s.failure_timeout => {
                fail("relay_after", "a peer has failed before it is listened to through another")
            }
            s if s.former_peer_report_time < s.failure_timeout * 2 => fail(
                "former_peer_report_time",
                "it is less than twice `failure_timeout`, so who was away for less than that would miss it",
            ),
            s if s.nak_retry > s.nak_retry_max => {
                fail("nak_retry", "it is longer than `nak_retry_max`")
            }
            s if s.nak_retry_max * 4 > s.repair_timeout => {
                fail("repair_timeout", "it is shorter than four of `nak_retry_max`")
            }
            s if s.max_tag > 4096 => fail("max_tag", "it is more than 4096 bytes"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change, and the setting that it makes useless.
    type Case = (fn(&mut Settings), &'static str);

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let wrong: [Case; 15] = [
            (|s| s.linger = Duration::MAX, "linger"),
            (|s| s.window = usize::MAX, "window"),
            (|s| s.replay_bytes = usize::MAX, "replay_bytes"),
            (|s| s.nak_delay = Duration::ZERO, "nak_delay"),
            (|s| s.lag_timeout = Duration::MAX, "lag_timeout"),
            (|s| s.window = 1_000, "window"),
            (|s| s.max_peers = 0, "max_peers"),
            (|s| s.max_former_peers = usize::MAX, "max_former_peers"),
            (|s| s.heartbeat_min = Duration::from_secs(2), "heartbeat_min"),
            (|s| s.failure_timeout = Duration::from_millis(1_999), "failure_timeout"),
            (|s| s.peer_query_timeout = Duration::from_secs(3), "peer_query_timeout"),
            (|s| s.relay_after = Duration::from_secs(3), "relay_after"),
            (|s| s.former_peer_report_time = Duration::from_secs(2), "former_peer_report_time"),
            (|s| s.nak_retry = Duration::from_secs(1), "nak_retry"),
            (|s| s.repair_timeout = Duration::from_millis(900), "repair_timeout"),
        ];
        for (change, name) in wrong {
            let mut settings = Settings::default();
            change(&mut settings);
            match settings.check() {
                Err(DeliveryError::Setting { setting, .. }) => assert_eq!(setting, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (timeout, works) in [(2, true), (60, true), (3_600, true), (3_601, false)] {
            let slow = Settings::default().with_failure_timeout(Duration::from_secs(timeout));
            assert_eq!(slow.and_then(|slow| slow.check()).is_ok(), works, "{timeout} s");
        }
        let never = Settings::default().with_failure_timeout(Duration::MAX);
        assert!(never.and_then(|never| never.check()).is_err());
    }
}
