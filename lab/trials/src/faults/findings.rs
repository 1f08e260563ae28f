//! The times of a fault and the pairs it disturbed, from which a traffic scenario computes its
//! figures once all events have settled.

use super::account::{Flow, Incarnation};
use super::process_group::{detection_time, recovery_time};
use super::row::Figure;

/// Computes the figures of a scenario that have no column of their own.
type Figures = fn(&Findings, &[Incarnation], &[Flow]) -> Vec<Figure>;

/// The result of the actions of a traffic scenario; times are nanoseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) fault_at: u64,
    pub(super) heal_at: Option<u64>,
    /// Pairs of (observer, departed process): the observer must detect the departure.
    pub(super) departures: Vec<(usize, usize)>,
    /// Pairs of (receiver, sender) whose traffic the fault interrupted.
    pub(super) disturbed: Vec<(usize, usize)>,
    pub(super) figures: Option<Figures>,
}

impl Findings {
    pub(super) fn detection_s(&self, incarnations: &[Incarnation]) -> Option<f64> {
        if self.departures.is_empty() {
            None
        } else {
            detection_time(incarnations, &self.departures, self.fault_at)
        }
    }

    pub(super) fn recovery_s(&self, flows: &[Flow]) -> Option<f64> {
        self.heal_at.and_then(|heal_at| recovery_time(flows, &self.disturbed, heal_at))
    }

    pub(super) fn figures(&self, incarnations: &[Incarnation], flows: &[Flow]) -> Vec<Figure> {
        self.figures.map(|figures| figures(self, incarnations, flows)).unwrap_or_default()
    }
}
