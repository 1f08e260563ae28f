use std::time::Duration;

use fastrand::Rng;

/// What goes wrong in a run, and how often. Chances are in thousandths; those "a
/// second" are of the whole cluster.
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
    /// eight seconds; half of these cuts are of one direction only.
    pub cuts: u32,
    /// Chance a second that a node hears nobody and nobody hears it, for up to eight
    /// seconds.
    pub isolations: u32,
    /// Chance a second that a node crashes; it starts again with a new life.
    pub crashes: u32,
    /// Chance a second that a node leaves in good order and starts again.
    pub leaves: u32,
    /// Chance a second that a node stands still, for up to eight seconds; what comes
    /// meanwhile waits, as far as there is room.
    pub freezes: u32,
    /// Chance a second that a node handles only a frame a millisecond, for up to four
    /// seconds, with little room for what waits.
    pub slowdowns: u32,
    /// Chance a second that the bus says that a link closed or opened, right or wrong.
    pub link_events: u32,
    /// Chance a second that a second node of a name starts.
    pub duplicate_names: u32,
    /// Chance a second that a recorded frame, or a forged one, is put before a node.
    pub forgeries: u32,
    /// Clocks run up to so many thousandths too fast or too slow, and their starts
    /// differ.
    pub drift: u32,
    /// Every bound is so small that it is reached.
    pub small_bounds: bool,
}

impl Faults {
    /// The faults of a seed: each sort is absent in about half of the seeds, so
    /// that combinations differ (swarm testing: Groce et al., ISSTA 2012). In every
    /// third seed it is absent seven times of eight: the fewer sorts there are, the
    /// less they excuse.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xFA17);
        let chance_of_8 = if rng.u8(..3) == 0 { 1 } else { 4 };
        let mut some = |max: u32| if rng.u8(..8) < chance_of_8 { rng.u32(1..=max) } else { 0 };
        Self {
            loss: some(300),
            duplication: some(200),
            jitter: Duration::from_millis(some(120).into()),
            cuts: some(300),
            isolations: some(100),
            crashes: some(100),
            leaves: some(100),
            freezes: some(100),
            slowdowns: some(100),
            link_events: some(500),
            duplicate_names: some(50),
            forgeries: some(2_000),
            drift: some(10),
            small_bounds: some(4) == 1,
        }
    }
}
