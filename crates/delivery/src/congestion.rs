//! How far a sender runs ahead of one receiver: as far as the way to it takes, no further.
//!
//! What is more than the way holds is dropped by the bus, and repair costs more than waiting.
//! As TCP Vegas does (Brakmo, O'Malley and Peterson 1994), the window grows while what is sent
//! is confirmed about as fast as ever, and shrinks when it begins to queue; as with NewReno
//! (RFC 6582) a loss shrinks it once, whatever else of the same flight is lost.
//!
//! It sets a pace, it does not wait for who is slow: while others have nothing to do, it must be
//! confirmed as fast as a receiver must be that is waited for, or it gives way, until all that
//! was sent could be confirmed in a moment. What is lost to a slow one is sent to it again.

use std::time::Duration;

use crate::planted::{Fault, planted};
use crate::{Settings, Time};

/// A step of the window is so small a part of the largest: 64 KiB by default, a full frame.
const STEPS_IN_LARGEST: u64 = 16;
/// Steps of the smallest window, and of the first.
const MIN_STEPS: u64 = 2;
const INITIAL_STEPS: u64 = 4;
/// With no more steps than this in queues it grows; with more than that it shrinks: TCP Vegas's.
const QUEUED_STEPS: (u64, u64) = (2, 4);
/// How long the shortest round trip counts at least; up to twice as long while something is
/// sent. When it moves on, rounds of the smallest window find out what an empty queue is like
/// (as BBR's `ProbeRTT`), or what always queues would come to count as none.
const MIN_RTT_LIFETIME: Duration = Duration::from_secs(10);
/// The first of them empties the queue, the second measures.
const MIN_RTT_PROBE_ROUNDS: u8 = 2;
/// It sets the pace again once all that is unconfirmed could be confirmed in this time.
const RESUME_WITHIN: Duration = Duration::from_millis(125);
/// In so many lag timeouts a receiver must confirm a window while others have nothing to
/// do: 2 MiB a second by default.
pub(crate) const SLOW_RECEIVER_TIMEOUTS: u32 = 4;

/// The largest window: what follows a loss must fit behind the hole at the receiver, which keeps
/// frames opened and as they came.
fn largest(settings: &Settings) -> u64 {
    settings.window.min(settings.reorder_bytes / 2) as u64
}

