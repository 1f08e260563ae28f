use std::sync::Weak;

use mailmesh_events::Change;
use parking_lot::Mutex;

/// What happened to the mirror, in the order in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// An entry was set or removed, here or elsewhere.
    Changed(&'a Change),
    /// An entry ended, and was taken out.
    Expired(&'a Change),
    /// A certificate has so many days left, or fewer: 30, 7, 1, or 0, when it has ended. It
    /// stays until a newer one comes.
    Ending(&'a Change, u32),
    /// What is remembered of what is gone was dropped, or is new.
    TombstoneChanged(&'a Change),
}

/// Is told what happens to a mirror. Must not wait, nor call the mirror: it is called in
/// the middle of a change.
pub trait Observer: Send + Sync {
    /// It happened.
    fn observe(&self, observed: Observed<'_>);
}

/// Those that are told, while they live.
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
