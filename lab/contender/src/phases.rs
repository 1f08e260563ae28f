//! Splits a run at marks into phases: before, during and after a fault.

use serde::{Deserialize, Serialize};

use crate::{Histogram, Latency};

/// Maximum number of phases; later marks are ignored.
const MAX_PHASES: usize = 16;

/// The events received from one sender, by phase.
#[derive(Debug, Default, Clone)]
pub struct Phases {
    phases: Vec<Phase>,
    arrived: u64,
}

#[derive(Debug, Default, Clone)]
struct Phase {
    latency: Histogram,
    first_at: u64,
    last_at: u64,
    received: u64,
    since: u64,
    longest_pause: u64,
}

/// Counts of one phase; times in nanoseconds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Delay from publication to arrival, of events *published* in the phase.
    pub latency: Latency,
    /// Arrival of the first event published in the phase; 0 if none arrived.
    pub first_at: u64,
    /// Arrival of the last event published in the phase; 0 if none arrived.
    pub last_at: u64,
    /// Events that *arrived* in the phase.
    pub received: u64,
    /// Arrival of the first of these; 0 if none arrived.
    pub since: u64,
    /// The longest time between two arrivals, counted in the phase in which it ended.
    pub longest_pause: u64,
}

impl Phases {
    /// Records an event that was published at `sent` and arrived at `now`. `marks` are the moments
    /// at which a phase ended and the next began, in order.
    pub fn record(&mut self, marks: &[u64], sent: u64, now: u64) {
        let of = |moment: u64| marks.partition_point(|mark| *mark <= moment).min(MAX_PHASES - 1);
        let (published_in, arrived_in) = (of(sent), of(now));
        if self.phases.len() <= published_in.max(arrived_in) {
            self.phases.resize_with(published_in.max(arrived_in) + 1, Phase::default);
        }
        let phase = &mut self.phases[published_in];
        phase.latency.record(now.saturating_sub(sent));
        if phase.first_at == 0 {
            phase.first_at = now;
        }
        phase.last_at = now;
        let phase = &mut self.phases[arrived_in];
        phase.received += 1;
        if phase.since == 0 {
            phase.since = now;
        }
        if self.arrived > 0 {
            phase.longest_pause = phase.longest_pause.max(now.saturating_sub(self.arrived));
        }
        self.arrived = now;
    }

    /// The counts of each phase, in order.
    #[must_use]
    pub fn report(&self) -> Vec<PhaseReport> {
        let report = |phase: &Phase| PhaseReport {
            latency: phase.latency.latency(),
            first_at: phase.first_at,
            last_at: phase.last_at,
            received: phase.received,
            since: phase.since,
            longest_pause: phase.longest_pause,
        };
        self.phases.iter().map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_in_the_phase_of_sending_and_rate_in_that_of_arrival() {
        let mut phases = Phases::default();
        let marks = [100, 200];
        phases.record(&marks, 50, 60);
        phases.record(&marks, 99, 210);
        phases.record(&marks, 205, 215);
        let report = phases.report();
        assert_eq!(report.len(), 3);
        assert_eq!((report[0].latency.count, report[0].first_at, report[0].last_at), (2, 60, 210));
        assert_eq!((report[0].received, report[1].received, report[2].received), (1, 0, 2));
        assert_eq!((report[1].latency.count, report[2].longest_pause), (0, 150));
    }

    #[test]
    fn marks_beyond_the_maximum_start_no_phase() {
        let marks: Vec<u64> = (1..100).collect();
        let mut phases = Phases::default();
        phases.record(&marks, 90, 95);
        assert_eq!(phases.report().len(), MAX_PHASES);
    }
}
