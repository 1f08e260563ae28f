//! Cuts and losses between nodes, by name, so that they outlast a restart.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use mailmesh_delivery::Incarnation;
use mailmesh_transport::MemoryHub;

/// One end of a link: a node's name and its present incarnation.
pub(crate) type LinkEnd<'a> = (&'a str, Incarnation);

/// Faults of links, keyed by name, so that they outlast incarnations.
#[derive(Debug, Default)]
pub(crate) struct Links {
    cut: BTreeSet<(String, String)>,
    loss: Option<(u8, u64)>,
}

impl Links {
    pub(crate) fn cut(&mut self, from: &str, to: &str) {
        self.cut.insert((from.to_owned(), to.to_owned()));
    }

    pub(crate) fn heal(&mut self, from: &str, to: &str) {
        self.cut.remove(&(from.to_owned(), to.to_owned()));
    }

    pub(crate) fn lose(&mut self, percent: u8, seed: u64) {
        self.loss = (percent > 0).then_some((percent, seed));
    }

    /// Sets or ends the cut from one node to another in the hub, as recorded here.
    pub(crate) fn apply_cut(&self, hub: &MemoryHub, from: LinkEnd<'_>, to: LinkEnd<'_>) {
        if self.cut.contains(&(from.0.to_owned(), to.0.to_owned())) {
            hub.cut(from.1, to.1);
        } else {
            hub.heal(from.1, to.1);
        }
    }

    /// Sets the loss from one node to another in the hub, as recorded here.
    pub(crate) fn apply_loss(&self, hub: &MemoryHub, from: LinkEnd<'_>, to: LinkEnd<'_>) {
        let (percent, seed) = self.loss.unwrap_or_default();
        // `DefaultHasher::new` has fixed keys, so a seed gives the same loss in each run.
        let mut link_seed = DefaultHasher::new();
        (seed, from.0, to.0).hash(&mut link_seed);
        hub.lose(from.1, to.1, percent, link_seed.finish());
    }
}
