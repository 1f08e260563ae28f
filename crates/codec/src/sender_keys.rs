//! A cache of the derived keys of senders whose frames were authentic.

use std::collections::HashMap;

use ring::aead::LessSafeKey;

use crate::KeyId;

type Incarnation = [u8; 16];

/// Derived keys by sender. Keys of members stay, and the caller bounds the number of members.
///
/// Of the other senders (newcomers, former members, replayed incarnations) the cache keeps the
/// [`MAX_NON_MEMBERS`](Self::MAX_NON_MEMBERS) most recently used. So they never evict a member.
#[derive(Default)]
pub(crate) struct SenderKeyCache {
    senders: HashMap<Incarnation, CachedSender>,
    members: usize,
    /// Number of frames opened so far; the clock of `last_used`.
    opened_frames: u64,
}

/// A key derived for one sender.
pub(crate) struct SenderKey {
    /// The cluster key from which the key is derived.
    pub(crate) id: KeyId,
    pub(crate) key: LessSafeKey,
}

pub(crate) struct CachedSender {
    /// One for each key of the cluster, the key of the last opened frame first.
    keys: Vec<SenderKey>,
    /// The value of `opened_frames` at the last frame of this sender.
    last_used: u64,
    is_member: bool,
}

impl SenderKeyCache {
    /// Capacity for senders that are not members.
    pub(crate) const MAX_NON_MEMBERS: usize = 1_024;
    /// Number of non-members evicted at once, because finding the oldest takes a pass over all.
    const EVICTION_BATCH: usize = Self::MAX_NON_MEMBERS / 8;

    /// Calls `open` with the keys of a sender. The outer `None` means that the sender is not
    /// cached, the inner one that `open` failed.
    pub(crate) fn open_with<R>(
        &mut self,
        sender: Incarnation,
        open: impl FnOnce(&mut [SenderKey]) -> Option<R>,
    ) -> Option<Option<R>> {
        let cached = self.senders.get_mut(&sender)?;
        let opened = open(&mut cached.keys);
        if opened.is_some() {
            self.opened_frames += 1;
            cached.last_used = self.opened_frames;
        }
        Some(opened)
    }

    /// Adds a sender whose frame its keys have opened.
    pub(crate) fn insert(&mut self, sender: Incarnation, keys: Vec<SenderKey>) {
        if self.non_members() >= Self::MAX_NON_MEMBERS {
            self.evict_oldest();
        }
        self.opened_frames += 1;
        self.senders
            .insert(sender, CachedSender { keys, last_used: self.opened_frames, is_member: false });
    }

    /// Marks a sender as a member; `derive` supplies the keys if the cache has none.
    pub(crate) fn member_joined(
        &mut self,
        sender: Incarnation,
        derive: impl FnOnce() -> Vec<SenderKey>,
    ) {
        let last_used = self.opened_frames;
        let cached = self.senders.entry(sender);
        let cached =
            cached.or_insert_with(|| CachedSender { keys: derive(), last_used, is_member: false });
        self.members += usize::from(!cached.is_member);
        cached.is_member = true;
    }

    /// Makes a member a non-member, which may be evicted.
    pub(crate) fn member_left(&mut self, sender: Incarnation) {
        let Some(cached) = self.senders.get_mut(&sender).filter(|cached| cached.is_member) else {
            return;
        };
        // Numbers differ, so that members that leave together are not all evicted together.
        self.opened_frames += 1;
        (cached.is_member, cached.last_used) = (false, self.opened_frames);
        self.members -= 1;
        if self.non_members() > Self::MAX_NON_MEMBERS {
            self.evict_oldest();
        }
    }

    /// Replaces the keys of every sender, after the keys of the cluster changed.
    pub(crate) fn rederive(&mut self, derive: impl Fn(Incarnation) -> Vec<SenderKey>) {
        for (sender, cached) in &mut self.senders {
            cached.keys = derive(*sender);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.senders.len()
    }

    fn non_members(&self) -> usize {
        self.senders.len() - self.members
    }

    fn evict_oldest(&mut self) {
        let non_members = self.senders.values().filter(|cached| !cached.is_member);
        let mut last_used: Vec<u64> = non_members.map(|cached| cached.last_used).collect();
        if last_used.len() <= Self::EVICTION_BATCH {
            return;
        }
        let oldest_kept = *last_used.select_nth_unstable(Self::EVICTION_BATCH).1;
        self.senders.retain(|_, cached| cached.is_member || cached.last_used >= oldest_kept);
    }
}
