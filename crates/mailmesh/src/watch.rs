//! The mirror as a state and its changes, without a hole between.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use mailmesh_events::{
    Block, Certificate, CertificateChange, Change, DomainNames, Network, NetworkChange, Rule,
};
use mailmesh_state::{Mirror, NetworkEntry, Observed, Observer};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lifecycle::Lifecycle;
use crate::node::Inner;

/// Most changes that wait to be read. Past it they are let go, and the reader gets the
/// whole state anew.
const MAX_QUEUED: usize = 64 * 1024;

/// What a [`BlockWatch`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockUpdate {
    /// Everything there is now, in order. Comes first; and again when changes were read
    /// too slowly to be kept.
    State(Vec<(Rule, NetworkEntry)>),
    /// A network was blocked or allowed, or what is known of it is new.
    Set(Rule, NetworkEntry),
    /// A network was taken off.
    Removed(Rule, Network),
    /// The time of a network was over.
    Expired(Rule, NetworkEntry),
}

/// What a [`CertWatch`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertUpdate {
    /// Everything there is now, by names. Comes first; and again when changes were read
    /// too slowly to be kept.
    State(Vec<Arc<Certificate>>),
    /// A certificate is new.
    Set(Arc<Certificate>),
    /// The certificate of these names was withdrawn.
    Removed(DomainNames),
    /// A certificate has so many days left, or fewer: comes at 30, 7 and 1, and at 0, when
    /// it has ended. It is still given out until a newer one comes.
    Ending(Arc<Certificate>, u32),
}

/// Blocked and allowed networks, and whatever happens to them: see
/// [`Blocks::watch`](crate::Blocks::watch).
#[derive(Debug)]
pub struct BlockWatch(Watch);

/// Certificates, and whatever happens to them: see [`Certs::watch`](crate::Certs::watch).
#[derive(Debug)]
pub struct CertWatch(Watch);

impl BlockWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |change| matches!(change, Change::Network(_))))
    }

    /// The next; `None` once the node has stopped and all is read. Cancel safe.
    pub async fn recv(&mut self) -> Option<BlockUpdate> {
        loop {
            match self.0.next().await? {
                Item::State(entries) => {
                    let mut state: Vec<_> = entries.iter().filter_map(network).collect();
                    state.sort_by_key(|(rule, entry)| (*rule, entry.network));
                    return Some(BlockUpdate::State(state));
                }
                Item::Change(change) => match &change {
                    Change::Network(NetworkChange { rule, network, block: None, .. }) => {
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

    /// The next; `None` once the node has stopped and all is read. Cancel safe.
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
        Change::Network(NetworkChange { rule, network, block: Some(block), .. }) => {
            Some((*rule, NetworkEntry { network: *network, block: Block::clone(block) }))
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

/// Of any sort.
#[derive(Debug)]
pub(crate) struct Watch {
    mirror: Arc<Mirror>,
    lifecycle: Arc<Lifecycle>,
    takes: fn(&Change) -> bool,
    queue: Arc<Queue>,
    /// Not read yet.
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

/// Changes that wait to be read.
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
    /// A queue of what happens from now on, and what there is now.
    fn begin(mirror: &Mirror, takes: fn(&Change) -> bool) -> (Arc<Self>, Vec<Change>) {
        let queue = Arc::new(Self { takes, waiting: Mutex::default(), wake: Notify::new() });
        let observer: Weak<dyn Observer> = Arc::downgrade(&(queue.clone() as Arc<dyn Observer>));
        let mut state = mirror.observe(observer);
        state.retain(takes);
        (queue, state)
    }

    /// The first that waits, and whether some were let go.
    fn pop(&self) -> (Option<Item>, bool) {
        let mut waiting = self.waiting.lock();
        (waiting.changes.pop_front(), waiting.overflowed)
    }
}

impl Observer for Queue {
    fn observe(&self, observed: Observed<'_>) {
        let (Observed::Changed(change) | Observed::Expired(change) | Observed::Ending(change, _)) =
            observed
        else {
            return;
        };
        if !(self.takes)(change) {
            return;
        }
        let next = match observed {
            Observed::Expired(_) => Item::Expired(change.clone()),
            Observed::Ending(_, days) => Item::Ending(change.clone(), days),
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
