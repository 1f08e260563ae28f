//! Program scenarios: faults of hosts, clocks, keys and disks, and what operators do about them.

use super::{Requirement, Scenario, ScenarioKind, Tool, Trial};
use crate::faults::program::{
    churn, clocks, descriptors, disk, firewall, key_rotation, name_conflict, suspended,
};

/// Program scenarios in the order in which they run.
pub(super) const PROGRAM: [Scenario; 9] = [
    Scenario {
        name: "clock",
        description: "one of two nodes has its clock set a day ahead, then corrected",
        needs: Requirement::Namespaces,
        tool: Some(Tool::Faketime),
        kind: ScenarioKind::Program(&[Trial { name: "", hosts: 2, value: 0, run: clocks::ahead }]),
    },
    Scenario {
        name: "clock-alone",
        description: "one of three starts cut off, two days ahead; it is corrected and reconnected",
        needs: Requirement::Namespaces,
        tool: Some(Tool::Faketime),
        kind: ScenarioKind::Program(&[Trial { name: "", hosts: 3, value: 0, run: clocks::alone }]),
    },
    Scenario {
        name: "rotation",
        description: "one of three is cut off during a key rotation; `key add --here` on it",
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
        description: "a node takes the name of one that is cut off; a namesake starts cut off",
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
        description: "three nodes; each host admits TCP and UDP port 7447 and replies only",
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
        description: "two nodes stay; those on eight hosts are started and killed 6,000 times",
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
        description: "a node with a limit of 32, 40 or 127 open files, and one with 128",
        needs: Requirement::Namespaces,
        tool: None,
        kind: ScenarioKind::Program(&[
            Trial { name: "32", hosts: 1, value: 32, run: descriptors::too_few },
            Trial { name: "40", hosts: 1, value: 40, run: descriptors::too_few },
            Trial { name: "127", hosts: 1, value: 127, run: descriptors::too_few },
            Trial { name: "128", hosts: 3, value: 128, run: descriptors::just_enough },
        ]),
    },
];
