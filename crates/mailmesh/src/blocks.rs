use std::net::IpAddr;
use std::time::Duration;

use mailmesh_events::{Network, Rule, RuleDetails};
use mailmesh_state::{Batch, NetworkEntry, Verdict};

use crate::parts::Inner;
use crate::{BlockWatch, Error};

/// Result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Networks imported.
    pub taken: usize,
    /// Those of them that replaced an entry of the mirror.
    pub replaced: usize,
}

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

    /// Blocks a network for `reason`, until `ttl` has passed or the entry is removed.
    ///
    /// If the future is dropped while it waits, the block stays in force on this node; the other
    /// nodes receive it by reconciliation.
    ///
    /// # Errors
    /// [`Error::Event`] if the reason is too long. [`Error::State`] for loopback networks, for
    /// prefixes wider than /8 (IPv4) or /16 (IPv6), and when the mirror is full.
    /// [`Error::ShutDown`] and [`Error::SteppedBack`] if the node has stopped.
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

    /// Same as [`add`](Self::add), but accepts prefixes of any width.
    ///
    /// # Errors
    /// Same as [`add`](Self::add), except for the width.
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

    /// Blocks a network with an entry that the caller has built.
    ///
    /// # Errors
    /// Same as [`add`](Self::add).
    pub async fn add_block(&self, network: Network, block: RuleDetails) -> Result<(), Error> {
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.block(
                network,
                block,
                self.node.replication.now(),
            )?)
            .await
    }

    /// Allows a network: connections from it are accepted even if an entry blocks them.
    ///
    /// # Errors
    /// Same as [`add`](Self::add), except for the width.
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

    /// Blocks or allows many networks in one step: lookups see all of them or none, and if one is
    /// refused none is imported. Entries that have already expired are left out; of duplicate
    /// networks the last one counts.
    ///
    /// Afterwards the entries are published to the other nodes one by one. `progress` is called
    /// with the number published so far. If the future is dropped meanwhile, all entries stay in
    /// force here, and the other nodes receive the rest by reconciliation. [`lists`](crate::lists)
    /// parses the lists of other programs.
    ///
    /// # Errors
    /// Same as [`add`](Self::add), with nothing imported. [`Error::ShutDown`] may also come later,
    /// while the entries are published: they are in force here, but the other nodes may lack the
    /// rest.
    pub async fn import(
        &self,
        rule: Rule,
        networks: Vec<(Network, RuleDetails)>,
        progress: impl FnMut(usize),
    ) -> Result<Imported, Error> {
        let batch =
            self.node.replication.mirror.set_all(rule, networks, self.node.replication.now())?;
        self.spread_all(batch, progress).await
    }

    /// Same as [`import`](Self::import), but accepts prefixes of any width.
    ///
    /// # Errors
    /// Same as [`import`](Self::import), except for the width.
    pub async fn import_of_any_width(
        &self,
        rule: Rule,
        networks: Vec<(Network, RuleDetails)>,
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

    /// Builds the block for an entry of a list, with the cluster time of now. If the entry names no
    /// origin, this node's name is the origin.
    ///
    /// # Errors
    /// [`Error::Event`] if a text is too long, which no entry from [`lists`](crate::lists) is.
    pub fn listed(&self, entry: &mailmesh_lists::Entry) -> Result<RuleDetails, Error> {
        let now = self.node.replication.now();
        let own = self.node.identity.name.as_str();
        let origin = if entry.origin.is_empty() { own } else { &entry.origin };
        let mut block = RuleDetails::new(&*entry.reason, now)?.with_origin(origin)?;
        block.expires = entry.ends.moment(now);
        Ok(block)
    }

    /// A stream of all present entries followed by every change, without loss in between.
    #[must_use]
    pub fn watch(&self) -> BlockWatch {
        BlockWatch::new(self.node)
    }

    /// Removes the entry of a network from the list of `rule`.
    ///
    /// # Errors
    /// [`Error::State`] if the list has no such entry; [`Error::ShutDown`] and
    /// [`Error::SteppedBack`] if the node has stopped.
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

    /// The entries of a rule that are in force, sorted by network.
    #[must_use]
    pub fn list(&self, rule: Rule) -> Vec<NetworkEntry> {
        self.node.replication.mirror.networks(rule, self.node.replication.now())
    }

    fn block(&self, reason: &str, ttl: Option<Duration>) -> Result<RuleDetails, Error> {
        let block = RuleDetails::new(reason, self.node.replication.now())?
            .with_origin(self.node.identity.name.as_str())?;
        Ok(match ttl {
            Some(ttl) => block.with_expiry(self.node.replication.now().plus(ttl)),
            None => block,
        })
    }
}
