//! The events that wait to be published in each lane, and the owner that sends them.
//!
//! **Invariant**: a lane has one owner at a time, so its events keep their order. On an idle lane
//! the owner is the publisher itself. On a *hot* lane, where puts follow each other at once, events
//! are batched and the sending thread is the owner: a batch consists of the events that were
//! published while the last batch was being sent. There is no timer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A batch takes no more events once its body has this many bytes. A longer event is a batch of its
/// own.
pub const MAX_BATCH_LEN: usize = 60 * 1024;
/// Maximum number of events in a batch.
pub const MAX_BATCH_EVENTS: u16 = 1024;
/// A lane with this many waiting bytes refuses events.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Publishers that wait for room are woken when no more bytes than this wait, rather than after
/// each batch.
const WAKE_BELOW: usize = MAX_WAITING_BYTES / 2;
/// A put that begins this soon after the end of the last put counts as following it at once.
const HOT_GAP: Duration = Duration::from_micros(10);
/// A lane is hot after this many puts that followed each other at once. Putting a few events in a
/// row costs less than waking the sending thread.
const HOT_RUN: u32 = 4;

/// The reason why an event was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError<E> {
    /// The lane's queue is full.
    #[error("the queue of the lane is full; wait, or publish less")]
    Full,
    /// The node has left.
    #[error("the node has left the cluster; start a new one")]
    Closed,
    /// The event could not be encoded.
    #[error(transparent)]
    Encode(E),
}

/// Events that go out in one frame.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) count: u16,
    pub(crate) body: Vec<u8>,
}

/// The party that may send a lane's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LaneOwner {
    /// The lane is idle: no event waits.
    #[default]
    Nobody,
    /// The publisher that found the lane idle.
    Publisher,
    /// The sending thread.
    Thread,
    /// The flow-control window is full: nobody sends until receivers have acknowledged more.
    Parked,
}

#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    state: Mutex<LaneState>,
    /// Whether the owner is [`LaneOwner::Parked`], readable without the lock.
    parked: AtomicBool,
    /// Whether the lane may become hot.
    has_sending_thread: bool,
    pub(crate) space: Notify,
}

#[derive(Debug, Default)]
struct LaneState {
    batches: VecDeque<Batch>,
    bytes: usize,
    owner: LaneOwner,
    closed: bool,
    /// The time at which the lane last became idle.
    idle_since: Option<Instant>,
    /// How many puts in a row followed each other at once.
    hot_run: u32,
    /// Length of the last batch: the likely capacity that the next batch needs.
    last_len: usize,
}

/// The next step of a publisher whose event was added to a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterAppend {
    /// Take batches and send them.
    Send,
    /// Wake the sending thread, which now owns the lane.
    WakeThread,
    /// Nothing: the owner sends, or will send when the lane is resumed.
    Nothing,
}

impl LaneQueue {
    /// An idle lane. It never becomes hot without a sending thread.
    pub(crate) fn new(has_sending_thread: bool) -> Self {
        Self { has_sending_thread, ..Self::default() }
    }

