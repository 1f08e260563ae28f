//! What a scenario of traffic asks of the counts, once everything has settled.

use super::account::{Life, Pair};
use super::field::{noticed, whole};
use super::row::Figure;

/// The figures of a scenario that are no columns.
type Figures = fn(&Findings, &[Life], &[Pair]) -> Vec<Figure>;

/// What a scenario wants to know, once everything has settled.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) fault: u64,
    pub(super) heal: Option<u64>,
    /// (observer, who has gone).
    pub(super) gone: Vec<(usize, usize)>,
    /// (receiver, sender) between which something was broken.
    pub(super) broken: Vec<(usize, usize)>,
    pub(super) figures: Option<Figures>,
}

impl Findings {
    pub(super) fn notice_s(&self, lives: &[Life]) -> Option<f64> {
        if self.gone.is_empty() { None } else { noticed(lives, &self.gone, self.fault) }
    }

    pub(super) fn whole_s(&self, pairs: &[Pair]) -> Option<f64> {
        self.heal.and_then(|heal| whole(pairs, &self.broken, heal))
    }

    pub(super) fn figures(&self, lives: &[Life], pairs: &[Pair]) -> Vec<Figure> {
        self.figures.map(|figures| figures(self, lives, pairs)).unwrap_or_default()
    }
}
