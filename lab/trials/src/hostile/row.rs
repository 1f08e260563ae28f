//! The result of an attack, and whether the attack did harm.

use serde::Serialize;

use super::attacks::is_link_attack;
use crate::contender::System;

/// Time in which a new node must see all others during a link attack.
const MAX_JOIN_MS: u64 = 3_000;
/// Minimum delivery rate during an attack, relative to the baseline.
const MIN_RATE_RATIO: f64 = 0.9;
/// Log lines a minute that a link attack may cause on one node.
const MAX_LOG_LINES_PER_MINUTE: u64 = 20;
/// Memory that a link attack may cost one node.
const MAX_ADDED_MEMORY_KB: u64 = 50 * 1024;

/// The result of one attack.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) system: System,
    pub(super) attack: &'static str,
    /// Length of the measurement.
    pub(super) seconds: u64,
    /// Frames that the attacker published, links that it opened, datagrams that it sent, or nodes
    /// that it started.
    pub(super) sent: u64,
    /// Frames, messages and changes that the honest nodes refused meanwhile.
    pub(super) refused: u64,
    /// Delivery rate during the attack, relative to the baseline.
    pub(super) honest_ratio: f64,
    /// Events of honest nodes that were reported missing or lost silently.
    pub(super) honest_lost: u64,
    /// Events delivered twice or out of order.
    pub(super) honest_wrong: u64,
    /// CPU time of the three nodes during the attack.
    pub(super) cpu_ms: u64,
    /// CPU time of the baseline, scaled to the same length.
    pub(super) cpu_ms_undisturbed: u64,
    /// Peak memory of one node.
    pub(super) peak_rss_kb: u64,
    /// Peak memory of one node before the attack.
    pub(super) peak_rss_kb_before: u64,
    /// Peak memory of one node in the run without an attack.
    pub(super) peak_rss_kb_undisturbed: Option<u64>,
    /// Time in which a new node saw all others meanwhile; `None` for frame attacks.
    pub(super) joined_ms: Option<u64>,
    /// Log lines of the node that logged most during the attack.
    pub(super) log_lines: u64,
    /// Why the measurement ended early, or how the attacker got in.
    pub(super) failed: Option<String>,
}

impl Row {
    pub(super) fn new(system: System, attack: &'static str, seconds: u64) -> Self {
        Self {
            system,
            attack,
            seconds,
            sent: 0,
            refused: 0,
            honest_ratio: 0.0,
            honest_lost: 0,
            honest_wrong: 0,
            cpu_ms: 0,
            cpu_ms_undisturbed: 0,
            peak_rss_kb: 0,
            peak_rss_kb_before: 0,
            peak_rss_kb_undisturbed: None,
            joined_ms: None,
            log_lines: 0,
            failed: None,
        }
    }

    /// Whether the row can fail the task: a rival's row is only shown.
    pub(super) fn is_judged(&self) -> bool {
        self.system != System::Zenoh
    }

    /// The kinds of harm that the attack did.
    pub(super) fn harm(&self) -> Vec<String> {
        let mut harm: Vec<String> = self.failed.iter().cloned().collect();
        if self.failed.is_none() && self.honest_ratio < MIN_RATE_RATIO {
            harm.push("slower".into());
        }
        if self.honest_lost > 0 || self.honest_wrong > 0 {
            harm.push("events lost, twice or out of order".into());
        }
        if self.joined_ms.is_some_and(|ms| ms > MAX_JOIN_MS) {
            harm.push("a new node joins late".into());
        }
        if is_link_attack(self.attack) {
            if self.log_lines > MAX_LOG_LINES_PER_MINUTE * self.seconds.div_ceil(60) {
                harm.push("a node logs too much".into());
            }
            if self
                .peak_rss_kb_undisturbed
                .is_some_and(|kb| self.peak_rss_kb > kb + MAX_ADDED_MEMORY_KB)
            {
                harm.push("a node takes too much memory".into());
            }
        }
        harm
    }

    pub(super) fn holds(&self) -> bool {
        !self.is_judged() || self.harm().is_empty()
    }

    pub(super) fn print_head() {
        println!(
            "{:<18}{:<18}{:>9}{:>9}{:>6}{:>8}{:>7}{:>8}{:>12}{:>8}{:>8}{:>12}{:>9}{:>10}",
            "",
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
            "undisturbed",
            "joins ms",
            "log lines"
        );
    }

    pub(super) fn print(&self) {
        let mb = |kb: u64| format!("{:.1}", kb as f64 / 1024.0);
        let dash = || "-".to_owned();
        println!(
            "{:<18}{:<18}{:>9}{:>9}{:>6.2}{:>8}{:>7}{:>8}{:>12}{:>8}{:>8}{:>12}{:>9}{:>10}{}",
            self.system.name(),
            self.attack,
            self.sent,
            self.refused,
            self.honest_ratio,
            self.honest_lost,
            self.honest_wrong,
            self.cpu_ms,
            self.cpu_ms_undisturbed,
            mb(self.peak_rss_kb),
            mb(self.peak_rss_kb_before),
            self.peak_rss_kb_undisturbed.map_or_else(dash, mb),
            self.joined_ms.map_or_else(dash, |ms| ms.to_string()),
            self.log_lines,
            match self.harm() {
                harm if harm.is_empty() => String::new(),
                harm if self.is_judged() => format!("  BROKEN: {}", harm.join("; ")),
                harm => format!("  ({})", harm.join("; ")),
            }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: System, attack: &'static str) -> Row {
        let row = Row::new(system, attack, 8);
        Row { honest_ratio: 1.0, peak_rss_kb_undisturbed: Some(1_000), ..row }
    }

    #[test]
    fn each_kind_of_harm_breaks_a_row() {
        let good = row(System::Mailmesh, "link-all");
        assert_eq!(good.harm(), Vec::<String>::new());
        let good = Row {
            joined_ms: Some(MAX_JOIN_MS),
            log_lines: MAX_LOG_LINES_PER_MINUTE,
            peak_rss_kb: 1_000 + MAX_ADDED_MEMORY_KB,
            ..good
        };
        assert!(good.holds());
        for broken in [
            Row { honest_ratio: 0.89, ..good.clone() },
            Row { honest_lost: 1, ..good.clone() },
            Row { honest_wrong: 1, ..good.clone() },
            Row { joined_ms: Some(MAX_JOIN_MS + 1), ..good.clone() },
            Row { log_lines: MAX_LOG_LINES_PER_MINUTE + 1, ..good.clone() },
            Row { peak_rss_kb: 1_001 + MAX_ADDED_MEMORY_KB, ..good.clone() },
            Row { failed: Some("it got in".into()), ..good.clone() },
        ] {
            assert_eq!(broken.harm().len(), 1, "{broken:?}");
            assert!(!broken.holds() && Row { system: System::Zenoh, ..broken }.holds());
        }
    }

    #[test]
    fn log_limits_apply_to_link_attacks_and_grow_with_their_length() {
        let frames = row(System::MailmeshUnproven, "no-key");
        assert!(Row { log_lines: 1_000, ..frames }.holds());
        let long = Row { seconds: 61, log_lines: 40, ..row(System::Mailmesh, "link-all") };
        assert!(long.holds() && !Row { log_lines: 41, ..long }.holds());
    }
}
