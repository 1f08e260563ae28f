//! The configuration that each incarnation of a node starts with.

use mailmesh_codec::ClusterKey;

use super::skew::{Epoch, SkewedClock};
use crate::{Node, NodeBuilder};

pub(super) type Each = Box<dyn Fn(NodeBuilder) -> NodeBuilder + Send + Sync>;

/// Configuration for each incarnation of a node.
pub(crate) struct NodeTemplate {
    key: Option<ClusterKey>,
    each: Each,
    epoch: Epoch,
}

impl NodeTemplate {
    pub(crate) fn new(key: Option<ClusterKey>, each: Each) -> Self {
        Self { key, each, epoch: Epoch::now() }
    }

    pub(crate) fn builder(&self, name: &str, clock: SkewedClock) -> NodeBuilder {
        let mut builder = Node::builder();
        if let Some(key) = &self.key {
            builder = builder.key(key.clone());
        }
        let epoch = self.epoch;
        (self.each)(builder).name(name).wall_clock(move || clock.read(epoch))
    }
}
