//! Typed values of other crates, replicated by the mirror.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mailmesh_events::{Change, EventError, Value, ValueChange, ValueKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::MirrorError;
use crate::parts::Inner;
use crate::watch::{Item, Watch};

/// A namespace of values: its name and the type of its values.
///
/// ```
/// use mailmesh::{Node, MemoryHub, Namespace, ValueUpdate};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Flag {
///     enabled: bool,
/// }
///
/// struct Flags;
///
/// impl Namespace for Flags {
///     const NAME: &'static str = "acme.flags";
///     type Value = Flag;
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// let hub = MemoryHub::new();
/// let a = Node::builder().name("a").memory(&hub).start().await?;
/// let b = Node::builder().name("b").memory(&hub).start().await?;
/// a.wait_for_members(1).await;
///
/// let mut watch = b.values::<Flags>().watch();
/// a.values::<Flags>().set("greylisting", &Flag { enabled: true }).await?;
/// while let Some(update) = watch.recv().await {
///     if matches!(update, ValueUpdate::Set(set) if &*set.name == "greylisting") {
///         break;
///     }
/// }
/// assert_eq!(b.values::<Flags>().get("greylisting")?, Some(Flag { enabled: true }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Namespace {
    /// Unique to the crate that defines the namespace, and the same on every node. At most 64 bytes
    /// of `a-z`, `0-9`, `.`, `-` and `_`.
    const NAME: &'static str;
    /// Type of a value, at most 16 KiB as MessagePack.
    type Value: Serialize + DeserializeOwned;
}

/// A value and its name.
#[derive(Debug)]
#[non_exhaustive]
pub struct NamedValue<V> {
    /// The name.
    pub name: Arc<str>,
    /// The value, or the error if it does not decode as [`Namespace::Value`].
    pub value: Result<V, EventError>,
}

impl<V: DeserializeOwned> NamedValue<V> {
    fn new(key: &ValueKey, value: &Value) -> Self {
        Self { name: key.shared_name().clone(), value: decode(value) }
    }
}

/// The values of a namespace: reads come from this node's memory, and all nodes hold the same
/// values. The later of two writes to one name wins. See [`Node::values`](crate::Node::values).
#[derive(Debug)]
pub struct Values<'a, N> {
    node: &'a Inner,
    namespace: PhantomData<N>,
}

impl<'a, N: Namespace> Values<'a, N> {
    pub(crate) fn new(node: &'a Inner) -> Self {
        Self { node, namespace: PhantomData }
    }

    fn key(&self, name: &str) -> Result<ValueKey, EventError> {
        ValueKey::new(N::NAME, name)
    }

    /// The value of a name, if there is one.
    ///
    /// # Errors
    /// [`EventError`] if the name is invalid, or if the value, written by another version, does
    /// not decode as [`Namespace::Value`].
    pub fn get(&self, name: &str) -> Result<Option<N::Value>, EventError> {
        let value =
            self.node.replication.mirror.value(&self.key(name)?, self.node.replication.now());
        value.map(|value| value.decode()).transpose()
    }

    /// Sets the value of a name. Awaiting the returned [`SetValue`] carries it out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use mailmesh::{Error, MemoryHub, Namespace, Node};
    /// # struct Flags;
    /// # impl Namespace for Flags { const NAME: &'static str = "acme.flags"; type Value = bool; }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let node = Node::builder().name("a").memory(&MemoryHub::new()).start().await?;
    /// let flags = node.values::<Flags>();
    /// flags.set("greylisting", &true).ttl(Duration::from_secs(3_600)).await?;
    /// # Ok(()) }
    /// ```
    pub fn set(&self, name: &str, value: &N::Value) -> SetValue<'a> {
        let entry = self.key(name).and_then(|key| Ok((key, Value::encode(value)?)));
        SetValue { node: self.node, entry, ttl: None }
    }

    /// Removes the value of a name.
    ///
    /// # Errors
    /// [`MirrorError::Refused`] if there is none; [`MirrorError::Invalid`] if the name is invalid;
    /// [`MirrorError::Stopped`] if the node has stopped.
    pub async fn remove(&self, name: &str) -> Result<(), MirrorError> {
        let now = self.node.replication.now();
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.remove_value(self.key(name)?, now)?)
            .await
    }

    /// Every name with its value, sorted by name. A value that does not decode as
    /// [`Namespace::Value`] is listed as an error.
    ///
    /// # Errors
    /// [`EventError`] if [`Namespace::NAME`] is invalid.
    pub fn list(&self) -> Result<Vec<NamedValue<N::Value>>, EventError> {
        let values =
            self.node.replication.mirror.values_from(&self.key("")?, self.node.replication.now());
        Ok(values.iter().map(|(key, value)| NamedValue::new(key, value)).collect())
    }

    /// A stream of all present values followed by every change, without loss in between.
    #[must_use]
    pub fn watch(&self) -> ValueWatch<N> {
        let is_own = |change: &Change| match change {
            Change::Value(change) => change.key.namespace() == N::NAME,
            _ => false,
        };
        ValueWatch { watch: Watch::new(self.node, is_own), namespace: PhantomData }
    }
}

