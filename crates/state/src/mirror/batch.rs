//! Many networks in one step.

use std::collections::HashSet;
use std::sync::Arc;

use mailmesh_events::{
    Block, Change, ChangeKey, EventError, Network, NetworkChange, Rule, UnixMillis,
};

use super::{AT_A_TIME, Mirror, Writer};
use crate::StateError;
use crate::observe::Observed;

/// Networks looked up at a time.
const PAGE: usize = 4_096;

impl Mirror {
    /// Blocks or allows many networks in one step: a lookup sees all of them or none, and
    /// if one is refused none is taken. Of a network given twice the last counts. What has
    /// ended at `now` is left out. Give the changes to the other nodes.
    ///
    /// Nobody waits for all of it: entries are put in some at a time, others may change
    /// the mirror between. Watchers are told of each as it is put in, lookups see them at the
    /// end. Costs a copy of the lookup's tables besides (32 MB for a million networks of IPv4), so give
    /// as many as there are.
    ///
    /// # Errors
    /// [`StateError::Full`]; [`StateError::Event`] for a network to block that is the
    /// loopback or that [`Network::blockable`] refuses.
    pub fn set_all(
        &self,
        rule: Rule,
        networks: Vec<(Network, Block)>,
        now: UnixMillis,
    ) -> Result<Vec<Change>, StateError> {
        check(rule, &networks, Network::blockable)?;
        self.set_all_of_any_width(rule, networks, now)
    }

    /// As [`set_all`](Self::set_all), of any width.
    ///
    /// # Errors
    /// [`StateError::Full`]; [`StateError::Event`] for the loopback.
    pub fn set_all_of_any_width(
        &self,
        rule: Rule,
        networks: Vec<(Network, Block)>,
        now: UnixMillis,
    ) -> Result<Vec<Change>, StateError> {
        check(rule, &networks, Network::blockable_of_any_width)?;
        let _turn = self.batch.lock();
        let mut new = HashSet::new();
        for page in networks.chunks(PAGE) {
            let writer = self.writer.read();
            let page = page.iter().map(|(network, _)| *network);
            let is_new =
                |n: &Network| writer.entries.stamp(&ChangeKey::Network(rule, *n)).is_none();
            new.extend(page.filter(is_new));
        }
        let (new, limit) = (new.len(), self.bounds.networks);
        {
            let mut writer = self.writer.write();
            if writer.entries.networks() + new > limit {
                return Err(StateError::Full { what: "networks", limit });
            }
            writer.reserved = new;
        }
        let live = networks.into_iter().filter(|(_, block)| !block.is_expired(now)).collect();
        Ok(self.in_one_step(live, |writer, (network, block)| {
            let key = ChangeKey::Network(rule, network);
            if writer.entries.stamp(&key).is_none() {
                writer.reserved = writer.reserved.saturating_sub(1);
            }
            let stamp = writer.stamp(&key, now);
            let block = Some(Arc::new(block));
            let change = Change::Network(NetworkChange { rule, network, stamp, block });
            writer.entries.put(&change);
            self.observers.tell(Observed::Changed(&change));
            Some(change)
        }))
    }

    /// Puts entries in, some at a time, and then lets lookups see their networks, all at
    /// once; gives what was put in. The caller holds its turn.
    pub(super) fn in_one_step<T>(
        &self,
        entries: Vec<T>,
        put: impl Fn(&mut Writer, T) -> Option<Change>,
    ) -> Vec<Change> {
        self.writer.write().journal = Some(HashSet::new());
        let mut changes = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter();
        while entries.len() > 0 {
            let mut writer = self.writer.write();
            changes.extend(entries.by_ref().take(AT_A_TIME).filter_map(|e| put(&mut writer, e)));
        }
        let networks = changes.iter().filter_map(|change| match change {
            Change::Network(change) => Some(change),
            _ => None,
        });
        let mut next = self.networks.with_all(networks);
        let mut writer = self.writer.write();
        writer.reserved = 0;
        // What others did meanwhile, and this did not see.
        for (rule, network) in writer.journal.take().into_iter().flatten() {
            let block = writer.entries.block(rule, network);
            next.set(rule, network, block.as_ref());
        }
        self.networks.show(next);
        changes
    }

    /// Bytes of the tables that lookups use.
    #[must_use]
    pub fn lookup_bytes(&self) -> usize {
        self.networks.bytes()
    }
}

fn check(
    rule: Rule,
    networks: &[(Network, Block)],
    blockable: fn(Network) -> Result<Network, EventError>,
) -> Result<(), EventError> {
    let mut to_block = networks.iter().filter(|_| rule == Rule::Block);
    to_block.try_for_each(|(network, _)| blockable(*network).map(drop))
}
