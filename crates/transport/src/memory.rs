use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;

use crate::{Address, Bus, BusFuture, Channel, IntakeSender, TransportError};

/// Joins the [`MemoryBus`]es of one process.
#[derive(Debug, Clone, Default)]
pub struct MemoryHub {
    nodes: Arc<Mutex<Nodes>>,
}

/// Copied when one joins or leaves, so that who puts holds no lock.
type Nodes = Arc<BTreeMap<Incarnation, IntakeSender>>;

impl MemoryHub {
    /// A hub without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bus of a node; what comes for it goes to `intake`.
    #[must_use]
    pub fn join(&self, incarnation: Incarnation, intake: IntakeSender) -> MemoryBus {
        let others = {
            let mut nodes = self.nodes.lock();
            let others = Arc::clone(&nodes);
            Arc::make_mut(&mut nodes).insert(incarnation, intake.clone());
            others
        };
        for (other, sender) in others.iter() {
            sender.link(incarnation, Link::Up);
            intake.link(*other, Link::Up);
        }
        MemoryBus { hub: self.clone(), incarnation }
    }

    fn leave(&self, incarnation: Incarnation) {
        let others = {
            let mut nodes = self.nodes.lock();
            if !nodes.contains_key(&incarnation) {
                return;
            }
            Arc::make_mut(&mut nodes).remove(&incarnation);
            Arc::clone(&nodes)
        };
        for sender in others.values() {
            sender.link(incarnation, Link::Down);
        }
    }
}

/// A bus within one process: for tests, and for a server that runs alone.
#[derive(Debug)]
pub struct MemoryBus {
    hub: MemoryHub,
    incarnation: Incarnation,
}

impl Bus for MemoryBus {
    fn put(&self, to: Address, _channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        // Handing over is work: not under the lock of the hub.
        let nodes = Arc::clone(&self.hub.nodes.lock());
        if !nodes.contains_key(&self.incarnation) {
            return Err(TransportError::Closed);
        }
        match to {
            Address::One(peer) => {
                if let Some(sender) = nodes.get(&peer) {
                    sender.frame(frame);
                }
            }
            Address::All => {
                for (_, sender) in nodes.iter().filter(|(node, _)| **node != self.incarnation) {
                    sender.frame(frame.clone());
                }
            }
        }
        Ok(())
    }

    fn expect(&self, _peer: Incarnation) {}

    fn forget(&self, _peer: Incarnation) {}

    fn close(&self) -> BusFuture<'_> {
        self.hub.leave(self.incarnation);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        self.hub.leave(self.incarnation);
    }
}
