//! What waits to be published, per lane. The first publisher to find a lane idle
//! sends; those that come meanwhile add to the next batch, which the first one
//! sends too. So a batch is what gathered while the last one was being sent.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A batch is closed once it is this long, in bytes. A longer event is a batch
/// of its own.
pub const MAX_BATCH_LEN: usize = 60 * 1024;
/// Most events in a batch.
pub const MAX_BATCH_EVENTS: u16 = 1024;
/// Most bytes that wait in a lane.
const MAX_WAITING: usize = 1 << 20;

/// Why an event was not published.
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

#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    state: Mutex<State>,
    pub(crate) space: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    bytes: usize,
    sending: bool,
    closed: bool,
}

/// What a publisher must do after its event is in a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take batches and send them until there is none.
    Send,
    /// Nothing: somebody is sending.
    Nothing,
}

impl LaneQueue {
    pub(crate) fn append<E>(
        &self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Next, PublishError<E>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PublishError::Closed);
        }
        if state.bytes >= MAX_WAITING {
            return Err(PublishError::Full);
        }
        let is_open = |b: &Batch| b.count < MAX_BATCH_EVENTS && b.body.len() < MAX_BATCH_LEN;
        if !state.batches.back().is_some_and(is_open) {
            state.batches.push_back(Batch::default());
        }
        let Some(batch) = state.batches.back_mut() else {
            return Err(PublishError::Full);
        };
        let before = batch.body.len();
        if let Err(error) = encode(&mut batch.body) {
            batch.body.truncate(before);
            if batch.count == 0 {
                state.batches.pop_back();
            }
            return Err(PublishError::Encode(error));
        }
        batch.count += 1;
        let mut added = batch.body.len() - before;
        // An event that takes the batch past its length begins a new one.
        if batch.count > 1 && batch.body.len() > MAX_BATCH_LEN {
            let body = batch.body.split_off(before);
            batch.count -= 1;
            added = body.len();
            state.batches.push_back(Batch { count: 1, body });
        }
        state.bytes += added;
        if state.sending {
            return Ok(Next::Nothing);
        }
        state.sending = true;
        Ok(Next::Send)
    }

    /// The next batch to send; without one, the lane is idle again.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        let batch = state.batches.pop_front();
        match &batch {
            Some(batch) => state.bytes -= batch.body.len(),
            None => state.sending = false,
        }
        drop(state);
        self.space.notify_waiters();
        batch
    }

    /// Who sends stops, though batches may wait: the lane is closed.
    pub(crate) fn park(&self) {
        self.state.lock().sending = false;
    }

    /// Whether batches wait and nobody sends; if so, the caller sends now.
    pub(crate) fn resume(&self) -> bool {
        let mut state = self.state.lock();
        let resume = !state.sending && !state.batches.is_empty();
        state.sending |= resume;
        resume
    }

    /// Whether nothing waits and nobody sends.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.batches.is_empty() && !state.sending
    }

    /// Takes no more events.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.space.notify_waiters();
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(queue: &LaneQueue, len: usize) -> Result<Next, PublishError<()>> {
        queue.append(|body| {
            body.extend(std::iter::repeat_n(7, len));
            Ok(())
        })
    }

    #[test]
    fn what_comes_while_somebody_sends_gathers_in_one_batch() {
        let queue = LaneQueue::default();
        assert_eq!(append(&queue, 10), Ok(Next::Send));
        let first = queue.take().unwrap();
        assert_eq!(first.count, 1);
        for _ in 0..5 {
            assert_eq!(append(&queue, 10), Ok(Next::Nothing));
        }
        assert_eq!(queue.take().unwrap().count, 5);
        assert!(!queue.is_idle());
        assert!(queue.take().is_none());
        assert!(queue.is_idle());
        assert_eq!(append(&queue, 1), Ok(Next::Send));
    }

    #[test]
    fn batches_are_bounded_in_events_and_bytes() {
        let queue = LaneQueue::default();
        for _ in 0..1_500 {
            append(&queue, 3).unwrap();
        }
        assert_eq!(queue.take().unwrap().count, MAX_BATCH_EVENTS);
        assert_eq!(queue.take().unwrap().count, 1_500 - MAX_BATCH_EVENTS);
        for _ in 0..3 {
            append(&queue, 25 * 1024).unwrap();
        }
        assert_eq!(queue.take().unwrap().count, 2);
        assert_eq!(queue.take().unwrap().count, 1);
        append(&queue, 200 * 1024).unwrap();
        assert_eq!(queue.take().unwrap().body.len(), 200 * 1024);
    }

    #[test]
    fn a_full_lane_says_so_and_takes_again_when_there_is_room() {
        let queue = LaneQueue::default();
        let mut taken = 0;
        while append(&queue, 50_000).is_ok() {
            taken += 1;
        }
        assert_eq!(append(&queue, 1), Err(PublishError::Full));
        assert!(queue.waiting_bytes() < MAX_WAITING + 50_000);
        queue.take();
        assert!(append(&queue, 1).is_ok());
        assert_eq!(taken, MAX_WAITING / 50_000 + 1);
    }

    #[test]
    fn a_parked_lane_keeps_its_batches_and_is_resumed_by_one() {
        let queue = LaneQueue::default();
        assert!(!queue.resume());
        assert_eq!(append(&queue, 10), Ok(Next::Send));
        queue.park();
        assert!(!queue.is_idle());
        // Who publishes next tries again, as the driver does; only one of them sends.
        assert_eq!(append(&queue, 10), Ok(Next::Send));
        assert!(!queue.resume());
        queue.park();
        assert!(queue.resume() && !queue.resume());
        assert_eq!(queue.take().unwrap().count, 2);
        assert!(queue.take().is_none() && queue.is_idle());
    }

    #[test]
    fn an_event_that_does_not_encode_leaves_no_trace() {
        let queue = LaneQueue::default();
        let result = queue.append(|body| {
            body.extend([1, 2, 3]);
            Err("no")
        });
        assert_eq!(result, Err(PublishError::Encode("no")));
        assert!(queue.is_idle() && queue.waiting_bytes() == 0);
        append(&queue, 2).unwrap();
        let result = queue.append(|_| Err("no"));
        assert_eq!(result, Err(PublishError::Encode("no")));
        assert_eq!(queue.take().unwrap().body.len(), 2);
    }

    #[test]
    fn a_closed_lane_takes_nothing_but_gives_what_it_has() {
        let queue = LaneQueue::default();
        append(&queue, 1).unwrap();
        queue.close();
        assert_eq!(append(&queue, 1), Err(PublishError::Closed));
        assert_eq!(queue.take().unwrap().count, 1);
    }
}
