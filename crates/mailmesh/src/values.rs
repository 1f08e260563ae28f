//! Typed values of other crates, replicated by the mirror.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{Change, Value, ValueChange, ValueKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
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
/// a.values::<Flags>().set("greylisting", &Flag { enabled: true }, None).await?;
/// while let Some(update) = watch.recv().await {
///     if matches!(update, ValueUpdate::Set(name, _) if &*name == "greylisting") {
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

/// A name, and its value or the error of decoding it.
pub type NamedValue<V> = (Arc<str>, Result<V, Error>);

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

    fn key(&self, name: &str) -> Result<ValueKey, Error> {
        Ok(ValueKey::new(N::NAME, name)?)
    }

    /// The value of a name, if there is one.
    ///
    /// # Errors
    /// [`Error::Event`] if the name is invalid, or if the value, written by another version, does
    /// not decode as [`Namespace::Value`].
    pub fn get(&self, name: &str) -> Result<Option<N::Value>, Error> {
        let value =
            self.node.replication.mirror.value(&self.key(name)?, self.node.replication.now());
        Ok(value.map(|value| value.decode()).transpose()?)
    }

    /// Sets the value of a name, until `ttl` has passed or the value is removed.
    ///
    /// If the future is dropped while it waits, the value stays in force on this node; the other
    /// nodes receive it by reconciliation.
    ///
    /// # Errors
    /// [`Error::Event`] if the name is invalid, or the value is too long or does not serialise.
    /// [`Error::State`] if the mirror is full. [`Error::ShutDown`] and [`Error::SteppedBack`] if
    /// the node has stopped.
    pub async fn set(
        &self,
        name: &str,
        value: &N::Value,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let now = self.node.replication.now();
        let mut value = Value::encode(value)?;
        value.expires = ttl.map(|ttl| now.plus(ttl));
        self.node
            .publisher
            .publish_change(self.node.replication.mirror.set_value(self.key(name)?, value, now)?)
            .await
    }

    /// Removes the value of a name.
    ///
    /// # Errors
    /// [`Error::State`] if there is none; [`Error::Event`] if the name is invalid;
    /// [`Error::ShutDown`] and [`Error::SteppedBack`] if the node has stopped.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
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
    /// [`Error::Event`] if [`Namespace::NAME`] is invalid.
    pub fn list(&self) -> Result<Vec<NamedValue<N::Value>>, Error> {
        let values =
            self.node.replication.mirror.values_from(&self.key("")?, self.node.replication.now());
        let decoded =
            |(key, value): &(ValueKey, Arc<Value>)| (key.shared_name().clone(), decode(value));
        Ok(values.iter().map(decoded).collect())
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

/// An entry of a [`ValueWatch`]. A value that does not decode as [`Namespace::Value`] is an error
/// in its place.
#[derive(Debug)]
#[non_exhaustive]
pub enum ValueUpdate<V> {
    /// All present values, sorted by name. Comes first, and again if the reader was too slow and
    /// changes were dropped.
    State(Vec<NamedValue<V>>),
    /// A value was set.
    Set(Arc<str>, Result<V, Error>),
    /// A value was removed.
    Removed(Arc<str>),
    /// A value expired.
    Expired(Arc<str>),
}

/// The values of a namespace and their changes; see [`Values::watch`].
#[derive(Debug)]
pub struct ValueWatch<N> {
    watch: Watch,
    namespace: PhantomData<fn() -> N>,
}

impl<N: Namespace> ValueWatch<N> {
    /// Waits for the next update. `None` once the node has stopped and everything was read.
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<ValueUpdate<N::Value>> {
        loop {
            match self.watch.next().await? {
                Item::State(entries) => {
                    let mut state: Vec<_> = entries.into_iter().filter_map(entry).collect();
                    state.sort_by(|(a, _), (b, _)| a.cmp(b));
                    let decoded = |(name, value): (Arc<str>, Arc<Value>)| (name, decode(&value));
                    return Some(ValueUpdate::State(state.into_iter().map(decoded).collect()));
                }
                Item::Change(Change::Value(ValueChange { key, value, .. })) => {
                    let name = key.shared_name().clone();
                    return Some(match value {
                        Some(value) => ValueUpdate::Set(name, decode(&value)),
                        None => ValueUpdate::Removed(name),
                    });
                }
                Item::Expired(Change::Value(change)) => {
                    return Some(ValueUpdate::Expired(change.key.shared_name().clone()));
                }
                Item::Change(_) | Item::Expired(_) | Item::Ending(..) => {}
            }
        }
    }
}

fn entry(change: Change) -> Option<(Arc<str>, Arc<Value>)> {
    match change {
        Change::Value(ValueChange { key, value: Some(value), .. }) => {
            Some((key.shared_name().clone(), value))
        }
        _ => None,
    }
}

fn decode<V: DeserializeOwned>(value: &Value) -> Result<V, Error> {
    Ok(value.decode()?)
}
