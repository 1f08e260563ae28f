//! Watches of the mirror: a snapshot, then every change, without loss in between.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use mailmesh_events::{
    Certificate, CertificateChange, Change, DomainNames, Network, NetworkChange, Rule, RuleDetails,
};
use mailmesh_state::{Mirror, NetworkEntry, Observed, Observer};
use parking_lot::Mutex;

use crate::parts::Inner;

/// Most changes that wait for a reader. Beyond that they are dropped, and the reader gets a new
/// snapshot.
const MAX_QUEUED: usize = 64 * 1024;

/// An entry of a [`BlockWatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockUpdate {
    /// All present entries, sorted. Comes first, and again if the reader was too slow and changes
    /// were dropped.
    State(Vec<(Rule, NetworkEntry)>),
    /// A network was blocked or allowed, or its entry was changed.
    Set(Rule, NetworkEntry),
    /// The entry of a network was removed.
    Removed(Rule, Network),
    /// The entry of a network expired.
    Expired(Rule, NetworkEntry),
}

/// An entry of a [`CertWatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertUpdate {
    /// All present certificates, sorted by names. Comes first, and again if the reader was too slow
    /// and changes were dropped.
    State(Vec<Arc<Certificate>>),
    /// A certificate was set.
    Set(Arc<Certificate>),
    /// The certificate of these names was withdrawn.
    Removed(DomainNames),
    /// A certificate expires within this many days: sent at 30, 7, 1 and 0, where 0 means expired.
    /// The certificate remains in use until a newer one is set.
    Ending(Arc<Certificate>, u32),
}

/// Blocked and allowed networks and their changes; see [`Blocks::watch`](crate::Blocks::watch).
///
/// A watch is also a [`Stream`] of its updates.
#[derive(Debug)]
pub struct BlockWatch(Watch);

/// Certificates and their changes; see [`Certs::watch`](crate::Certs::watch).
///
/// A watch is also a [`Stream`] of its updates.
#[derive(Debug)]
pub struct CertWatch(Watch);

impl BlockWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |change| matches!(change, Change::Network(_))))
    }

    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<BlockUpdate> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next update: [`recv`](Self::recv) for a caller that has a task's context.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<BlockUpdate>> {
        self.0.poll_update(context, BlockUpdate::of)
    }
}

impl Stream for BlockWatch {
    type Item = BlockUpdate;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

impl BlockUpdate {
    fn of(item: Item) -> Option<Self> {
        match item {
            Item::State(entries) => {
                let mut state: Vec<_> = entries.iter().filter_map(network).collect();
                state.sort_by_key(|(rule, entry)| (*rule, entry.network));
                Some(Self::State(state))
            }
            Item::Change(Change::Network(NetworkChange {
                rule, network, details: None, ..
            })) => Some(Self::Removed(rule, network)),
            Item::Change(change) => network(&change).map(|(rule, entry)| Self::Set(rule, entry)),
            Item::Expired(change) => {
                network(&change).map(|(rule, entry)| Self::Expired(rule, entry))
            }
            Item::Ending(..) => None,
        }
    }
}

impl CertWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |change| matches!(change, Change::Certificate(_))))
    }

    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<CertUpdate> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next update: [`recv`](Self::recv) for a caller that has a task's context.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<CertUpdate>> {
        self.0.poll_update(context, CertUpdate::of)
    }
}

impl Stream for CertWatch {
    type Item = CertUpdate;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

impl CertUpdate {
    fn of(item: Item) -> Option<Self> {
        match item {
            Item::State(entries) => {
                let mut state: Vec<_> = entries.iter().filter_map(certificate).collect();
                state.sort_by(|a, b| a.names().cmp(b.names()));
                Some(Self::State(state))
            }
            Item::Change(Change::Certificate(CertificateChange { names, certificate, .. })) => {
                Some(certificate.map_or(Self::Removed(names), Self::Set))
            }
            Item::Ending(change, days) => {
                certificate(&change).map(|certificate| Self::Ending(certificate, days))
            }
            Item::Change(_) | Item::Expired(_) => None,
        }
    }
}

fn network(change: &Change) -> Option<(Rule, NetworkEntry)> {
    match change {
        Change::Network(NetworkChange { rule, network, details: Some(details), .. }) => {
            Some((*rule, NetworkEntry::new(*network, RuleDetails::clone(details))))
        }
        _ => None,
    }
}

fn certificate(change: &Change) -> Option<Arc<Certificate>> {
    match change {
        Change::Certificate(change) => change.certificate.clone(),
        _ => None,
    }
}

/// Completes once the node has stopped.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A watch of any kind of entry; `takes` selects the entries.
pub(crate) struct Watch {
    mirror: Arc<Mirror>,
    takes: fn(&Change) -> bool,
    queue: Arc<Queue>,
    /// The snapshot, until it is read.
    state: Option<Vec<Change>>,
    /// `None` once the node has stopped.
    stopped: Option<Stopped>,
}

pub(crate) enum Item {
    State(Vec<Change>),
    Change(Change),
    Expired(Change),
    Ending(Change, u32),
}

impl Watch {
    pub(crate) fn new(node: &Inner, takes: fn(&Change) -> bool) -> Self {
        let mirror = node.replication.mirror.clone();
        let (queue, state) = Queue::begin(&mirror, takes);
        let mut stopped = node.lifecycle.stopped();
        let stopped: Stopped = Box::pin(async move {
            // An error says that the node is gone, which is a stop too.
            let _ = stopped.wait_for(Option::is_some).await;
        });
        Self { mirror, takes, queue, state: Some(state), stopped: Some(stopped) }
    }

