//! The derived keys of senders whose frames held.

use std::collections::HashMap;

use ring::aead::LessSafeKey;

type Incarnation = [u8; 16];

/// Derived keys by sender. Those of members stay; the caller bounds the members. Of the other
/// senders (newcomers, former members, lives that somebody recorded and sends again) the
/// [`STRANGERS`](Self::STRANGERS) used last are kept, so that they never cost a member its keys.
#[derive(Default)]
pub(crate) struct KnownKeys {
    senders: HashMap<Incarnation, Known>,
    members: usize,
    /// Frames that held so far.
    held: u64,
}

pub(crate) struct Known {
    /// One for each key of the cluster, the one that held last first.
    keys: Vec<LessSafeKey>,
    /// The number of its last frame among those that held.
    used: u64,
    is_member: bool,
}

impl KnownKeys {
    /// Most senders kept that are no members.
    pub(crate) const STRANGERS: usize = 1_024;
    /// How many of them are dropped at once when that is reached: looking for them costs a pass
    /// over all.
    const DROPPED: usize = Self::STRANGERS / 8;

    /// What `open` gives with the keys of a known sender. `None` if the sender is not known.
    pub(crate) fn with<R>(
        &mut self,
        sender: Incarnation,
        open: impl FnOnce(&mut [LessSafeKey]) -> Option<R>,
    ) -> Option<Option<R>> {
        let known = self.senders.get_mut(&sender)?;
        let opened = open(&mut known.keys);
        if opened.is_some() {
            self.held += 1;
            known.used = self.held;
        }
        Some(opened)
    }

    /// Keeps the keys of a sender whose frame held.
    pub(crate) fn insert(&mut self, sender: Incarnation, keys: Vec<LessSafeKey>) {
        if self.strangers() >= Self::STRANGERS {
            self.drop_oldest();
        }
        self.held += 1;
        self.senders.insert(sender, Known { keys, used: self.held, is_member: false });
    }

    /// The sender is a member from now on; without keys it gets those of `derive`.
    pub(crate) fn joined(
        &mut self,
        sender: Incarnation,
        derive: impl FnOnce() -> Vec<LessSafeKey>,
    ) {
        let used = self.held;
        let known = self.senders.entry(sender);
        let known = known.or_insert_with(|| Known { keys: derive(), used, is_member: false });
        self.members += usize::from(!known.is_member);
        known.is_member = true;
    }

    pub(crate) fn left(&mut self, sender: Incarnation) {
        let Some(known) = self.senders.get_mut(&sender).filter(|known| known.is_member) else {
            return;
        };
        // Numbers differ, so that those that leave at once are not dropped at once.
        self.held += 1;
        (known.is_member, known.used) = (false, self.held);
        self.members -= 1;
        if self.strangers() > Self::STRANGERS {
            self.drop_oldest();
        }
    }

    /// Derives all keys anew.
    pub(crate) fn derive_anew(&mut self, derive: impl Fn(Incarnation) -> Vec<LessSafeKey>) {
        for (sender, known) in &mut self.senders {
            known.keys = derive(*sender);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.senders.len()
    }

    fn strangers(&self) -> usize {
        self.senders.len() - self.members
    }

    fn drop_oldest(&mut self) {
        let strangers = self.senders.values().filter(|known| !known.is_member);
        let mut used: Vec<u64> = strangers.map(|known| known.used).collect();
        if used.len() <= Self::DROPPED {
            return;
        }
        let oldest_kept = *used.select_nth_unstable(Self::DROPPED).1;
        self.senders.retain(|_, known| known.is_member || known.used >= oldest_kept);
    }
}
