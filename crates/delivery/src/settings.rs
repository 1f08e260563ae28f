//! The timers and bounds of an endpoint, and the check that they fit together.

use std::time::Duration;

use crate::DeliveryError;

/// Minimum of the settings for buffers of frames: a full batch of the driver (60 KiB) fits.
const MIN_BYTES: usize = 64 << 10;
/// Maximum of the same settings.
const MAX_BYTES: usize = 1 << 30;

/// Timers and bounds. Each field states its default, and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Delay of the first heartbeat after a burst of events; each further delay is twice as long.
    /// Default 20 ms: a receiver finds a lost tail before a person notices.
    pub heartbeat_min: Duration,
    /// Maximum interval between heartbeats. Default 1 s: three fit in the failure timeout.
    pub heartbeat_max: Duration,
    /// A peer that is silent for this long has failed. Default 3 s.
    pub failure_timeout: Duration,
    /// A peer whose link closed is probed, and is treated as failed if it does not answer within
    /// this time. Default 500 ms: many round trips, yet a killed process is noticed quickly.
    pub probe_timeout: Duration,
    /// Time from finding a hole to the first NAK for it. Default 2 ms: links keep the order, so few
    /// holes fill without repair. Also the pause before the NAK for the next part of a long repair.
    pub nak_delay: Duration,
    /// Timeout of the first NAK; doubles with each NAK that stays unanswered. Default 20 ms.
    pub nak_retry: Duration,
    /// Maximum timeout of a NAK. Default 250 ms.
    pub nak_retry_max: Duration,
    /// A hole of which nothing arrives for this long becomes a gap. Default 5 s: over twenty NAKs,
    /// so repair works on a route that loses a third of the frames in both directions. A peer that
    /// is silent altogether has failed earlier.
    pub repair_timeout: Duration,
    /// Minimum time to wait for missing events of a peer that said goodbye, because the goodbye may
    /// have overtaken them. Default 50 ms.
    pub goodbye_timeout: Duration,
    /// How long other peers are queried about a peer that seems dead or said goodbye: whether they
    /// hear it, and which missing events they have. Default 300 ms: four queries. This time is part
    /// of the failure timeout.
    pub peer_query_timeout: Duration,
    /// How long a stream must be idle before reports from other peers about its position count.
    /// Until then the events are most likely on their way. Default 100 ms.
    pub report_delay: Duration,
    /// Minimum interval between digests: the reports about other peers that heartbeats carry.
    /// Default 250 ms while events arrive, longer by as much for each 25 peers; 1 s without events.
    pub digest_interval: Duration,
    /// How long digests report a former peer after it left. They report all former peers for this
    /// long after a peer returns, because that peer may have heard more or fewer of their last
    /// events. Default 6 s: twice the failure timeout. A peer that was out of reach for less than
    /// that timeout never left, so its return starts no new reports.
    pub former_peer_report_time: Duration,
    /// A peer that is not heard directly for this long, but that others hear, is followed through
    /// one of them. Default 1.5 s: one heartbeat may be lost. While its events are missing, a sixth
    /// of that.
    pub relay_after: Duration,
    /// How long a peer relays the frames of another without a new request. Default 2 s; a receiver
    /// renews its request four times as often.
    pub relay_lease: Duration,
    /// Maximum bytes held behind a hole, per stream. Default 2 MiB. Frames beyond it are dropped,
    /// and requested again when the hole is filled. A congestion window is at most half of it,
    /// because a held frame is kept both decoded and as it arrived.
    pub reorder_bytes: usize,
    /// Maximum bytes of sent frames kept for retransmission, per lane. Default 32 MiB. Beyond it
    /// the oldest frames are dropped, and a peer that requests them is notified.
    pub replay_bytes: usize,
    /// Maximum bytes of received frames kept for peers that cannot get them from the sender, for
    /// all senders together. Default 32 MiB. Beyond it the oldest frames are dropped.
    pub relay_bytes: usize,
    /// Maximum bytes in flight to the slowest active receiver, per lane. Default 4 MiB. At the
    /// limit the lane closes and publishers wait.
    pub window: usize,
    /// A receiver that keeps a lane closed and acknowledges less than a 64th of a window in this
    /// time is excluded from flow control. So is a receiver that needs more than four times this
    /// long for a window while others are idle. A congestion window is allowed its proportional
    /// part of that time, then it is suspended. Default 500 ms.
    pub lag_timeout: Duration,
    /// How long a receiver may delay the acknowledgement of less than a 16th of the largest
    /// congestion window. Default 125 ms: acknowledgements wake a driver at most eight times a
    /// second.
    pub ack_delay: Duration,
    /// How long a leaving node waits at most for acknowledgements. Default 2 s. A peer that
    /// acknowledges nothing for `lag_timeout` is not waited for.
    pub linger: Duration,
    /// Maximum bytes retransmitted for one request. Default 256 KiB. The receiver requests the rest
    /// when these have arrived.
    pub repair_burst: usize,
    /// Maximum bytes per second retransmitted and relayed, to all peers together. Default 64 MiB:
    /// live traffic goes first.
    pub repair_rate: usize,
    /// Maximum peers to which one stream is relayed, and that await an answer about one peer.
    /// Default 64; the requests of further peers are ignored.
    pub max_relay_targets: usize,
    /// Each peer's share of [`repair_rate`](Self::repair_rate), in bytes per second; also the
    /// capacity of its token bucket. Default 16 MiB/s. A peer gets more while over half of the
    /// common bucket is left. So a peer that requests everything again and again leaves the others
    /// their share.
    pub repair_rate_per_peer: usize,
    /// Maximum nodes admitted, or greeted, at once. Default 256; further nodes wait for their next
    /// heartbeat.
    pub admission_burst: usize,
    /// Nodes admitted, or greeted, per second after a burst. Default 64: a flood of new nodes
    /// cannot fill the membership at once.
    pub admission_rate: usize,
    /// Maximum members besides this node. Default 1,024; further nodes are ignored, and counted.
    pub max_peers: usize,
    /// Maximum former peers whose positions are remembered, so that this node requests or reports
    /// what it missed when such a peer returns. Default 4,096. Beyond it the oldest is forgotten,
    /// and would return as a new peer.
    pub max_former_peers: usize,
    /// Maximum bytes of frames kept from senders that are not introduced yet. Default 1 MiB. Beyond
    /// it the oldest frames are dropped, which the receiver later sees as a hole.
    pub unknown_sender_bytes: usize,
    /// Maximum length of a heartbeat tag in bytes. Default 256.
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
    /// Sets `failure_timeout`, and raises `former_peer_report_time` to twice that if it is less.
    ///
    /// # Errors
    /// [`DeliveryError::Setting`] if fewer than two heartbeats fit.
    pub fn with_failure_timeout(mut self, timeout: Duration) -> Result<Self, DeliveryError> {
        if timeout < self.heartbeat_max * 2 {
            return Err(DeliveryError::Setting {
                setting: "failure_timeout",
                why: "it is shorter than two heartbeats (2 s), so live peers would seem dead",
            });
        }
        self.failure_timeout = timeout;
        self.former_peer_report_time = self.former_peer_report_time.max(timeout.saturating_mul(2));
        Ok(self)
    }

    /// Checks each setting against its range and against the others.
    ///
    /// # Errors
    /// [`DeliveryError::Setting`] names the first setting that cannot work.
    pub fn check(&self) -> Result<(), DeliveryError> {
        self.check_bounds()?;
        self.check_relations()
    }

    /// Checks each setting against its own bounds.
    fn check_bounds(&self) -> Result<(), DeliveryError> {
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
                return fail(setting, "it is not between 1 ms and an hour");
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
            if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
                return fail(
                    setting,
                    "it is less than 64 KiB, too small for a full frame, or more than 1 GiB",
                );
            }
        }
        for (setting, bytes) in
            [("replay_bytes", self.replay_bytes), ("relay_bytes", self.relay_bytes)]
        {
            if bytes > 64 * MAX_BYTES {
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
                return fail(setting, "it is 0, or above its maximum");
            }
        }
        if self.max_tag > 4096 {
            return fail("max_tag", "it is more than 4096 bytes");
        }
        Ok(())
    }

    /// Checks the settings that depend on each other.
    fn check_relations(&self) -> Result<(), DeliveryError> {
        match self {
            s if s.heartbeat_min > s.heartbeat_max => {
                fail("heartbeat_min", "it is longer than `heartbeat_max`")
            }
            s if s.failure_timeout < s.heartbeat_max * 2 => fail(
                "failure_timeout",
                "it is shorter than two `heartbeat_max`, so live peers would seem dead",
            ),
            s if s.peer_query_timeout >= s.failure_timeout => fail(
                "peer_query_timeout",
                "it is not shorter than `failure_timeout`, of which it is a part",
            ),
            s if s.relay_after >= s.failure_timeout => fail(
                "relay_after",
                "it is not shorter than `failure_timeout`, so a peer fails before another \
                 relays it",
            ),
            s if s.former_peer_report_time < s.failure_timeout * 2 => fail(
                "former_peer_report_time",
                "it is less than twice `failure_timeout`, so a peer that returns may miss reports",
            ),
            s if s.nak_retry > s.nak_retry_max => {
                fail("nak_retry", "it is longer than `nak_retry_max`")
            }
            s if s.nak_retry_max * 4 > s.repair_timeout => {
                fail("repair_timeout", "it is shorter than four times `nak_retry_max`")
            }
            _ => Ok(()),
        }
    }
}

fn fail(setting: &'static str, why: &'static str) -> Result<(), DeliveryError> {
    Err(DeliveryError::Setting { setting, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change, and the setting that it makes invalid.
    type Case = (fn(&mut Settings), &'static str);

    #[test]
    fn the_check_names_each_setting_that_cannot_work() {
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
            let settings = Settings::default().with_failure_timeout(Duration::from_secs(timeout));
            assert_eq!(
                settings.and_then(|settings| settings.check()).is_ok(),
                works,
                "{timeout} s"
            );
        }
        let never = Settings::default().with_failure_timeout(Duration::MAX);
        assert!(never.and_then(|settings| settings.check()).is_err());
    }
}
