//! Runs seeds on all processors and explains the first one that fails.
//!
//! `cargo run --release -p mailmesh-sim --example seeds -- --seeds 1000 --nodes 12`

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use clap::Parser;
use mailmesh_sim::{Plan, Report, Simulation, Violation, planted, shrink};

/// Runs whole clusters in virtual time, with faults drawn from seeds.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Args {
    /// Number of seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Nodes of each cluster, at least 2. A range like 5-50 gives each seed one of its sizes.
    #[arg(long, default_value = "12", value_parser = nodes)]
    nodes: (u64, u64),
    /// First seed [default: drawn from the time].
    #[arg(long)]
    seed: Option<u64>,
    /// Print the trace of the first seed, and the whole trace of the shortest failing run.
    #[arg(long)]
    trace: bool,
    /// Nodes keep and change mirrors, and some wall clocks are wrong.
    #[arg(long)]
    mirrors: bool,
    /// Byzantine members, which have the key, lie to the nodes.
    #[arg(long)]
    liars: bool,
    /// Do not shrink the plan of a failing seed.
    #[arg(long)]
    no_shrink: bool,
    /// Plant this fault in the cores. Only in builds with `--cfg planted`.
    #[arg(long, value_name = "NAME", hide = !cfg!(planted))]
    planted: Option<String>,
    /// List the faults that can be planted. Each line has name, group and effect, separated by
    /// tabs.
    #[arg(long, hide = !cfg!(planted))]
    list_planted: bool,
}

fn nodes(text: &str) -> Result<(u64, u64), String> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    let (min, max) = (number(min)?, number(max)?);
    if (2..=1_000).contains(&min) && (min..=1_000).contains(&max) {
        Ok((min, max))
    } else {
        Err("2 to 1000 nodes, or a range like 5-50".into())
    }
}

impl Args {
    fn plan(&self, seed: u64) -> Plan {
        let (min, max) = self.nodes;
        let nodes = usize::try_from(min + seed % (max - min + 1)).unwrap_or(2);
        let plan = Plan::from_seed(seed, nodes);
        let plan = if self.mirrors { plan.with_mirrors() } else { plan };
        if self.liars { plan.with_liars() } else { plan }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let prepared = match &args.planted {
        _ if args.list_planted => planted::list(),
        Some(name) => planted::plant(name),
        None => Ok(()),
    };
    if let Err(error) = prepared {
        eprintln!("error: {error}");
        // As for wrong arguments: no seed failed.
        return ExitCode::from(2);
    }
    if args.list_planted {
        return ExitCode::SUCCESS;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let first = args.seed.unwrap_or_else(|| u64::try_from(now.as_millis()).unwrap_or(0));
    println!("seeds {first} to {}", first.saturating_add(args.seeds - u64::from(args.seeds > 0)));
    if args.trace {
        let (result, lines) = Simulation::trace(&args.plan(first));
        let mut out = std::io::stdout().lock();
        let written = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
        // A reader may close the pipe early.
        if written.is_err() {
            return ExitCode::SUCCESS;
        }
        println!("{result:?}");
    }
    let begin = Instant::now();
    let (total, failed) = run(&args, first);
    let (real, simulated) = (begin.elapsed().as_secs_f64(), total.elapsed.as_secs_f64());
    println!(
        "{} events published, {} delivered, {} reported missing; \
         {} restarts, {} failures reported, {} changes of reach",
        total.published,
        total.delivered,
        total.missing,
        total.restarts,
        total.failures,
        total.reach_changes
    );
    println!(
        "{simulated:.0} simulated s in {real:.1} s, {:.0} a second; {} inputs",
        simulated / real,
        total.inputs
    );
    for violation in failed.iter().take(20) {
        println!("FAILED {violation}");
    }
    if let Some(violation) = failed.first().filter(|_| !args.no_shrink) {
        explain(&args.plan(violation.seed), if args.trace { usize::MAX } else { 60 });
    }
    println!("{} passed, {} failed", args.seeds - failed.len() as u64, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every seed, with one thread per processor.
fn run(args: &Args, first: u64) -> (Report, Vec<Violation>) {
    let next = AtomicU64::new(0);
    let results = Mutex::new((Report::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= args.seeds {
                        return;
                    }
                    let result = Simulation::run(&args.plan(first.saturating_add(index)));
                    if let Ok(mut results) = results.lock() {
                        match result {
                            Ok(report) => results.0.add(&report),
                            Err(violation) => results.1.push(violation),
                        }
                    }
                }
            });
        }
    });
    let (report, mut failed) = results.into_inner().unwrap_or_default();
    failed.sort_by_key(|violation| violation.seed);
    (report, failed)
}

/// Prints the shortest failing plan and the end of its trace.
fn explain(plan: &Plan, max: usize) {
    let Some((short, violation)) = shrink(plan) else { return };
    println!(
        "\n{} of {} steps are enough, with {:?}:",
        short.steps.len(),
        plan.steps.len(),
        short.faults
    );
    short.steps.iter().for_each(|step| println!("{step}"));
    let (_, lines) = Simulation::trace(&short);
    let skipped = lines.len().saturating_sub(max);
    println!("{violation}\n\nthe last {} lines of its trace:", lines.len() - skipped);
    lines.iter().skip(skipped).for_each(|line| println!("{line}"));
}
