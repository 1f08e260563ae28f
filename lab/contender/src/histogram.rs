//! A histogram of times with a fixed number of buckets.

use serde::{Deserialize, Serialize};

/// Buckets for each power of two: a quantile is too high by a sixteenth at most.
const STEPS: usize = 16;
const BUCKETS: usize = 61 * STEPS;

/// Counts of times in 976 buckets, which cover all of `u64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    highest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), count: 0, highest: 0 }
    }
}

/// Quantiles of times, in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of measured times.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The maximum.
    pub max: u64,
}

impl Latency {
    /// The exact quantiles of these times.
    #[must_use]
    pub fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let quantile = |share: f64| {
            let wanted = (times.len() as f64 * share).ceil() as usize;
            times.get(wanted.max(1) - 1).copied().unwrap_or(0)
        };
        let count = times.len() as u64;
        Self { count, p50: quantile(0.5), p99: quantile(0.99), max: quantile(1.0) }
    }
}

impl Histogram {
    /// Adds a time in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.highest = self.highest.max(nanos);
    }

    /// The smallest bucket bound that at least `share` (0 to 1) of the times do not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut counted = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            counted += count;
            if counted >= wanted.max(1) {
                return upper(place).min(self.highest);
            }
        }
        self.highest
    }

    /// The count, quantiles and maximum of all recorded times.
    #[must_use]
    pub fn latency(&self) -> Latency {
        Latency {
            count: self.count,
            p50: self.quantile(0.5),
            p99: self.quantile(0.99),
            max: self.highest,
        }
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let power = nanos.ilog2() as usize; // at least 4
    let step = (nanos >> (power - 4)) as usize - STEPS;
    (power - 3) * STEPS + step
}

/// The largest value of a bucket.
fn upper(place: usize) -> u64 {
    let (power, step) = (place / STEPS, (place % STEPS) as u64);
    if power == 0 {
        return step;
    }
    let width = 1_u64 << (power - 1);
    ((STEPS as u64 + step) << (power - 1)) + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_that_bounds_it_by_a_sixteenth() {
        for nanos in (0..64).map(|shift| u64::MAX >> shift).chain([0, 15, 16, 17, 1_000_003]) {
            let bound = upper(bucket(nanos));
            assert!(bound >= nanos && bound - nanos <= nanos / 16, "{nanos}: {bound}");
        }
    }

    #[test]
    fn quantiles_of_a_thousand_times() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.latency(), Latency::default());
        assert_eq!(Latency::of(Vec::new()), Latency::default());
        for micros in 1..=1_000 {
            histogram.record(micros * 1_000);
        }
        let Latency { count, p50, p99, max } = histogram.latency();
        assert_eq!((count, max), (1_000, 1_000_000));
        assert!((500_000..540_000).contains(&p50), "{p50}");
        assert!((990_000..=1_000_000).contains(&p99), "{p99}");
        let exact = Latency::of((1..=1_000).rev().collect());
        assert_eq!(exact, Latency { count: 1_000, p50: 500, p99: 990, max: 1_000 });
    }
}
