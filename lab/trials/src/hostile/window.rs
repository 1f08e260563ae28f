//! Counts of the honest nodes over a time window.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mailmesh_contender::Report;

use crate::contender::Contender;

pub(super) fn reports(nodes: &mut [Contender]) -> Result<Vec<Report>, String> {
    nodes.iter_mut().map(|node| node.query_report().cloned()).collect()
}

/// Peak memory of the node that used most, in KiB.
pub(super) fn peak(nodes: &[Contender]) -> u64 {
    nodes.iter().map(Contender::peak_rss_kb).max().unwrap_or(0)
}

/// The events of one honest node at another one.
pub(super) struct Delivery {
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) reported_missing: u64,
    pub(super) wrong: u64,
}

pub(super) fn deliveries(reports: &[Report]) -> Vec<Delivery> {
    let mut all = Vec::new();
    for sender in reports {
        for receiver in reports.iter().filter(|receiver| receiver.incarnation != sender.incarnation)
        {
            let received =
                receiver.senders.iter().find(|received| received.incarnation == sender.incarnation);
            let tally = received.map(|received| received.tally.clone()).unwrap_or_default();
            all.push(Delivery {
                published: sender.published,
                delivered: tally.delivered,
                reported_missing: tally.reported_missing,
                wrong: tally.duplicates + tally.out_of_order,
            });
        }
    }
    all
}

/// The number of incarnations other than `known` that were ever members.
///
/// # Errors
/// If a node had to drop notices, because an unknown member could hide there.
pub(super) fn unexpected_members(reports: &[Report], known: &[u64]) -> Result<usize, String> {
    let dropped: u64 = reports.iter().map(|report| report.notices_dropped).sum();
    if dropped > 0 {
        return Err(format!(
            "{dropped} notices of members were dropped, so a stranger among them would not show"
        ));
    }
    let seen = reports.iter().flat_map(|report| &report.notices).map(|notice| notice.incarnation);
    let unexpected_members: BTreeSet<u64> =
        seen.filter(|incarnation| !known.contains(incarnation)).collect();
    Ok(unexpected_members.len())
}

/// The counts at the start of a time window.
pub(super) struct Window {
    begin: Instant,
    delivered: u64,
    refused: u64,
    cpu_ms: u64,
}

/// The changes of the counts over a window.
pub(super) struct WindowCounts {
    pub(super) rate: f64,
    pub(super) refused: u64,
    pub(super) cpu_ms: u64,
}

impl Window {
    pub(super) fn open(nodes: &mut [Contender], incarnations: &[u64]) -> Result<Self, String> {
        let reports = reports(nodes)?;
        let (delivered, refused) = sums(&reports, incarnations);
        let cpu_ms = nodes.iter().map(Contender::cpu_ms).sum();
        Ok(Self { begin: Instant::now(), delivered, refused, cpu_ms })
    }

    pub(super) fn after(
        self,
        time: Duration,
        nodes: &mut [Contender],
        incarnations: &[u64],
    ) -> Result<WindowCounts, String> {
        std::thread::sleep(time);
        let now = Self::open(nodes, incarnations)?;
        let seconds = now.begin.duration_since(self.begin).as_secs_f64();
        Ok(WindowCounts {
            rate: now.delivered.saturating_sub(self.delivered) as f64 / seconds,
            refused: now.refused.saturating_sub(self.refused),
            cpu_ms: now.cpu_ms.saturating_sub(self.cpu_ms),
        })
    }
}

/// Events of honest nodes delivered, and refusals.
fn sums(reports: &[Report], incarnations: &[u64]) -> (u64, u64) {
    let received = reports.iter().flat_map(|report| &report.senders);
    let honest = received.filter(|received| incarnations.contains(&received.incarnation));
    let delivered = honest.map(|received| received.tally.delivered).sum();
    (delivered, reports.iter().map(|report| report.refused).sum())
}

#[cfg(test)]
mod tests {
    use mailmesh_contender::Notice;

    use super::*;

    #[test]
    fn an_unknown_incarnation_counts_once() {
        let notice = |incarnation, up| Notice { incarnation, up, at: 1 };
        let notices = vec![notice(1, true), notice(2, true), notice(7, true), notice(7, false)];
        let report = Report { notices, ..Report::default() };
        assert_eq!(unexpected_members(&[report.clone(), report], &[1, 2]), Ok(1));
    }

    #[test]
    fn dropped_notices_make_the_count_of_unknown_members_an_error() {
        let report = Report { notices_dropped: 1, ..Report::default() };
        let error = unexpected_members(&[Report::default(), report], &[1]).unwrap_err();
        assert!(error.contains("1 notices"), "{error}");
    }
}