/// A value to be set; see [`Values::set`]. Does nothing until it is awaited.
#[derive(Debug)]
#[must_use = "the value is set when this is awaited"]
pub struct SetValue<'a> {
    node: &'a Inner,
    entry: Result<(ValueKey, Value), EventError>,
    ttl: Option<Duration>,
}

impl SetValue<'_> {
    /// The value expires after `ttl`. By default it stays until it is removed.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    async fn publish(self) -> Result<(), MirrorError> {
        let now = self.node.replication.now();
        let (key, mut value) = self.entry?;
        value.expires = self.ttl.map(|ttl| now.plus(ttl));
        let change = self.node.replication.mirror.set_value(key, value, now)?;
        self.node.publisher.publish_change(change).await
    }
}

/// If the future is dropped while it waits, the value stays in force on this node; the other nodes
/// receive it by reconciliation.
///
/// # Errors
/// [`MirrorError::Invalid`] if the name is invalid, or the value is too long or does not serialise.
/// [`MirrorError::Refused`] if the mirror is full. [`MirrorError::Stopped`] if the
/// node has stopped.
impl<'a> IntoFuture for SetValue<'a> {
    type Output = Result<(), MirrorError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.publish())
    }
}

/// An entry of a [`ValueWatch`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ValueUpdate<V> {
    /// All present values, sorted by name. Comes first, and again if the reader was too slow and
    /// changes were dropped.
    State(Vec<NamedValue<V>>),
    /// A value was set.
    Set(NamedValue<V>),
    /// The value of this name was removed.
    Removed(Arc<str>),
    /// The value of this name expired.
    Expired(Arc<str>),
}

/// The values of a namespace and their changes; see [`Values::watch`].
///
/// A watch is also a [`Stream`] of its updates.
#[derive(Debug)]
pub struct ValueWatch<N> {
    watch: Watch,
    namespace: PhantomData<fn() -> N>,
}

impl<N: Namespace> ValueWatch<N> {
    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<ValueUpdate<N::Value>> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next update: [`recv`](Self::recv) for a caller that has a task's context.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<ValueUpdate<N::Value>>> {
        self.watch.poll_update(context, ValueUpdate::of)
    }
}

impl<N: Namespace> Stream for ValueWatch<N> {
    type Item = ValueUpdate<N::Value>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

impl<V: DeserializeOwned> ValueUpdate<V> {
    fn of(item: Item) -> Option<Self> {
        match item {
            Item::State(entries) => {
                let mut state: Vec<NamedValue<V>> = entries.iter().filter_map(named).collect();
                state.sort_by(|a, b| a.name.cmp(&b.name));
                Some(Self::State(state))
            }
            Item::Change(Change::Value(ValueChange { key, value: None, .. })) => {
                Some(Self::Removed(key.shared_name().clone()))
            }
            Item::Change(change) => named(&change).map(Self::Set),
            Item::Expired(Change::Value(change)) => {
                Some(Self::Expired(change.key.shared_name().clone()))
            }
            Item::Expired(_) | Item::Ending(..) => None,
        }
    }
}

fn named<V: DeserializeOwned>(change: &Change) -> Option<NamedValue<V>> {
    match change {
        Change::Value(ValueChange { key, value: Some(value), .. }) => {
            Some(NamedValue::new(key, value))
        }
        _ => None,
    }
}

fn decode<V: DeserializeOwned>(value: &Value) -> Result<V, EventError> {
    value.decode()
}
