//! The events of a mirror, for an observer such as a store.

use std::sync::Weak;

use mailmesh_events::Change;
use parking_lot::Mutex;

/// An event of the mirror. Observers see events in the order in which they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// An entry was set or removed, by this node or another.
    Changed(&'a Change),
    /// An entry expired and was removed from lookups.
    Expired(&'a Change),
    /// A certificate expires soon or has expired. It stays in the mirror until a newer one replaces
    /// it.
    Expiring {
        /// The current change of the certificate's names.
        change: &'a Change,
        /// The certificate has at most this many days left: 30, 7, 1, or 0 once it has expired.
        days_left: u32,
    },
    /// A tombstone, or an expired entry kept as one, was dropped. Or an entry that had already
    /// expired arrived. Only a store needs to know.
    TombstoneChanged(&'a Change),
}

/// Receives the events of a mirror. Called in the middle of a change, so it must neither wait nor
/// call the mirror.
pub trait Observer: Send + Sync {
    /// Handles one event.
    fn observe(&self, observed: Observed<'_>);
}

/// The registered observers; dropped ones are skipped.
#[derive(Default)]
pub(crate) struct Observers(Mutex<Vec<Weak<dyn Observer>>>);

impl Observers {
    pub(crate) fn add(&self, observer: Weak<dyn Observer>) {
        let mut observers = self.0.lock();
        observers.retain(|observer| observer.strong_count() > 0);
        observers.push(observer);
    }

    pub(crate) fn notify(&self, observed: Observed<'_>) {
        for observer in self.0.lock().iter().filter_map(Weak::upgrade) {
            observer.observe(observed);
        }
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} observers", self.0.lock().len())
    }
}
