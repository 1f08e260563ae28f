//! Size estimates of changes and events, for queues that are bounded in bytes.

use crate::{CacheScope, CertificateChange, Change, Event, NetworkChange, ValueChange};

/// Estimate of an event without its lists and texts, in bytes.
const BASE_SIZE: usize = 48;
/// Estimate of one id in a list, in bytes.
const ID_SIZE: usize = 8;

fn network_size(change: &NetworkChange) -> usize {
    48 + change.details.as_ref().map_or(0, |it| it.reason().len() + it.origin().len() + 24)
}

fn certificate_size(change: &CertificateChange) -> usize {
    let names: usize = change.names.iter().map(|name| name.len() + 2).sum();
    let certificate = change.certificate.as_ref().map_or(0, |certificate| {
        let chain: usize = certificate.chain().iter().map(|der| der.len() + 3).sum();
        chain + certificate.key().der().len() + 64
    });
    32 + names + certificate
}

fn value_size(change: &ValueChange) -> usize {
    let value = change.value.as_ref().map_or(0, |value| value.payload().len() + 12);
    40 + change.key.namespace().len() + change.key.name().len() + value
}

impl Change {
    /// Estimate of the bytes that the change takes on the wire, which is also about what it
    /// allocates in memory.
    #[must_use]
    pub fn size_estimate(&self) -> usize {
        match self {
            Self::Network(change) => network_size(change),
            Self::Certificate(change) => certificate_size(change),
            Self::Value(change) => value_size(change),
        }
    }
}

impl Event {
    /// Estimate of the bytes that the event takes on the wire, which is also about what it
    /// allocates in memory.
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
            | Self::Queue(_) => BASE_SIZE,
            Self::EmailPush(event) => BASE_SIZE + ID_SIZE * event.mailboxes().len(),
            Self::Cache(event) => match event.scope() {
                CacheScope::Ids(ids) => BASE_SIZE + ID_SIZE * ids.len(),
                CacheScope::Negative | CacheScope::All => BASE_SIZE,
            },
            Self::Network(event) => network_size(event),
            Self::Certificate(event) => certificate_size(event),
            Self::Value(event) => value_size(event),
            Self::Custom(event) => BASE_SIZE + event.kind().len() + event.payload().len(),
            Self::Unknown(event) => BASE_SIZE + event.bytes.len(),
        }
    }
}
