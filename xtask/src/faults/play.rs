//! What each scenario does to the processes while they publish.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mailmesh_contender::Command;
use rustix::process::Signal;

use super::account::{End, Life, Pair};
use super::field::Field;
use super::findings::Findings;
use super::pace::Pace;
use super::row::Figure;

/// Before a fault, so that there is something to compare with.
const BEFORE: u64 = 10;
/// After the heal: long enough for a link to be made again.
const AFTER: u64 = 15;

const A_AND_C: [(usize, usize); 2] = [(0, 2), (2, 0)];

pub(super) fn burst(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    field.tell(0, &Command::Publish { count: pace.events(1_000_000), rate: 0 })?;
    field.wait_for_publishers()?;
    Ok(Findings {
        figures: Some(|_, _, pairs| {
            let from_a = pairs.iter().filter(|pair| pair.sender == 0);
            let rates = from_a.filter_map(|pair| {
                let phase = pair.heard.phases.first()?;
                Some(rate(pair.heard.tally.delivered, phase.first_at, phase.last_at))
            });
            vec![Figure::new("slowest receiver", rates.reduce(f64::min), "events/s")]
        }),
        ..Findings::default()
    })
}

/// Everybody publishes, a fault is made, time passes, it is mended, time passes.
fn with_fault(
    field: &mut Field<'_>,
    (rate, before, during, after): (u64, Duration, Duration, Duration),
    fault: impl FnOnce(&mut Field<'_>) -> Result<(), String>,
    heal: impl FnOnce(&mut Field<'_>) -> Result<(), String>,
) -> Result<Findings, String> {
    field.publish_all(rate)?;
    sleep(before);
    let at = field.mark()?;
    fault(field)?;
    sleep(during);
    heal(field)?;
    let healed = field.mark()?;
    sleep(after);
    Ok(Findings { fault: at, heal: Some(healed), ..Findings::default() })
}

pub(super) fn cut(field: &mut Field<'_>, seconds: u64, pace: Pace) -> Result<Findings, String> {
    let times = (2_000, pace.seconds(BEFORE), pace.seconds(seconds), Duration::from_secs(AFTER));
    let findings = with_fault(
        field,
        times,
        |field| field.network()?.cut(2),
        |field| field.network()?.heal(2),
    )?;
    let between = vec![(0, 2), (2, 0), (1, 2), (2, 1)];
    Ok(Findings {
        gone: between.clone(),
        broken: between,
        figures: Some(|_, _, pairs| {
            let uncut = [(0, 1), (1, 0)];
            let p99 = |phase| p99_ms(pairs, &uncut, phase);
            vec![
                Figure::new("p99 between a and b before", p99(0), "ms"),
                Figure::new("cut", p99(1), "ms"),
                Figure::new("after", p99(2), "ms"),
            ]
        }),
        ..findings
    })
}

pub(super) fn moved(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    let away = Duration::from_secs(5);
    let findings = with_fault(
        field,
        (2_000, pace.seconds(BEFORE), away, Duration::from_secs(AFTER)),
        |field| field.network()?.take_address(2),
        |field| field.network()?.give_address(2),
    )?;
    Ok(Findings { broken: vec![(0, 2), (2, 0), (1, 2), (2, 1)], ..findings })
}

/// Delay between a and c: what the fault adds.
fn added_delay(_: &Findings, _: &[Life], pairs: &[Pair]) -> Vec<Figure> {
    let (before, during) = (p99_ms(pairs, &A_AND_C, 0), p99_ms(pairs, &A_AND_C, 1));
    let added = before.zip(during).map(|(before, during)| (during - before).max(0.0));
    let b = [(0, 1), (1, 0), (1, 2), (2, 1)];
    vec![
        Figure::new("p99 between a and c before", before, "ms"),
        Figure::new("added while it lasts (of what came)", added, "ms"),
        Figure::new("p99 to and from b while it lasts", p99_ms(pairs, &b, 1), "ms"),
    ]
}

pub(super) fn partial(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    let findings = with_fault(
        field,
        (2_000, pace.seconds(BEFORE), pace.seconds(20), Duration::from_secs(AFTER)),
        |field| {
            field.network()?.drop_from(2, 0)?;
            field.network()?.drop_from(0, 2)
        },
        |field| {
            field.network()?.pass(2)?;
            field.network()?.pass(0)
        },
    )?;
    let (gone, broken) = (A_AND_C.to_vec(), A_AND_C.to_vec());
    Ok(Findings { gone, broken, figures: Some(added_delay), ..findings })
}

pub(super) fn one_way(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    let findings = with_fault(
        field,
        (2_000, pace.seconds(BEFORE), pace.seconds(20), Duration::from_secs(AFTER)),
        |field| field.network()?.drop_from(2, 0),
        |field| field.network()?.pass(2),
    )?;
    // Where TCP is below, acknowledgements are lost too: both ways suffer.
    let (gone, broken) = (A_AND_C.to_vec(), A_AND_C.to_vec());
    Ok(Findings { gone, broken, figures: Some(added_delay), ..findings })
}

pub(super) fn freeze(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    field.tell(0, &Command::Publish { count: 0, rate: 20_000 })?;
    sleep(pace.seconds(BEFORE));
    let fault = field.mark()?;
    field.signal(3, Signal::STOP)?;
    sleep(pace.seconds(20));
    field.signal(3, Signal::CONT)?;
    let healed = field.mark()?;
    sleep(Duration::from_secs(AFTER));
    Ok(Findings {
        fault,
        heal: Some(healed),
        gone: vec![(0, 3), (1, 3), (2, 3)],
        broken: vec![(3, 0)],
        figures: Some(|findings, _, pairs| {
            let others = pairs.iter().filter(|pair| pair.sender == 0 && pair.receiver != 3);
            let others = others.map(|pair| pair.heard.phases.as_slice()).collect::<Vec<_>>();
            let heal = findings.heal.unwrap_or(findings.fault);
            let shares = others.iter().filter_map(|phases| {
                let [before, during, ..] = phases else { return None };
                let undisturbed = rate(before.received, before.since, findings.fault);
                Some(100.0 * rate(during.received, findings.fault, heal) / undisturbed)
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

/// How long a receiver that stood still has until it must keep up again.
const RECOVERY: Duration = Duration::from_secs(3);

pub(super) fn stall(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    field.tell(0, &Command::Publish { count: 0, rate: 0 })?;
    sleep(pace.seconds(5));
    let fault = field.mark()?;
    field.signal(2, Signal::STOP)?;
    sleep(Duration::from_secs(1));
    field.signal(2, Signal::CONT)?;
    let healed = field.mark()?;
    sleep(RECOVERY);
    field.mark()?;
    sleep(pace.seconds(10));
    Ok(Findings {
        fault,
        heal: Some(healed),
        broken: vec![(2, 0)],
        figures: Some(|_, _, pairs| {
            let received = |receiver, phase: usize| {
                let pair = pairs.iter().find(|p| (p.sender, p.receiver) == (0, receiver))?;
                Some(pair.heard.phases.get(phase)?.received as f64)
            };
            // Nothing of nothing: all stood still.
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

pub(super) fn kill(field: &mut Field<'_>, _: u64, _: Pace) -> Result<Findings, String> {
    field.tell(0, &Command::Publish { count: 0, rate: 0 })?;
    sleep(Duration::from_secs(1));
    let fault = field.kill(0)?;
    Ok(Findings {
        fault,
        gone: vec![(1, 0), (2, 0), (3, 0)],
        figures: Some(|_, lives, pairs| {
            let prefix = |pair: &Pair| (pair.heard.tally.delivered + pair.heard.tally.told) as f64;
            let longest = pairs.iter().filter(|p| p.sender == 0).map(prefix).reduce(f64::max);
            let shortest = pairs.iter().filter(|p| p.sender == 0).map(prefix).reduce(f64::min);
            let sender = lives.iter().find(|life| life.node == 0);
            let published = sender.map(|life| life.report.published as f64);
            vec![
                Figure::new("sender had published, at least", published, "events"),
                Figure::new("shortest account", shortest, "events"),
                Figure::new("longest", longest, "events"),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn flap(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    let times = (1_000, pace.seconds(BEFORE), Duration::ZERO, Duration::from_secs(AFTER));
    let fault = |field: &mut Field<'_>| {
        let until = Instant::now() + pace.seconds(60);
        while Instant::now() < until {
            field.network()?.link(2, "down")?;
            sleep(Duration::from_secs(1));
            field.network()?.link(2, "up")?;
            sleep(Duration::from_secs(1));
        }
        Ok(())
    };
    let findings = with_fault(field, times, fault, |_| Ok(()))?;
    Ok(Findings { broken: vec![(0, 2), (2, 0), (1, 2), (2, 1)], ..findings })
}

pub(super) fn storm(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    field.publish_all(100)?;
    let mut random = std::process::id();
    println!("{:<20}seed of the storm {random}", "");
    let until = Instant::now() + pace.seconds(120);
    let mut restarts = 0;
    while Instant::now() < until {
        // A linear congruential generator: the upper bits are random enough.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let node = (random >> 16) as usize % 10;
        let end = if restarts % 2 == 0 { End::Killed } else { End::Left };
        field.restart(node, end)?;
        field.tell(node, &Command::Publish { count: 0, rate: 100 })?;
        restarts += 1;
        sleep(Duration::from_secs(2));
    }
    sleep(pace.seconds(BEFORE));
    Ok(Findings {
        figures: Some(|_, lives, pairs| {
            vec![
                Figure::new("restarts", lives.len() as f64 - 10.0, ""),
                Figure::new("pairs of lives", pairs.len() as f64, ""),
            ]
        }),
        ..Findings::default()
    })
}

pub(super) fn slow(field: &mut Field<'_>, _: u64, pace: Pace) -> Result<Findings, String> {
    field.tell(1, &Command::Read { rate: 100 })?;
    field.tell(0, &Command::Publish { count: 0, rate: 100_000 })?;
    sleep(pace.seconds(10));
    field.tell(0, &Command::Stop)?;
    // At its pace the rest would take an hour: only the stream is slow to be read.
    field.tell(1, &Command::Read { rate: 0 })?;
    Ok(Findings {
        figures: Some(|_, lives, pairs| {
            let published = lives.iter().find(|life| life.node == 0);
            let published = published.map(|life| life.report.published as f64);
            let other = pairs.iter().find(|pair| (pair.receiver, pair.sender) == (2, 0));
            let delivered = other.map(|pair| pair.heard.tally.delivered as f64);
            let phase = other.and_then(|pair| pair.heard.phases.first());
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

pub(super) fn loss(field: &mut Field<'_>, percent: u64, pace: Pace) -> Result<Findings, String> {
    let percent = u32::try_from(percent).unwrap_or(u32::MAX);
    let findings = with_fault(
        field,
        (1_000, pace.seconds(BEFORE), pace.seconds(30), Duration::from_secs(AFTER)),
        |field| (0..3).try_for_each(|node| field.network()?.drop_percent(node, percent)),
        |field| (0..3).try_for_each(|node| field.network()?.pass(node)),
    )?;
    let all = vec![(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    Ok(Findings {
        broken: all,
        figures: Some(|_, _, pairs| {
            let all = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
            let p99 = |phase| p99_ms(pairs, &all, phase);
            vec![
                Figure::new("p99 before", p99(0), "ms"),
                Figure::new("while it lasts", p99(1), "ms"),
                Figure::new("after", p99(2), "ms"),
            ]
        }),
        ..findings
    })
}

/// Events a second, between two moments in nanoseconds.
fn rate(events: u64, since: u64, until: u64) -> f64 {
    events as f64 * 1e9 / until.saturating_sub(since).max(1) as f64
}

/// The worst p99 of these pairs (receiver, sender), of what was published in a
/// phase and came.
fn p99_ms(pairs: &[Pair], of: &[(usize, usize)], phase: usize) -> Option<f64> {
    let pairs = pairs.iter().filter(|pair| of.contains(&(pair.receiver, pair.sender)));
    let phases = pairs.filter_map(|pair| pair.heard.phases.get(phase));
    let came = phases.filter(|phase| phase.latency.count > 0);
    came.map(|phase| phase.latency.p99 as f64 / 1e6).reduce(f64::max)
}
