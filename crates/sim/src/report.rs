use std::time::Duration;

/// What happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Events published.
    pub published: u64,
    /// Events delivered, at all receivers.
    pub delivered: u64,
    /// Events told missing, at all receivers; among liars also such as never were.
    pub missing: u64,
    /// Crashes and goodbyes.
    pub restarts: u64,
    /// Times a node was told that another failed.
    pub failures: u64,
    /// Times the way to a peer began or ended to lead through another.
    pub reach_changes: u64,
    /// Times a node did not publish because its lane was closed.
    pub refused: u64,
    /// Changes of mirrors made.
    pub changes: u64,
    /// Lies told to one node.
    pub lies: u64,
    /// Inputs handled.
    pub inputs: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
}

impl Report {
    /// Adds what happened in another run.
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