    pub(crate) fn append<E>(
        &self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<AfterAppend, PublishError<E>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PublishError::Closed);
        }
        if state.bytes >= MAX_WAITING_BYTES {
            return Err(PublishError::Full);
        }
        state.add(encode)?;
        Ok(match state.owner {
            LaneOwner::Nobody => state.claim(Instant::now(), self.has_sending_thread),
            _ => AfterAppend::Nothing,
        })
    }

    /// The next batch, if `owner` owns the lane. If no batch is left, the lane becomes idle.
    /// Returns `None` in that case, and if another party owns the lane.
    pub(crate) fn take(&self, owner: LaneOwner) -> Option<Batch> {
        let mut state = self.state.lock();
        if state.owner != owner {
            return None;
        }
        let batch = state.batches.pop_front();
        match &batch {
            Some(batch) => {
                state.bytes -= batch.body.len();
                state.last_len = batch.body.len();
            }
            None => state.release(Instant::now()),
        }
        let has_room = state.bytes <= WAKE_BELOW;
        drop(state);
        if has_room {
            self.space.notify_waiters();
        }
        batch
    }

    /// Returns `batch` to a lane that may not send now. Nobody sends until
    /// [`resume`](Self::resume). The caller holds the lock under which the lane may be resumed, so
    /// that the resumption is not missed.
    pub(crate) fn park(&self, batch: Batch) {
        let mut state = self.state.lock();
        state.bytes += batch.body.len();
        state.batches.push_front(batch);
        state.owner = LaneOwner::Parked;
        self.parked.store(true, Ordering::Release);
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire)
    }

    /// Gives a parked lane to the sending thread. Returns whether the thread must be woken.
    pub(crate) fn resume(&self) -> bool {
        let mut state = self.state.lock();
        let resume = state.owner == LaneOwner::Parked;
        if resume {
            state.owner = LaneOwner::Thread;
            self.parked.store(false, Ordering::Release);
        }
        resume
    }

    /// Called by a publisher that has sent its share: the sending thread takes over. Returns
    /// whether the thread must be woken.
    pub(crate) fn hand_to_thread(&self) -> bool {
        let mut state = self.state.lock();
        if state.batches.is_empty() {
            state.release(Instant::now());
            drop(state);
            self.space.notify_waiters();
            return false;
        }
        state.owner = LaneOwner::Thread;
        true
    }

    /// Whether no event waits and nobody sends.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.lock().owner == LaneOwner::Nobody
    }

    /// Refuses events from now on.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.space.notify_waiters();
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl LaneState {
    fn add<E>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), PublishError<E>> {
        let is_open = |b: &Batch| b.count < MAX_BATCH_EVENTS && b.body.len() < MAX_BATCH_LEN;
        if !self.batches.back().is_some_and(is_open) {
            let body = Vec::with_capacity(self.last_len.min(MAX_BATCH_LEN));
            self.batches.push_back(Batch { count: 0, body });
        }
        let before = EncodeGuard::run(&mut self.batches, encode).map_err(PublishError::Encode)?;
        let Some(batch) = self.batches.back_mut() else {
            return Err(PublishError::Full);
        };
        batch.count += 1;
        let mut added = batch.body.len() - before;
        // An event that makes the batch too long begins a new batch.
        if batch.count > 1 && batch.body.len() > MAX_BATCH_LEN {
            let body = batch.body.split_off(before);
            batch.count -= 1;
            added = body.len();
            self.batches.push_back(Batch { count: 1, body });
        }
        self.bytes += added;
        Ok(())
    }

    /// Chooses the owner for an event that was added to an idle lane.
    fn claim(&mut self, now: Instant, has_sending_thread: bool) -> AfterAppend {
        let follows = self.idle_since.is_some_and(|since| now.duration_since(since) < HOT_GAP);
        self.hot_run = if follows { self.hot_run.saturating_add(1) } else { 0 };
        if has_sending_thread && self.hot_run >= HOT_RUN {
            self.owner = LaneOwner::Thread;
            AfterAppend::WakeThread
        } else {
            self.owner = LaneOwner::Publisher;
            AfterAppend::Send
        }
    }

    fn release(&mut self, now: Instant) {
        self.owner = LaneOwner::Nobody;
        self.idle_since = Some(now);
    }
}

/// Guards the last batch while an event is encoded into it. Unless the encoding succeeds, the batch
/// is restored on drop, after a panic too.
struct EncodeGuard<'a> {
    batches: &'a mut VecDeque<Batch>,
    /// Length of the batch's body before the event.
    before: usize,
    is_done: bool,
}

impl<'a> EncodeGuard<'a> {
    /// Encodes an event at the end of the last batch. Returns the offset at which the event begins.
    fn run<E>(
        batches: &'a mut VecDeque<Batch>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let before = batches.back().map_or(0, |batch| batch.body.len());
        let mut encoding = Self { batches, before, is_done: false };
        if let Some(batch) = encoding.batches.back_mut() {
            encode(&mut batch.body)?;
        }
        encoding.is_done = true;
        Ok(before)
    }
}

