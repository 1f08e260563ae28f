//! The scenarios: which there are, and what each needs.

mod program;
mod traffic;

use super::findings::Findings;
use super::machine::{Requirement, Tool};
use super::process_group::ProcessGroup;
use super::program::{Testbed, Verdict};
use super::run_length::RunLength;
use program::PROGRAM;
use traffic::TRAFFIC;

/// A scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) needs: Requirement,
    /// And this.
    pub(super) tool: Option<Tool>,
    pub(super) kind: ScenarioKind,
}

/// What runs in a scenario, and how it is judged.
#[derive(Debug)]
pub(super) enum ScenarioKind {
    /// Processes of each system that publish: every event is accounted for.
    Traffic(&'static [Variant]),
    /// Nodes of the program `mailmesh`: what it promises is checked.
    Program(&'static [Trial]),
}

/// One way to run a scenario of traffic.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) nodes: usize,
    /// What differs between the variants of a scenario.
    pub(super) value: u64,
    /// Options of each process.
    pub(super) options: &'static [&'static str],
    pub(super) run: fn(&mut ProcessGroup<'_>, u64, RunLength) -> Result<Findings, String>,
}

/// One way to run a scenario of the program.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) hosts: usize,
    /// What differs between the variants of a scenario.
    pub(super) value: u64,
    pub(super) run: fn(&Testbed, &mut Verdict, u64, RunLength) -> Result<(), String>,
}

/// All of them, in the order of running.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    TRAFFIC.iter().chain(&PROGRAM)
}

/// Their names and what they do, a line each.
pub(super) fn list() -> String {
    let part = |title: &str, scenarios: &[Scenario]| {
        let lines = scenarios.iter().map(|s| format!("  {:<13}{}\n", s.name, s.description));
        format!("{title}:\n{}", lines.collect::<String>())
    };
    let traffic = part("Scenarios of traffic, on mailmesh, zenoh and zenoh-ext", &TRAFFIC);
    let program = part("Scenarios of the program mailmesh", &PROGRAM);
    format!("{traffic}\n{program}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_are_those_promised() {
        let names = all().map(|scenario| scenario.name).collect::<Vec<_>>();
        let promised = [
            "burst",
            "cut",
            "partial",
            "one-way",
            "freeze",
            "stall",
            "kill",
            "flap",
            "storm",
            "move",
            "slow",
            "loss",
            "clock",
            "clock-alone",
            "rotation",
            "same-name",
            "disk-full",
            "firewall",
            "lives",
            "still",
            "descriptors",
        ];
        assert_eq!(names, promised);
        let without_root = all().filter(|s| s.needs == Requirement::Processes);
        let without_root = without_root.map(|scenario| scenario.name).collect::<Vec<_>>();
        assert_eq!(without_root, ["burst", "freeze", "stall", "kill", "slow"]);
    }

    #[test]
    fn the_docs_and_the_list_have_each_scenario() {
        let docs = include_str!("../../../../docs/faults.md");
        for scenario in all() {
            let line = format!("| `{}` ", scenario.name);
            assert!(docs.contains(&line), "docs/faults.md has no line for {}", scenario.name);
            assert!(list().contains(scenario.description));
        }
    }
}
