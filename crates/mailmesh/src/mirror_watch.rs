//! A watch of the whole mirror: blocks, certificates and values.

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
#[derive(Debug)]
pub struct MirrorWatch(Watch);

impl MirrorWatch {
    pub(crate) fn new(node: &Inner) -> Self {
        Self(Watch::new(node, |_| true))
    }

    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<MirrorUpdate> {
        Some(match self.0.next().await? {
            Item::State(entries) => MirrorUpdate::State(entries),
            Item::Change(change) => MirrorUpdate::Changed(change),
            Item::Expired(change) => MirrorUpdate::Expired(change),
            Item::Ending(change, days) => MirrorUpdate::Ending(change, days),
        })
    }
}
