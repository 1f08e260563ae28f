//! mailmesh and its rivals: two processes of each on the loopback. The systems take turns in each
//! round, so that all run under the same conditions. Each rival is configured for the measure as
//! its own documentation shows. The task judges the promises of mailmesh, never its speed.

mod round;
mod server;
mod table;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use self::round::{Round, run_round};
use self::server::Server;
use self::table::Table;
use crate::contender::{System, build};
use crate::sweeper::Sweeper;

/// Options of the task `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare mailmesh with this system only; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Only>,
    /// Number of rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,
    /// Write the results of each round to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table to this file, between the lines `<!-- compare: begin -->` and `<!-- compare:
    /// end -->`; can be given several times.
    #[arg(long)]
    markdown: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Raw TCP, written and read in blocks of 64 KiB: the floor.
    Tcp,
    /// Zenoh; its subscriber counts in a callback.
    Zenoh,
    /// Zenoh; its subscriber is read through the default handler.
    ZenohFifo,
    /// Core NATS (needs `nats-server`).
    Nats,
    /// Redis pub/sub, pipelined (needs `redis-server`).
    Redis,
    /// mailmesh without a cluster key.
    Seal,
    /// Links that do not prove the cluster key.
    Proof,
    /// Links that prove the key by Zenoh's challenge.
    Challenge,
    /// Links that prove the key at the gate and are not sealed.
    Gate,
    /// Costs of the mirror: lookups, memory, differences, a joiner, a restart. Cannot be combined.
    Mirror,
}

/// The systems that mailmesh is compared with by default.
const RIVALS: [System; 6] = [
    System::Tcp,
    System::Zenoh,
    System::ZenohFifo,
    System::Nats,
    System::Redis,
    System::MailmeshOpen,
];

impl Only {
    /// The system of this option; `None` for the mirror, which has its own rivals.
    fn system(self) -> Option<System> {
        Some(match self {
            Self::Tcp => System::Tcp,
            Self::Zenoh => System::Zenoh,
            Self::ZenohFifo => System::ZenohFifo,
            Self::Nats => System::Nats,
            Self::Redis => System::Redis,
            Self::Seal => System::MailmeshOpen,
            Self::Proof => System::MailmeshUnproven,
            Self::Challenge => System::MailmeshChallenge,
            Self::Gate => System::MailmeshGate,
            Self::Mirror => return None,
        })
    }
}

impl Options {
    /// The systems of each round; `None` to measure the mirror.
    ///
    /// # Errors
    /// If the mirror is combined with another option.
    fn systems(&self) -> Result<Option<Vec<System>>, String> {
        let named = self.only.iter().map(|only| only.system()).collect::<Option<Vec<_>>>();
        let Some(mut systems) = named else {
            let message = "`--only mirror` allows no other `--only` and no `--markdown`";
            let is_alone = self.only.len() == 1 && self.markdown.is_empty();
            return if is_alone { Ok(None) } else { Err(message.to_owned()) };
        };
        if systems.is_empty() {
            systems.extend(RIVALS);
        }
        systems.push(System::Mailmesh);
        Ok(Some(systems))
    }
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let Some(systems) = options.systems()? else {
        return mirror(options.json.as_deref());
    };
    let (systems, servers) = server::available(systems);
    // All rivals are built in every case: other features would rebuild the same crates.
    let program = build(&["rivals"])?;
    let sweeper = Sweeper::start()?;
    let mut results = Vec::new();
    Round::print_head();
    for round in 1..=options.rounds {
        let turns: Box<dyn Iterator<Item = &System>> =
            if round % 2 == 0 { Box::new(systems.iter().rev()) } else { Box::new(systems.iter()) };
        for system in turns {
            let server = Server::start(*system, &sweeper)?;
            let result = run_round(&program, *system, server.as_ref(), round, &sweeper);
            let result = result.map_err(|error| format!("{}: {error}", system.name()))?;
            result.print();
            results.push(result);
            if let Some(path) = &options.json {
                xtask::run::write_json(path, &results)?;
            }
        }
    }
    let table = Table::of(&systems, &results, &today(), &servers);
    println!("\n{}", table.text());
    for path in &options.markdown {
        xtask::markdown::write(path, "compare", |_| table.markdown())?;
    }
    check_promise(&results)
}

/// Today as an ISO 8601 date; empty if `date` fails.
fn today() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%F"]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Measures the mirror, next to other tables and a full resend.
fn mirror(json: Option<&Path>) -> Result<(), String> {
    let mut command = xtask::run::cargo(&["run", "--release", "--quiet", "-p", "mailmesh-benches"]);
    command.args(["--example", "mirror", "--"]);
    if let Some(path) = json {
        // Cargo runs the example in the workspace root.
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        command.arg("--json").arg(path);
    }
    xtask::run::run(command)
}

/// Checks the promise of mailmesh: each event arrives once, in order, or is reported missing. Most
/// events must also arrive without retransmission.
fn check_promise(results: &[Round]) -> Result<(), String> {
    for round in results.iter().filter(|round| round.system.is_mailmesh()) {
        if round.silent + round.duplicates + round.out_of_order > 0 {
            return Err(format!("mailmesh broke its promise: {round:?}"));
        }
        if round.is_repair_dominant() {
            return Err(format!(
                "{} frames of {} events were retransmitted: the sender exceeds the capacity of \
                 the path, and repair limits the rate",
                round.retransmitted_frames, round.published
            ));
        }
    }
    Ok(())
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

    fn systems(line: &str) -> Result<Option<Vec<System>>, String> {
        Line::parse_from(line.split(' ')).options.systems()
    }

    #[test]
    fn options_select_the_rivals_and_mailmesh_always_runs() {
        let all = systems("compare").unwrap().unwrap();
        assert_eq!(all[..6], RIVALS);
        assert_eq!(all[6..], [System::Mailmesh]);
        let two = systems("compare --only nats --only zenoh-fifo").unwrap().unwrap();
        assert_eq!(two, [System::Nats, System::ZenohFifo, System::Mailmesh]);
        let seal = systems("compare --only seal").unwrap().unwrap();
        assert_eq!(seal, [System::MailmeshOpen, System::Mailmesh]);
        assert_eq!(systems("compare --only mirror"), Ok(None));
        assert!(systems("compare --only mirror --only nats").is_err());
    }

    #[test]
    fn only_a_broken_promise_of_mailmesh_fails_a_comparison() {
        let round = |system| Round { published: 1_024_000, ..Round::new(1, system) };
        let failure = |round: Round| check_promise(&[round]).err();
        assert_eq!(failure(Round { silent: 9, ..round(System::Nats) }), None);
        assert_eq!(
            failure(Round { events_per_s: 1.0, reported_missing: 9, ..round(System::Mailmesh) }),
            None
        );
        assert!(failure(Round { silent: 1, ..round(System::MailmeshOpen) }).is_some());
        assert!(failure(Round { duplicates: 1, ..round(System::Mailmesh) }).is_some());
        assert!(failure(Round { out_of_order: 1, ..round(System::Mailmesh) }).is_some());
        assert_eq!(failure(Round { retransmitted_frames: 100, ..round(System::Mailmesh) }), None);
        let again = failure(Round { retransmitted_frames: 101, ..round(System::Mailmesh) });
        assert!(again.is_some_and(|failure| failure.contains("101 frames")));
    }
}