    /// Polls for the next item that `update` accepts. `None` once the node has stopped and
    /// everything was read.
    pub(crate) fn poll_update<U>(
        &mut self,
        context: &mut Context<'_>,
        update: fn(Item) -> Option<U>,
    ) -> Poll<Option<U>> {
        loop {
            let Some(item) = ready!(self.poll_item(context)) else { return Poll::Ready(None) };
            if let Some(update) = update(item) {
                return Poll::Ready(Some(update));
            }
        }
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Some(state) = self.state.take() {
            return Poll::Ready(Some(Item::State(state)));
        }
        // Before the queue is read: what came before the stop is still read.
        if self.stopped.as_mut().is_some_and(|stopped| stopped.as_mut().poll(context).is_ready()) {
            self.stopped = None;
        }
        match self.queue.pop(context) {
            Next::Item(item) => Poll::Ready(Some(item)),
            Next::Overflowed => {
                let (queue, state) = Queue::begin(&self.mirror, self.takes);
                self.queue = queue;
                Poll::Ready(Some(Item::State(state)))
            }
            Next::Empty if self.stopped.is_none() => Poll::Ready(None),
            Next::Empty => Poll::Pending,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Changes that wait for the reader.
struct Queue {
    takes: fn(&Change) -> bool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Item>,
    overflowed: bool,
    /// The reader that waits for a change.
    reader: Option<Waker>,
}

/// The result of a look into the queue.
enum Next {
    Item(Item),
    Empty,
    /// Changes were dropped; a new snapshot has them.
    Overflowed,
}

impl Queue {
    /// A queue of all changes from now on, and a snapshot of the present entries.
    fn begin(mirror: &Mirror, takes: fn(&Change) -> bool) -> (Arc<Self>, Vec<Change>) {
        let queue = Arc::new(Self { takes, waiting: Mutex::default() });
        let observer: Weak<dyn Observer> = Arc::downgrade(&(queue.clone() as Arc<dyn Observer>));
        let mut state = mirror.observe(observer);
        state.retain(takes);
        (queue, state)
    }

    /// Takes the oldest waiting change. If there is none, the task of `context` is woken when there
    /// is.
    fn pop(&self, context: &Context<'_>) -> Next {
        let mut waiting = self.waiting.lock();
        match waiting.changes.pop_front() {
            _ if waiting.overflowed => Next::Overflowed,
            Some(item) => Next::Item(item),
            None => {
                waiting.reader = Some(context.waker().clone());
                Next::Empty
            }
        }
    }
}

impl Observer for Queue {
    fn observe(&self, observed: Observed<'_>) {
        let (Observed::Changed(change)
        | Observed::Expired(change)
        | Observed::Expiring { change, .. }) = observed
        else {
            return;
        };
        if !(self.takes)(change) {
            return;
        }
        let next = match observed {
            Observed::Expired(_) => Item::Expired(change.clone()),
            Observed::Expiring { days_left, .. } => Item::Ending(change.clone(), days_left),
            _ => Item::Change(change.clone()),
        };
        let mut waiting = self.waiting.lock();
        if waiting.overflowed {
            return;
        }
        if waiting.changes.len() >= MAX_QUEUED {
            (waiting.changes, waiting.overflowed) = (VecDeque::new(), true);
        } else {
            waiting.changes.push_back(next);
        }
        let reader = waiting.reader.take();
        drop(waiting);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes", self.waiting.lock().changes.len())
    }
}
