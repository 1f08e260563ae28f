//! A watch of the whole mirror: blocks, certificates and values.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use mailmesh_events::Change;

use crate::parts::Inner;
use crate::watch::{Item, Watch};

/// An entry of a [`MirrorWatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MirrorUpdate {
    /// All present entries, in no particular order. Comes first, and again if the reader was too
    /// slow and changes were dropped.
    State(Vec<Change>),
    /// An entry was set or removed, on this node or on another one.
    Changed(Change),
    /// An entry expired.
    Expired(Change),
    /// A certificate expires within this many days; see
    /// [`CertUpdate::Ending`](crate::CertUpdate::Ending).
    Ending(Change, u32),
}

/// The entries of the mirror and their changes; see [`Node::watch`](crate::Node::watch).
///
/// A watch is also a [`Stream`] of its updates.
#[derive(Debug)]
pub struct MirrorWatch(Watch);

impl MirrorWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |_| true))
    }

    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<MirrorUpdate> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next update: [`recv`](Self::recv) for a caller that has a task's context.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<MirrorUpdate>> {
        self.0.poll_update(context, |item| Some(MirrorUpdate::of(item)))
    }
}

impl Stream for MirrorWatch {
    type Item = MirrorUpdate;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

impl MirrorUpdate {
    fn of(item: Item) -> Self {
        match item {
            Item::State(entries) => Self::State(entries),
            Item::Change(change) => Self::Changed(change),
            Item::Expired(change) => Self::Expired(change),
            Item::Ending(change, days) => Self::Ending(change, days),
        }
    }
}