/// A step of the windows under these settings, in bytes.
pub(crate) fn step(settings: &Settings) -> u64 {
    (largest(settings) / STEPS_IN_LARGEST).max(1)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CongestionWindow {
    bytes: u64,
    /// Nothing has queued or got lost yet: it doubles instead of growing by a step.
    is_starting: bool,
    /// Shortest times from sending to confirming: of now and of before.
    min_rtt: [Duration; 2],
    /// When these move on.
    min_rtt_expires: Time,
    /// Bytes sent when the round began: it ends when they are confirmed.
    round_ends: u64,
    /// Shortest time of this round.
    round_rtt: Duration,
    /// In this round the window was what kept the lane closed.
    was_full: bool,
    /// Bytes sent at the last loss: what is lost of them is of the same flight.
    recovery_end: u64,
    /// Rounds of the smallest window that are left, and the window that follows.
    min_rtt_probe: Option<(u8, u64)>,
    /// Since when it keeps the lane closed, and what had been confirmed then; until as much more
    /// is, or nearly everything.
    full_since: Option<(Time, u64)>,
    /// It was waited for long enough, and keeps the lane closed no more; since when, and what had
    /// been confirmed then, to see how fast that goes.
    suspended: Option<(Time, u64)>,
}

impl CongestionWindow {
    /// The first window, after so many bytes were sent.
    pub(crate) fn new(sent: u64, settings: &Settings, now: Time) -> Self {
        Self {
            bytes: step(settings) * INITIAL_STEPS,
            is_starting: true,
            min_rtt: [Duration::MAX; 2],
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

    /// Whether it keeps the lane closed with so much unconfirmed.
    pub(crate) fn is_full(&self, unacknowledged: u64) -> bool {
        self.suspended.is_none() && unacknowledged >= self.bytes
    }

    /// The first `confirmed` of `sent` bytes are confirmed.
    pub(crate) fn on_sent(
        &mut self,
        (confirmed, sent): (u64, u64),
        settings: &Settings,
        now: Time,
    ) {
        let unacknowledged = sent.saturating_sub(confirmed);
        let is_full = unacknowledged >= self.bytes;
        self.was_full |= is_full;
        self.suspended = self.suspended.filter(|_| is_full);
        if let Some((since, had)) = &mut self.suspended {
            let took = now.since(*since);
            if took >= RESUME_WITHIN {
                let in_a_moment =
                    u128::from(confirmed - *had) * RESUME_WITHIN.as_nanos() / took.as_nanos();
                (*since, *had) = (now, confirmed);
                if in_a_moment >= unacknowledged.into() {
                    self.suspended = None;
                }
            }
        }
        let bytes = self.bytes;
        self.full_since
            .take_if(|(_, had)| confirmed - *had >= bytes || unacknowledged < step(settings));
        if self.suspended.is_none() && is_full {
            self.full_since.get_or_insert((now, confirmed));
        }
    }

    /// Until when it may keep the lane closed while others have nothing to do: who is slower than
    /// a receiver may be does not set the pace. 62 ms for the smallest window by default, 125 ms
    /// for the first.
    pub(crate) fn suspend_at(&self, settings: &Settings) -> Option<Time> {
        let patience = (settings.lag_timeout * SLOW_RECEIVER_TIMEOUTS).as_nanos();
        let part = patience * u128::from(self.bytes) / (settings.window as u128).max(1);
        let part = Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX));
        self.full_since.map(|(since, _)| since + part)
    }

    /// It sets the pace no more; `confirmed` bytes are confirmed.
    pub(crate) fn suspend(&mut self, confirmed: u64, now: Time) {
        if planted(Fault::CongestionNeverSuspended) {
            return;
        }
        (self.full_since, self.suspended) = (None, Some((now, confirmed)));
    }

    /// The first `confirmed` of `sent` bytes are confirmed, the last of them after `took`, if
    /// that is known.
    pub(crate) fn on_ack(
        &mut self,
        (confirmed, sent): (u64, u64),
        took: Option<Duration>,
        settings: &Settings,
        now: Time,
    ) {
        if let Some(took) = took {
            self.round_rtt = self.round_rtt.min(took);
            self.min_rtt[0] = self.min_rtt[0].min(took);
        }
        if confirmed < self.round_ends {
            return;
        }
        match self.min_rtt_probe {
            Some((0 | 1, former)) => {
                self.min_rtt_probe = None;
                self.resize(former, settings);
            }
            Some((left, former)) => self.min_rtt_probe = Some((left - 1, former)),
            None if self.was_full && self.round_rtt < Duration::MAX => self.adapt(settings),
            None => {}
        }
        (self.round_ends, self.round_rtt, self.was_full) = (sent, Duration::MAX, false);
        if self.min_rtt_expires <= now {
            self.min_rtt = [Duration::MAX, self.min_rtt[0]];
            self.min_rtt_expires = now + MIN_RTT_LIFETIME;
            self.min_rtt_probe = Some((MIN_RTT_PROBE_ROUNDS, self.bytes));
            self.full_since = None;
            self.resize(0, settings);
        }
    }

    fn adapt(&mut self, settings: &Settings) {
        let step = step(settings);
        let min_rtt = self.min_rtt().as_nanos().max(1);
        let took = self.round_rtt.as_nanos().max(1);
        let on_its_way = u128::from(self.bytes) * min_rtt / took;
        let queued = self.bytes - u64::try_from(on_its_way).unwrap_or(0).min(self.bytes);
        self.is_starting &= queued <= QUEUED_STEPS.0 * step;
        let next = if self.is_starting {
            self.bytes * 2
        } else if queued <= QUEUED_STEPS.0 * step {
            self.bytes + step
        } else if queued > QUEUED_STEPS.1 * step {
            self.bytes - step
        } else {
            self.bytes
        };
        self.resize(next, settings);
    }

    /// Of what was sent before the first `sent` bytes, some behind the first `confirmed` was
    /// lost.
    pub(crate) fn on_loss(&mut self, (confirmed, sent): (u64, u64), settings: &Settings) {
        if confirmed >= self.recovery_end && self.suspended.is_none() {
            self.recovery_end = sent;
            self.is_starting = false;
            let bytes = self.min_rtt_probe.take().map_or(self.bytes, |(_, former)| former);
            self.resize(bytes / 2, settings);
        }
    }

    fn min_rtt(&self) -> Duration {
        self.min_rtt[0].min(self.min_rtt[1])
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

    /// What a way does to what is sent over it.
    struct Way {
        /// Bytes a millisecond.
        rate: u64,
        /// Microseconds that each takes besides.
        long: u64,
        /// Bytes that wait; what is more is lost.
        queue: u64,
    }

    impl Way {
        /// Full rounds of what the window lets through, for so many microseconds: the window after
        /// each, and which of them lost something.
        fn rounds(&self, lasting: u64) -> (Vec<u64>, Vec<usize>) {
            let settings = Settings::default();
            let mut window = CongestionWindow::new(0, &settings, at(0));
            let (mut sent, mut now) = (0, 0);
            let (mut windows, mut losses) = (Vec::new(), Vec::new());
            // Somebody talked before: the shortest time is known.
            window.on_ack((0, 0), Some(Duration::from_micros(self.long)), &settings, at(0));
            while now < lasting {
                let before = sent;
                sent += window.bytes;
                window.on_sent((before, sent), &settings, at(now));
                let takes = self.long.max(window.bytes * 1_000 / self.rate);
                let on_its_way = self.rate * self.long / 1_000;
                if window.bytes.saturating_sub(on_its_way) > self.queue {
                    window.on_loss((before, sent), &settings);
                    window.on_loss((before, sent), &settings);
                    losses.push(windows.len());
                }
                now += takes;
                // Rounds end with what was sent at their beginning.
                window.round_ends = window.round_ends.min(sent);
                let took = Some(Duration::from_micros(takes));
                window.on_ack((sent, sent), took, &settings, at(now));
                windows.push(window.bytes);
            }
            (windows, losses)
        }
    }

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_short_way_is_kept_busy_with_little_in_its_queue_for_as_long_as_it_takes() {
        // 100 MB/s over 300 us: 30 kB are on their way. What always queues is not taken for none.
        let way = Way { rate: 100 << 10, long: 300, queue: 512 << 10 };
        let (windows, losses) = way.rounds(120 * SECOND);
        assert!(windows.iter().all(|window| (2 * STEP..=7 * STEP).contains(window)));
        let busy = windows.iter().filter(|window| **window > 2 * STEP).count();
        assert!(busy > windows.len() * 99 / 100, "{busy} of {}", windows.len());
        assert_eq!(losses, [] as [usize; 0]);
    }

    #[test]
    fn a_way_with_a_short_queue_loses_little() {
        let way = Way { rate: 100 << 10, long: 300, queue: 256 << 10 };
        let (windows, losses) = way.rounds(120 * SECOND);
        assert!(losses.len() < windows.len() / 50, "{} of {}", losses.len(), windows.len());
    }

    #[test]
    fn a_long_way_is_filled_soon() {
        // 100 MB/s over 20 ms: more than the largest window.
        let (windows, _) = Way { rate: 100 << 10, long: 20_000, queue: 0 }.rounds(5 * SECOND);
        assert_eq!(windows[..2], [8 * STEP, 16 * STEP]);
        assert!(windows[2..].iter().all(|window| *window == 16 * STEP), "{windows:?}");
    }

    #[test]
    fn losses_shrink_it_once_a_flight_and_never_below_the_smallest() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        (0..2).for_each(|_| window.resize(16 * STEP, &settings));
        window.on_loss((0, 16 * STEP), &settings);
        window.on_loss((STEP, 17 * STEP), &settings);
        assert_eq!(window.bytes, 8 * STEP);
        for flight in 1..10 {
            let begin = 20 * STEP * flight;
            window.on_loss((begin, begin + STEP), &settings);
        }
        assert_eq!(window.bytes, 2 * STEP);
    }

    #[test]
    fn a_way_that_became_longer_is_learnt() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        let mut round = |took: u64, now: u64| {
            window.on_sent((0, window.bytes), &settings, at(now));
            window.on_ack((0, 0), Some(Duration::from_micros(took)), &settings, at(now));
            window.bytes
        };
        round(300, 1);
        let small = (1..100).map(|i| round(20_000, i * 20_000)).last();
        assert_eq!(small, Some(4 * STEP), "nearly all of it seems to queue");
        let large = (0..1_450).map(|i| round(20_000, 2 * SECOND + i * 20_000)).last();
        assert_eq!(large, Some(16 * STEP));
    }

    #[test]
    fn who_sends_less_than_the_window_learns_nothing_of_it() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        for i in 1..1_000 {
            window.on_sent((i, i + STEP), &settings, at(i));
            window.on_ack((i, i), Some(Duration::from_micros(300)), &settings, at(i));
        }
        assert_eq!(window.bytes, 4 * STEP);
    }

    fn ms(ms: u64) -> Time {
        at(ms * 1_000)
    }

    #[test]
    fn it_gives_way_to_who_confirms_it_slower_than_a_receiver_must() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, ms(0));
        let deadline = |window: &CongestionWindow| window.suspend_at(&settings);
        window.on_sent((0, 3 * STEP), &settings, ms(1));
        assert_eq!(deadline(&window), None);
        // 256 KiB at 2 MiB a second, however often a little is confirmed.
        for i in 0..5 {
            window.on_sent((i * STEP / 2, 4 * STEP + i * STEP / 2), &settings, ms(2 + i * 20));
            assert_eq!(deadline(&window), Some(ms(127)), "{i}");
        }
        window.on_sent((4 * STEP, 8 * STEP), &settings, ms(126));
        assert_eq!(deadline(&window), Some(ms(251)), "all of it was confirmed");
        window.on_sent((8 * STEP - 1, 8 * STEP), &settings, ms(130));
        assert_eq!(deadline(&window), None, "nearly all is");
    }

    #[test]
    fn who_was_slow_sets_the_pace_again_once_it_could_confirm_all_in_a_moment() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, ms(0));
        window.on_sent((0, 4 * STEP), &settings, ms(0));
        window.suspend(0, ms(100));
        window.on_sent((0, 40 * STEP), &settings, ms(101));
        assert!(!window.is_full(40 * STEP) && window.suspend_at(&settings).is_none());
        window.on_loss((0, 40 * STEP), &settings);
        assert_eq!(window.bytes, 4 * STEP, "it is not what sets the congestion");
        // 20 steps in 125 ms, with 30 unconfirmed; then 30, with 30.
        window.on_sent((20 * STEP, 50 * STEP), &settings, ms(225));
        assert!(!window.is_full(30 * STEP));
        window.on_sent((50 * STEP, 80 * STEP), &settings, ms(350));
        assert!(window.is_full(30 * STEP) && window.suspend_at(&settings) == Some(ms(475)));
        // Or when all fits.
        window.suspend(50 * STEP, ms(475));
        window.on_sent((77 * STEP, 80 * STEP), &settings, ms(476));
        assert!(window.is_full(4 * STEP));
    }
}
