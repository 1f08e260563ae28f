//! The demo: three processes of this program run through a few steps; a table shows the times.

mod corpus;
mod fleet;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use crate::args::DemoArgs;
use crate::exit::Failure;
use crate::say::{self, say};
use corpus::{Corpus, Mail};
use fleet::Fleet;
use steps::StepReport;

/// A row of the table; `--json` prints all fields but the summary.
#[derive(Debug, Serialize)]
struct Row {
    step: &'static str,
    ok: bool,
    seconds: f64,
    #[serde(skip)]
    summary: String,
}

/// Names of the steps, in order.
const STEPS: [&str; 8] = [
    "discover",
    "every kind of event",
    "mail",
    "blocked address",
    "certificate renewal",
    "kill -9",
    "come back",
    "goodbye",
];

pub(crate) async fn run(options: DemoArgs) -> Result<ExitCode, Failure> {
    let corpus = match (&options.mbox, &options.maildir) {
        (Some(path), _) => Corpus::Mbox(path),
        (None, Some(path)) => Corpus::Maildir(path),
        (None, None) => Corpus::BuiltIn,
    };
    let named = options.mbox.as_ref().or(options.maildir.as_ref());
    let mail = corpus.events().map_err(|error| {
        let path = named.map(|path| path.display().to_string()).unwrap_or_default();
        Failure::failed(format!("{path}: {error}"))
    })?;
    if !options.json {
        say::lines("Three mail servers on this machine, each in its own process.\n\n");
    }
    let mut fleet = Fleet::new()?;
    let mut rows = Vec::new();
    let outcome = tokio::select! {
        outcome = run_steps(&mut fleet, &mail, &mut rows, options.json) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted; all nodes were stopped")),
    };
    fleet.stop_all().await;
    for step in STEPS.iter().skip(rows.len()) {
        rows.push(Row { step, ok: false, seconds: 0.0, summary: "not reached".into() });
    }
    if options.json {
        say::json(&serde_json::json!(rows));
    } else {
        print_table(&rows);
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn run_steps(
    fleet: &mut Fleet,
    mail: &Mail,
    rows: &mut Vec<Row>,
    quiet: bool,
) -> Result<(), Failure> {
    for step in STEPS {
        let start = Instant::now();
        let outcome = match step {
            "discover" => steps::discover(fleet).await,
            "every kind of event" => steps::every_kind_of_event(fleet).await,
            "mail" => steps::mail(fleet, mail).await,
            "blocked address" => steps::block(fleet).await,
            "certificate renewal" => steps::certificate(fleet).await,
            "kill -9" => steps::kill(fleet).await,
            "come back" => steps::come_back(fleet).await,
            _ => steps::goodbye(fleet).await,
        };
        match outcome {
            Ok(StepReport { seconds, summary }) => {
                if !quiet {
                    say::coloured("\x1b[32m✓\x1b[0m ", &summary, "");
                }
                rows.push(Row { step, ok: true, seconds, summary });
            }
            Err(failure) => {
                let seconds = start.elapsed().as_secs_f64();
                if !quiet {
                    say::coloured("\x1b[31m✗\x1b[0m ", step, "");
                }
                rows.push(Row { step, ok: false, seconds, summary: "failed".into() });
                return Err(failure);
            }
        }
    }
    Ok(())
}

fn print_table(rows: &[Row]) {
    say!("");
    say!("{:<22}{:>12}  seen", "step", "time");
    for row in rows {
        let time = if row.seconds >= 1.0 {
            format!("{:.2} s", row.seconds)
        } else {
            format!("{:.1} ms", row.seconds * 1000.0)
        };
        let (colour, seen) = if row.ok { (32, "yes") } else { (31, row.summary.as_str()) };
        let before = format!("{:<22}{time:>12}  \x1b[{colour}m", row.step);
        say::coloured(&before, seen, "\x1b[0m");
    }
}
