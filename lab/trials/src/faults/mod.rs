//! Scenarios of failure between real processes. In traffic scenarios mailmesh, bare Zenoh and
//! zenoh-ext meet the same fault one after the other. In program scenarios nodes of `mailmesh` do.
//! See `docs/proof/faults.md`.

mod account;
mod actions;
mod findings;
mod machine;
mod network;
mod process_group;
mod program;
mod row;
mod run_length;
mod scenarios;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::contender::{System, build};
use crate::sweeper::Sweeper;
use account::{counts, flows};
use machine::Machine;
use process_group::{Environment, ProcessGroup};
use program::{Testbed, Verdict};
use row::Row;
use run_length::RunLength;
use scenarios::{Scenario, ScenarioKind, Trial, Variant};
use xtask::run::{build_release, write_json};

/// The exit code when a scenario could not run here and everything else held.
const NOT_ALL_RAN: u8 = 3;

/// Options of the task `faults`.
#[derive(Debug, clap::Args)]
#[command(after_help = scenarios::list())]
pub(crate) struct Options {
    /// Run only the scenario of this name.
    name: Option<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Write the rows to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Update the table of traffic scenarios in this file, between the lines `<!-- faults: begin
    /// -->` and `<!-- faults: end -->`. Only the rows of this run are replaced.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Shorten the long phases to a fifth, for a first look.
    #[arg(long)]
    quick: bool,
    /// Run only this system: mailmesh, zenoh or zenoh-ext. The default is all three.
    #[arg(long, value_parser = System::from_name)]
    system: Option<System>,
    /// Use this `mailmesh` in program scenarios, instead of a release build.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
}

impl Options {
    fn wants(&self, system: System) -> bool {
        self.system.is_none_or(|wanted| wanted == system)
    }
}

/// The result of one run.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Traffic(Row),
    Program(Verdict),
}

impl Outcome {
    /// The line in the table of `docs/proof/faults.md`, which has traffic scenarios only.
    fn line(&self) -> Option<String> {
        match self {
            Self::Traffic(row) => Some(row.markdown()),
            Self::Program(_) => None,
        }
    }

    fn broken(&self) -> Option<String> {
        let (is_broken, scenario, variant) = match self {
            Self::Traffic(row) => (row.is_broken(), row.scenario, row.variant),
            Self::Program(verdict) => (verdict.is_broken(), verdict.scenario, verdict.variant),
        };
        is_broken.then(|| format!("{scenario} {variant}").trim_end().to_owned())
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let scenarios = wanted(options)?;
    if options.list {
        for scenario in scenarios {
            println!("{:<13}{}", scenario.name, scenario.description);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let machine = Machine::probe();
    let (mut run, mut skipped) = (Vec::new(), 0);
    for scenario in scenarios {
        match machine.check(scenario.needs, scenario.tool) {
            Ok(()) => run.push(scenario),
            Err(why) => {
                eprintln!("\n==== NOT RUN: {} ====\n==== {why} ====\n", scenario.name);
                skipped += 1;
            }
        }
    }
    if run.is_empty() {
        return Ok(ExitCode::from(NOT_ALL_RAN));
    }
    let mut runs = Runs { options, outcomes: Vec::new(), errors: Vec::new() };
    let sweeper = Sweeper::start()?;
    let is_traffic = |scenario: &&Scenario| matches!(scenario.kind, ScenarioKind::Traffic(_));
    let (traffic, program): (Vec<&Scenario>, Vec<_>) = run.into_iter().partition(is_traffic);
    if !traffic.is_empty() {
        let program = build(&["zenoh-ext"])?;
        let environment = Environment {
            program: &program,
            isolation: machine.isolation,
            sweeper: sweeper.clone(),
        };
        runs.run_traffic(&traffic, &environment)?;
    }
    if !program.is_empty() {
        runs.run_program(&program, &mailmesh(options)?, &sweeper)?;
    }
    if let Some(path) = &options.markdown {
        let lines = runs.outcomes.iter().filter_map(Outcome::line).collect::<Vec<_>>();
        xtask::markdown::write(path, "faults", |old| xtask::markdown::updated(old, &lines))?;
    }
    let broken = runs.outcomes.iter().filter_map(Outcome::broken).collect::<Vec<_>>();
    for name in &broken {
        println!("BROKEN: {name} of mailmesh");
    }
    let (rows, errors) = (runs.outcomes.len(), runs.errors.len());
    println!("{rows} rows, {} broken, {errors} did not run", broken.len());
    if errors > 0 || !broken.is_empty() {
        return Err("a promise was broken or a run failed; see above".to_owned());
    }
    Ok(if skipped == 0 { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL_RAN) })
}

/// The scenarios that match the name and the system of the options.
fn wanted(options: &Options) -> Result<Vec<&'static Scenario>, String> {
    let named = |scenario: &&Scenario| options.name.as_ref().is_none_or(|n| n == scenario.name);
    let named = scenarios::all().filter(named).collect::<Vec<_>>();
    if named.is_empty() {
        return Err(format!(
            "there is no scenario `{}`; `cargo xtask faults --list` lists all",
            options.name.as_deref().unwrap_or_default()
        ));
    }
    let of_system = |scenario: &&Scenario| {
        matches!(scenario.kind, ScenarioKind::Traffic(_)) || options.wants(System::Mailmesh)
    };
    let scenarios = named.into_iter().filter(of_system).collect::<Vec<_>>();
    if scenarios.is_empty() {
        return Err("only mailmesh runs this scenario: leave out `--system`".to_owned());
    }
    Ok(scenarios)
}

/// Path of the program `mailmesh`: the given one, or a new release build.
fn mailmesh(options: &Options) -> Result<PathBuf, String> {
    if let Some(path) = &options.bin {
        // The path must be absolute: processes start in other folders.
        return path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    }
    let programs = build_release("mailmesh-cli", &[])?;
    programs.into_iter().next_back().ok_or_else(|| "there is no program mailmesh".to_owned())
}

/// The results so far.
#[derive(Debug)]
struct Runs<'a> {
    options: &'a Options,
    outcomes: Vec<Outcome>,
    errors: Vec<String>,
}

