//! Watches of the mirror: a snapshot, then every change, without loss in between.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use mailmesh_events::{
    Certificate, CertificateChange, Change, DomainNames, Network, NetworkChange, Rule, RuleDetails,
};
use mailmesh_state::{Mirror, NetworkEntry, Observed, Observer};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lifecycle::Lifecycle;
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
#[derive(Debug)]
pub struct BlockWatch(Watch);

/// Certificates and their changes; see [`Certs::watch`](crate::Certs::watch).
#[derive(Debug)]
pub struct CertWatch(Watch);

impl BlockWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |change| matches!(change, Change::Network(_))))
    }

    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<BlockUpdate> {
        loop {
            match self.0.next().await? {
                Item::State(entries) => {
                    let mut state: Vec<_> = entries.iter().filter_map(network).collect();
                    state.sort_by_key(|(rule, entry)| (*rule, entry.network));
                    return Some(BlockUpdate::State(state));
                }
                Item::Change(change) => match &change {
                    Change::Network(NetworkChange { rule, network, details: None, .. }) => {
                        return Some(BlockUpdate::Removed(*rule, *network));
                    }
                    change => {
                        if let Some((rule, entry)) = network(change) {
                            return Some(BlockUpdate::Set(rule, entry));
                        }
                    }
                },
                Item::Expired(change) => {
                    if let Some((rule, entry)) = network(&change) {
                        return Some(BlockUpdate::Expired(rule, entry));
                    }
                }
                Item::Ending(..) => {}
            }
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
        loop {
            match self.0.next().await? {
                Item::State(entries) => {
                    let mut state: Vec<_> = entries.iter().filter_map(certificate).collect();
                    state.sort_by(|a, b| a.names().cmp(b.names()));
                    return Some(CertUpdate::State(state));
                }
                Item::Change(Change::Certificate(CertificateChange {
                    names, certificate, ..
                })) => {
                    return Some(match certificate {
                        Some(certificate) => CertUpdate::Set(certificate),
                        None => CertUpdate::Removed(names),
                    });
                }
                Item::Ending(change, days) => {
                    if let Some(certificate) = certificate(&change) {
                        return Some(CertUpdate::Ending(certificate, days));
                    }
                }
                Item::Change(_) | Item::Expired(_) => {}
            }
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

/// A watch of any kind of entry; `takes` selects the entries.
#[derive(Debug)]
pub(crate) struct Watch {
    mirror: Arc<Mirror>,
    lifecycle: Arc<Lifecycle>,
    takes: fn(&Change) -> bool,
    queue: Arc<Queue>,
    /// The snapshot, until it is read.
    state: Option<Vec<Change>>,
}

pub(crate) enum Item {
    State(Vec<Change>),
    Change(Change),
    Expired(Change),
    Ending(Change, u32),
}

impl Watch {
    pub(crate) fn new(node: &Inner, takes: fn(&Change) -> bool) -> Self {
        let (mirror, lifecycle) = (node.replication.mirror.clone(), node.lifecycle.clone());
        let (queue, state) = Queue::begin(&mirror, takes);
        Self { mirror, lifecycle, takes, queue, state: Some(state) }
    }

    pub(crate) async fn next(&mut self) -> Option<Item> {
        if let Some(state) = self.state.take() {
            return Some(Item::State(state));
        }
        let mut stopped = self.lifecycle.stopped();
        loop {
            let (next, overflowed) = self.queue.pop();
            if overflowed {
                let (queue, state) = Queue::begin(&self.mirror, self.takes);
                self.queue = queue;
                return Some(Item::State(state));
            }
            if next.is_some() {
                return next;
            }
            if stopped.borrow_and_update().is_some() {
                return None;
            }
            tokio::select! {
                () = self.queue.wake.notified() => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

/// Changes that wait for the reader.
struct Queue {
    takes: fn(&Change) -> bool,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Item>,
    overflowed: bool,
}

impl Queue {
    /// A queue of all changes from now on, and a snapshot of the present entries.
    fn begin(mirror: &Mirror, takes: fn(&Change) -> bool) -> (Arc<Self>, Vec<Change>) {
        let queue = Arc::new(Self { takes, waiting: Mutex::default(), wake: Notify::new() });
        let observer: Weak<dyn Observer> = Arc::downgrade(&(queue.clone() as Arc<dyn Observer>));
        let mut state = mirror.observe(observer);
        state.retain(takes);
        (queue, state)
    }

    /// The oldest waiting change, and whether changes were dropped.
    fn pop(&self) -> (Option<Item>, bool) {
        let mut waiting = self.waiting.lock();
        (waiting.changes.pop_front(), waiting.overflowed)
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
        drop(waiting);
        self.wake.notify_one();
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} changes", self.waiting.lock().changes.len())
    }
}
