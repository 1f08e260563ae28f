//! The bounded queue behind an inbox: it drops its oldest entries, and counts them by sender and
//! lane.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use mailmesh_events::Lane;
use parking_lot::Mutex;

use super::filter::Filter;
use crate::{Gap, GapReason, Incoming, MemberRef, Received, StartError};

/// Per lane, an inbox counts its drops separately for this many incarnations: twice the largest
/// number of members. Drops of further incarnations are added to an incarnation of the same name,
/// or else to the oldest counter, so the total stays right. Only a reader that pauses while
/// thousands of incarnations come and go reaches this limit.
pub(super) const MAX_DROP_COUNTERS: usize = 2 * 1024;

/// Most entries that a reader moves out of the queue in one step.
const MAX_TAKE: usize = 64;
/// A reader stops moving entries in one step once they sum up to this size.
const MAX_TAKE_BYTES: usize = 1 << 20;

/// Bounds of an inbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) entries: usize,
    /// Sum of [`footprint`]. A single larger entry is still kept.
    pub(crate) bytes: usize,
}

impl Capacity {
    /// Smaller inboxes would drop entries before a prompt reader has a turn.
    const MIN: Self = Self { entries: 16, bytes: 1 << 20 };

    /// # Errors
    /// [`StartError::InboxTooSmall`].
    pub(crate) fn check(self) -> Result<(), StartError> {
        if self.entries < Self::MIN.entries || self.bytes < Self::MIN.bytes {
            return Err(StartError::InboxTooSmall { entries: self.entries, bytes: self.bytes });
        }
        Ok(())
    }
}

/// Approximate memory of an entry, in bytes. An event shared by several inboxes counts in each.
fn footprint(incoming: &Incoming) -> usize {
    let heap = match incoming {
        Incoming::Event(received) => size_of::<Received>() + received.event.size_estimate(),
        _ => 0,
    };
    size_of::<Incoming>() + heap
}

#[derive(Debug)]
pub(super) struct Queue {
    filter: Filter,
    capacity: Capacity,
    state: Mutex<State>,
    /// Entries dropped so far by all inboxes of the node.
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Incoming>,
    /// Sum of the entries' footprints.
    bytes: usize,
    /// Entries dropped per sender and lane, and not reported yet.
    dropped: Vec<(MemberRef, Lane, u64)>,
    members_dropped: bool,
    closed: bool,
    /// The reader that waits for an entry.
    reader: Option<Waker>,
}

/// The result of moving entries to the reader.
pub(super) enum Refill {
    Some,
    Empty,
    Closed,
}

impl Queue {
    pub(super) fn new(filter: Filter, capacity: Capacity, dropped: Arc<AtomicU64>) -> Self {
        Self { filter, capacity, state: Mutex::default(), dropped }
    }

    /// Number of entries that wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Approximate bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Moves the next entries to the reader, whose buffer is empty. If there are none, the task of
    /// `context` is woken when there are.
    pub(super) fn refill(
        &self,
        taken: &mut VecDeque<Incoming>,
        context: Option<&mut Context<'_>>,
    ) -> Refill {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.members_dropped) {
            taken.push_back(Incoming::MembersChanged);
        }
        // The dropped entries were older than all that are left.
        for (from, lane, missed) in state.dropped.drain(..) {
            let reason = GapReason::SlowConsumer;
            taken.push_back(Incoming::Gap(Gap { from, lane, missed, reason }));
        }
        let mut bytes = 0;
        for _ in 0..MAX_TAKE {
            let Some(incoming) = state.pop() else { break };
            bytes += footprint(&incoming);
            taken.push_back(incoming);
            if bytes >= MAX_TAKE_BYTES {
                break;
            }
        }
        match (taken.is_empty(), state.closed) {
            (false, _) => Refill::Some,
            (true, false) => {
                if let Some(context) = context {
                    state.reader = Some(context.waker().clone());
                }
                Refill::Empty
            }
            (true, true) => Refill::Closed,
        }
    }

    pub(super) fn push(&self, incoming: impl Iterator<Item = Incoming>) {
        let mut incoming = incoming.filter(|incoming| self.filter.takes(incoming)).peekable();
        if incoming.peek().is_none() {
            return;
        }
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let mut dropped = 0;
        for incoming in incoming {
            let size = footprint(&incoming);
            while (state.entries.len() >= self.capacity.entries
                || state.bytes + size > self.capacity.bytes)
                && let Some(oldest) = state.pop()
            {
                state.count_dropped(oldest);
                dropped += 1;
            }
            state.bytes += size;
            state.entries.push_back(incoming);
        }
        let reader = state.reader.take();
        drop(state);
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<Incoming> {
        let oldest = self.entries.pop_front()?;
        self.bytes -= footprint(&oldest);
        Some(oldest)
    }

    fn count_dropped(&mut self, oldest: Incoming) {
        match oldest {
            Incoming::Event(received) => self.count(&received.from, received.lane, 1),
            Incoming::Gap(gap) => self.count(&gap.from, gap.lane, gap.missed),
            _ => self.members_dropped = true,
        }
    }

    fn count(&mut self, from: &MemberRef, lane: Lane, missed: u64) {
        let mut of_lane = self.dropped.iter_mut().filter(|(_, l, _)| *l == lane);
        if let Some((_, _, count)) = of_lane.find(|(f, _, _)| f == from) {
            // Positions from a malicious sender may be arbitrary.
            *count = count.saturating_add(missed);
            return;
        }
        if self.dropped.iter().filter(|(_, l, _)| *l == lane).count() < MAX_DROP_COUNTERS {
            self.dropped.push((from.clone(), lane, missed));
            return;
        }
        let namesake = self.dropped.iter().position(|(f, l, _)| f.name == from.name && *l == lane);
        let first = || self.dropped.iter().position(|(_, l, _)| *l == lane);
        if let Some(at) = namesake.or_else(first) {
            let count = &mut self.dropped[at].2;
            *count = count.saturating_add(missed);
        }
    }
}
