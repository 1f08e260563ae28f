//! The counts of this process. Readers of the systems write them, and the command loop reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mailmesh_contender::{
    Latency, MAX_NOTICES, Notice, Numbered, Phases, Report, SenderReport, Tally, now_ns,
};
use tokio::sync::Notify;

/// Maximum number of senders; events of further incarnations are not counted.
const MAX_INCARNATIONS: usize = 4096;

/// Maximum number of round trips kept.
const MAX_PINGS: usize = 64 * 1024;

/// The counts of one process.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// This incarnation; 0 until it is known.
    pub(crate) incarnation: AtomicU64,
    /// Events published.
    pub(crate) published: AtomicU64,
    /// Publishers and pingers that are running.
    pub(crate) busy: AtomicUsize,
    /// Notified for each echo that arrives.
    pub(crate) echoed: Notify,
    read_rate: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    marks: Vec<u64>,
    senders: BTreeMap<u64, (Tally, Phases)>,
    members: BTreeSet<u64>,
    notices: Vec<Notice>,
    notices_dropped: u64,
    pings: Vec<u64>,
}

impl Ledger {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Counts an event.
    pub(crate) fn count_event(&self, event: &Numbered) {
        self.count_events(std::iter::once(*event));
    }

    /// Counts events that arrived in one read.
    pub(crate) fn count_events(&self, events: impl Iterator<Item = Numbered>) {
        let now = now_ns();
        let counts = &mut *self.counts();
        for event in events {
            if let Some((tally, phases)) = sender(&mut counts.senders, event.incarnation)
                && tally.deliver(event.number)
            {
                phases.record(&counts.marks, event.sent, now);
            }
        }
    }

    /// Records the round trip of an own event that returned.
    pub(crate) fn record_echo(&self, event: &Numbered) {
        if event.incarnation == self.incarnation.load(Ordering::Relaxed) {
            let round_trip = now_ns().saturating_sub(event.sent);
            let pings = &mut self.counts().pings;
            if pings.len() < MAX_PINGS {
                pings.push(round_trip);
            }
            self.echoed.notify_one();
        }
    }

    /// Counts events that the system reported missing.
    pub(crate) fn report_missing(&self, incarnation: u64, report_missing: u64) {
        if let Some((tally, _)) = sender(&mut self.counts().senders, incarnation) {
            tally.report_missing(report_missing, now_ns());
        }
    }

    /// Records that another process joined or left. Returns false if that was known.
    pub(crate) fn set_member(&self, incarnation: u64, up: bool) -> bool {
        let counts = &mut *self.counts();
        let changed = if up {
            counts.members.insert(incarnation)
        } else {
            counts.members.remove(&incarnation)
        };
        if !changed {
            return false;
        }
        if counts.notices.len() < MAX_NOTICES {
            counts.notices.push(Notice { incarnation, up, at: now_ns() });
        } else {
            counts.notices_dropped += 1;
        }
        true
    }

    /// Records that all members left, because the only connection to them is lost.
    pub(crate) fn remove_all_members(&self) {
        let members = self.counts().members.clone();
        for incarnation in members {
            self.set_member(incarnation, false);
        }
    }

    /// Starts a new phase at this moment, in nanoseconds.
    pub(crate) fn mark(&self, at: u64) {
        self.counts().marks.push(at);
    }

    pub(crate) fn set_read_rate(&self, rate: u64) {
        self.read_rate.store(rate, Ordering::Relaxed);
    }

    /// Waits between two events, as a slow consumer does.
    pub(crate) async fn wait_between_reads(&self) {
        if let Some(pause) = self.pause() {
            tokio::time::sleep(pause).await;
        }
    }

    /// The same in a callback, where it blocks the caller.
    pub(crate) fn block_between_reads(&self) {
        if let Some(pause) = self.pause() {
            std::thread::sleep(pause);
        }
    }

    fn pause(&self) -> Option<Duration> {
        let rate = self.read_rate.load(Ordering::Relaxed);
        1_000_000_000_u64.checked_div(rate).map(Duration::from_nanos)
    }

    pub(crate) fn report(&self, request: u64) -> Report {
        let counts = &*self.counts();
        let senders = counts.senders.iter().map(|(incarnation, (tally, phases))| SenderReport {
            incarnation: *incarnation,
            tally: tally.summary(),
            phases: phases.report(),
        });
        Report {
            request,
            incarnation: self.incarnation.load(Ordering::Relaxed),
            members: counts.members.len(),
            published: self.published.load(Ordering::Acquire),
            busy: self.busy.load(Ordering::Acquire) > 0,
            pings: Latency::of(counts.pings.clone()),
            senders: senders.collect(),
            notices: counts.notices.clone(),
            notices_dropped: counts.notices_dropped,
            refused: 0,
            retransmitted_frames: 0,
            entries: 0,
        }
    }
}

fn sender(
    senders: &mut BTreeMap<u64, (Tally, Phases)>,
    incarnation: u64,
) -> Option<&mut (Tally, Phases)> {
    if senders.len() >= MAX_INCARNATIONS && !senders.contains_key(&incarnation) {
        return None;
    }
    Some(senders.entry(incarnation).or_default())
}
