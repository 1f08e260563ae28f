//! One round of one system: round trips, then publishing as fast as possible.

use std::path::Path;
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Latency, PhaseReport, SenderReport};
use serde::Serialize;

use super::server::Server;
use crate::contender::{Contender, POLL, Start, System, wait_until};
use crate::loopback;
use crate::sweeper::Sweeper;

/// Time for which a round publishes.
const PUBLISH_TIME: Duration = Duration::from_millis(1_500);
/// Round trips measured in a round.
const ROUND_TRIPS: u64 = 500;
/// Time in which the two processes must find each other.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time in which each event must be delivered or reported missing.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(15);
/// A rival that delivers nothing for this time has lost the remaining events.
const QUIET_PERIOD: Duration = Duration::from_secs(2);

/// Results of one system in one round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    pub(super) round: u64,
    pub(super) system: System,
    /// Events delivered a second, from the first to the last delivery.
    pub(super) events_per_s: f64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    #[serde(rename = "told")]
    pub(super) reported_missing: u64,
    pub(super) silent: u64,
    /// Frames that the sender retransmitted.
    pub(super) retransmitted_frames: u64,
    /// CPU time of both processes for each delivered event, user and system.
    pub(super) cpu_us: f64,
    /// The same for the server; `None` for a system without one.
    pub(super) server_cpu_us: Option<f64>,
    pub(super) rtt_p50_us: f64,
    pub(super) rtt_p99_us: f64,
}

impl Round {
    /// Maximum number of events in a frame of an unpaced sender.
    const MAX_EVENTS_PER_FRAME: u64 = 1_024;

    pub(super) fn new(round: u64, system: System) -> Self {
        Self {
            round,
            system,
            events_per_s: 0.0,
            published: 0,
            delivered: 0,
            duplicates: 0,
            out_of_order: 0,
            reported_missing: 0,
            silent: 0,
            retransmitted_frames: 0,
            cpu_us: 0.0,
            server_cpu_us: None,
            rtt_p50_us: 0.0,
            rtt_p99_us: 0.0,
        }
    }

    /// Whether more than a tenth of the frames were retransmitted: the sender then exceeds the
    /// capacity of the path.
    pub(super) fn is_repair_dominant(&self) -> bool {
        self.retransmitted_frames > self.published / Self::MAX_EVENTS_PER_FRAME / 10
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
            self.reported_missing,
            self.silent,
            self.retransmitted_frames,
            self.cpu_us,
            self.rtt_p50_us,
            self.rtt_p99_us
        );
    }
}

pub(super) fn run_round(
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
        let (prefix, options, config) = (&[][..], &[][..], &config);
        let start = Start { program, prefix, system, name, config, options, log: None };
        Contender::start(&start, sweeper)
    };
    let (mut sender, mut receiver) = (start("sender")?, start("receiver")?);
    for contender in [&mut sender, &mut receiver] {
        wait_until("the other process", DISCOVERY_TIMEOUT, || {
            Ok(contender.query_report()?.members == 1)
        })?;
    }
    sender.send(&Command::Ping { count: ROUND_TRIPS })?;
    wait_until("round trips", DISCOVERY_TIMEOUT, || Ok(!sender.query_report()?.busy))?;
    let Latency { p50, p99, .. } = sender.last().pings;

    let cpu_ms = |sender: &Contender, receiver: &Contender| {
        [sender.cpu_ms() + receiver.cpu_ms(), server.map_or(0, Server::cpu_ms)]
    };
    let prefix = cpu_ms(&sender, &receiver);
    sender.send(&Command::Publish { count: 0, rate: 0 })?;
    std::thread::sleep(PUBLISH_TIME);
    sender.send(&Command::Stop)?;
    wait_until("the end of publishing", ARRIVAL_TIMEOUT, || Ok(!sender.query_report()?.busy))?;
    let published = sender.last().published;
    let received = wait_for_arrival(&mut receiver, sender.last().incarnation, published, system)?;
    let after = cpu_ms(&sender, &receiver);
    let per_event = |place: usize| {
        (after[place] - prefix[place]) as f64 * 1e3 / received.tally.delivered as f64
    };

    let at = |at: fn(&PhaseReport) -> u64| received.phases.first().map_or(0, at);
    let nanos = at(|phase| phase.last_at).saturating_sub(at(|phase| phase.first_at)).max(1);
    let retransmitted_frames = sender.query_report()?.retransmitted_frames;
    receiver.quit();
    sender.quit();
    Ok(Round {
        events_per_s: received.tally.delivered as f64 * 1e9 / nanos as f64,
        published,
        delivered: received.tally.delivered,
        duplicates: received.tally.duplicates,
        out_of_order: received.tally.out_of_order,
        reported_missing: received.tally.reported_missing,
        silent: received.tally.silent(1, published),
        retransmitted_frames,
        cpu_us: per_event(0),
        server_cpu_us: server.map(|_| per_event(1)),
        rtt_p50_us: p50 as f64 / 1e3,
        rtt_p99_us: p99 as f64 / 1e3,
        ..Round::new(round, system)
    })
}

/// Waits until every event was delivered or reported missing. An event that is late for the timeout
/// is lost, which is a result and no error.
fn wait_for_arrival(
    receiver: &mut Contender,
    incarnation: u64,
    published: u64,
    system: System,
) -> Result<SenderReport, String> {
    let quiet_period = if system.is_mailmesh() { ARRIVAL_TIMEOUT } else { QUIET_PERIOD };
    let begun = Instant::now();
    let (mut delivered, mut changed) = (0, begun);
    loop {
        let received = receiver
            .query_report()?
            .senders
            .iter()
            .find(|sender| sender.incarnation == incarnation);
        let received = received.cloned().unwrap_or_default();
        if received.tally.delivered != delivered {
            (delivered, changed) = (received.tally.delivered, Instant::now());
        }
        let is_complete = received.tally.silent(1, published) == 0;
        if is_complete || changed.elapsed() > quiet_period || begun.elapsed() > ARRIVAL_TIMEOUT {
            return Ok(received);
        }
        std::thread::sleep(POLL);
    }
}
