//! Scenarios of the program `mailmesh`: what befalls hosts, and what operators do about it.

use super::{Needs, Play, Scenario, Tool, Trial};
use crate::faults::program::{clocks, descriptors, disk, firewall, keys, lives, names, still};

/// In the order of running.
pub(super) const PROGRAM: [Scenario; 9] = [
    Scenario {
        name: "clock",
        what: "the clock of one of two nodes jumps ahead by a day, and is set right again",
        needs: Needs::Namespaces,
        also: Some(Tool::Faketime),
        play: Play::Program(&[Trial { name: "", hosts: 2, value: 0, play: clocks::ahead }]),
    },
    Scenario {
        name: "clock-alone",
        what: "one of three starts cut off, two days ahead; set right, it meets the others",
        needs: Needs::Namespaces,
        also: Some(Tool::Faketime),
        play: Play::Program(&[Trial { name: "", hosts: 3, value: 0, play: clocks::alone }]),
    },
    Scenario {
        name: "rotation",
        what: "one of three is cut off while the key is changed; `key add --here` on it",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[Trial { name: "", hosts: 3, value: 0, play: keys::missed }]),
    },
    Scenario {
        name: "same-name",
        what: "another node takes the name of one that is cut off; a second one starts cut off",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[
            Trial { name: "returns", hosts: 4, value: 0, play: names::returns },
            Trial { name: "alone", hosts: 4, value: 5, play: names::alone },
        ]),
    },
    Scenario {
        name: "disk-full",
        what: "a node with a store starts on a full disk, after SIGTERM and after SIGKILL",
        needs: Needs::Namespaces,
        also: Some(Tool::Mounts),
        play: Play::Program(&[
            Trial { name: "SIGTERM", hosts: 1, value: 0, play: disk::after_stop },
            Trial { name: "SIGKILL", hosts: 1, value: 0, play: disk::after_kill },
        ]),
    },
    Scenario {
        name: "firewall",
        what: "each of three lets in TCP and UDP port 7447, and answers to what it said",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[Trial { name: "", hosts: 3, value: 0, play: firewall::between }]),
    },
    Scenario {
        name: "lives",
        what: "two nodes stay, those of eight more hosts are killed and started 6,000 times",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[Trial { name: "", hosts: 10, value: 6_000, play: lives::many }]),
    },
    Scenario {
        name: "still",
        what: "one of three is stopped (SIGSTOP) for 10 s and for 60 s, then continued",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[
            Trial { name: "10 s", hosts: 3, value: 10, play: still::stopped },
            Trial { name: "60 s", hosts: 3, value: 60, play: still::stopped },
        ]),
    },
    Scenario {
        name: "descriptors",
        what: "a node that may open 32, 40 or 127 files, and one that may open 128",
        needs: Needs::Namespaces,
        also: None,
        play: Play::Program(&[
            Trial { name: "32", hosts: 1, value: 32, play: descriptors::too_few },
            Trial { name: "40", hosts: 1, value: 40, play: descriptors::too_few },
            Trial { name: "127", hosts: 1, value: 127, play: descriptors::too_few },
            Trial { name: "128", hosts: 3, value: 128, play: descriptors::fewest },
        ]),
    },
];
