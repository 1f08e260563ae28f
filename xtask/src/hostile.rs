//! Hostile peers against three honest nodes, as real processes on one Zenoh network.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, ExitCode, Stdio};
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report};
use serde::Serialize;

use crate::contender::{Contender, Start, System, build_all, wait_until};
use crate::loopback;
use crate::run::write_json;
use crate::sweeper::Sweeper;

const HONEST: [&str; 3] = ["a", "b", "c"];
/// Events a second of each honest node.
const RATE: u64 = 2_000;
/// How long the honest are left alone first.
const UNDISTURBED: Duration = Duration::from_secs(5);
/// The attacker listens before it begins.
const LISTENS: Duration = Duration::from_secs(4);
const MEETING: Duration = Duration::from_secs(40);
/// How long what was published may take to come, once the attacker is gone.
const ARRIVAL: Duration = Duration::from_secs(60);
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a new node may take to see all others, while they are attacked at their links.
const JOINS: Duration = Duration::from_secs(3);
/// Of the undisturbed rate.
const ENOUGH: f64 = 0.9;

/// What a hostile peer does, and whether it has the key.
const ATTACKS: [(&str, &str); 19] = [
    ("no-key", "frames that are not sealed"),
    ("wrong-key", "frames sealed with another key, of a new life each"),
    ("forged-header", "frames of members with a byte of the header changed"),
    ("replay", "frames of members, again"),
    ("truncated", "frames of members, cut off"),
    ("long-lengths", "with the key: lengths of a gibibyte"),
    ("deep-nesting", "with the key: arrays in arrays, 100,000 deep"),
    ("many-lives", "with the key: a new life with each frame"),
    ("nak-flood", "with the key: requests for all that was ever sent"),
    ("lying-digests", "with the key: lies about mirrors, and who has what"),
    ("year3000", "with the key: blocks stamped in the year 3000"),
    ("endless-snapshot", "with the key: a mirror that never ends"),
    ("twin", "with the key: a node with the name of another"),
    ("link-no-proof", "links that prove nothing, from 200 addresses"),
    ("link-wrong-login", "links with a login that is none"),
    ("link-half-open", "400 links that say nothing, from 200 addresses"),
    ("link-garbage", "links that send noise, from 200 addresses"),
    ("discovery-flood", "datagrams of discovery: recorded, changed, noise"),
    ("link-all", "all of these at links, at once"),
];

/// Whether an attack is at links that prove the key. The others are made of frames, and links
/// must let them through.
fn is_at_links(attack: &str) -> bool {
    attack.starts_with("link-") || attack.starts_with("discovery-")
}

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
    /// How long each attack is measured, in seconds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// What an attack came to.
#[derive(Debug, Serialize)]
struct Row {
    attack: &'static str,
    /// Frames that the attacker put.
    sent: u64,
    /// Frames, messages and changes that the honest refused meanwhile.
    refused: u64,
    /// Events that came a second, of what came undisturbed.
    honest_ratio: f64,
    /// Events of the honest that others were told they missed, or that vanished.
    honest_lost: u64,
    /// Events that came twice, or out of order.
    honest_wrong: u64,
    /// Processor time of the three, while it lasted.
    cpu_ms: u64,
    /// The same in as long a time undisturbed.
    cpu_ms_undisturbed: u64,
    /// The most that one of them ever had.
    peak_rss_kb: u64,
    /// The same before the attack.
    peak_rss_kb_before: u64,
    /// How long a new node took to see all others meanwhile, of attacks at links.
    joined_ms: Option<u64>,
}

