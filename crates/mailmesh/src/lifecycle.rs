//! Whether a node runs, why it stopped, and how many members it has.

use mailmesh_delivery::NodeName;
use tokio::sync::watch;

use crate::Stopped;

/// Why a node stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// [`Node::shutdown`](crate::Node::shutdown) was called.
    ShutDown,
    /// The node's task ended because of a bug; see the log.
    Failed,
    /// Another live node has the same name, and has more members or is older.
    DuplicateName {
        /// The name of both nodes.
        name: NodeName,
    },
}

/// The states that parts of a node wait for.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    stopped: watch::Sender<Option<StopReason>>,
    /// This node's name, once another node keeps it. This node then stops as soon as a member has
    /// its mirror.
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
    /// Sets the reason why the node stops. Only the first reason counts.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.stopped.send_if_modified(|stopped| {
            let is_first = stopped.is_none();
            stopped.get_or_insert(reason);
            is_first
        });
    }

    /// Holds the reason once the node has stopped.
    pub(crate) fn stopped(&self) -> watch::Receiver<Option<StopReason>> {
        self.stopped.subscribe()
    }

    /// Records that another node keeps this node's name. `false` if this was known.
    pub(crate) fn lose_name(&self, name: &NodeName) -> bool {
        self.lost_name.send_if_modified(|lost| {
            let is_first = lost.is_none();
            lost.get_or_insert_with(|| name.clone());
            is_first
        })
    }

    /// Holds the name once another node keeps it.
    pub(crate) fn lost_name(&self) -> watch::Receiver<Option<NodeName>> {
        self.lost_name.subscribe()
    }

    /// Stops the node if it has lost its name.
    pub(crate) fn step_back(&self) {
        if let Some(name) = self.lost_name.borrow().clone() {
            self.stop(StopReason::DuplicateName { name });
        }
    }

    /// The error for a caller that publishes after the node has stopped.
    pub(crate) fn stop_error(&self) -> Stopped {
        match &*self.lost_name.borrow() {
            Some(name) => Stopped::SteppedBack { name: name.to_string() },
            None => Stopped::ShutDown,
        }
    }

    /// Number of members.
    pub(crate) fn members(&self) -> usize {
        *self.members.borrow()
    }

    pub(crate) fn set_members(&self, count: usize) {
        self.members.send_replace(count);
    }

    /// Follows the number of members.
    pub(crate) fn watch_members(&self) -> watch::Receiver<usize> {
        self.members.subscribe()
    }
}
