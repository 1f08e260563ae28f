//! Scenarios of the program `mailmesh`: what befalls hosts, and what operators do about it.

use super::{Requirement, Scenario, ScenarioKind, Tool, Trial};
use crate::faults::program::{
    churn, clocks, descriptors, disk, firewall, key_rotation, name_conflict, suspended,
};

/// In the order of running.
pub(super) const PROGRAM: [Scenario; 9] = [
    Scenario {
        name: "clock",
        description: "the clock of one of two nodes jumps ahead by a day, and is set right again",
        needs: Requirement::Namespaces,
        tool: Some(Tool::Faketime),
        kind: ScenarioKind::Program(&[Trial { name: "", hosts: 2, value: 0, run: clocks::ahead }]),
    },
    Scenario {
        name: "clock-alone",
        description: "one of three starts cut off, two days ahead; set right, it meets the others",
        needs: Requirement::Namespaces,
        tool: Some(Tool::Faketime),
        kind: ScenarioKind::Program(&[Trial { name: "", hosts: 3, value: 0, run: clocks::alone }]),
    },
    Scenario {
        name: "rotation",
        description: "one of three is cut off while the key is changed; `key add --here` on it",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[Trial {
            name: "",
            hosts: 3,
            value: 0,
            run: key_rotation::missed,
        }]),
    },
    Scenario {
        name: "same-name",
        description: "another node takes the name of one that is cut off; a second one starts cut off",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[
            Trial { name: "returns", hosts: 4, value: 0, run: name_conflict::returns },
            Trial { name: "alone", hosts: 4, value: 5, run: name_conflict::alone },
        ]),
    },
    Scenario {
        name: "disk-full",
        description: "a node with a store starts on a full disk, after SIGTERM and after SIGKILL",
        needs: Requirement::Namespaces,
        tool: Some(Tool::Mounts),
        kind: ScenarioKind::Program(&[
            Trial { name: "SIGTERM", hosts: 1, value: 0, run: disk::after_stop },
            Trial { name: "SIGKILL", hosts: 1, value: 0, run: disk::after_kill },
        ]),
    },
    Scenario {
        name: "firewall",
        description: "each of three lets in TCP and UDP port 7447, and answers to what it said",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[Trial {
            name: "",
            hosts: 3,
            value: 0,
            run: firewall::between,
        }]),
    },
    Scenario {
        name: "lives",
        description: "two nodes stay, those of eight more hosts are killed and started 6,000 times",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[Trial {
            name: "",
            hosts: 10,
            value: 6_000,
            run: churn::many_incarnations,
        }]),
    },
    Scenario {
        name: "still",
        description: "one of three is stopped (SIGSTOP) for 10 s and for 60 s, then continued",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[
            Trial { name: "10 s", hosts: 3, value: 10, run: suspended::stopped },
            Trial { name: "60 s", hosts: 3, value: 60, run: suspended::stopped },
        ]),
    },
    Scenario {
        name: "descriptors",
        description: "a node that may open 32, 40 or 127 files, and one that may open 128",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[
            Trial { name: "32", hosts: 1, value: 32, run: descriptors::too_few },
            Trial { name: "40", hosts: 1, value: 40, run: descriptors::too_few },
            Trial { name: "127", hosts: 1, value: 127, run: descriptors::too_few },
            Trial { name: "128", hosts: 3, value: 128, run: descriptors::fewest },
        ]),
    },
];
