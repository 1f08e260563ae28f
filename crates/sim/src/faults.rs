use std::time::Duration;

/// What goes wrong in a run, and how often. Chances are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Faults {
    /// Frames lost.
    pub loss: u32,
    /// Frames that come twice.
    pub duplication: u32,
    /// Longest delay beyond the link's own; what is delayed is overtaken.
    pub jitter: Duration,
    /// Chance a second that a pair of nodes stops hearing each other, for up to
    /// ten seconds; half of these cuts are of one direction only.
    pub cuts: u32,
    /// Chance a second that a node crashes; it starts again with a new life.
    pub crashes: u32,
    /// Chance a second that a node leaves in good order and starts again.
    pub goodbyes: u32,
}

impl Faults {
    /// The faults of a seed: each sort is absent in about half of the seeds, so
    /// that combinations differ (swarm testing: Groce et al., ISSTA 2012).
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xFA17);
        let mut some = |most: u32| if rng.bool() { rng.u32(1..=most) } else { 0 };
        Self {
            loss: some(300),
            duplication: some(200),
            jitter: Duration::from_millis(some(120).into()),
            cuts: some(150),
            crashes: some(60),
            goodbyes: some(60),
        }
    }
}
