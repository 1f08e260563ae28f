//! Scenarios of traffic: processes publish to each other under a fault, and every event is
//! accounted for.

use super::{Needs, Play, Scenario, Variant};
use crate::contender::READ_BY_CHANNEL;
use crate::faults::field::Field;
use crate::faults::findings::Findings;
use crate::faults::pace::Pace;
use crate::faults::play::{
    burst, cut, flap, freeze, kill, loss, moved, one_way, partial, slow, stall, storm,
};

const fn one(
    nodes: usize,
    play: fn(&mut Field<'_>, u64, Pace) -> Result<Findings, String>,
) -> Variant {
    Variant { name: "", nodes, value: 0, options: &[], play }
}

/// In the order of running.
pub(super) const TRAFFIC: [Scenario; 12] = [
    Scenario {
        name: "burst",
        what: "one million events as fast as they can be published, 1 to 3 receivers",
        needs: Needs::Processes,
        also: None,
        play: Play::Traffic(&[
            Variant { name: "to 1", nodes: 2, value: 0, options: &[], play: burst },
            Variant { name: "to 2", nodes: 3, value: 0, options: &[], play: burst },
            Variant { name: "to 3", nodes: 4, value: 0, options: &[], play: burst },
        ]),
    },
    Scenario {
        name: "cut",
        what: "one of three cut off silently for 5 s and for 25 s; each publishes 2,000/s",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Traffic(&[
            Variant { name: "5 s", nodes: 3, value: 5, options: &[], play: cut },
            Variant { name: "25 s", nodes: 3, value: 25, options: &[], play: cut },
        ]),
    },
    Scenario {
        name: "partial",
        what: "only the link a-c cut for 20 s, both still reach b; each publishes 2,000/s",
        needs: Needs::Filters,
        also: None,
        play: Play::Traffic(&[one(3, partial)]),
    },
    Scenario {
        name: "one-way",
        what: "packets from a to c lost for 20 s, not those from c to a; each publishes 2,000/s",
        needs: Needs::Filters,
        also: None,
        play: Play::Traffic(&[one(3, one_way)]),
    },
    Scenario {
        name: "freeze",
        what: "one of four stopped (SIGSTOP) for 20 s, then continued; one publishes 20,000/s",
        needs: Needs::Processes,
        also: None,
        play: Play::Traffic(&[one(4, freeze)]),
    },
    Scenario {
        name: "stall",
        what: "one of two receivers stopped (SIGSTOP) for 1 s of a stream as fast as it can be published",
        needs: Needs::Processes,
        also: None,
        play: Play::Traffic(&[one(3, stall)]),
    },
    Scenario {
        name: "kill",
        what: "the sender killed (SIGKILL) in the middle of a burst to three receivers",
        needs: Needs::Processes,
        also: None,
        play: Play::Traffic(&[one(4, kill)]),
    },
    Scenario {
        name: "flap",
        what: "the link of one of three goes up and down every second for a minute; 1,000/s each",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Traffic(&[one(3, flap)]),
    },
    Scenario {
        name: "storm",
        what: "ten processes, one restarted every 2 s for two minutes, every other by SIGKILL; 100/s each",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Traffic(&[one(10, storm)]),
    },
    Scenario {
        name: "move",
        what: "one of three loses its address for 5 s, then has another; each publishes 2,000/s",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Traffic(&[one(3, moved)]),
    },
    Scenario {
        name: "slow",
        what: "one of two consumers reads 100 events a second of 100,000 a second, for 10 s",
        needs: Needs::Processes,
        also: None,
        play: Play::Traffic(&[Variant {
            // A callback that takes its time holds up what else its session receives.
            options: &[READ_BY_CHANNEL],
            ..one(3, slow)
        }]),
    },
    Scenario {
        name: "loss",
        what: "1 % and 10 % of the packets to each of three dropped for 30 s; 1,000/s each",
        needs: Needs::Filters,
        also: None,
        play: Play::Traffic(&[
            Variant { name: "1 %", nodes: 3, value: 1, options: &[], play: loss },
            Variant { name: "10 %", nodes: 3, value: 10, options: &[], play: loss },
        ]),
    },
];
