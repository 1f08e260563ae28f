//! One process of a comparison. It runs a system, executes commands from JSON lines on its standard
//! input, and answers with reports.

mod error;
mod ledger;
mod publishing;
mod system;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use mailmesh_contender::{Command, Report};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::prelude::*;

use crate::error::ContenderError;
use crate::ledger::Ledger;
use crate::publishing::Publishing;
use crate::system::{Outlet, System};

/// Time in which a stopped publisher must end.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// Time in which the system must leave in good order.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// One process of a comparison; started by `cargo xtask compare`, `hostile` and `faults`.
#[derive(Debug, Parser)]
struct Args {
    /// The system to run.
    #[arg(long)]
    system: System,
    /// The name of this process.
    #[arg(long)]
    name: String,
    /// The Zenoh configuration, JSON5. For other systems the address and port of the server; for
    /// raw TCP those on which the first process listens.
    #[arg(long)]
    config: String,
    /// Zenoh and zenoh-ext: read through the default handler, a FIFO channel, not in a callback.
    #[arg(long)]
    fifo: bool,
    /// mailmesh: start with two keys, and retire the second at once.
    #[arg(long)]
    retire_second: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    log(args.system);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to the standard error if RUST_LOG is set, as the documentation of each system shows. The
/// standard output has only the reports.
fn log(system: System) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    if system.is_mailmesh() {
        let lines = lines.with_filter(filter.and(mailmesh::BoundedLog::new()));
        tracing_subscriber::registry().with(lines).init();
    } else {
        tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    }
}

fn run(args: &Args) -> Result<(), ContenderError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ledger = Arc::new(Ledger::default());
    let outlet = runtime.block_on(system::start(args, &ledger))?;
    let outlet = Arc::new(outlet);
    let publishing = Publishing::new(outlet.clone(), ledger.clone(), runtime.handle().clone());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let command = serde_json::from_str(&line)
            .map_err(|source| ContenderError::Command { line, source })?;
        match command {
            Command::Publish { count, rate } => publishing.begin(count, rate),
            Command::Stop => publishing.stop(),
            Command::Mark { at } => ledger.mark(at),
            Command::Read { rate } => ledger.set_read_rate(rate),
            Command::Ping { count } => publishing.ping(count),
            Command::Report { request } => {
                let (refused, retransmitted_frames) =
                    (outlet.refused(), outlet.retransmitted_frames());
                let entries = outlet.entries();
                answer(Report {
                    refused,
                    retransmitted_frames,
                    entries,
                    ..ledger.report(request)
                })?;
            }
            Command::Quit => {
                publishing.stop();
                let goodbye = async {
                    // A publisher sleeps on the runtime, which ends soon.
                    let _may_be_blocked =
                        tokio::time::timeout(STOP_TIMEOUT, publishing.ended()).await;
                    tokio::time::timeout(LEAVE_TIMEOUT, outlet.close()).await
                };
                if runtime.block_on(goodbye).is_err() {
                    eprintln!("leaving in good order took too long");
                }
                break;
            }
        }
    }
    // The parent may have ended, so nothing is waited for.
    runtime.shutdown_background();
    Ok(())
}

fn answer(report: Report) -> Result<(), ContenderError> {
    let mut line = serde_json::to_vec(&report).map_err(ContenderError::Answer)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
