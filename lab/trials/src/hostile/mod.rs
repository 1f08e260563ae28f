//! Hostile peers against three honest nodes, as real processes on one Zenoh network. Link attacks
//! also run against three processes of bare Zenoh.

mod attacks;
mod process;
mod row;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mailmesh_contender::Command;

use self::attacks::{
    ATTACKS, RETIRED_KEY, UNDISTURBED, applies_to_zenoh, extra_members, is_link_attack,
};
use self::process::{Attacker, Target};
use self::row::Row;
use self::window::{Delivery, Window, deliveries, peak, reports, unexpected_members};
use crate::contender::{Contender, Start, System, build_all, wait_until};
use crate::loopback;
use crate::sweeper::Sweeper;
use xtask::run::write_json;

const HONEST_NAMES: [&str; 3] = ["a", "b", "c"];
/// Events that each honest node publishes a second.
const RATE: u64 = 2_000;
/// Length of the baseline measurement before the attack.
const BASELINE_TIME: Duration = Duration::from_secs(5);
/// Time in which the attacker listens before it begins.
const ATTACKER_WARM_UP: Duration = Duration::from_secs(4);
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(40);
/// Time after the attack in which all published events must arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for bare Zenoh, which does not retransmit.
const BARE_ARRIVAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for which nodes still accept frames of a retired key, and keep its links.
const KEY_RETIREMENT_TIME: Duration = Duration::from_secs(15);
/// Log filter of mailmesh: the default of `mailmesh node` (`crates/cli/src/node.rs`).
const LOG: &str = "warn,mailmesh=info,zenoh=error,zenoh::api::session=off,\
                   zenoh_transport::unicast::establishment=off";
/// Log filter of bare Zenoh: the default of its documentation (`init_log_from_env_or`).
const BARE_LOG: &str = "error";

/// Options of the task `hostile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only the attack of this name.
    name: Option<String>,
    /// List the attacks.
    #[arg(long)]
    list: bool,
    /// Write the rows to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure each attack for this time, in seconds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let is_wanted = |name: &str| options.name.as_ref().is_none_or(|wanted| wanted == name);
    let wanted: Vec<_> = ATTACKS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        return Err("there is no such attack; `cargo xtask hostile --list` lists all".into());
    }
    if options.list {
        wanted.iter().for_each(|(name, description)| println!("{name:<18}{description}"));
        return Ok(ExitCode::SUCCESS);
    }
    let programs = build_all(&["attacker"])?;
    let program = |name: &str| {
        let found = programs.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        found.cloned().ok_or_else(|| format!("there is no program {name}"))
    };
    let runner = Runner {
        honest: program("mailmesh-contender")?,
        attacker: program("mailmesh-attacker")?,
        sweeper: Sweeper::start()?,
        seconds: options.seconds,
    };
    Row::print_head();
    let mut rows: Vec<Row> = Vec::new();
    for (system, attack) in trials(wanted.iter().map(|(name, _)| *name)) {
        let mut row = runner.run_trial(system, attack);
        let undisturbed = rows.iter().find(|r| r.system == system && r.attack == UNDISTURBED);
        row.peak_rss_kb_undisturbed = undisturbed.map(|undisturbed| undisturbed.peak_rss_kb);
        row.print();
        rows.push(row);
    }
    if let Some(path) = &options.json {
        write_json(path, &rows)?;
    }
    let judged = rows.iter().filter(|row| row.is_judged() && row.attack != UNDISTURBED).count();
    let broken = rows.iter().filter(|row| !row.holds()).count();
    println!("{judged} attacks, {broken} did harm");
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The runs of these attacks. Link attacks follow a baseline run without an attack, and are
/// repeated on bare Zenoh.
fn trials<'a>(
    wanted: impl Iterator<Item = &'static str> + Clone + 'a,
) -> Vec<(System, &'static str)> {
    let frames = wanted.clone().filter(|attack| !is_link_attack(attack));
    let mut trials: Vec<_> = frames.map(|attack| (System::MailmeshUnproven, attack)).collect();
    for (system, is_for) in
        [(System::Mailmesh, is_link_attack as fn(&str) -> bool), (System::Zenoh, applies_to_zenoh)]
    {
        let mut attacks = wanted.clone().filter(|attack| is_for(attack)).peekable();
        if attacks.peek().is_some() {
            trials.push((system, UNDISTURBED));
        }
        trials.extend(attacks.map(|attack| (system, attack)));
    }
    trials
}

/// Runs one trial after the other.
struct Runner {
    honest: PathBuf,
    attacker: PathBuf,
    sweeper: Sweeper,
    seconds: u64,
}

impl Runner {
    fn run_trial(&self, system: System, attack: &'static str) -> Row {
        let mut row = Row::new(system, attack, self.seconds);
        if let Err(error) = self.measure(&mut row) {
            row.failed = Some(error);
        }
        row
    }

