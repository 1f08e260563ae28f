//! Imports many networks in one step.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use mailmesh_events::{EventError, Network, Rule, RuleDetails, UnixMillis};
use mailmesh_lists as lists;
use mailmesh_state::Mirror;

use crate::MirrorError;
use crate::parts::Inner;

/// Result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Networks imported.
    pub taken: usize,
    /// Those of them that replaced an entry of the mirror.
    pub replaced: usize,
}

/// A network of an import. Made of an entry of a list, or of a network and its block.
///
/// An entry of a list that names no origin gets this node's name as its origin. Its end counts from
/// the cluster time of the import.
#[derive(Debug, Clone)]
pub struct ImportEntry(Source);

#[derive(Debug, Clone)]
enum Source {
    Listed(lists::Entry),
    Block(Network, RuleDetails),
}

impl From<lists::Entry> for ImportEntry {
    fn from(entry: lists::Entry) -> Self {
        Self(Source::Listed(entry))
    }
}

impl From<&lists::Entry> for ImportEntry {
    fn from(entry: &lists::Entry) -> Self {
        entry.clone().into()
    }
}

impl From<(Network, RuleDetails)> for ImportEntry {
    fn from((network, block): (Network, RuleDetails)) -> Self {
        Self(Source::Block(network, block))
    }
}

impl ImportEntry {
    fn into_block(
        self,
        node: &Inner,
        now: UnixMillis,
    ) -> Result<(Network, RuleDetails), MirrorError> {
        let (network, block) = match self.0 {
            Source::Listed(entry) => (entry.network, to_block(&entry, node, now)),
            Source::Block(network, block) => (network, Ok(block)),
        };
        let block = block.map_err(|why| MirrorError::ImportEntry { network, why })?;
        Ok((network, block))
    }
}

fn to_block(
    entry: &lists::Entry,
    node: &Inner,
    now: UnixMillis,
) -> Result<RuleDetails, EventError> {
    let own = node.identity.name.as_str();
    let origin = if entry.origin.is_empty() { own } else { &entry.origin };
    let mut block = RuleDetails::new(&*entry.reason, now)?.with_origin(origin)?;
    block.expires = entry.ends.moment(now);
    Ok(block)
}

/// An import that [`Blocks::import`](crate::Blocks::import) begins. Awaiting it makes the changes.
///
/// Lookups see all of the networks or none, and if one network is refused none is imported. Entries
/// that have already expired are left out; of duplicate networks the last one counts.
///
/// Afterwards the entries are published to the other nodes one by one. If the future is dropped
/// meanwhile, all entries stay in force here, and the other nodes receive the rest by
/// reconciliation.
///
/// # Errors
/// With nothing imported: [`MirrorError::ImportEntry`] if a text of an entry is too long, which no
/// entry from [`lists`](crate::lists) has; [`MirrorError::Refused`] when the mirror is full, if a
/// network is wider than /8 (IPv4) or /16 (IPv6) and, for entries that block, if one is a loopback
/// network.
///
/// [`MirrorError::Stopped`] if the node has stopped. If it stops while the
/// entries are published, all are in force here, but the other nodes may lack the rest.
#[must_use = "the networks are imported when the builder is awaited"]
pub struct Import<'a> {
    node: &'a Inner,
    rule: Rule,
    entries: Vec<ImportEntry>,
    is_any_width: bool,
    progress: Box<dyn FnMut(usize) + Send + 'a>,
}

impl<'a> Import<'a> {
    pub(super) fn new(node: &'a Inner, rule: Rule, entries: Vec<ImportEntry>) -> Self {
        Self { node, rule, entries, is_any_width: false, progress: Box::new(|_| ()) }
    }

    /// Accepts prefixes of any width, for entries that block or allow.
    pub fn any_width(mut self) -> Self {
        self.is_any_width = true;
        self
    }

    /// Calls `progress` with the number of entries published so far, after each entry.
    pub fn progress(mut self, progress: impl FnMut(usize) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    async fn run(self) -> Result<Imported, MirrorError> {
        let Self { node, rule, entries, is_any_width, mut progress } = self;
        let now = node.replication.now();
        let to_block = |entry: ImportEntry| entry.into_block(node, now);
        let networks = entries.into_iter().map(to_block).collect::<Result<Vec<_>, _>>()?;
        let set_all = if is_any_width { Mirror::set_all_of_any_width } else { Mirror::set_all };
        let batch = set_all(&node.replication.mirror, rule, networks, now)?;
        node.replication.publish_digest();
        let imported = Imported { taken: batch.changes.len(), replaced: batch.replaced };
        for (index, change) in batch.changes.into_iter().enumerate() {
            node.publisher.spread(&change.into()).await?;
            progress(index + 1);
        }
        Ok(imported)
    }
}

impl<'a> IntoFuture for Import<'a> {
    type Output = Result<Imported, MirrorError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Import {{ {} of {} networks }}", self.rule, self.entries.len())
    }
}
