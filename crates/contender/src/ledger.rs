//! What this process counted. Readers write, the command loop reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mailmesh_contender::{
    Latency, MAX_NOTICES, Notice, Numbered, Phases, Report, SenderReport, Tally, now_ns,
};
use tokio::sync::Notify;

/// Lives counted; events of more are not.
const MAX_INCARNATIONS: usize = 4096;

/// Round trips kept, each exactly.
const MAX_PINGS: usize = 64 * 1024;

/// The counts of one process.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// This life, once it is known.
    pub(crate) incarnation: AtomicU64,
    /// Events published.
    pub(crate) published: AtomicU64,
    /// Publishers and pingers at work.
    pub(crate) busy: AtomicUsize,
    /// An echo came.
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

    /// An event came to be counted.
    pub(crate) fn event(&self, event: &Numbered) {
        self.events(std::iter::once(*event));
    }

    /// Events came in one read, to be counted.
    pub(crate) fn events(&self, events: impl Iterator<Item = Numbered>) {
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

    /// One's own event came back.
    pub(crate) fn echo(&self, event: &Numbered) {
        if event.incarnation == self.incarnation.load(Ordering::Relaxed) {
            let round_trip = now_ns().saturating_sub(event.sent);
            let pings = &mut self.counts().pings;
            if pings.len() < MAX_PINGS {
                pings.push(round_trip);
            }
            self.echoed.notify_one();
        }
    }

    /// The receiver was told that it missed so many.
    pub(crate) fn report_missing(&self, incarnation: u64, report_missing: u64) {
        if let Some((tally, _)) = sender(&mut self.counts().senders, incarnation) {
            tally.report_missing(report_missing, now_ns());
        }
    }

    /// Another process came or went. Whether that is news.
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

    /// The only way to the others is gone.
    pub(crate) fn remove_all_members(&self) {
        let members = self.counts().members.clone();
        for incarnation in members {
            self.set_member(incarnation, false);
        }
    }

    /// A phase ended.
    pub(crate) fn mark(&self, at: u64) {
        self.counts().marks.push(at);
    }

    pub(crate) fn set_read_rate(&self, rate: u64) {
        self.read_rate.store(rate, Ordering::Relaxed);
    }

    /// Waits as a slow consumer does between two events.
    pub(crate) async fn between_reads(&self) {
        if let Some(pause) = self.pause() {
            tokio::time::sleep(pause).await;
        }
    }

    /// The same in a callback, which makes its caller wait.
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
