//! The congestion window: how far a sender runs ahead of one receiver, given the network between
//! them.
//!
//! The bus drops what exceeds the capacity of the route, and repair costs more than waiting. As in
//! TCP Vegas (Brakmo, O'Malley and Peterson 1994), the window grows while the round-trip time stays
//! near its minimum, and shrinks when frames begin to queue. As in NewReno (RFC 6582), a loss
//! shrinks the window once, whatever else of the same flight is lost.
//!
//! The window sets a pace; it does not wait for a slow receiver. While other receivers are idle,
//! the receiver must acknowledge as fast as an active receiver must, or the window is suspended. It
//! resumes when all bytes in flight fit into it or could be acknowledged within [`RESUME_WITHIN`].
//! Frames that a slow receiver loses meanwhile are retransmitted.

use std::time::Duration;

use crate::planted::{Fault, planted};
use crate::{Settings, Time};

/// Steps in the largest window. By default a step is 64 KiB: a full frame.
const STEPS_IN_LARGEST: u64 = 16;
/// Steps in the smallest window.
const MIN_STEPS: u64 = 2;
/// Steps in the first window.
const INITIAL_STEPS: u64 = 4;
/// The window grows while at most this many steps are queued (alpha of TCP Vegas).
const GROW_UP_TO_QUEUED: u64 = 2;
/// The window shrinks while more steps are queued (beta of TCP Vegas).
const SHRINK_ABOVE_QUEUED: u64 = 4;
/// How long a minimum round-trip time counts: between this and twice this, while frames are sent.
/// When it expires, rounds with the smallest window measure the empty queue (as BBR's `ProbeRTT`).
/// Otherwise a permanent queue would count as empty.
const MIN_RTT_LIFETIME: Duration = Duration::from_secs(10);
/// Rounds of that measurement: the first empties the queue, the second measures.
const MIN_RTT_PROBE_ROUNDS: u8 = 2;
/// A suspended window resumes when all bytes in flight could be acknowledged in this time.
const RESUME_WITHIN: Duration = Duration::from_millis(125);
/// While other receivers are idle, a receiver must acknowledge a window within this many lag
/// timeouts: 2 MiB a second by default.
pub(crate) const SLOW_RECEIVER_TIMEOUTS: u32 = 4;

/// The largest window. The frames that follow a lost one must fit behind the hole at the receiver,
/// which keeps them both decoded and as they arrived.
fn largest(settings: &Settings) -> u64 {
    settings.window.min(settings.reorder_bytes / 2) as u64
}

/// Bytes in a step.
pub(crate) fn step(settings: &Settings) -> u64 {
    (largest(settings) / STEPS_IN_LARGEST).max(1)
}

/// Bytes of one lane that were sent so far, and those that one receiver acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) acked: u64,
    pub(crate) sent: u64,
}

impl Progress {
    pub(crate) fn unacknowledged(self) -> u64 {
        self.sent.saturating_sub(self.acked)
    }
}

/// A point in time, and the bytes acknowledged by then: the start of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AckedSince {
    pub(crate) at: Time,
    pub(crate) acked: u64,
}

/// A measurement of the minimum round-trip time with the smallest window.
#[derive(Debug, Clone, Copy)]
struct MinRttProbe {
    rounds_left: u8,
    /// The window to restore afterwards.
    former_bytes: u64,
}

/// The congestion window of one receiver in one lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CongestionWindow {
    bytes: u64,
    /// Slow start: no frame has queued or got lost yet, so the window doubles instead of growing by
    /// a step.
    is_starting: bool,
    /// Minimum round-trip time of the current lifetime.
    current_min_rtt: Duration,
    /// Minimum round-trip time of the previous lifetime.
    previous_min_rtt: Duration,
    /// When the current lifetime ends.
    min_rtt_expires: Time,
    /// Bytes sent when the round began; the round ends when they are acknowledged.
    round_ends: u64,
    /// Minimum round-trip time of this round.
    round_rtt: Duration,
    /// Whether the window was full in this round, so that its size mattered.
    was_full: bool,
    /// Bytes sent at the last loss; further losses among them belong to the same flight.
    recovery_end: u64,
    min_rtt_probe: Option<MinRttProbe>,
    /// Since when the window keeps the lane closed. Reset when a whole window more, or nearly
    /// everything, is acknowledged.
    full_since: Option<AckedSince>,
    /// The window is suspended. The value is the start of the current measurement of the receiver's
    /// rate.
    suspended: Option<AckedSince>,
}

