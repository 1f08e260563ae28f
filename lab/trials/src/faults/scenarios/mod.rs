//! The list of scenarios and their requirements.

mod program;
mod traffic;

use super::findings::Findings;
use super::machine::{Requirement, Tool};
use super::process_group::ProcessGroup;
use super::program::{Testbed, Verdict};
use super::run_length::RunLength;
use program::PROGRAM;
use traffic::TRAFFIC;

/// A scenario of the task `faults`.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) needs: Requirement,
    /// A tool that it needs in addition.
    pub(super) tool: Option<Tool>,
    pub(super) kind: ScenarioKind,
}

/// The processes that run in a scenario, and how the result is judged.
#[derive(Debug)]
pub(super) enum ScenarioKind {
    /// Contender processes of each system publish; every event is accounted for.
    Traffic(&'static [Variant]),
    /// Nodes of the program `mailmesh`; its promises are checked.
    Program(&'static [Trial]),
}

/// One variant of a traffic scenario.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) nodes: usize,
    /// The parameter of the variant, such as seconds or percent; 0 if it has none.
    pub(super) value: u64,
    /// Command-line options of each contender.
    pub(super) options: &'static [&'static str],
    pub(super) run: fn(&mut ProcessGroup<'_>, u64, RunLength) -> Result<Findings, String>,
}

/// One variant of a program scenario.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) hosts: usize,
    /// The parameter of the variant, such as seconds or percent; 0 if it has none.
    pub(super) value: u64,
    pub(super) run: fn(&Testbed, &mut Verdict, u64, RunLength) -> Result<(), String>,
}

/// All scenarios in the order in which they run.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    TRAFFIC.iter().chain(&PROGRAM)
}

/// Names and descriptions, one scenario a line.
pub(super) fn list() -> String {
    let part = |title: &str, scenarios: &[Scenario]| {
        let lines = scenarios.iter().map(|s| format!("  {:<13}{}\n", s.name, s.description));
        format!("{title}:\n{}", lines.collect::<String>())
    };
    let traffic = part("Traffic scenarios, on mailmesh, zenoh and zenoh-ext", &TRAFFIC);
    let program = part("Program scenarios, on mailmesh nodes", &PROGRAM);
    format!("{traffic}\n{program}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_are_the_documented_ones_in_order() {
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
    fn the_docs_and_the_help_text_describe_each_scenario() {
        let docs = include_str!("../../../../../docs/proof/faults.md");
        for scenario in all() {
            let line = format!("| `{}` ", scenario.name);
            assert!(docs.contains(&line), "docs/proof/faults.md has no line for {}", scenario.name);
            assert!(list().contains(scenario.description));
        }
    }
}
