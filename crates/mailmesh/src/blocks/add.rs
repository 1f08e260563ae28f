//! Adds one network.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{Network, Rule, RuleDetails};
use mailmesh_state::Mirror;

use crate::MirrorError;
use crate::parts::Inner;

/// An entry that [`Blocks::add`](crate::Blocks::add) or [`Blocks::allow`](crate::Blocks::allow)
/// adds. Awaiting it makes the change.
///
/// Without further calls the entry has an empty reason, this node's name as its origin, and no end.
///
/// If the future is dropped while it waits, the entry stays in force on this node; the other nodes
/// receive it by reconciliation.
///
/// ```
/// # use std::time::Duration;
/// # use mailmesh::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = Node::builder().name("mx1").memory(&MemoryHub::new()).start().await?;
/// let hour = Duration::from_secs(3_600);
/// node.blocks().add("192.0.2.7".parse()?).reason("too many failed logins").ttl(hour).await?;
/// node.blocks().allow("192.0.2.9".parse()?).reason("our monitor").await?;
/// # assert!(node.blocks().is_blocked("192.0.2.7".parse()?));
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`MirrorError::Invalid`] if the reason or the origin is too long. [`MirrorError::Refused`] when
/// the mirror is full, if the network is wider than /8 (IPv4) or /16 (IPv6) and, for entries that
/// block, if it is a loopback network. [`MirrorError::Stopped`] if the node has stopped.
#[must_use = "the network is added when the builder is awaited"]
pub struct AddNetwork<'a> {
    node: &'a Inner,
    rule: Rule,
    network: Network,
    reason: Arc<str>,
    /// `None` for this node's name.
    origin: Option<Arc<str>>,
    ttl: Option<Duration>,
    is_any_width: bool,
}

impl<'a> AddNetwork<'a> {
    pub(super) fn new(node: &'a Inner, rule: Rule, network: Network) -> Self {
        let (reason, origin, ttl) = (Arc::default(), None, None);
        Self { node, rule, network, reason, origin, ttl, is_any_width: false }
    }

    /// Why the entry is added.
    pub fn reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The protocol, operator or list that asked for the entry, in place of this node's name.
    pub fn origin(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Time after which the entry expires; `None` if it stays until it is removed.
    pub fn ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// Accepts prefixes of any width, for an entry that blocks or allows.
    pub fn any_width(mut self) -> Self {
        self.is_any_width = true;
        self
    }

    async fn run(self) -> Result<(), MirrorError> {
        let Self { node, rule, network, reason, origin, ttl, is_any_width } = self;
        let now = node.replication.now();
        let origin = origin.unwrap_or_else(|| node.identity.name.as_str().into());
        let mut block = RuleDetails::new(reason, now)?.with_origin(origin)?;
        block.expires = ttl.map(|ttl| now.plus(ttl));
        let set = match (rule, is_any_width) {
            (Rule::Allow, true) => Mirror::allow_of_any_width,
            (Rule::Allow, false) => Mirror::allow,
            (Rule::Block, true) => Mirror::block_of_any_width,
            (Rule::Block, false) => Mirror::block,
        };
        let change = set(&node.replication.mirror, network, block, now)?;
        node.publisher.publish_change(change).await
    }
}

impl<'a> IntoFuture for AddNetwork<'a> {
    type Output = Result<(), MirrorError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for AddNetwork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddNetwork {{ {} {} }}", self.rule, self.network)
    }
}