    fn measure(&self, row: &mut Row) -> Result<(), String> {
        let (attack, is_bare) = (row.attack, row.system == System::Zenoh);
        let attack_for = Duration::from_secs(self.seconds);
        let scouting = loopback::free_port()?;
        let mut nodes = Vec::new();
        let mut ports = Vec::new();
        for name in HONEST_NAMES {
            let port = loopback::free_port()?;
            nodes.push(self.node(row, name, &loopback::config_of(port, scouting))?);
            ports.push(port);
        }
        wait_until("all to see each other", DISCOVERY_TIMEOUT, || {
            let all = reports(&mut nodes)?;
            Ok(all.iter().all(|report| report.members == HONEST_NAMES.len() - 1))
        })?;
        if attack == RETIRED_KEY {
            std::thread::sleep(KEY_RETIREMENT_TIME);
        }
        let mut incarnations: Vec<u64> =
            reports(&mut nodes)?.iter().map(|report| report.incarnation).collect();
        for node in &mut nodes {
            node.send(&Command::Publish { count: 0, rate: RATE })?;
        }
        let baseline = Window::open(&mut nodes, &incarnations)?.after(
            BASELINE_TIME,
            &mut nodes,
            &incarnations,
        )?;
        row.peak_rss_kb_before = peak(&nodes);
        nodes.iter().for_each(|node| node.log().mark());

        let config = loopback::config_of(0, scouting);
        let (ports, discovery) = (&ports[..], scouting + 1);
        let target = Target { config: &config, ports, discovery, is_bare };
        let hostile = match attack {
            UNDISTURBED => None,
            _ => Some(Attacker::start(&self.attacker, attack, &target, &self.sweeper)?),
        };
        std::thread::sleep(ATTACKER_WARM_UP);
        if is_link_attack(attack) {
            let (joined_ms, incarnation) = self.join(row, &config)?;
            row.joined_ms = Some(joined_ms);
            incarnations.push(incarnation);
        }
        let under_attack = Window::open(&mut nodes, &incarnations)?.after(
            attack_for,
            &mut nodes,
            &incarnations,
        )?;
        let stopped = hostile.map_or(Ok(0), Attacker::stop);
        row.log_lines = nodes.iter().map(|node| node.log().lines()).max().unwrap_or(0);
        for node in &mut nodes {
            node.send(&Command::Stop)?;
        }
        for deliveries in settle(&mut nodes, is_bare)? {
            row.honest_lost += deliveries.published.saturating_sub(deliveries.delivered);
            row.honest_wrong += deliveries.wrong;
        }
        row.peak_rss_kb = peak(&nodes);
        row.refused = under_attack.refused;
        row.honest_ratio = under_attack.rate / baseline.rate;
        row.cpu_ms = under_attack.cpu_ms;
        let scale = attack_for.as_secs_f64() / BASELINE_TIME.as_secs_f64();
        row.cpu_ms_undisturbed = (baseline.cpu_ms as f64 * scale) as u64;
        let last = reports(&mut nodes)?;
        if !row.holds() {
            nodes.iter().for_each(|node| eprint!("{}", node.log().first()));
        }
        nodes.into_iter().for_each(Contender::quit);
        row.sent = stopped?;
        if row.system == System::Mailmesh {
            if unexpected_members(&last, &incarnations)? > extra_members(attack) {
                return Err("an attacker became a member".into());
            }
            if last.iter().any(|report| report.entries > 0) {
                return Err("an attacker's block was accepted".into());
            }
        }
        Ok(())
    }

    fn node(&self, row: &Row, name: &str, config: &str) -> Result<Contender, String> {
        let options: &[&str] = if row.attack == RETIRED_KEY { &["--retire-second"] } else { &[] };
        let log = Some(if row.system == System::Zenoh { BARE_LOG } else { LOG });
        let (program, prefix, system) = (&self.honest, &[][..], row.system);
        let start = Start { program, prefix, system, name, config, options, log };
        Contender::start(&start, &self.sweeper)
    }

    /// Starts a new node. Returns the milliseconds until it sees all the others, and its
    /// incarnation.
    fn join(&self, row: &Row, config: &str) -> Result<(u64, u64), String> {
        let begin = Instant::now();
        let mut node = self.node(row, "d", config)?;
        wait_until("a new node to join", DISCOVERY_TIMEOUT, || {
            Ok(node.query_report()?.members == HONEST_NAMES.len())
        })?;
        let join_result = (begin.elapsed().as_millis() as u64, node.last().incarnation);
        node.quit();
        Ok(join_result)
    }
}

/// Waits until every event is delivered or reported missing. At the timeout the remaining events
/// are lost: a result, not an error, where events are missing.
fn settle(nodes: &mut [Contender], is_bare: bool) -> Result<Vec<Delivery>, String> {
    let mut last = Vec::new();
    let timeout = if is_bare { BARE_ARRIVAL_TIMEOUT } else { ARRIVAL_TIMEOUT };
    let settled = wait_until("all published events", timeout, || {
        last = deliveries(&reports(nodes)?);
        Ok(last.iter().all(|deliveries| {
            deliveries.published == deliveries.delivered + deliveries.reported_missing
        }))
    });
    if last.iter().all(|deliveries| deliveries.published <= deliveries.delivered) {
        settled?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_attacks_follow_a_baseline_run_of_their_system() {
        let all = trials(["no-key", "link-no-key", "link-all"].into_iter());
        let wanted = [
            (System::MailmeshUnproven, "no-key"),
            (System::Mailmesh, UNDISTURBED),
            (System::Mailmesh, "link-no-key"),
            (System::Mailmesh, "link-all"),
            (System::Zenoh, UNDISTURBED),
            (System::Zenoh, "link-all"),
        ];
        assert_eq!(all, wanted);
        assert_eq!(trials([RETIRED_KEY].into_iter()).len(), 2);
        assert_eq!(trials(["twin"].into_iter()).len(), 1);
    }
}
