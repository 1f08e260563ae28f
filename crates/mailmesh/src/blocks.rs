use std::net::IpAddr;
use std::time::Duration;

use mailmesh_events::{Block, Network, Rule};
use mailmesh_state::{Batch, NetworkEntry, Verdict};

use crate::node::Inner;
use crate::{BlockWatch, Error};

/// What an import took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Networks of the list.
    pub taken: usize,
    /// How many of those were there before and were replaced.
    pub replaced: usize,
}

/// Blocked and allowed networks: answered from this node's memory, the same on
/// every node.
///
/// A change is in force here when the call returns, and is then on its way to
/// the others.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    node: &'a Inner,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(node: &'a Inner) -> Self {
        Self { node }
    }

    /// Whether connections from `address` are to be refused.
    #[must_use]
    pub fn is_blocked(&self, address: IpAddr) -> bool {
        self.node.replication.mirror.is_blocked(address, self.node.replication.now())
    }

    /// What is known of `address`, and why.
    pub fn lookup(&self, address: IpAddr) -> Verdict {
        self.node.replication.mirror.lookup(address, self.node.replication.now())
    }

    /// Blocks a network for `reason`, for `ttl` or until it is removed.
    ///
    /// # Errors
    /// [`Error::Event`] for a reason that is too long; [`Error::State`] for the
    /// loopback, for prefixes wider than /8 (IPv4) or /16 (IPv6), and when the
    /// mirror is full; [`Error::ShutDown`].
    pub async fn add(
        &self,
        network: Network,
        reason: &str,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let block = self.block(reason, ttl)?;
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.block(
                network,
                block,
                self.node.replication.now(),
            )?)
            .await
    }

    /// As [`add`](Self::add), for prefixes of any width.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_of_any_width(
        &self,
        network: Network,
        reason: &str,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let block = self.block(reason, ttl)?;
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.block_of_any_width(
                network,
                block,
                self.node.replication.now(),
            )?)
            .await
    }

    /// Blocks a network with all that is to be known of it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_block(&self, network: Network, block: Block) -> Result<(), Error> {
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.block(
                network,
                block,
                self.node.replication.now(),
            )?)
            .await
    }

    /// Lets a network in, whatever blocks say.
    ///
    /// # Errors
    /// As [`add`](Self::add), without a limit of width.
    pub async fn allow(
        &self,
        network: Network,
        reason: &str,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let block = self.block(reason, ttl)?;
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.allow(
                network,
                block,
                self.node.replication.now(),
            )?)
            .await
    }

    /// Blocks or allows many networks in one step: lookups see all of them or none, and if
    /// one is refused none is taken. Then tells the others; `progress` is called with how
    /// many of them were told so far. Gives how many were taken: what has ended already is
    /// left out, and of a network given twice the last counts.
    ///
    /// [`lists`](crate::lists) reads them from what other programs write.
    ///
    /// # Errors
    /// As [`add`](Self::add); nothing was taken. [`Error::ShutDown`] also in the middle:
    /// the others learn the rest when they are compared with this node, if it lives.
    pub async fn import(
        &self,
        rule: Rule,
        networks: Vec<(Network, Block)>,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        let batch =
            self.node.replication.mirror.set_all(rule, networks, self.node.replication.now())?;
        self.spread_all(batch, progress).await
    }

    /// As [`import`](Self::import), for prefixes of any width.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub async fn import_of_any_width(
        &self,
        rule: Rule,
        networks: Vec<(Network, Block)>,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        let batch = self.node.replication.mirror.set_all_of_any_width(
            rule,
            networks,
            self.node.replication.now(),
        )?;
        self.spread_all(batch, progress).await
    }

    async fn spread_all(
        &self,
        batch: Batch,
        mut progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        self.node.replication.publish_digest();
        let imported = Imported { taken: batch.changes.len(), replaced: batch.replaced };
        for (index, change) in batch.changes.into_iter().enumerate() {
            self.node.publisher.publish(&change.into()).await?;
            progress(index + 1);
        }
        Ok(imported)
    }

    /// What is known of a network of a list, to be imported now. Without an origin of its
    /// own, this node's name is the origin.
    ///
    /// # Errors
    /// [`Error::Event`] for a text that is too long; those of [`lists`](crate::lists) are
    /// not.
    pub fn listed(&self, entry: &mailmesh_lists::Entry) -> Result<Block, Error> {
        let now = self.node.replication.now();
        let own = self.node.identity.name.as_str();
        let origin = if entry.origin.is_empty() { own } else { &entry.origin };
        let mut block = Block::new(&*entry.reason, now)?.from_origin(origin)?;
        block.expires = entry.ends.moment(now);
        Ok(block)
    }

    /// Everything there is, and then whatever happens to it, without a hole between.
    #[must_use]
    pub fn watch(&self) -> BlockWatch {
        BlockWatch::new(self.node)
    }

    /// Takes a network off the list of `rule`.
    ///
    /// # Errors
    /// [`Error::State`] if it is not on it; [`Error::ShutDown`].
    pub async fn remove(&self, rule: Rule, network: Network) -> Result<(), Error> {
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.remove(
                rule,
                network,
                self.node.replication.now(),
            )?)
            .await
    }

    /// The networks of a rule, in order.
    #[must_use]
    pub fn list(&self, rule: Rule) -> Vec<NetworkEntry> {
        self.node.replication.mirror.networks(rule, self.node.replication.now())
    }

    fn block(&self, reason: &str, ttl: Option<Duration>) -> Result<Block, Error> {
        let block = Block::new(reason, self.node.replication.now())?
            .from_origin(self.node.identity.name.as_str())?;
        Ok(match ttl {
            Some(ttl) => block.expiring_at(self.node.replication.now().plus(ttl)),
            None => block,
        })
    }
}
