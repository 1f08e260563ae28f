//! Bounded queues between the driver and the application's readers. The driver never waits: a full
//! inbox (in entries or bytes) drops its oldest entries and reports the number to its reader.

mod filter;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use parking_lot::RwLock;

pub use filter::Filter;
pub(crate) use queue::Capacity;
use queue::{Queue, Refill};

use crate::Incoming;

/// Queue of incoming entries for one reader. Dropping it closes it; other inboxes are not affected.
///
/// An inbox is also a [`Stream`] of its entries.
#[derive(Debug)]
pub struct Inbox {
    queue: Arc<Queue>,
    /// Entries moved out of the queue in one step, so that the lock is not taken for each entry.
    taken: VecDeque<Incoming>,
}

impl Inbox {
    /// Waits for the next entry. Entries come in order per sender and lane. `None` once the node
    /// has stopped and everything was read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Incoming> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next entry: [`recv`](Self::recv) for a caller that has a task's context.
    /// After `Pending`, the task of the last call is woken when an entry arrives.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Incoming>> {
        if self.taken.is_empty() {
            match self.queue.refill(&mut self.taken, Some(context)) {
                Refill::Some => {}
                Refill::Closed => return Poll::Ready(None),
                Refill::Empty => return Poll::Pending,
            }
        }
        Poll::Ready(self.taken.pop_front())
    }

    /// The next entry, or `None` if none waits.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        if self.taken.is_empty() {
            self.queue.refill(&mut self.taken, None);
        }
        self.taken.pop_front()
    }

    /// Number of entries that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len() + self.queue.len()
    }

    /// Whether no entry waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Stream for Inbox {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

/// All inboxes of a node.
#[derive(Debug)]
pub(crate) struct Inboxes {
    list: RwLock<Vec<Weak<Queue>>>,
    capacity: Capacity,
    dropped: Arc<AtomicU64>,
}

impl Inboxes {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { list: RwLock::default(), capacity, dropped: Arc::default() }
    }

    pub(crate) fn open(&self, filter: Filter) -> Inbox {
        let (capacity, dropped) = (self.capacity, self.dropped.clone());
        let queue = Arc::new(Queue::new(filter, capacity, dropped));
        let mut list = self.list.write();
        list.retain(|queue| queue.strong_count() > 0);
        list.push(Arc::downgrade(&queue));
        Inbox { queue, taken: VecDeque::new() }
    }

    /// Moves `incoming` to every inbox whose filter accepts it, and leaves it empty. The lock of an
    /// inbox is taken once per call.
    pub(crate) fn offer(&self, incoming: &mut Vec<Incoming>) {
        let list = self.list.read();
        let mut queues = list.iter().filter_map(Weak::upgrade).peekable();
        while let Some(queue) = queues.next() {
            if queues.peek().is_some() {
                queue.push(incoming.iter().cloned());
            } else {
                queue.push(incoming.drain(..));
            }
        }
        incoming.clear();
    }

    /// Offers one entry to the inboxes whose filter accepts it.
    pub(crate) fn offer_one(&self, incoming: Incoming) {
        self.offer(&mut vec![incoming]);
    }

    pub(crate) fn close(&self) {
        self.list.read().iter().filter_map(Weak::upgrade).for_each(|queue| queue.close());
    }

    pub(crate) fn count(&self) -> usize {
        self.list.read().iter().filter(|queue| queue.strong_count() > 0).count()
    }

    /// Approximate bytes that wait in all inboxes.
    pub(crate) fn bytes(&self) -> usize {
        let list = self.list.read();
        list.iter().filter_map(Weak::upgrade).map(|queue| queue.bytes()).sum()
    }

    /// Entries dropped so far because an inbox was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
