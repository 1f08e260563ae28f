//! One round of one system.

use std::path::Path;
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Latency, PhaseReport, SenderReport};
use serde::Serialize;

use super::server::Server;
use crate::contender::{Contender, POLL, Start, System, wait_until};
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
/// A rival that has delivered nothing for so long has lost the rest.
const QUIET: Duration = Duration::from_secs(2);

/// Results of one system in one round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    pub(super) round: u64,
    pub(super) system: System,
    /// Events delivered a second at the receiver, between the first and the last.
    pub(super) events_per_s: f64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) told: u64,
    pub(super) silent: u64,
    /// Frames that the sender sent again.
    pub(super) retransmitted_frames: u64,
    /// Processor time of both processes, user and system, for each event delivered.
    pub(super) cpu_us: f64,
    /// The same of the server; `None` of a system without one.
    pub(super) server_cpu_us: Option<f64>,
    pub(super) rtt_p50_us: f64,
    pub(super) rtt_p99_us: f64,
}

impl Round {
    /// Most events of a frame while a sender publishes as fast as it can.
    const EVENTS_A_FRAME: u64 = 1_024;

    pub(super) fn new(round: u64, system: System) -> Self {
        Self {
            round,
            system,
            events_per_s: 0.0,
            published: 0,
            delivered: 0,
            duplicates: 0,
            out_of_order: 0,
            told: 0,
            silent: 0,
            retransmitted_frames: 0,
            cpu_us: 0.0,
            server_cpu_us: None,
            rtt_p50_us: 0.0,
            rtt_p99_us: 0.0,
        }
    }

    /// Whether repair is how the events came, rather than the exception.
    pub(super) fn lives_on_repair(&self) -> bool {
        self.retransmitted_frames > self.published / Self::EVENTS_A_FRAME / 10
    }

    pub(super) fn print_head() {
        println!(
            "{:<6}{:<19}{:>11}{:>11}{:>11}{:>8}{:>10}{:>7}{:>8}{:>8}{:>10}{:>10}",
            "round",
            "system",
            "events/s",
            "published",
            "delivered",
            "told",
            "silent",
            "again",
            "cpu us",
            "server",
            "p50 us",
            "p99 us"
        );
    }

    pub(super) fn print(&self) {
        let server = self.server_cpu_us.map_or_else(|| "-".into(), |us| format!("{us:.3}"));
        println!(
            "{:<6}{:<19}{:>11.0}{:>11}{:>11}{:>8}{:>10}{:>7}{:>8.3}{server:>8}{:>10.1}{:>10.1}",
            self.round,
            self.system.name(),
            self.events_per_s,
            self.published,
            self.delivered,
            self.told,
            self.silent,
            self.retransmitted_frames,
            self.cpu_us,
            self.rtt_p50_us,
            self.rtt_p99_us
        );
    }
}

pub(super) fn play(
    program: &Path,
    system: System,
    server: Option<&Server>,
    round: u64,
    sweeper: &Sweeper,
) -> Result<Round, String> {
    let config = match (system, server) {
        (_, Some(server)) => server.address().to_owned(),
        (System::Tcp, _) => loopback::free_address()?,
        _ => loopback::config()?,
    };
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

    let cpu_ms = |sender: &Contender, receiver: &Contender| {
        [sender.cpu_ms() + receiver.cpu_ms(), server.map_or(0, Server::cpu_ms)]
    };
    let before = cpu_ms(&sender, &receiver);
    sender.tell(&Command::Publish { count: 0, rate: 0 })?;
    std::thread::sleep(PUBLISHING);
    sender.tell(&Command::Stop)?;
    wait_until("the end of publishing", ARRIVAL, || Ok(!sender.ask()?.busy))?;
    let published = sender.last().published;
    let heard = arrived(&mut receiver, sender.last().life, published, system)?;
    let after = cpu_ms(&sender, &receiver);
    let per_event =
        |place: usize| (after[place] - before[place]) as f64 * 1e3 / heard.tally.delivered as f64;

    let at = |at: fn(&PhaseReport) -> u64| heard.phases.first().map_or(0, at);
    let nanos = at(|phase| phase.last_at).saturating_sub(at(|phase| phase.first_at)).max(1);
    let retransmitted_frames = sender.ask()?.retransmitted_frames;
    receiver.quit();
    sender.quit();
    Ok(Round {
        events_per_s: heard.tally.delivered as f64 * 1e9 / nanos as f64,
        published,
        delivered: heard.tally.delivered,
        duplicates: heard.tally.duplicates,
        out_of_order: heard.tally.out_of_order,
        told: heard.tally.told,
        silent: heard.tally.silent(1, published),
        retransmitted_frames,
        cpu_us: per_event(0),
        server_cpu_us: server.map(|_| per_event(1)),
        rtt_p50_us: p50 as f64 / 1e3,
        rtt_p99_us: p99 as f64 / 1e3,
        ..Round::new(round, system)
    })
}

/// Waits until every event has come or was told missing. An event that does not come in time is
/// lost: that is a result.
fn arrived(
    receiver: &mut Contender,
    life: u64,
    published: u64,
    system: System,
) -> Result<SenderReport, String> {
    let patience = if system.is_mailmesh() { ARRIVAL } else { QUIET };
    let begun = Instant::now();
    let (mut delivered, mut changed) = (0, begun);
    loop {
        let heard = receiver.ask()?.senders.iter().find(|sender| sender.life == life);
        let heard = heard.cloned().unwrap_or_default();
        if heard.tally.delivered != delivered {
            (delivered, changed) = (heard.tally.delivered, Instant::now());
        }
        let is_whole = heard.tally.silent(1, published) == 0;
        if is_whole || changed.elapsed() > patience || begun.elapsed() > ARRIVAL {
            return Ok(heard);
        }
        std::thread::sleep(POLL);
    }
}