impl CongestionWindow {
    /// The first window, after `sent` bytes were sent.
    pub(crate) fn new(sent: u64, settings: &Settings, now: Time) -> Self {
        Self {
            bytes: step(settings) * INITIAL_STEPS,
            is_starting: true,
            current_min_rtt: Duration::MAX,
            previous_min_rtt: Duration::MAX,
            min_rtt_expires: now + MIN_RTT_LIFETIME,
            round_ends: sent,
            round_rtt: Duration::MAX,
            was_full: false,
            recovery_end: 0,
            min_rtt_probe: None,
            full_since: None,
            suspended: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the window keeps the lane closed with this many bytes in flight.
    pub(crate) fn is_full(&self, unacknowledged: u64) -> bool {
        self.suspended.is_none() && unacknowledged >= self.bytes
    }

    /// Updates the state after a transmission or an acknowledgement.
    pub(crate) fn on_sent(&mut self, progress: Progress, settings: &Settings, now: Time) {
        let (acked, unacknowledged) = (progress.acked, progress.unacknowledged());
        let is_full = unacknowledged >= self.bytes;
        self.was_full |= is_full;
        self.suspended = self.suspended.filter(|_| is_full);
        if let Some(start) = &mut self.suspended {
            let elapsed = now.since(start.at);
            if elapsed >= RESUME_WITHIN {
                let achievable =
                    u128::from(acked - start.acked) * RESUME_WITHIN.as_nanos() / elapsed.as_nanos();
                *start = AckedSince { at: now, acked };
                if achievable >= unacknowledged.into() {
                    self.suspended = None;
                }
            }
        }
        let bytes = self.bytes;
        self.full_since
            .take_if(|since| acked - since.acked >= bytes || unacknowledged < step(settings));
        if self.suspended.is_none() && is_full {
            self.full_since.get_or_insert(AckedSince { at: now, acked });
        }
    }

    /// Until when the window may keep the lane closed while other receivers are idle, so that a
    /// receiver that is slower than it must be does not set the pace. By default 62 ms for the
    /// smallest window, 125 ms for the first.
    pub(crate) fn suspend_at(&self, settings: &Settings) -> Option<Time> {
        let patience = (settings.lag_timeout * SLOW_RECEIVER_TIMEOUTS).as_nanos();
        let part = patience * u128::from(self.bytes) / (settings.window as u128).max(1);
        let part = Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX));
        self.full_since.map(|since| since.at + part)
    }

    /// Stops the window from closing the lane; `acked` bytes are acknowledged.
    pub(crate) fn suspend(&mut self, acked: u64, now: Time) {
        if planted(Fault::CongestionNeverSuspended) {
            return;
        }
        self.full_since = None;
        self.suspended = Some(AckedSince { at: now, acked });
    }

    /// The receiver acknowledged more bytes, the last of them after `rtt`, if that is known.
    pub(crate) fn on_ack(
        &mut self,
        Progress { acked, sent }: Progress,
        rtt: Option<Duration>,
        settings: &Settings,
        now: Time,
    ) {
        if let Some(rtt) = rtt {
            self.round_rtt = self.round_rtt.min(rtt);
            self.current_min_rtt = self.current_min_rtt.min(rtt);
        }
        if acked < self.round_ends {
            return;
        }
        match self.min_rtt_probe {
            Some(MinRttProbe { rounds_left: 0 | 1, former_bytes }) => {
                self.min_rtt_probe = None;
                self.resize(former_bytes, settings);
            }
            Some(probe) => {
                let rounds_left = probe.rounds_left - 1;
                self.min_rtt_probe = Some(MinRttProbe { rounds_left, ..probe });
            }
            None if self.was_full && self.round_rtt < Duration::MAX => self.adapt(settings),
            None => {}
        }
        (self.round_ends, self.round_rtt, self.was_full) = (sent, Duration::MAX, false);
        if self.min_rtt_expires <= now {
            self.previous_min_rtt = self.current_min_rtt;
            self.current_min_rtt = Duration::MAX;
            self.min_rtt_expires = now + MIN_RTT_LIFETIME;
            let (rounds_left, former_bytes) = (MIN_RTT_PROBE_ROUNDS, self.bytes);
            self.min_rtt_probe = Some(MinRttProbe { rounds_left, former_bytes });
            self.full_since = None;
            self.resize(0, settings);
        }
    }