impl Row {
    fn holds(&self) -> bool {
        let has_joined = self.joined_ms.is_none_or(|ms| u128::from(ms) <= JOINS.as_millis());
        self.honest_ratio >= ENOUGH && self.honest_lost == 0 && self.honest_wrong == 0 && has_joined
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let is_wanted = |name: &str| options.name.as_ref().is_none_or(|wanted| wanted == name);
    let wanted: Vec<_> = ATTACKS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        return Err("there is no such attack; `cargo xtask hostile --list` lists them".into());
    }
    if options.list {
        wanted.iter().for_each(|(name, what)| println!("{name:<18}{what}"));
        return Ok(ExitCode::SUCCESS);
    }
    let programs = build_all(&["attacker"])?;
    let program = |name: &str| {
        let found = programs.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        found.cloned().ok_or_else(|| format!("there is no program {name}"))
    };
    let (honest, attacker) = (program("mailmesh-contender")?, program("mailmesh-attacker")?);
    let sweeper = Sweeper::start()?;
    println!(
        "{:<18}{:>10}{:>10}{:>7}{:>6}{:>7}{:>9}{:>12}{:>9}{:>12}{:>9}",
        "",
        "sent",
        "refused",
        "ratio",
        "lost",
        "wrong",
        "cpu ms",
        "undisturbed",
        "rss MB",
        "before",
        "joins ms"
    );
    let mut rows = Vec::new();
    for (attack, _) in wanted {
        let attack_for = Duration::from_secs(options.seconds);
        let row = one((attack, attack_for), &honest, &attacker, &sweeper)?;
        println!(
            "{:<18}{:>10}{:>10}{:>7.2}{:>6}{:>7}{:>9}{:>12}{:>9.1}{:>12.1}{:>9}{}",
            row.attack,
            row.sent,
            row.refused,
            row.honest_ratio,
            row.honest_lost,
            row.honest_wrong,
            row.cpu_ms,
            row.cpu_ms_undisturbed,
            row.peak_rss_kb as f64 / 1024.0,
            row.peak_rss_kb_before as f64 / 1024.0,
            row.joined_ms.map_or("-".to_owned(), |ms| ms.to_string()),
            if row.holds() { "" } else { "  BROKEN" }
        );
        rows.push(row);
    }
    if let Some(path) = &options.json {
        write_json(path, &rows)?;
    }
    let broken = rows.iter().filter(|row| !row.holds()).count();
    println!("{} attacks, {broken} did harm", rows.len());
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(
    (attack, attack_for): (&'static str, Duration),
    program: &Path,
    attacker: &Path,
    sweeper: &Sweeper,
) -> Result<Row, String> {
    let scouting = loopback::free_port()?;
    let system = if is_at_links(attack) { System::Mailmesh } else { System::MailmeshUnproven };
    let mut nodes = Vec::new();
    let mut ports = Vec::new();
    for name in HONEST {
        ports.push(loopback::free_port()?);
        let config = loopback::config_of(ports[ports.len() - 1], scouting);
        let before = &[][..];
        let start = Start { program, before, system, name, config: &config };
        nodes.push(Contender::start(&start, sweeper)?);
    }
    wait_until("all to see each other", MEETING, || {
        let all = reports(&mut nodes)?;
        Ok(all.iter().all(|report| report.members == HONEST.len() - 1))
    })?;
    let lives: Vec<u64> = reports(&mut nodes)?.iter().map(|report| report.life).collect();
    for node in &mut nodes {
        node.tell(&Command::Publish { count: 0, rate: RATE })?;
    }
    let undisturbed = Window::open(&mut nodes, &lives)?.after(UNDISTURBED, &mut nodes, &lives)?;
    let peak_rss_kb_before = peak(&nodes);

    let config = loopback::config_of(0, scouting);
    let hostile = Hostile::start(attacker, attack, &config, (&ports, scouting + 1), sweeper)?;
    std::thread::sleep(LISTENS);
    let joined_ms = match is_at_links(attack) {
        true => Some(join(program, &config, sweeper)?),
        false => None,
    };
    let attacked = Window::open(&mut nodes, &lives)?.after(attack_for, &mut nodes, &lives)?;
    let sent = hostile.stop()?;
    for node in &mut nodes {
        node.tell(&Command::Stop)?;
    }
    // All of it comes, or is told missing, or it is lost.
    let mut last = Vec::new();
    let settled = wait_until("what was published", ARRIVAL, || {
        last = reports(&mut nodes)?;
        Ok(owed(&last).iter().all(|owed| owed.published == owed.delivered + owed.told))
    });
    let (mut honest_lost, mut honest_wrong) = (0, 0);
    for owed in owed(&last) {
        honest_lost += owed.published.saturating_sub(owed.delivered);
        honest_wrong += owed.wrong;
    }
    if settled.is_err() && honest_lost == 0 {
        settled?;
    }
    let peak_rss_kb = peak(&nodes);
    nodes.into_iter().for_each(Contender::quit);
    let scale = attack_for.as_secs_f64() / UNDISTURBED.as_secs_f64();
    Ok(Row {
        attack,
        sent,
        refused: attacked.refused,
        honest_ratio: attacked.rate / undisturbed.rate,
        honest_lost,
        honest_wrong,
        cpu_ms: attacked.cpu_ms,
        cpu_ms_undisturbed: (undisturbed.cpu_ms as f64 * scale) as u64,
        peak_rss_kb,
        peak_rss_kb_before,
        joined_ms,
    })
}

/// How long a new node takes to see all others, in milliseconds.
fn join(program: &Path, config: &str, sweeper: &Sweeper) -> Result<u64, String> {
    let (before, system) = (&[][..], System::Mailmesh);
    let begin = Instant::now();
    let start = Start { program, before, system, name: "d", config };
    let mut node = Contender::start(&start, sweeper)?;
    let joined =
        wait_until("a new node to join", MEETING, || Ok(node.ask()?.members == HONEST.len()));
    let took = begin.elapsed().as_millis() as u64;
    node.quit();
    joined.map(|()| took)
}

fn reports(nodes: &mut [Contender]) -> Result<Vec<Report>, String> {
    nodes.iter_mut().map(|node| node.ask().cloned()).collect()
}

fn peak(nodes: &[Contender]) -> u64 {
    nodes.iter().map(Contender::peak_rss_kb).max().unwrap_or(0)
}

/// What one honest node has of another.
struct Owed {
    published: u64,
    delivered: u64,
    told: u64,
    wrong: u64,
}

fn owed(reports: &[Report]) -> Vec<Owed> {
    let mut all = Vec::new();
    for sender in reports {
        for receiver in reports.iter().filter(|receiver| receiver.life != sender.life) {
            let heard = receiver.senders.iter().find(|heard| heard.life == sender.life);
            let tally = heard.map(|heard| heard.tally.clone()).unwrap_or_default();
            all.push(Owed {
                published: sender.published,
                delivered: tally.delivered,
                told: tally.told,
                wrong: tally.duplicates + tally.out_of_order,
            });
        }
    }
    all
}

/// A stretch of time.
struct Window {
    begin: Instant,
    delivered: u64,
    refused: u64,
    cpu_ms: u64,
}

/// What happened in one.
struct Seen {
    rate: f64,
    refused: u64,
    cpu_ms: u64,
}

impl Window {
    fn open(nodes: &mut [Contender], lives: &[u64]) -> Result<Self, String> {
        let reports = reports(nodes)?;
        let (delivered, refused) = sums(&reports, lives);
        let cpu_ms = nodes.iter().map(Contender::cpu_ms).sum();
        Ok(Self { begin: Instant::now(), delivered, refused, cpu_ms })
    }

    fn after(self, time: Duration, nodes: &mut [Contender], lives: &[u64]) -> Result<Seen, String> {
        std::thread::sleep(time);
        let now = Self::open(nodes, lives)?;
        let seconds = now.begin.duration_since(self.begin).as_secs_f64();
        Ok(Seen {
            rate: now.delivered.saturating_sub(self.delivered) as f64 / seconds,
            refused: now.refused.saturating_sub(self.refused),
            cpu_ms: now.cpu_ms.saturating_sub(self.cpu_ms),
        })
    }
}

/// Events of the honest that came, and what was refused.
fn sums(reports: &[Report], lives: &[u64]) -> (u64, u64) {
    let heard = reports.iter().flat_map(|report| &report.senders);
    let honest = heard.filter(|heard| lives.contains(&heard.life));
    let delivered = honest.map(|heard| heard.tally.delivered).sum();
    (delivered, reports.iter().map(|report| report.refused).sum())
}

/// The hostile process, killed and reaped when dropped.
struct Hostile {
    child: Child,
    sweeper: Sweeper,
}

impl Hostile {
    fn start(
        program: &Path,
        attack: &str,
        config: &str,
        (ports, discovery): (&[u16], u16),
        sweeper: &Sweeper,
    ) -> Result<Self, String> {
        let mut command = Program::new(program);
        command.args(["--attack", attack, "--config", config]);
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        command.args(["--ports", &ports.join(","), "--group", &format!("224.0.0.224:{discovery}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("the attacker: {error}"))?;
        sweeper.process_started(child.id());
        Ok(Self { child, sweeper: sweeper.clone() })
    }

    /// How many frames it put.
    fn stop(mut self) -> Result<u64, String> {
        drop(self.child.stdin.take());
        let ended = wait_until("the attacker's end", GOODBYE, || {
            Ok(!matches!(self.child.try_wait(), Ok(None)))
        });
        if ended.is_err() {
            // It does not matter what it has to say.
            return Ok(0);
        }
        let mut said = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(|error| format!("the attacker: {error}"))?;
        }
        let said: serde_json::Value = serde_json::from_str(said.trim())
            .map_err(|error| format!("the attacker said {said:?}: {error}"))?;
        Ok(said["sent"].as_u64().unwrap_or(0))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}
