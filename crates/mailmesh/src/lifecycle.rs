//! Whether a node runs, why it stopped, and how many members it has.

use mailmesh_delivery::NodeName;
use tokio::sync::watch;

use crate::Error;

/// Why a node stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// [`Node::shutdown`](crate::Node::shutdown) was called.
    ShutDown,
    /// The node's task ended by a bug; the log has the details.
    Failed,
    /// Another live node has the same name, and has worked with more nodes or is older.
    DuplicateName {
        /// The name of both.
        name: NodeName,
    },
}

/// The states that every part of a node may have to wait for.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    stopped: watch::Sender<Option<StopReason>>,
    /// The name of this node, once another node has it and keeps it. This node then stops as soon
    /// as a member has its mirror.
    lost_name: watch::Sender<Option<NodeName>>,
    members: watch::Sender<usize>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            stopped: watch::Sender::new(None),
            lost_name: watch::Sender::new(None),
            members: watch::Sender::new(0),
        }
    }
}

impl Lifecycle {
    /// Notes why the node stops, unless it has stopped before.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.stopped.send_if_modified(|stopped| {
            let is_first = stopped.is_none();
            stopped.get_or_insert(reason);
            is_first
        });
    }

    /// Changes once the node has stopped.
    pub(crate) fn stopped(&self) -> watch::Receiver<Option<StopReason>> {
        self.stopped.subscribe()
    }

    /// Notes that another node keeps the name of this node. `false` if that was known.
    pub(crate) fn lose_name(&self, name: &NodeName) -> bool {
        self.lost_name.send_if_modified(|lost| {
            let is_first = lost.is_none();
            lost.get_or_insert_with(|| name.clone());
            is_first
        })
    }

    /// Changes once another node keeps the name of this node.
    pub(crate) fn lost_name(&self) -> watch::Receiver<Option<NodeName>> {
        self.lost_name.subscribe()
    }

    /// Stops the node if it has lost its name.
    pub(crate) fn step_back(&self) {
        if let Some(name) = self.lost_name.borrow().clone() {
            self.stop(StopReason::DuplicateName { name });
        }
    }

    /// The error of a caller that publishes on a node that no longer takes events.
    pub(crate) fn stop_error(&self) -> Error {
        match &*self.lost_name.borrow() {
            Some(name) => Error::SteppedBack { name: name.to_string() },
            None => Error::ShutDown,
        }
    }

    /// Number of members.
    pub(crate) fn members(&self) -> usize {
        *self.members.borrow()
    }

    pub(crate) fn set_members(&self, count: usize) {
        self.members.send_replace(count);
    }

    /// Changes with the number of members.
    pub(crate) fn watch_members(&self) -> watch::Receiver<usize> {
        self.members.subscribe()
    }
}
