//! Traffic scenarios: processes publish to each other under a fault, and every event is accounted
//! for.

use super::{Requirement, Scenario, ScenarioKind, Variant};
use crate::contender::FIFO_OPTION;
use crate::faults::actions::{
    burst, change_address, cut, flap, freeze, kill, loss, one_way, partial, slow, stall, storm,
};
use crate::faults::findings::Findings;
use crate::faults::process_group::ProcessGroup;
use crate::faults::run_length::RunLength;

const fn one(
    nodes: usize,
    run: fn(&mut ProcessGroup<'_>, u64, RunLength) -> Result<Findings, String>,
) -> Variant {
    Variant { name: "", nodes, value: 0, options: &[], run }
}

/// Traffic scenarios in the order in which they run.
pub(super) const TRAFFIC: [Scenario; 12] = [
    Scenario {
        name: "burst",
        description: "one million events as fast as they can be published, 1 to 3 receivers",
        needs: Requirement::Processes,
        tool: None,
        kind: ScenarioKind::Traffic(&[
            Variant { name: "to 1", nodes: 2, value: 0, options: &[], run: burst },
            Variant { name: "to 2", nodes: 3, value: 0, options: &[], run: burst },
            Variant { name: "to 3", nodes: 4, value: 0, options: &[], run: burst },
        ]),
    },
    Scenario {
        name: "cut",
        description: "one of three cut off silently for 5 s and for 25 s; each publishes 2,000/s",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Traffic(&[
            Variant { name: "5 s", nodes: 3, value: 5, options: &[], run: cut },
            Variant { name: "25 s", nodes: 3, value: 25, options: &[], run: cut },
        ]),
    },
    Scenario {
        name: "partial",
        description: "only the link a-c cut for 20 s, both still reach b; each publishes 2,000/s",
        needs: Requirement::Filters,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(3, partial)]),
    },
    Scenario {
        name: "one-way",
        description: "only the packets from a to c dropped for 20 s; each publishes 2,000/s",
        needs: Requirement::Filters,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(3, one_way)]),
    },
    Scenario {
        name: "freeze",
        description: "one of four stopped (SIGSTOP) for 20 s, then continued; one sends 20,000/s",
        needs: Requirement::Processes,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(4, freeze)]),
    },
    Scenario {
        name: "stall",
        description: "one of two receivers stopped (SIGSTOP) for 1 s of an unpaced stream",
        needs: Requirement::Processes,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(3, stall)]),
    },
    Scenario {
        name: "kill",
        description: "the sender killed (SIGKILL) in the middle of a burst to three receivers",
        needs: Requirement::Processes,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(4, kill)]),
    },
    Scenario {
        name: "flap",
        description: "the link of one of three toggles every second for a minute; 1,000/s each",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(3, flap)]),
    },
    Scenario {
        name: "storm",
        description: "one of ten restarted every 2 s for 120 s, half by SIGKILL; 100/s each",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(10, storm)]),
    },
    Scenario {
        name: "move",
        description: "one of three loses its address for 5 s, then gets another; 2,000/s each",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Traffic(&[one(3, change_address)]),
    },
    Scenario {
        name: "slow",
        description: "one of two consumers reads 100 of 100,000 events a second, for 10 s",
        needs: Requirement::Processes,
        tool: None,
        kind: ScenarioKind::Traffic(&[Variant {
            // A slow callback would block everything else that its Zenoh session receives.
            options: &[FIFO_OPTION],
            ..one(3, slow)
        }]),
    },
    Scenario {
        name: "loss",
        description: "1 % and 10 % of the packets to each of three dropped for 30 s; 1,000/s each",
        needs: Requirement::Filters,
        tool: None,
        kind: ScenarioKind::Traffic(&[
            Variant { name: "1 %", nodes: 3, value: 1, options: &[], run: loss },
            Variant { name: "10 %", nodes: 3, value: 10, options: &[], run: loss },
        ]),
    },
];
