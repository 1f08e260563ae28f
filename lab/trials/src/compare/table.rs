//! The results of all rounds, one line a system, as text and as Markdown.

use super::round::Round;
use crate::contender::System;
use xtask::markdown;

const HEAD: [&str; 9] = [
    "system",
    "million events/s",
    "of mailmesh's",
    "told missing",
    "lost in silence",
    "CPU us/event, both processes",
    "of the server",
    "round trip p50, us",
    "p99, us",
];

/// The table; its first line is the head.
#[derive(Debug)]
pub(super) struct Table {
    lines: Vec<[String; HEAD.len()]>,
    note: String,
}

impl Table {
    /// Medians over the rounds of each system, with minimum and maximum.
    pub(super) fn of(systems: &[System], results: &[Round], day: &str, servers: &[String]) -> Self {
        let lines = systems.iter().map(|system| line(*system, results));
        let rounds = results.iter().map(|round| round.round).max().unwrap_or(0);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let versions = servers.iter().map(|version| format!("; {version}")).collect::<String>();
        Self {
            lines: std::iter::once(HEAD.map(str::to_owned)).chain(lines).collect(),
            note: format!(
                "Events of 64 bytes. Medians of {rounds} rounds (least to most); losses are of \
                 all rounds. Measured on {day}, {cores} cores{versions}."
            ),
        }
    }

    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: [usize; HEAD.len()] = std::array::from_fn(width);
        let mut text = String::new();
        for line in &self.lines {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text + &self.note + "\n"
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for (place, line) in self.lines.iter().enumerate() {
            text += &markdown::line(line);
            if place == 0 {
                text += &markdown::rule(HEAD.len());
            }
        }
        text + "\n" + &self.note + "\n"
    }
}

fn describe(system: System) -> &'static str {
    match system {
        System::Tcp => "raw TCP, blocks of 64 KiB: the floor",
        System::Zenoh => "Zenoh, callback",
        System::ZenohFifo => "Zenoh, FIFO handler",
        System::Nats => "NATS",
        System::Redis => "Redis pub/sub, pipelined",
        System::Mailmesh => "mailmesh, sealed",
        System::MailmeshOpen => "mailmesh, open",
        other => other.name(),
    }
}

fn line(system: System, results: &[Round]) -> [String; HEAD.len()] {
    let rounds = results.iter().filter(|round| round.system == system).collect::<Vec<_>>();
    let of = |value: fn(&Round) -> f64| spread(rounds.iter().map(|round| value(round)).collect());
    let total = |count: fn(&Round) -> u64| rounds.iter().map(|round| count(round)).sum::<u64>();
    let share = |count: u64| {
        let percent = 100.0 * count as f64 / total(|round| round.published).max(1) as f64;
        let count_shown = markdown::grouped(count);
        if count == 0 { count_shown } else { format!("{count_shown} ({percent:.2} %)") }
    };
    let has_server = rounds.iter().any(|round| round.server_cpu_us.is_some());
    let server = of(|round| round.server_cpu_us.unwrap_or(0.0));
    [
        describe(system).to_owned(),
        range(of(|round| round.events_per_s / 1e6), 2),
        format!("{:.2}", spread(ratios(results, system, |round| round.events_per_s))[1]),
        share(total(|round| round.reported_missing)),
        share(total(|round| round.silent)),
        range(of(|round| round.cpu_us), 2),
        if has_server { range(server, 2) } else { "-".to_owned() },
        range(of(|round| round.rtt_p50_us), 0),
        range(of(|round| round.rtt_p99_us), 0),
    ]
}

fn range([min, median, max]: [f64; 3], digits: usize) -> String {
    format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
}

/// A system's value divided by mailmesh's of the same round.
fn ratios(results: &[Round], system: System, value: fn(&Round) -> f64) -> Vec<f64> {
    let of = |system| results.iter().filter(move |result| result.system == system);
    let pairs = of(system).filter_map(|theirs| {
        let ours = of(System::Mailmesh).find(|ours| ours.round == theirs.round)?;
        Some(value(theirs) / value(ours))
    });
    pairs.collect()
}

/// Minimum, median and maximum.
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

    fn round(number: u64, system: System, events_per_s: f64) -> Round {
        Round { published: 100, events_per_s, ..Round::new(number, system) }
    }

    #[test]
    fn ratios_compare_one_round_and_spread_is_min_median_max() {
        let results = [
            round(1, System::Zenoh, 20.0),
            round(1, System::Mailmesh, 10.0),
            round(2, System::Mailmesh, 20.0),
            round(2, System::Zenoh, 10.0),
        ];
        let ratios = ratios(&results, System::Zenoh, |round| round.events_per_s);
        assert_eq!(ratios, [2.0, 0.5]);
        assert_eq!(spread(ratios), [0.5, 1.25, 2.0]);
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_line_of_a_faster_rival_shows_its_losses() {
        let nats = Round {
            silent: 5,
            cpu_us: 1.5,
            server_cpu_us: Some(0.25),
            rtt_p50_us: 99.6,
            ..round(1, System::Nats, 4e6)
        };
        let results = [nats, round(1, System::Mailmesh, 2e6)];
        let systems = [System::Nats, System::Mailmesh];
        let table = Table::of(&systems, &results, "2026-11-28", &["nats-server: v2".to_owned()]);
        let markdown = table.markdown();
        let nats = "| NATS | 4.00 (4.00 to 4.00) | 2.00 | 0 | 5 (5.00 %) | 1.50 (1.50 to 1.50) \
                    | 0.25 (0.25 to 0.25) | 100 (100 to 100) | 0 (0 to 0) |\n";
        assert!(markdown.contains(nats), "{markdown}");
        assert!(markdown.contains("| mailmesh, sealed | 2.00 (2.00 to 2.00) | 1.00 | 0 | 0 |"));
        assert!(markdown.contains("2026-11-28, "), "{markdown}");
        assert!(markdown.contains("; nats-server: v2."), "{markdown}");
        let heads = markdown.lines().nth(1).map(|line| line.matches("---|").count());
        assert_eq!(heads, Some(HEAD.len()));
        assert!(table.text().lines().nth(1).is_some_and(|line| line.starts_with("NATS  ")));
    }
}
