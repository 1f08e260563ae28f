use std::time::Duration;

/// Counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Events published.
    pub published: u64,
    /// Events delivered, over all receivers.
    pub delivered: u64,
    /// Events reported missing, over all receivers. With liars this includes events that never
    /// existed.
    pub missing: u64,
    /// Incarnations that ended, by a crash or a goodbye.
    pub restarts: u64,
    /// Failures of peers that nodes reported.
    pub failures: u64,
    /// Changes of a peer's reach, between direct and relayed.
    pub reach_changes: u64,
    /// Attempts to publish on a closed lane.
    pub refused: u64,
    /// Changes that nodes made to their mirrors.
    pub changes: u64,
    /// Lies sent, each to one node.
    pub lies: u64,
    /// Inputs that nodes handled: packets and deadlines.
    pub inputs: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
}

impl Report {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.missing = self.missing.saturating_add(other.missing);
        self.restarts += other.restarts;
        self.failures += other.failures;
        self.reach_changes += other.reach_changes;
        self.refused += other.refused;
        self.changes += other.changes;
        self.lies += other.lies;
        self.inputs += other.inputs;
        self.elapsed += other.elapsed;
    }
}
