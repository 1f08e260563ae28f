//! mailmesh against bare Zenoh, or sealed against open: two processes of each on the
//! loopback, in rounds that take turns, so that both see the same machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh_contender::{Command, Latency};
use serde::Serialize;

use crate::contender::{Contender, Start, System, build, wait_until};
use crate::loopback;
use crate::sweeper::Sweeper;

/// How long a round publishes.
const PUBLISHING: Duration = Duration::from_millis(1_500);
/// Round trips of a round.
const PINGS: u64 = 500;
/// How long two processes may take to find each other.
const MEETING: Duration = Duration::from_secs(20);
/// How long what was published may take to come, or to be told missing.
const ARRIVAL: Duration = Duration::from_secs(15);

/// Events a second, so many times those of bare Zenoh: below that something is wrong with mailmesh.
const LEAST: f64 = 15.0;

/// What one system did in one round.
#[derive(Debug, Clone, Serialize)]
struct Round {
    round: usize,
    system: System,
    /// Events delivered a second at the receiver, between the first and the last.
    events_per_s: f64,
    published: u64,
    delivered: u64,
    duplicates: u64,
    out_of_order: u64,
    told: u64,
    silent: u64,
    /// Frames that the sender sent again.
    sent_again: u64,
    rtt_p50_us: f64,
    rtt_p99_us: f64,
}

impl Round {
    /// What is published as fast as it goes is in frames of so many events, or fewer.
    const EVENTS_A_FRAME: u64 = 1_024;

    /// Whether repair is how the events came, rather than the exception.
    fn lives_on_repair(&self) -> bool {
        self.sent_again > self.published / Self::EVENTS_A_FRAME / 10
    }
}

/// What the mirror costs, beside what else one could use.
pub(crate) fn mirror(json: Option<&Path>) -> Result<(), String> {
    let mut command = crate::run::cargo(&["run", "--release", "--quiet", "-p", "mailmesh-benches"]);
    command.args(["--example", "mirror", "--"]);
    if let Some(path) = json {
        // Cargo runs it in the workspace.
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        command.arg("--json").arg(path);
    }
    crate::run::run(command)
}

/// mailmesh against bare Zenoh.
pub(crate) fn run(rounds: usize, json: Option<&Path>) -> Result<(), String> {
    against(System::Zenoh, rounds, json)
}

/// mailmesh with a cluster key against mailmesh without one.
pub(crate) fn seal(rounds: usize, json: Option<&Path>) -> Result<(), String> {
    against(System::MailmeshOpen, rounds, json)
}

/// mailmesh whose links prove the cluster key against mailmesh whose links do not.
pub(crate) fn proof(rounds: usize, json: Option<&Path>) -> Result<(), String> {
    against(System::MailmeshUnproven, rounds, json)
}

/// Sealed links against links that prove the key by Zenoh's challenge.
pub(crate) fn challenge(rounds: usize, json: Option<&Path>) -> Result<(), String> {
    against(System::MailmeshChallenge, rounds, json)
}

/// Sealed links against links that prove the key at the gate and are not sealed.
pub(crate) fn gate(rounds: usize, json: Option<&Path>) -> Result<(), String> {
    against(System::MailmeshGate, rounds, json)
}

fn against(rival: System, rounds: usize, json: Option<&Path>) -> Result<(), String> {
    let program = build(&[])?;
    let sweeper = Sweeper::start()?;
    println!(
        "{:<6}{:<18}{:>11}{:>11}{:>11}{:>8}{:>8}{:>8}{:>10}{:>10}",
        "round",
        "system",
        "events/s",
        "published",
        "delivered",
        "told",
        "lost",
        "again",
        "p50 us",
        "p99 us"
    );
    let mut results = Vec::new();
    for round in 1..=rounds.max(1) {
        let mut systems = [rival, System::Mailmesh];
        if round % 2 == 0 {
            systems.reverse();
        }
        for system in systems {
            let result = play(&program, system, round, &sweeper)?;
            println!(
                "{:<6}{:<14}{:>11.0}{:>11}{:>11}{:>8}{:>8}{:>8}{:>10.1}{:>10.1}",
                result.round,
                system.name(),
                result.events_per_s,
                result.published,
                result.delivered,
                result.told,
                result.silent,
                result.sent_again,
                result.rtt_p50_us,
                result.rtt_p99_us
            );
            results.push(result);
        }
    }
    let shown = format!("mailmesh / {}, of the same round:", rival.name());
    println!("\n{shown:<42}min  median     max");
    for (what, value) in [
        ("events/s", (|round| round.events_per_s) as fn(&Round) -> f64),
        ("round trip p50", |round| round.rtt_p50_us),
        ("round trip p99", |round| round.rtt_p99_us),
    ] {
        let [min, median, max] = spread(ratios(&results, rival, value));
        println!("{what:<37}{min:>8.2}{median:>8.2}{max:>8.2}");
    }
    if let Some(path) = json {
        crate::run::write_json(path, &results)?;
    }
    let broken = results.iter().find(|round| {
        let flaws = round.silent + round.duplicates + round.out_of_order;
        round.system != System::Zenoh && flaws > 0
    });
    if let Some(round) = broken {
        return Err(format!("mailmesh broke its promise: {round:?}"));
    }
    let of_events = spread(ratios(&results, rival, |round| round.events_per_s))[1];
    slipped(rival, of_events, &results)
}

