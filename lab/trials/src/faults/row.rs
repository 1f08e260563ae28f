//! The result of one run of a traffic scenario: a line of the table, a row of the JSON file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::account::Counts;
use crate::contender::System;
use xtask::markdown;

/// A figure that only one scenario has, so the table has no column for it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// The quantity that the value measures, with its condition.
    #[serde(rename = "what")]
    pub(super) label: String,
    /// `None` if the run never reached the measured event.
    pub(super) value: Option<f64>,
    pub(super) unit: &'static str,
}

impl Figure {
    pub(super) fn new(
        label: impl Into<String>,
        value: impl Into<Option<f64>>,
        unit: &'static str,
    ) -> Self {
        Self { label: label.into(), value: value.into(), unit }
    }

    /// All figures in one line.
    fn join_all(figures: &[Self]) -> String {
        let figures = figures.iter().map(|figure| match figure.value {
            Some(value) if value >= 1_000.0 => {
                format!("{} {} {}", figure.label, markdown::grouped(value as u64), figure.unit)
            }
            Some(value) => format!("{} {value:.1} {}", figure.label, figure.unit),
            None => format!("{} -", figure.label),
        });
        figures.collect::<Vec<_>>().join("; ").trim_end().to_owned()
    }

    /// Prints all figures in one line, below their row.
    pub(super) fn print_all(figures: &[Self]) {
        let figures = Self::join_all(figures);
        if !figures.is_empty() {
            println!("{:<20}{figures}", "");
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) scenario: &'static str,
    pub(super) system: System,
    /// Deliveries expected: each event counts once for each member that must receive it.
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    #[serde(rename = "told")]
    pub(super) reported_missing: u64,
    pub(super) silent: u64,
    #[serde(rename = "notice_s")]
    pub(super) detection_s: Option<f64>,
    #[serde(rename = "whole_s")]
    pub(super) recovery_s: Option<f64>,
    /// The highest peak memory of one process.
    pub(super) peak_rss_kb: u64,
    pub(super) variant: &'static str,
    /// Events published, each counted once.
    pub(super) events: u64,
    pub(super) peak_rss_kb_each: BTreeMap<String, u64>,
    pub(super) figures: Vec<Figure>,
}

impl Row {
    pub(super) fn new(
        (scenario, variant): (&'static str, &'static str),
        system: System,
        counts: Counts,
        peak_rss_kb_each: BTreeMap<String, u64>,
    ) -> Self {
        Self {
            scenario,
            system,
            published: counts.published,
            delivered: counts.delivered,
            duplicates: counts.duplicates,
            out_of_order: counts.out_of_order,
            reported_missing: counts.reported_missing,
            silent: counts.silent,
            detection_s: None,
            recovery_s: None,
            peak_rss_kb: peak_rss_kb_each.values().copied().max().unwrap_or(0),
            variant,
            events: counts.events,
            peak_rss_kb_each,
            figures: Vec::new(),
        }
    }

    /// Whether mailmesh broke its promise.
    pub(super) fn is_broken(&self) -> bool {
        self.system == System::Mailmesh && self.silent + self.duplicates + self.out_of_order > 0
    }

    pub(super) fn print_head() {
        println!(
            "{:<20}{:<10}{:>10}{:>10}{:>7}{:>7}{:>9}{:>9}{:>9}{:>8}  peak MiB each",
            "scenario",
            "system",
            "published",
            "delivered",
            "twice",
            "order",
            "told",
            "SILENT",
            "notice s",
            "whole s"
        );
    }

    /// The scenario and variant, as tables show them.
    fn title(&self) -> String {
        format!("{} {}", self.scenario, self.variant).trim_end().to_owned()
    }

    /// The line in the table of `docs/proof/faults.md`.
    pub(super) fn markdown(&self) -> String {
        let silent = match self.silent {
            0 => "0".to_owned(),
            lost => format!("**{}**", markdown::grouped(lost)),
        };
        let times = self.duplicates + self.out_of_order;
        let twice = (times > 0).then(|| format!("twice or out of order {times}; "));
        markdown::line(&[
            self.title(),
            self.system.name().to_owned(),
            markdown::grouped(self.published),
            markdown::grouped(self.reported_missing),
            silent,
            seconds(self.detection_s),
            seconds(self.recovery_s),
            (self.peak_rss_kb / 1024).to_string(),
            twice.unwrap_or_default() + &Figure::join_all(&self.figures),
        ])
    }

    pub(super) fn print(&self) {
        let peaks = self.peak_rss_kb_each.iter();
        let peaks = peaks.map(|(name, kb)| format!("{name}:{}", kb / 1024)).collect::<Vec<_>>();
        println!(
            "{:<20}{:<10}{:>10}{:>10}{:>7}{:>7}{:>9}{:>9}{:>9}{:>8}  {}",
            self.title(),
            self.system.name(),
            self.published,
            self.delivered,
            self.duplicates,
            self.out_of_order,
            self.reported_missing,
            self.silent,
            seconds(self.detection_s),
            seconds(self.recovery_s),
            peaks.join(" ")
        );
        Figure::print_all(&self.figures);
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: System, counts: Counts) -> Row {
        let peaks = BTreeMap::from([("a".to_owned(), 10), ("b".to_owned(), 30)]);
        Row::new(("cut", "5 s"), system, counts, peaks)
    }

    #[test]
    fn a_json_row_begins_with_the_documented_fields_in_order() {
        let text = serde_json::to_string(&row(System::ZenohExt, Counts::default())).unwrap();
        let expected = "{\"scenario\":\"cut\",\"system\":\"zenoh-ext\",\"published\":0,\
             \"delivered\":0,\"duplicates\":0,\"out_of_order\":0,\"told\":0,\"silent\":0,\
             \"notice_s\":null,\"whole_s\":null,\"peak_rss_kb\":30,";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_row_has_the_format_of_the_table_in_the_docs() {
        let counts = Counts { published: 9, silent: 2, reported_missing: 1, ..Counts::default() };
        let figures = vec![Figure::new("p99", 1.25, "ms"), Figure::new("restarts", 3.0, "")];
        let row = Row { recovery_s: Some(1.0), figures, ..row(System::Zenoh, counts) };
        let line =
            "| cut 5 s | zenoh | 9 | 1 | **2** | - | 1.00 | 0 | p99 1.2 ms; restarts 3.0 |\n";
        assert_eq!(row.markdown(), line);
        let docs = include_str!("../../../../docs/proof/faults.md");
        assert!(docs.contains("<!-- faults: begin -->\n| scenario | system |"));
    }

    #[test]
    fn only_a_row_of_mailmesh_can_be_broken() {
        let silent = Counts { silent: 1, ..Counts::default() };
        let twice = Counts { duplicates: 1, ..Counts::default() };
        let order = Counts { out_of_order: 1, ..Counts::default() };
        let reported_missing = Counts { reported_missing: 9, ..Counts::default() };
        for counts in [silent, twice, order] {
            assert!(row(System::Mailmesh, counts).is_broken());
            assert!(!row(System::Zenoh, counts).is_broken());
        }
        assert!(!row(System::Mailmesh, reported_missing).is_broken());
    }
}
