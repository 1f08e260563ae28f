//! How large a change or an event is, for bounds in bytes.

use crate::{CacheScope, CertificateChange, Change, Event, NetworkChange, ValueChange};

/// An event of fixed size.
const FIXED: usize = 48;
/// An id in a list.
const ID: usize = 8;

fn network(change: &NetworkChange) -> usize {
    48 + change.block.as_ref().map_or(0, |b| b.reason().len() + b.origin().len() + 24)
}

fn certificate(change: &CertificateChange) -> usize {
    let names: usize = change.names.iter().map(|name| name.len() + 2).sum();
    let certificate = change.certificate.as_ref().map_or(0, |certificate| {
        let chain: usize = certificate.chain().iter().map(|der| der.len() + 3).sum();
        chain + certificate.key().der().len() + 64
    });
    32 + names + certificate
}

fn value(change: &ValueChange) -> usize {
    let value = change.value.as_ref().map_or(0, |value| value.payload().len() + 12);
    40 + change.key.namespace().len() + change.key.name().len() + value
}

impl Change {
    /// About how many bytes the change takes on the wire, and besides itself in memory.
    #[must_use]
    pub fn size_estimate(&self) -> usize {
        match self {
            Self::Network(change) => network(change),
            Self::Certificate(change) => certificate(change),
            Self::Value(change) => value(change),
        }
    }
}

impl Event {
    /// About how many bytes the event takes on the wire, and besides itself in memory.
    ///
    /// ```
    /// use mailmesh_events::{Custom, Event, QueueSignal};
    ///
    /// let large = Event::from(Custom::new("log", vec![0; 100_000])?);
    /// assert!(large.size_estimate() >= 100_000);
    /// assert!(Event::from(QueueSignal::Refresh).size_estimate() < 100);
    /// # Ok::<(), mailmesh_events::EventError>(())
    /// ```
    #[must_use]
    pub fn size_estimate(&self) -> usize {
        match self {
            Self::StateChange(_)
            | Self::CalendarAlert(_)
            | Self::PushSubscription(_)
            | Self::Registry(_)
            | Self::Queue(_) => FIXED,
            Self::EmailPush(event) => FIXED + ID * event.mailboxes().len(),
            Self::Cache(event) => match event.scope() {
                CacheScope::Ids(ids) => FIXED + ID * ids.len(),
                CacheScope::Negative | CacheScope::All => FIXED,
            },
            Self::Network(event) => network(event),
            Self::Certificate(event) => certificate(event),
            Self::Value(event) => value(event),
            Self::Custom(event) => FIXED + event.kind().len() + event.payload().len(),
            Self::Unknown(event) => FIXED + event.bytes.len(),
        }
    }
}