impl Runs<'_> {
    fn length(&self) -> RunLength {
        if self.options.quick { RunLength::Quick } else { RunLength::Full }
    }

    fn run_traffic(
        &mut self,
        scenarios: &[&Scenario],
        environment: &Environment<'_>,
    ) -> Result<(), String> {
        Row::print_head();
        for scenario in scenarios {
            let ScenarioKind::Traffic(variants) = scenario.kind else { continue };
            for variant in variants {
                for system in System::ALL.into_iter().filter(|s| self.options.wants(*s)) {
                    let run = (scenario.name, variant.name, system);
                    let row = traffic(run, variant, environment, self.length());
                    let outcome = row.map(|row| {
                        row.print();
                        Outcome::Traffic(row)
                    });
                    self.record(run, outcome)?;
                }
            }
        }
        Ok(())
    }

    fn run_program(
        &mut self,
        scenarios: &[&Scenario],
        program: &Path,
        sweeper: &Sweeper,
    ) -> Result<(), String> {
        for scenario in scenarios {
            let ScenarioKind::Program(trials) = scenario.kind else { continue };
            for trial in trials {
                let run = (scenario.name, trial.name, System::Mailmesh);
                let mut verdict = Verdict::new(scenario.name, trial.name);
                let result = run_trial(trial, program, sweeper, &mut verdict, self.length());
                // A run that failed early is printed too: its checks up to there are valid.
                verdict.print();
                self.record(run, result.map(|()| Outcome::Program(verdict)))?;
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        (scenario, variant, system): (&str, &str, System),
        outcome: Result<Outcome, String>,
    ) -> Result<(), String> {
        match outcome {
            Ok(outcome) => self.outcomes.push(outcome),
            Err(error) => {
                let error = format!("{scenario} {variant} {}: {error}", system.name());
                println!("DID NOT RUN: {error}");
                self.errors.push(error);
            }
        }
        // The file is written after each run, so that an early end loses nothing.
        match &self.options.json {
            Some(path) => write_json(path, &self.outcomes),
            None => Ok(()),
        }
    }
}

fn traffic(
    (scenario, name, system): (&'static str, &'static str, System),
    variant: &Variant,
    environment: &Environment<'_>,
    length: RunLength,
) -> Result<Row, String> {
    // Zenoh peers with default settings sometimes do not find each other: a rival is started once
    // more.
    let started = ProcessGroup::start(environment, system, variant.nodes, variant.options);
    let start_again = |error| match system.is_mailmesh() {
        true => Err(error),
        false => ProcessGroup::start(environment, system, variant.nodes, variant.options),
    };
    let mut group = started.or_else(start_again)?;
    let findings = (variant.run)(&mut group, variant.value, length)?;
    group.settle()?;
    let incarnations = group.incarnations()?;
    let flows = flows(&incarnations);
    let mut row = Row::new((scenario, name), system, counts(&incarnations, &flows), group.peaks());
    row.detection_s = findings.detection_s(&incarnations);
    row.recovery_s = findings.recovery_s(&flows);
    row.figures = findings.figures(&incarnations, &flows);
    group.quit();
    Ok(row)
}

fn run_trial(
    trial: &Trial,
    program: &Path,
    sweeper: &Sweeper,
    verdict: &mut Verdict,
    length: RunLength,
) -> Result<(), String> {
    let testbed = Testbed::new(program, trial.hosts, sweeper)?;
    let result = (trial.run)(&testbed, verdict, trial.value, length);
    if result.is_err() || verdict.is_broken() {
        testbed.show_logs();
    }
    result
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::parse_from(line.split(' ')).options
    }

    #[test]
    fn options_select_one_scenario_or_those_of_a_system() {
        let count = |line| wanted(&options(line)).map(|scenarios| scenarios.len());
        assert_eq!(count("faults"), Ok(21));
        assert_eq!(count("faults lives"), Ok(1));
        assert_eq!(count("faults --system zenoh"), Ok(12));
        assert_eq!(count("faults lives --system mailmesh"), Ok(1));
        assert!(count("faults lives --system zenoh").unwrap_err().contains("only mailmesh"));
        assert!(count("faults rain").unwrap_err().contains("no scenario `rain`"));
    }
}
