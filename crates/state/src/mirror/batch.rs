//! Many networks in one step.

use std::collections::HashSet;
use std::sync::Arc;

use mailmesh_events::{
    Block, Change, ChangeKey, EventError, Network, NetworkChange, Rule, UnixMillis,
};

use super::Mirror;
use crate::StateError;
use crate::observe::Observed;

impl Mirror {
    /// Blocks or allows many networks in one step: a lookup sees all of them or none, and
    /// if one is refused none is taken. Of a network given twice the last counts. What has
    /// ended at `now` is left out. Give the changes to the other nodes.
    ///
    /// Costs a copy of the lookup's tables besides (32 MB for a million networks of IPv4), so give
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
        let mut writer = self.writer.lock();
        let is_new =
            |network: &Network| writer.entries.get(&ChangeKey::Network(rule, *network)).is_none();
        let new: HashSet<Network> =
            networks.iter().map(|(network, _)| *network).filter(is_new).collect();
        let limit = self.bounds.networks;
        if writer.entries.networks() + new.len() > limit {
            return Err(StateError::Full { what: "networks", limit });
        }
        let live = networks.into_iter().filter(|(_, block)| !block.is_expired(now));
        let mut changes = Vec::new();
        for (network, block) in live {
            let stamp = writer.stamp(&ChangeKey::Network(rule, network), now);
            let change = NetworkChange { rule, network, stamp, block: Some(Arc::new(block)) };
            changes.push(change);
        }
        self.networks.set_all(changes.iter());
        let changes: Vec<Change> = changes.into_iter().map(Change::Network).collect();
        for change in &changes {
            writer.entries.put(change.clone());
            self.observers.tell(Observed::Changed(change));
        }
        Ok(changes)
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
