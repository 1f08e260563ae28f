//! The actions of each traffic scenario: what happens to the processes while they publish.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mailmesh_contender::Command;
use rustix::process::Signal;

use super::account::{Flow, Incarnation, ProcessState};
use super::findings::Findings;
use super::process_group::ProcessGroup;
use super::row::Figure;
use super::run_length::RunLength;

/// Traffic before a fault, as the baseline.
const SECONDS_BEFORE: u64 = 10;
/// Traffic after the heal: long enough to reconnect a link.
const SECONDS_AFTER: u64 = 15;

const A_AND_C: [(usize, usize); 2] = [(0, 2), (2, 0)];

pub(super) fn burst(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    group.send(0, &Command::Publish { count: length.events(1_000_000), rate: 0 })?;
    group.wait_for_publishers()?;
    Ok(Findings {
        figures: Some(|_, _, flows| {
            let from_a = flows.iter().filter(|flow| flow.sender == 0);
            let rates = from_a.filter_map(|flow| {
                let phase = flow.received.phases.first()?;
                Some(rate(flow.received.tally.delivered, phase.first_at, phase.last_at))
            });
            vec![Figure::new("slowest receiver", rates.reduce(f64::min), "events/s")]
        }),
        ..Findings::default()
    })
}

/// Starts all publishers, applies a fault, heals it, and waits `before`, `during` and `after`.
fn with_fault(
    group: &mut ProcessGroup<'_>,
    (rate, before, during, after): (u64, Duration, Duration, Duration),
    fault: impl FnOnce(&mut ProcessGroup<'_>) -> Result<(), String>,
    heal: impl FnOnce(&mut ProcessGroup<'_>) -> Result<(), String>,
) -> Result<Findings, String> {
    group.publish_all(rate)?;
    sleep(before);
    let fault_at = group.mark_phase()?;
    fault(group)?;
    sleep(during);
    heal(group)?;
    let healed_at = group.mark_phase()?;
    sleep(after);
    Ok(Findings { fault_at, heal_at: Some(healed_at), ..Findings::default() })
}

pub(super) fn cut(
    group: &mut ProcessGroup<'_>,
    seconds: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let times = (
        2_000,
        length.seconds(SECONDS_BEFORE),
        length.seconds(seconds),
        Duration::from_secs(SECONDS_AFTER),
    );
    let findings = with_fault(
        group,
        times,
        |group| group.network()?.cut(2),
        |group| group.network()?.heal(2),
    )?;
    let between = vec![(0, 2), (2, 0), (1, 2), (2, 1)];
    Ok(Findings {
        departures: between.clone(),
        disturbed: between,
        figures: Some(|_, _, flows| {
            let uncut = [(0, 1), (1, 0)];
            let p99 = |phase| p99_ms(flows, &uncut, phase);
            vec![
                Figure::new("p99 between a and b before", p99(0), "ms"),
                Figure::new("cut", p99(1), "ms"),
                Figure::new("after", p99(2), "ms"),
            ]
        }),
        ..findings
    })
}

pub(super) fn change_address(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let away = Duration::from_secs(5);
    let findings = with_fault(
        group,
        (2_000, length.seconds(SECONDS_BEFORE), away, Duration::from_secs(SECONDS_AFTER)),
        |group| group.network()?.take_address(2),
        |group| group.network()?.give_address(2),
    )?;
    Ok(Findings { disturbed: vec![(0, 2), (2, 0), (1, 2), (2, 1)], ..findings })
}

/// The delay that the fault adds between a and c.
fn added_delay(_: &Findings, _: &[Incarnation], flows: &[Flow]) -> Vec<Figure> {
    let (before, during) = (p99_ms(flows, &A_AND_C, 0), p99_ms(flows, &A_AND_C, 1));
    let added = before.zip(during).map(|(before, during)| (during - before).max(0.0));
    let b = [(0, 1), (1, 0), (1, 2), (2, 1)];
    vec![
        Figure::new("p99 between a and c before", before, "ms"),
        Figure::new("added while it lasts (of what came)", added, "ms"),
        Figure::new("p99 to and from b while it lasts", p99_ms(flows, &b, 1), "ms"),
    ]
}

pub(super) fn partial(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let findings = with_fault(
        group,
        (
            2_000,
            length.seconds(SECONDS_BEFORE),
            length.seconds(20),
            Duration::from_secs(SECONDS_AFTER),
        ),
        |group| {
            group.network()?.drop_from(2, 0)?;
            group.network()?.drop_from(0, 2)
        },
        |group| {
            group.network()?.pass(2)?;
            group.network()?.pass(0)
        },
    )?;
    let (departures, disturbed) = (A_AND_C.to_vec(), A_AND_C.to_vec());
    Ok(Findings { departures, disturbed, figures: Some(added_delay), ..findings })
}

pub(super) fn one_way(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let findings = with_fault(
        group,
        (
            2_000,
            length.seconds(SECONDS_BEFORE),
            length.seconds(20),
            Duration::from_secs(SECONDS_AFTER),
        ),
        |group| group.network()?.drop_from(2, 0),
        |group| group.network()?.pass(2),
    )?;
    // TCP loses its acknowledgements too, so both directions suffer.
    let (departures, disturbed) = (A_AND_C.to_vec(), A_AND_C.to_vec());
    Ok(Findings { departures, disturbed, figures: Some(added_delay), ..findings })
}

pub(super) fn freeze(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    group.send(0, &Command::Publish { count: 0, rate: 20_000 })?;
    sleep(length.seconds(SECONDS_BEFORE));
    let fault_at = group.mark_phase()?;
    group.signal(3, Signal::STOP)?;
    sleep(length.seconds(20));
    group.signal(3, Signal::CONT)?;
    let healed_at = group.mark_phase()?;
    sleep(Duration::from_secs(SECONDS_AFTER));
    Ok(Findings {
        fault_at,
        heal_at: Some(healed_at),
        departures: vec![(0, 3), (1, 3), (2, 3)],
        disturbed: vec![(3, 0)],
        figures: Some(|findings, _, flows| {
            let others = flows.iter().filter(|flow| flow.sender == 0 && flow.receiver != 3);
            let others = others.map(|flow| flow.received.phases.as_slice()).collect::<Vec<_>>();
            let heal_at = findings.heal_at.unwrap_or(findings.fault_at);
            let shares = others.iter().filter_map(|phases| {
                let [before, during, ..] = phases else { return None };
                let undisturbed = rate(before.received, before.since, findings.fault_at);
                Some(100.0 * rate(during.received, findings.fault_at, heal_at) / undisturbed)
            });
            let pauses = others.iter().filter_map(|phases| phases.get(1));
            let pauses = pauses.map(|phase| phase.longest_pause as f64 / 1e9);
            vec![
                Figure::new("others' events/s, of undisturbed", shares.reduce(f64::min), "%"),
                Figure::new("their longest pause", pauses.reduce(f64::max), "s"),
            ]
        }),
    })
}

/// Time in which a resumed receiver must catch up.
const RECOVERY: Duration = Duration::from_secs(3);

pub(super) fn stall(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    group.send(0, &Command::Publish { count: 0, rate: 0 })?;
    sleep(length.seconds(5));
    let fault_at = group.mark_phase()?;
    group.signal(2, Signal::STOP)?;
    sleep(Duration::from_secs(1));
    group.signal(2, Signal::CONT)?;
    let healed_at = group.mark_phase()?;
    sleep(RECOVERY);
    group.mark_phase()?;
    sleep(length.seconds(10));
    Ok(Findings {
        fault_at,
        heal_at: Some(healed_at),
        disturbed: vec![(2, 0)],
        figures: Some(|_, _, flows| {
            let received = |receiver, phase: usize| {
                let flow = flows.iter().find(|p| (p.sender, p.receiver) == (0, receiver))?;
                Some(flow.received.phases.get(phase)?.received as f64)
            };
            // 0 / 0: neither receiver got an event.
            let share = |phase| {
                let share = 100.0 * received(2, phase)? / received(1, phase)?;
                share.is_finite().then_some(share)
            };
            vec![
                Figure::new("of what the other got it got, while it stood still", share(1), "%"),
                Figure::new("the 3 s after", share(2), "%"),
                Figure::new("then", share(3), "%"),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn kill(group: &mut ProcessGroup<'_>, _: u64, _: RunLength) -> Result<Findings, String> {
    group.send(0, &Command::Publish { count: 0, rate: 0 })?;
    sleep(Duration::from_secs(1));
    let fault_at = group.kill(0)?;
    Ok(Findings {
        fault_at,
        departures: vec![(1, 0), (2, 0), (3, 0)],
        figures: Some(|_, incarnations, flows| {
            let prefix = |flow: &Flow| {
                (flow.received.tally.delivered + flow.received.tally.reported_missing) as f64
            };
            let longest = flows.iter().filter(|p| p.sender == 0).map(prefix).reduce(f64::max);
            let shortest = flows.iter().filter(|p| p.sender == 0).map(prefix).reduce(f64::min);
            let sender = incarnations.iter().find(|incarnation| incarnation.node == 0);
            let published = sender.map(|incarnation| incarnation.report.published as f64);
            vec![
                Figure::new("sender had published, at least", published, "events"),
                Figure::new("shortest account", shortest, "events"),
                Figure::new("longest", longest, "events"),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn flap(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let times =
        (1_000, length.seconds(SECONDS_BEFORE), Duration::ZERO, Duration::from_secs(SECONDS_AFTER));
    let fault = |group: &mut ProcessGroup<'_>| {
        let until = Instant::now() + length.seconds(60);
        while Instant::now() < until {
            group.network()?.link(2, "down")?;
            sleep(Duration::from_secs(1));
            group.network()?.link(2, "up")?;
            sleep(Duration::from_secs(1));
        }
        Ok(())
    };
    let findings = with_fault(group, times, fault, |_| Ok(()))?;
    Ok(Findings { disturbed: vec![(0, 2), (2, 0), (1, 2), (2, 1)], ..findings })
}

pub(super) fn storm(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    group.publish_all(100)?;
    let mut random = std::process::id();
    println!("{:<20}seed of the storm {random}", "");
    let until = Instant::now() + length.seconds(120);
    let mut restarts = 0;
    while Instant::now() < until {
        // A linear congruential generator; its upper bits are random enough here.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let node = (random >> 16) as usize % 10;
        let end = if restarts % 2 == 0 { ProcessState::Killed } else { ProcessState::Left };
        group.restart(node, end)?;
        group.send(node, &Command::Publish { count: 0, rate: 100 })?;
        restarts += 1;
        sleep(Duration::from_secs(2));
    }
    sleep(length.seconds(SECONDS_BEFORE));
    Ok(Findings {
        figures: Some(|_, incarnations, flows| {
            vec![
                Figure::new("restarts", incarnations.len() as f64 - 10.0, ""),
                Figure::new("pairs of lives", flows.len() as f64, ""),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn slow(
    group: &mut ProcessGroup<'_>,
    _: u64,
    length: RunLength,
) -> Result<Findings, String> {
    group.send(1, &Command::Read { rate: 100 })?;
    group.send(0, &Command::Publish { count: 0, rate: 100_000 })?;
    sleep(length.seconds(10));
    group.send(0, &Command::Stop)?;
    // At 100 events a second the remaining events would take an hour: the consumer is slow only
    // while the sender publishes.
    group.send(1, &Command::Read { rate: 0 })?;
    Ok(Findings {
        figures: Some(|_, incarnations, flows| {
            let published = incarnations.iter().find(|incarnation| incarnation.node == 0);
            let published = published.map(|incarnation| incarnation.report.published as f64);
            let other = flows.iter().find(|flow| (flow.receiver, flow.sender) == (2, 0));
            let delivered = other.map(|flow| flow.received.tally.delivered as f64);
            let phase = other.and_then(|flow| flow.received.phases.first());
            let pause = phase.map(|phase| phase.longest_pause as f64 / 1e9);
            vec![
                Figure::new("published", published, "events"),
                Figure::new("the other consumer got", delivered, "events"),
                Figure::new("its longest pause", pause, "s"),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn loss(
    group: &mut ProcessGroup<'_>,
    percent: u64,
    length: RunLength,
) -> Result<Findings, String> {
    let percent = u32::try_from(percent).unwrap_or(u32::MAX);
    let findings = with_fault(
        group,
        (
            1_000,
            length.seconds(SECONDS_BEFORE),
            length.seconds(30),
            Duration::from_secs(SECONDS_AFTER),
        ),
        |group| (0..3).try_for_each(|node| group.network()?.drop_percent(node, percent)),
        |group| (0..3).try_for_each(|node| group.network()?.pass(node)),
    )?;
    let all = vec![(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    Ok(Findings {
        disturbed: all,
        figures: Some(|_, _, flows| {
            let all = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
            let p99 = |phase| p99_ms(flows, &all, phase);
            vec![
                Figure::new("p99 before", p99(0), "ms"),
                Figure::new("while it lasts", p99(1), "ms"),
                Figure::new("after", p99(2), "ms"),
            ]
        }),
        ..findings
    })
}

/// Events a second between two moments in nanoseconds.
fn rate(events: u64, since: u64, until: u64) -> f64 {
    events as f64 * 1e9 / until.saturating_sub(since).max(1) as f64
}

/// The highest p99 delay of these (receiver, sender) pairs, in ms, for delivered events that were
/// published in a phase.
fn p99_ms(flows: &[Flow], of: &[(usize, usize)], phase: usize) -> Option<f64> {
    let flows = flows.iter().filter(|flow| of.contains(&(flow.receiver, flow.sender)));
    let phases = flows.filter_map(|flow| flow.received.phases.get(phase));
    let arrived = phases.filter(|phase| phase.latency.count > 0);
    arrived.map(|phase| phase.latency.p99 as f64 / 1e6).reduce(f64::max)
}
