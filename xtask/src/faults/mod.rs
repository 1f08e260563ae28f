//! Scenarios of failure between real processes: mailmesh, bare Zenoh and zenoh-ext
//! under the same fault, one after the other. See `docs/faults.md`.

mod account;
mod field;
mod network;
mod play;
mod row;
mod scenarios;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::contender::{System, build};
use crate::namespaces;
use crate::run::write_json;
use crate::sweeper::Sweeper;
use account::{counts, pairs};
use field::{Field, Ground, Place};
use row::Row;
use scenarios::{Needs, Pace, SCENARIOS, Scenario, Variant};

/// The exit code when something could not be run here, and nothing else was wrong.
const NOT_ALL_RAN: u8 = 3;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this one.
    name: Option<String>,
    /// List them.
    #[arg(long)]
    list: bool,
    /// Write the rows to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// A first look: what takes long takes a fifth.
    #[arg(long)]
    quick: bool,
    /// Only this system: mailmesh, zenoh, zenoh-ext. Without it all three.
    #[arg(long, value_parser = System::from_name)]
    system: Option<System>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let wanted =
        |scenario: &&Scenario| options.name.as_ref().is_none_or(|name| name == scenario.name);
    let scenarios = SCENARIOS.iter().filter(wanted).collect::<Vec<_>>();
    if scenarios.is_empty() {
        return Err(format!(
            "there is no scenario `{}`; `cargo xtask faults --list` lists them",
            options.name.as_deref().unwrap_or_default()
        ));
    }
    if options.list {
        for scenario in scenarios {
            println!("{:<10}{}", scenario.name, scenario.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let place = place();
    let (run, skipped): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| scenario.needs <= place.allows);
    if let Some(why) = &place.why {
        let names = skipped.iter().map(|scenario| scenario.name).collect::<Vec<_>>();
        eprintln!("\n==== NOT RUN: {} ====\n==== {why} ====\n", names.join(", "));
    }
    if run.is_empty() {
        return Ok(ExitCode::from(NOT_ALL_RAN));
    }
    let program = build(&["zenoh-ext"])?;
    let ground = Ground { program: &program, place: place.place, sweeper: Sweeper::start()? };
    let (rows, errors) = play_all(&run, &ground, options)?;
    let broken = rows.iter().filter(|row| row.is_broken()).collect::<Vec<_>>();
    for row in &broken {
        println!("BROKEN: {} {} of mailmesh", row.scenario, row.variant);
    }
    println!("{} rows, {} broken, {} did not run", rows.len(), broken.len(), errors.len());
    if !errors.is_empty() || !broken.is_empty() {
        return Err("not everything held, or not everything ran; see above".to_owned());
    }
    Ok(if skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL_RAN) })
}

struct Where {
    place: Place,
    allows: Needs,
    /// Why not everything.
    why: Option<String>,
}

/// Where scenarios can be run here, and which.
fn place() -> Where {
    let (place, allows) = (Place::Loopback, Needs::Processes);
    if let Err(why) = namespaces::available() {
        let why = format!("no network namespaces ({why}): run as root, with iproute2");
        return Where { place, allows, why: Some(why) };
    }
    let place = Place::Namespaces;
    match network::filters_available() {
        Ok(()) => Where { place, allows: Needs::Filters, why: None },
        Err(why) => {
            let why = format!("no packet filters ({why}): install nftables");
            Where { place, allows: Needs::Namespaces, why: Some(why) }
        }
    }
}

fn play_all(
    scenarios: &[&Scenario],
    ground: &Ground<'_>,
    options: &Options,
) -> Result<(Vec<Row>, Vec<String>), String> {
    let pace = if options.quick { Pace::Quick } else { Pace::Full };
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    Row::print_head();
    for scenario in scenarios {
        for variant in scenario.variants {
            let systems = System::ALL.into_iter();
            for system in systems.filter(|system| options.system.is_none_or(|s| s == *system)) {
                match play(scenario, variant, system, ground, pace) {
                    Ok(row) => {
                        row.print();
                        rows.push(row);
                    }
                    Err(error) => {
                        let (name, variant) = (scenario.name, variant.name);
                        let error = format!("{name} {variant} {}: {error}", system.name());
                        println!("DID NOT RUN: {error}");
                        errors.push(error);
                    }
                }
                // Each time: what there is survives an early end.
                if let Some(path) = &options.json {
                    write_json(Path::new(path), &rows)?;
                }
            }
        }
    }
    Ok((rows, errors))
}

fn play(
    scenario: &Scenario,
    variant: &Variant,
    system: System,
    ground: &Ground<'_>,
    pace: Pace,
) -> Result<Row, String> {
    let mut field = Field::start(ground, system, variant.nodes)?;
    let findings = (variant.play)(&mut field, variant.value, pace)?;
    field.settle()?;
    let lives = field.lives()?;
    let pairs = pairs(&lives);
    let names = (scenario.name, variant.name);
    let mut row = Row::new(names, system, counts(&lives, &pairs), field.peaks());
    row.notice_s = findings.notice_s(&lives);
    row.whole_s = findings.whole_s(&pairs);
    row.figures = findings.figures(&lives, &pairs);
    field.quit();
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_are_those_promised() {
        let names = SCENARIOS.each_ref().map(|scenario| scenario.name);
        let promised = [
            "burst", "cut", "partial", "one-way", "freeze", "stall", "kill", "flap", "storm",
            "move", "slow", "loss",
        ];
        assert_eq!(names, promised);
        let without_root = SCENARIOS.iter().filter(|s| s.needs == Needs::Processes);
        let without_root = without_root.map(|scenario| scenario.name).collect::<Vec<_>>();
        assert_eq!(without_root, ["burst", "freeze", "stall", "kill", "slow"]);
    }
}
