//! What a scenario of traffic asks of the counts, once everything has settled.

use super::account::{Flow, Incarnation};
use super::process_group::{detection_time, recovery_time};
use super::row::Figure;

/// The figures of a scenario that are no columns.
type Figures = fn(&Findings, &[Incarnation], &[Flow]) -> Vec<Figure>;

/// What a scenario wants to know, once everything has settled.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) fault_at: u64,
    pub(super) heal_at: Option<u64>,
    /// (observer, who has gone).
    pub(super) departures: Vec<(usize, usize)>,
    /// (receiver, sender) between which something was broken.
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
