//! How far a sender runs ahead of one receiver: as far as the way to it takes, no further.
//!
//! What is more than the way holds is dropped by the bus, and repair costs more than waiting.
//! As TCP Vegas does (Brakmo, O'Malley and Peterson 1994), the window grows while what is sent
//! is confirmed about as fast as ever, and shrinks when it begins to queue; as with NewReno
//! (RFC 6582) a loss shrinks it once, whatever else of the same flight is lost.

use std::time::Duration;

use crate::{Settings, Time};

/// A step of the window is so small a part of the largest: 64 KiB by default, a full frame.
const STEPS: u64 = 16;
/// Steps of the smallest window, and of the first.
const SMALLEST: u64 = 2;
const FIRST: u64 = 4;
/// With no more steps than this in queues it grows; with more than that it shrinks: TCP Vegas's.
const QUEUED: (u64, u64) = (2, 4);
/// How long the shortest round trip counts, at least; up to twice as long.
const MEMORY: Duration = Duration::from_secs(10);

/// A step of the windows under these settings, in bytes.
pub(crate) fn step(settings: &Settings) -> u64 {
    (settings.window as u64 / STEPS).max(1)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CongestionWindow {
    bytes: u64,
    /// Nothing has queued or got lost yet: it doubles instead of growing by a step.
    is_starting: bool,
    /// Shortest times from sending to confirming: of now and of before.
    shortest: [Duration; 2],
    /// When these move on.
    forget_at: Time,
    /// Bytes sent when the round began: it ends when they are confirmed.
    round_ends: u64,
    /// Shortest time of this round.
    of_round: Duration,
    /// In this round the window was what kept the lane closed.
    was_full: bool,
    /// Bytes sent at the last loss: what is lost of them is of the same flight.
    lost_before: u64,
}

impl CongestionWindow {
    /// The first window, after so many bytes were sent.
    pub(crate) fn new(sent: u64, settings: &Settings, now: Time) -> Self {
        Self {
            bytes: step(settings) * FIRST,
            is_starting: true,
            shortest: [Duration::MAX; 2],
            forget_at: now + MEMORY,
            round_ends: sent,
            of_round: Duration::MAX,
            was_full: false,
            lost_before: 0,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lane is closed because so much is sent.
    pub(crate) fn on_full(&mut self) {
        self.was_full = true;
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
            self.of_round = self.of_round.min(took);
            self.shortest[0] = self.shortest[0].min(took);
        }
        if confirmed < self.round_ends {
            return;
        }
        if self.was_full && self.of_round < Duration::MAX {
            self.adapt(settings);
        }
        (self.round_ends, self.of_round, self.was_full) = (sent, Duration::MAX, false);
        if self.forget_at <= now {
            self.shortest = [Duration::MAX, self.shortest[0]];
            self.forget_at = now + MEMORY;
        }
    }

    fn adapt(&mut self, settings: &Settings) {
        let step = step(settings);
        let shortest = self.shortest[0].min(self.shortest[1]).as_nanos().max(1);
        let took = self.of_round.as_nanos().max(1);
        let on_its_way = u128::from(self.bytes) * shortest / took;
        let queued = self.bytes - u64::try_from(on_its_way).unwrap_or(0).min(self.bytes);
        self.is_starting &= queued <= QUEUED.0 * step;
        let next = if self.is_starting {
            self.bytes * 2
        } else if queued <= QUEUED.0 * step {
            self.bytes + step
        } else if queued > QUEUED.1 * step {
            self.bytes - step
        } else {
            self.bytes
        };
        self.resize(next, settings);
    }

    /// Of what was sent before the first `sent` bytes, some behind the first `confirmed` was
    /// lost.
    pub(crate) fn on_loss(&mut self, (confirmed, sent): (u64, u64), settings: &Settings) {
        if confirmed >= self.lost_before {
            self.lost_before = sent;
            self.is_starting = false;
            self.resize(self.bytes / 2, settings);
        }
    }

    fn resize(&mut self, bytes: u64, settings: &Settings) {
        let most = settings.window as u64;
        self.bytes = bytes.clamp((step(settings) * SMALLEST).min(most), most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 64 << 10;

    fn at(us: u64) -> Time {
        Time::from_start(Duration::from_micros(us))
    }

    /// A way that carries so many bytes a millisecond, of which each takes `way` microseconds
    /// besides, and drops what is more than `queue` bytes: full rounds of what the window lets
    /// through. Windows after each round, and how many lost something.
    fn rounds(rate: u64, way: u64, queue: u64, count: usize) -> (Vec<u64>, usize) {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        let (mut sent, mut now, mut losses, mut windows) = (0, 0, 0, Vec::new());
        // Somebody talked before: the shortest time is known.
        window.on_ack((0, 0), Some(Duration::from_micros(way)), &settings, at(0));
        for _ in 0..count {
            window.on_full();
            let before = sent;
            sent += window.bytes();
            let takes = way.max(window.bytes() * 1_000 / rate);
            if window.bytes().saturating_sub(rate * way / 1_000) > queue {
                window.on_loss((before, sent), &settings);
                window.on_loss((before, sent), &settings);
                losses += 1;
            }
            now += takes;
            let took = Some(Duration::from_micros(takes));
            // Rounds end with what was sent at their beginning.
            window.round_ends = window.round_ends.min(sent);
            window.on_ack((sent, sent), took, &settings, at(now));
            windows.push(window.bytes());
        }
        (windows, losses)
    }

    #[test]
    fn a_short_way_is_kept_busy_with_little_in_its_queue() {
        // 100 MB/s over 300 us: 30 kB are on their way.
        let (windows, losses) = rounds(100 << 10, 300, 512 << 10, 100);
        let settled = &windows[10..];
        assert!(settled.iter().all(|window| (2 * STEP..=5 * STEP).contains(window)), "{windows:?}");
        assert_eq!(losses, 0, "{windows:?}");
    }

    #[test]
    fn a_long_way_is_filled_soon() {
        // 100 MB/s over 20 ms: more than the largest window.
        let (windows, losses) = rounds(100 << 10, 20_000, 512 << 10, 10);
        assert_eq!(windows[..2], [8 * STEP, 16 * STEP]);
        assert!(windows[2..].iter().all(|window| *window == 16 * STEP), "{windows:?}");
        assert_eq!(losses, 0);
    }

    #[test]
    fn losses_shrink_it_once_a_flight_and_never_below_the_smallest() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        window.on_loss((0, 3 * STEP), &settings);
        window.on_loss((STEP, 4 * STEP), &settings);
        assert_eq!(window.bytes(), 2 * STEP);
        window.on_loss((3 * STEP, 5 * STEP), &settings);
        assert_eq!(window.bytes(), 2 * STEP);
        let (windows, losses) = rounds(100 << 10, 300, STEP / 4, 100);
        assert!(windows.iter().all(|window| *window >= 2 * STEP) && losses > 50, "{windows:?}");
    }

    #[test]
    fn a_way_that_became_longer_is_learnt() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        let mut round = |took: u64, now: u64| {
            window.on_full();
            window.on_ack((0, 0), Some(Duration::from_micros(took)), &settings, at(now));
            window.bytes()
        };
        round(300, 1);
        let small = (1..100).map(|i| round(20_000, i * 20_000)).last();
        assert_eq!(small, Some(4 * STEP), "nearly all of it seems to queue");
        let large = (0..1_500).map(|i| round(20_000, 2_000_000 + i * 20_000)).last();
        assert_eq!(large, Some(16 * STEP));
    }

    #[test]
    fn who_sends_less_than_the_window_learns_nothing_of_it() {
        let settings = Settings::default();
        let mut window = CongestionWindow::new(0, &settings, at(0));
        for i in 1..1_000 {
            window.on_ack((i, i), Some(Duration::from_micros(300)), &settings, at(i));
        }
        assert_eq!(window.bytes(), 4 * STEP);
    }
}