    fn adapt(&mut self, settings: &Settings) {
        let step = step(settings);
        let min_rtt = self.min_rtt().as_nanos().max(1);
        let rtt = self.round_rtt.as_nanos().max(1);
        let in_transit = u128::from(self.bytes) * min_rtt / rtt;
        let queued = self.bytes - u64::try_from(in_transit).unwrap_or(0).min(self.bytes);
        self.is_starting &= queued <= GROW_UP_TO_QUEUED * step;
        let next = if self.is_starting {
            self.bytes * 2
        } else if queued <= GROW_UP_TO_QUEUED * step {
            self.bytes + step
        } else if queued > SHRINK_ABOVE_QUEUED * step {
            self.bytes - step
        } else {
            self.bytes
        };
        self.resize(next, settings);
    }

    /// A frame behind the acknowledged bytes was lost.
    pub(crate) fn on_loss(&mut self, Progress { acked, sent }: Progress, settings: &Settings) {
        if acked >= self.recovery_end && self.suspended.is_none() {
            self.recovery_end = sent;
            self.is_starting = false;
            let bytes = self.min_rtt_probe.take().map_or(self.bytes, |probe| probe.former_bytes);
            self.resize(bytes / 2, settings);
        }
    }

    fn min_rtt(&self) -> Duration {
        self.current_min_rtt.min(self.previous_min_rtt)
    }

    fn resize(&mut self, bytes: u64, settings: &Settings) {
        let most = largest(settings);
        self.bytes = bytes.clamp((step(settings) * MIN_STEPS).min(most), most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 64 << 10;

    fn at(us: u64) -> Time {
        Time::from_start(Duration::from_micros(us))
    }

    fn progress(acked: u64, sent: u64) -> Progress {
        Progress { acked, sent }
    }

    /// The network between a sender and a receiver.
    struct Route {
        /// Bytes per millisecond.
        rate: u64,
        /// Delay in microseconds, besides that of the rate.
        delay: u64,
        /// Bytes that the queue holds; what exceeds it is lost.
        queue: u64,
    }

    impl Route {
        /// Sends rounds of full windows for `lasting` microseconds. Returns the window after each
        /// round, and the rounds with a loss.
        fn rounds(&self, lasting: u64) -> (Vec<u64>, Vec<usize>) {
            let settings = Settings::default();
            let mut window = CongestionWindow::new(0, &settings, at(0));
            let (mut sent, mut now) = (0, 0);
            let (mut windows, mut losses) = (Vec::new(), Vec::new());
            // An earlier exchange measured the minimum round-trip time.
            window.on_ack(
                progress(0, 0),
                Some(Duration::from_micros(self.delay)),
                &settings,
                at(0),
            );
            while now < lasting {
                let before = sent;
                sent += window.bytes;
                window.on_sent(progress(before, sent), &settings, at(now));
                let duration = self.delay.max(window.bytes * 1_000 / self.rate);
                let in_transit = self.rate * self.delay / 1_000;
                if window.bytes.saturating_sub(in_transit) > self.queue {
                    window.on_loss(progress(before, sent), &settings);
                    window.on_loss(progress(before, sent), &settings);
                    losses.push(windows.len());
                }
                now += duration;
                // A round ends when what was sent at its beginning is acknowledged.
                window.round_ends = window.round_ends.min(sent);
                let rtt = Some(Duration::from_micros(duration));
                window.on_ack(progress(sent, sent), rtt, &settings, at(now));
                windows.push(window.bytes);
            }
            (windows, losses)
        }
    }

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_short_route_stays_busy_with_a_short_queue() {
        // 100 MB/s over 300 us: 30 kB are in transit. A permanent queue must not count as empty.
        let route = Route { rate: 100 << 10, delay: 300, queue: 512 << 10 };
        let (windows, losses) = route.rounds(120 * SECOND);
        assert!(windows.iter().all(|window| (2 * STEP..=7 * STEP).contains(window)));
        let busy = windows.iter().filter(|window| **window > 2 * STEP).count();
        assert!(busy > windows.len() * 99 / 100, "{busy} of {}", windows.len());
        assert_eq!(losses, [] as [usize; 0]);
    }

    #[test]
    fn a_route_with_a_short_queue_loses_few_frames() {
        let route = Route { rate: 100 << 10, delay: 300, queue: 256 << 10 };
        let (windows, losses) = route.rounds(120 * SECOND);
        assert!(losses.len() < windows.len() / 50, "{} of {}", losses.len(), windows.len());
    }

    #[test]
    fn a_long_route_is_filled_within_two_rounds() {
        // 100 MB/s over 20 ms: more than the largest window.
        let (windows, _) = Route { rate: 100 << 10, delay: 20_000, queue: 0 }.rounds(5 * SECOND);
        assert_eq!(windows[..2], [8 * STEP, 16 * STEP]);
        assert!(windows[2..].iter().all(|window| *window == 16 * STEP), "{windows:?}");
    }

    #[test]
    fn a_loss_halves_the_window_once_a_flight_down_to_the_minimum() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        (0..2).for_each(|_| window.resize(16 * STEP, &settings));
        window.on_loss(progress(0, 16 * STEP), &settings);
        window.on_loss(progress(STEP, 17 * STEP), &settings);
        assert_eq!(window.bytes, 8 * STEP);
        for flight in 1..10 {
            let begin = 20 * STEP * flight;
            window.on_loss(progress(begin, begin + STEP), &settings);
        }
        assert_eq!(window.bytes, 2 * STEP);
    }

    #[test]
    fn a_window_adapts_to_a_route_that_became_longer() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        let mut round = |rtt: u64, now: u64| {
            window.on_sent(progress(0, window.bytes), &settings, at(now));
            window.on_ack(progress(0, 0), Some(Duration::from_micros(rtt)), &settings, at(now));
            window.bytes
        };
        round(300, 1);
        let small = (1..100).map(|i| round(20_000, i * 20_000)).last();
        assert_eq!(small, Some(4 * STEP), "nearly the whole window seems to queue");
        let large = (0..1_450).map(|i| round(20_000, 2 * SECOND + i * 20_000)).last();
        assert_eq!(large, Some(16 * STEP));
    }