impl Drop for EncodeGuard<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Some(batch) = self.batches.back_mut() {
            batch.body.truncate(self.before);
            if batch.count == 0 {
                self.batches.pop_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(queue: &LaneQueue, len: usize) -> Result<AfterAppend, PublishError<()>> {
        queue.append(|body| {
            body.extend(std::iter::repeat_n(7, len));
            Ok(())
        })
    }

    #[test]
    fn events_published_while_the_owner_sends_share_one_batch() {
        let queue = LaneQueue::new(true);
        assert_eq!(append(&queue, 10), Ok(AfterAppend::Send));
        let first = queue.take(LaneOwner::Publisher).unwrap();
        assert_eq!(first.count, 1);
        for _ in 0..5 {
            assert_eq!(append(&queue, 10), Ok(AfterAppend::Nothing));
        }
        assert_eq!(queue.take(LaneOwner::Publisher).unwrap().count, 5);
        assert!(!queue.is_idle());
        assert!(queue.take(LaneOwner::Publisher).is_none());
        assert!(queue.is_idle());
        assert_eq!(append(&queue, 1), Ok(AfterAppend::Send));
    }

    #[test]
    fn a_lane_is_hot_after_some_puts_at_once_and_cools_when_idle() {
        let (mut state, start) = (LaneState::default(), Instant::now());
        let mut now = start;
        for _ in 0..=HOT_RUN {
            assert_eq!(
                state.claim(now, true),
                if state.hot_run < HOT_RUN { AfterAppend::Send } else { AfterAppend::WakeThread }
            );
            state.release(now);
            now += HOT_GAP / 2;
        }
        assert_eq!(state.claim(now, true), AfterAppend::WakeThread);
        state.release(now);
        assert_eq!(state.claim(now + HOT_GAP, true), AfterAppend::Send);
        assert_eq!(state.owner, LaneOwner::Publisher);
    }

    #[test]
    fn a_lane_has_one_owner_and_passes_to_the_thread_with_its_events() {
        let queue = LaneQueue::new(true);
        append(&queue, 1).unwrap();
        assert!(queue.take(LaneOwner::Thread).is_none());
        queue.take(LaneOwner::Publisher).unwrap();
        append(&queue, 1).unwrap();
        assert!(queue.hand_to_thread());
        assert!(queue.take(LaneOwner::Publisher).is_none() && !queue.is_idle());
        queue.take(LaneOwner::Thread).unwrap();
        assert!(queue.take(LaneOwner::Thread).is_none() && queue.is_idle());
        append(&queue, 1).unwrap();
        queue.take(LaneOwner::Publisher).unwrap();
        assert!(!queue.hand_to_thread() && queue.is_idle());
    }

    #[test]
    fn batches_are_bounded_in_events_and_bytes() {
        let queue = LaneQueue::new(true);
        for _ in 0..1_500 {
            append(&queue, 3).unwrap();
        }
        let take = || queue.take(LaneOwner::Publisher).unwrap();
        assert_eq!(take().count, MAX_BATCH_EVENTS);
        assert_eq!(take().count, 1_500 - MAX_BATCH_EVENTS);
        for _ in 0..3 {
            append(&queue, 25 * 1024).unwrap();
        }
        assert_eq!(take().count, 2);
        assert_eq!(take().count, 1);
        append(&queue, 200 * 1024).unwrap();
        assert_eq!(take().body.len(), 200 * 1024);
    }

    #[test]
    fn a_full_lane_refuses_events_until_there_is_room() {
        let queue = LaneQueue::new(true);
        let mut taken = 0;
        while append(&queue, 50_000).is_ok() {
            taken += 1;
        }
        assert_eq!(append(&queue, 1), Err(PublishError::Full));
        assert!(queue.waiting_bytes() < MAX_WAITING_BYTES + 50_000);
        queue.take(LaneOwner::Publisher);
        assert!(append(&queue, 1).is_ok());
        assert_eq!(taken, MAX_WAITING_BYTES / 50_000 + 1);
    }

    #[test]
    fn a_parked_lane_keeps_its_batches_in_order_and_is_resumed_once() {
        let queue = LaneQueue::new(true);
        assert!(!queue.resume());
        append(&queue, 10).unwrap();
        queue.park(queue.take(LaneOwner::Publisher).unwrap());
        assert!(queue.is_parked() && !queue.is_idle());
        assert_eq!(queue.waiting_bytes(), 10);
        assert_eq!(append(&queue, 20), Ok(AfterAppend::Nothing));
        assert!(queue.resume() && !queue.resume() && !queue.is_parked());
        let batch = queue.take(LaneOwner::Thread).unwrap();
        assert_eq!((batch.count, batch.body.len()), (2, 30));
        assert!(queue.take(LaneOwner::Thread).is_none() && queue.is_idle());
    }

    #[test]
    fn an_event_that_fails_to_encode_leaves_no_bytes() {
        let queue = LaneQueue::new(true);
        let result = queue.append(|body| {
            body.extend([1, 2, 3]);
            Err("no")
        });
        assert_eq!(result, Err(PublishError::Encode("no")));
        assert!(queue.is_idle() && queue.waiting_bytes() == 0);
        append(&queue, 2).unwrap();
        let result = queue.append(|_| Err("no"));
        assert_eq!(result, Err(PublishError::Encode("no")));
        assert_eq!(queue.take(LaneOwner::Publisher).unwrap().body.len(), 2);
    }

    #[test]
    fn an_event_whose_encoding_panics_leaves_no_bytes() {
        let queue = LaneQueue::new(true);
        let panics = || {
            let _never = queue.append(|body| -> Result<(), ()> {
                body.extend([1, 2, 3]);
                panic!("a bug of an event")
            });
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        append(&queue, 2).unwrap();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        let batch = queue.take(LaneOwner::Publisher).unwrap();
        assert_eq!((batch.count, batch.body.len()), (1, 2));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(queue.take(LaneOwner::Publisher).is_none() && queue.waiting_bytes() == 0);
    }

    #[test]
    fn a_closed_lane_refuses_events_but_yields_its_batches() {
        let queue = LaneQueue::new(true);
        append(&queue, 1).unwrap();
        queue.close();
        assert_eq!(append(&queue, 1), Err(PublishError::Closed));
        assert_eq!(queue.take(LaneOwner::Publisher).unwrap().count, 1);
    }
}
