//! The scenarios: which there are, what each needs, what it finds.

use std::time::Duration;

use super::account::{Life, Pair};
use super::field::{Field, noticed, whole};
use super::play::{
    burst, cut, flap, freeze, kill, loss, moved, one_way, partial, slow, stall, storm,
};
use super::row::Figure;

/// What must be there for a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Processes,
    Namespaces,
    /// And `nft` in them.
    Filters,
}

/// A scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) needs: Needs,
    pub(super) variants: &'static [Variant],
}

/// One way to run a scenario.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) nodes: usize,
    /// What differs between the variants of a scenario.
    pub(super) value: u64,
    pub(super) play: fn(&mut Field<'_>, u64, Pace) -> Result<Findings, String>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Full,
    /// For a first look: what takes long takes a fifth.
    Quick,
}

impl Pace {
    pub(super) fn seconds(self, full: u64) -> Duration {
        match self {
            Self::Full => Duration::from_secs(full),
            Self::Quick => Duration::from_secs(full.div_ceil(5)),
        }
    }

    pub(super) fn events(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 5,
        }
    }
}

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

const fn one(
    nodes: usize,
    play: fn(&mut Field<'_>, u64, Pace) -> Result<Findings, String>,
) -> Variant {
    Variant { name: "", nodes, value: 0, play }
}

/// All of them, in the order of running.
pub(super) const SCENARIOS: [Scenario; 12] = [
    Scenario {
        name: "burst",
        what: "one million events as fast as they can be published, 1 to 3 receivers",
        needs: Needs::Processes,
        variants: &[
            Variant { name: "to 1", nodes: 2, value: 0, play: burst },
            Variant { name: "to 2", nodes: 3, value: 0, play: burst },
            Variant { name: "to 3", nodes: 4, value: 0, play: burst },
        ],
    },
    Scenario {
        name: "cut",
        what: "one of three cut off silently for 5 s and for 25 s; each publishes 2,000/s",
        needs: Needs::Namespaces,
        variants: &[
            Variant { name: "5 s", nodes: 3, value: 5, play: cut },
            Variant { name: "25 s", nodes: 3, value: 25, play: cut },
        ],
    },
    Scenario {
        name: "partial",
        what: "only the link a-c cut for 20 s, both still reach b; each publishes 2,000/s",
        needs: Needs::Filters,
        variants: &[one(3, partial)],
    },
    Scenario {
        name: "one-way",
        what: "packets from a to c lost for 20 s, not those from c to a; each publishes 2,000/s",
        needs: Needs::Filters,
        variants: &[one(3, one_way)],
    },
    Scenario {
        name: "freeze",
        what: "one of four stopped (SIGSTOP) for 20 s, then continued; one publishes 20,000/s",
        needs: Needs::Processes,
        variants: &[one(4, freeze)],
    },
    Scenario {
        name: "stall",
        what: "one of two receivers stopped (SIGSTOP) for 1 s of a stream as fast as it can be published",
        needs: Needs::Processes,
        variants: &[one(3, stall)],
    },
    Scenario {
        name: "kill",
        what: "the sender killed (SIGKILL) in the middle of a burst to three receivers",
        needs: Needs::Processes,
        variants: &[one(4, kill)],
    },
    Scenario {
        name: "flap",
        what: "the link of one of three goes up and down every second for a minute; 1,000/s each",
        needs: Needs::Namespaces,
        variants: &[one(3, flap)],
    },
    Scenario {
        name: "storm",
        what: "ten processes, one restarted every 2 s for two minutes, every other by SIGKILL; 100/s each",
        needs: Needs::Namespaces,
        variants: &[one(10, storm)],
    },
    Scenario {
        name: "move",
        what: "one of three loses its address for 5 s, then has another; each publishes 2,000/s",
        needs: Needs::Namespaces,
        variants: &[one(3, moved)],
    },
    Scenario {
        name: "slow",
        what: "one of two consumers reads 100 events a second of 100,000 a second, for 10 s",
        needs: Needs::Processes,
        variants: &[one(3, slow)],
    },
    Scenario {
        name: "loss",
        what: "1 % and 10 % of the packets to each of three dropped for 30 s; 1,000/s each",
        needs: Needs::Filters,
        variants: &[
            Variant { name: "1 %", nodes: 3, value: 1, play: loss },
            Variant { name: "10 %", nodes: 3, value: 10, play: loss },
        ],
    },
];