/// What cannot be lost without a word: events come by themselves, not by repair, and many times
/// as fast as over bare Zenoh (47 times where it was measured).
fn slipped(rival: System, times: f64, results: &[Round]) -> Result<(), String> {
    if let Some(round) = results.iter().find(|round| round.lives_on_repair()) {
        return Err(format!(
            "{} frames of {} events were sent again: more is sent than the way takes, and repair \
             sets the pace",
            round.sent_again, round.published
        ));
    }
    if rival == System::Zenoh && times < LEAST {
        return Err(format!("events/s are {times:.1} times bare Zenoh's, less than {LEAST}"));
    }
    Ok(())
}

fn play(
    program: &PathBuf,
    system: System,
    round: usize,
    sweeper: &Sweeper,
) -> Result<Round, String> {
    let config = loopback::config()?;
    let start = |name| {
        let (before, options, config) = (&[][..], &[][..], &config);
        let start = Start { program, before, system, name, config, options, log: None };
        Contender::start(&start, sweeper)
    };
    let (mut sender, mut receiver) = (start("sender")?, start("receiver")?);
    for contender in [&mut sender, &mut receiver] {
        wait_until("the other process", MEETING, || Ok(contender.ask()?.members == 1))?;
    }
    sender.tell(&Command::Ping { count: PINGS })?;
    wait_until("round trips", MEETING, || Ok(!sender.ask()?.busy))?;
    let Latency { p50, p99, .. } = sender.last().pings;

    sender.tell(&Command::Publish { count: 0, rate: 0 })?;
    std::thread::sleep(PUBLISHING);
    sender.tell(&Command::Stop)?;
    wait_until("the end of publishing", ARRIVAL, || Ok(!sender.ask()?.busy))?;
    let published = sender.last().published;
    let life = sender.last().life;
    // What does not come in time is lost: that is a result.
    let _lost = wait_until("what was published", ARRIVAL, || {
        let report = receiver.ask()?;
        let heard = report.senders.iter().find(|sender| sender.life == life);
        Ok(heard.is_some_and(|heard| heard.tally.silent(1, published) == 0))
    });
    let heard = receiver.ask()?.senders.iter().find(|sender| sender.life == life);
    let heard = heard.cloned().unwrap_or_default();
    let arrival =
        |at: fn(&mailmesh_contender::PhaseReport) -> u64| heard.phases.first().map_or(0, at);
    let nanos = arrival(|p| p.last_at).saturating_sub(arrival(|p| p.first_at)).max(1);
    let sent_again = sender.ask()?.sent_again;
    receiver.quit();
    sender.quit();
    Ok(Round {
        round,
        system,
        events_per_s: heard.tally.delivered as f64 * 1e9 / nanos as f64,
        published,
        delivered: heard.tally.delivered,
        duplicates: heard.tally.duplicates,
        out_of_order: heard.tally.out_of_order,
        told: heard.tally.told,
        silent: heard.tally.silent(1, published),
        sent_again,
        rtt_p50_us: p50 as f64 / 1e3,
        rtt_p99_us: p99 as f64 / 1e3,
    })
}

/// mailmesh's value over its rival's, round by round.
fn ratios(results: &[Round], rival: System, value: fn(&Round) -> f64) -> Vec<f64> {
    let of = |system| results.iter().filter(move |result| result.system == system);
    let pairs = of(System::Mailmesh).filter_map(|ours| {
        let theirs = of(rival).find(|theirs| theirs.round == ours.round)?;
        Some(value(ours) / value(theirs))
    });
    pairs.collect()
}

/// Smallest, median and largest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return [f64::NAN; 3];
    };
    [values[0], f64::midpoint(values[last / 2], values[last.div_ceil(2)]), values[last]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(round: usize, system: System, events_per_s: f64) -> Round {
        Round {
            round,
            system,
            events_per_s,
            published: 0,
            delivered: 0,
            duplicates: 0,
            out_of_order: 0,
            told: 0,
            silent: 0,
            sent_again: 0,
            rtt_p50_us: 0.0,
            rtt_p99_us: 0.0,
        }
    }

    #[test]
    fn ratios_are_of_the_same_round_and_spread_is_min_median_max() {
        let results = [
            round(1, System::Zenoh, 10.0),
            round(1, System::Mailmesh, 20.0),
            round(2, System::Mailmesh, 10.0),
            round(2, System::Zenoh, 20.0),
        ];
        let ratios = ratios(&results, System::Zenoh, |round| round.events_per_s);
        assert_eq!(ratios, [2.0, 0.5]);
        assert_eq!(spread(ratios), [0.5, 1.25, 2.0]);
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn what_slips_without_a_word_is_told() {
        let sent_again = |sent_again| Round {
            published: 1_024_000,
            sent_again,
            ..round(1, System::Mailmesh, 1.0)
        };
        let told = |rival, times, again| slipped(rival, times, &[sent_again(again)]).err();
        assert_eq!(told(System::Zenoh, 40.0, 100), None);
        assert!(told(System::Zenoh, 40.0, 101).is_some_and(|told| told.contains("101 frames")));
        assert!(told(System::Zenoh, 9.0, 0).is_some_and(|told| told.contains("9.0 times")));
        assert_eq!(told(System::MailmeshOpen, 1.0, 0), None);
    }
}
