use std::time::Duration;

use crate::DeliveryError;

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
    pub settle: Duration,
    /// What others say a peer has sent counts once its stream was still for this long;
    /// before, it is most likely on its way. 100 ms.
    pub rumour_delay: Duration,
    /// How often digests are sent at most: what a node knows of the others, on its
    /// heartbeats. 250 ms while events come, times one for each 25 peers; 1 s without.
    pub digest_interval: Duration,
    /// How long those that left are told of on digests, from the end of each, and all of
    /// them from the return of a peer that was out of reach: it may have heard less of
    /// their last events, or more. 6 s: twice the failure timeout, since who was out of
    /// reach for less than that does not return but never went.
    pub departed_told: Duration,
    /// A peer not heard directly for this long, of which others hear, is listened to
    /// through one of them. 1.5 s: one heartbeat may be lost; while events of it are
    /// missing, a sixth of that.
    pub relay_after: Duration,
    /// How long a peer passes on what comes from another without being asked again.
    /// 2 s; asked four times as often.
    pub relay_lease: Duration,
    /// Most bytes held behind a hole, per stream. 1 MiB; what comes beyond is
    /// dropped and asked for again when the hole is filled.
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
    /// while others have confirmed everything. 500 ms.
    pub lag_timeout: Duration,
    /// How long a receiver waits before it confirms less than an eighth of a
    /// window. 20 ms.
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
    pub max_followers: usize,
    /// Most live peers. 1,024; more are not heard, and counted.
    pub max_peers: usize,
    /// Most departed peers whose positions are remembered, so that a peer that
    /// comes back is told what it missed. 4,096; past it the longest gone is
    /// forgotten and would come back as new.
    pub max_departed: usize,
    /// Most bytes kept of senders whose introduction is still on its way. 1 MiB;
    /// past it the oldest frames go, which the receiver then sees as a hole.
    pub lobby_bytes: usize,
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
            settle: Duration::from_millis(300),
            rumour_delay: Duration::from_millis(100),
            digest_interval: Duration::from_millis(250),
            departed_told: Duration::from_secs(6),
            relay_after: Duration::from_millis(1_500),
            relay_lease: Duration::from_secs(2),
            reorder_bytes: 1 << 20,
            replay_bytes: 32 << 20,
            relay_bytes: 32 << 20,
            window: 4 << 20,
            lag_timeout: Duration::from_millis(500),
            ack_delay: Duration::from_millis(20),
            linger: Duration::from_secs(2),
            repair_burst: 256 << 10,
            repair_rate: 64 << 20,
            max_followers: 64,
            max_peers: 1024,
            max_departed: 4096,
            lobby_bytes: 1 << 20,
            max_tag: 256,
        }
    }
}

impl Settings {
    /// Sets the time after which a silent peer has failed, and `departed_told` to twice
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
        self.departed_told = self.departed_told.max(timeout * 2);
        Ok(self)
    }
}
