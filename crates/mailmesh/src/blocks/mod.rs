//! Blocked and allowed networks.

mod add;
mod import;

use std::net::IpAddr;

use mailmesh_events::{Network, Rule};
use mailmesh_state::{NetworkEntry, Verdict};

pub use self::add::AddNetwork;
pub use self::import::{Import, ImportEntry, Imported};
use crate::parts::Inner;
use crate::{BlockWatch, MirrorError};

/// Blocked and allowed networks: lookups read this node's memory, and all nodes hold the same
/// entries.
///
/// A change is in force on this node when the call returns. The other nodes receive it
/// asynchronously.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    node: &'a Inner,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(node: &'a Inner) -> Self {
        Self { node }
    }

    /// Whether connections from `address` must be refused, by the cluster time of now.
    #[must_use]
    pub fn is_blocked(&self, address: IpAddr) -> bool {
        self.node.replication.mirror.is_blocked(address, self.node.replication.now())
    }

    /// Which entry decides about `address`, and whether the entry blocks or allows it.
    pub fn lookup(&self, address: IpAddr) -> Verdict {
        self.node.replication.mirror.lookup(address, self.node.replication.now())
    }

    /// Blocks a network when the returned builder is awaited.
    pub fn add(&self, network: Network) -> AddNetwork<'a> {
        AddNetwork::new(self.node, Rule::Block, network)
    }

    /// Allows a network when the returned builder is awaited: connections from the network are
    /// accepted even if an entry blocks them.
    pub fn allow(&self, network: Network) -> AddNetwork<'a> {
        AddNetwork::new(self.node, Rule::Allow, network)
    }

    /// Blocks or allows many networks in one step when the returned builder is awaited. The entries
    /// are those of a list that [`lists`](crate::lists) has parsed, or pairs of a [`Network`] and a
    /// [`RuleDetails`](crate::RuleDetails).
    pub fn import<E: Into<ImportEntry>>(
        &self,
        rule: Rule,
        entries: impl IntoIterator<Item = E>,
    ) -> Import<'a> {
        Import::new(self.node, rule, entries.into_iter().map(Into::into).collect())
    }

    /// A stream of all present entries followed by every change, without loss in between.
    #[must_use]
    pub fn watch(&self) -> BlockWatch {
        BlockWatch::new(self.node)
    }

    /// Removes the entry of a network from the list of `rule`.
    ///
    /// # Errors
    /// [`MirrorError::Refused`] if the list has no such entry; [`MirrorError::Stopped`] if the node
    /// has stopped.
    pub async fn remove(&self, rule: Rule, network: Network) -> Result<(), MirrorError> {
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.remove(
                rule,
                network,
                self.node.replication.now(),
            )?)
            .await
    }

    /// The entries of a rule that are in force, sorted by network.
    #[must_use]
    pub fn list(&self, rule: Rule) -> Vec<NetworkEntry> {
        self.node.replication.mirror.networks(rule, self.node.replication.now())
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_events::{EventError, Rule, RuleDetails};
    use mailmesh_state::StateError;

    use crate::{MemoryHub, MirrorError, Node};

    #[tokio::test]
    async fn an_exception_of_a_very_wide_network_is_set_only_at_any_width() {
        let hub = MemoryHub::new();
        let node = Node::builder().name("mx1").memory(&hub).start().await.unwrap();
        let blocks = node.blocks();
        for text in ["0.0.0.0/0", "::/0"] {
            let network = text.parse().unwrap();
            let entry = || (network, RuleDetails::new("", mailmesh_events::UnixMillis(0)).unwrap());
            let refused = [
                blocks.allow(network).await.unwrap_err(),
                blocks.import(Rule::Allow, [entry()]).await.unwrap_err(),
            ];
            for error in refused {
                let is_width = matches!(
                    error,
                    MirrorError::Refused(StateError::Event(EventError::TooWideToAllow { .. }))
                );
                assert!(is_width, "{text}: {error}");
            }
            assert!(blocks.list(Rule::Allow).is_empty());
            blocks.allow(network).any_width().await.unwrap();
            blocks.remove(Rule::Allow, network).await.unwrap();
            blocks.import(Rule::Allow, [entry()]).any_width().await.unwrap();
            blocks.remove(Rule::Allow, network).await.unwrap();
        }
    }
}