    #[test]
    fn a_window_that_is_never_full_stays_as_it_is() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        for i in 1..1_000 {
            window.on_sent(progress(i, i + STEP), &settings, at(i));
            window.on_ack(progress(i, i), Some(Duration::from_micros(300)), &settings, at(i));
        }
        assert_eq!(window.bytes, 4 * STEP);
    }

    fn ms(ms: u64) -> Time {
        at(ms * 1_000)
    }

    #[test]
    fn a_window_has_a_deadline_for_a_receiver_that_is_too_slow() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, ms(0));
        let deadline = |window: &CongestionWindow| window.suspend_at(&settings);
        window.on_sent(progress(0, 3 * STEP), &settings, ms(1));
        assert_eq!(deadline(&window), None);
        // 256 KiB at 2 MiB a second, however often a part is acknowledged.
        for i in 0..5 {
            window.on_sent(
                progress(i * STEP / 2, 4 * STEP + i * STEP / 2),
                &settings,
                ms(2 + i * 20),
            );
            assert_eq!(deadline(&window), Some(ms(127)), "{i}");
        }
        window.on_sent(progress(4 * STEP, 8 * STEP), &settings, ms(126));
        assert_eq!(deadline(&window), Some(ms(251)), "a whole window was acknowledged");
        window.on_sent(progress(8 * STEP - 1, 8 * STEP), &settings, ms(130));
        assert_eq!(deadline(&window), None, "nearly everything is acknowledged");
    }

    #[test]
    fn a_suspended_window_resumes_when_the_receiver_is_fast_enough() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, ms(0));
        window.on_sent(progress(0, 4 * STEP), &settings, ms(0));
        window.suspend(0, ms(100));
        window.on_sent(progress(0, 40 * STEP), &settings, ms(101));
        assert!(!window.is_full(40 * STEP) && window.suspend_at(&settings).is_none());
        window.on_loss(progress(0, 40 * STEP), &settings);
        assert_eq!(window.bytes, 4 * STEP, "a loss does not shrink a suspended window");
        // 20 steps in 125 ms, with 30 in flight; then 30 steps, with 30 in flight.
        window.on_sent(progress(20 * STEP, 50 * STEP), &settings, ms(225));
        assert!(!window.is_full(30 * STEP));
        window.on_sent(progress(50 * STEP, 80 * STEP), &settings, ms(350));
        assert!(window.is_full(30 * STEP) && window.suspend_at(&settings) == Some(ms(475)));
        // Or when everything in flight fits.
        window.suspend(50 * STEP, ms(475));
        window.on_sent(progress(77 * STEP, 80 * STEP), &settings, ms(476));
        assert!(window.is_full(4 * STEP));
    }
}
