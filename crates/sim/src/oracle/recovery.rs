//! Invariants that hold some time after all faults ended.

use std::collections::BTreeMap;

use mailmesh_delivery::{Endpoint, Lane};

use super::Oracle;
use crate::host::Host;

impl Oracle {
    /// All nodes know each other and all that each of them published. Each name belongs to one
    /// node. The survivors of a node that ended agree on its events.
    pub(crate) fn check_recovered(&self, hosts: &[Host]) -> Result<(), String> {
        let endpoints: Vec<&Endpoint> =
            hosts.iter().filter_map(|host| host.endpoint.as_ref()).collect();
        let mut names = BTreeMap::new();
        for endpoint in &endpoints {
            let receiver = endpoint.identity().incarnation;
            if let Some(other) = names.insert(endpoint.identity().name.clone(), receiver) {
                return Err(format!("{receiver:?} and {other:?} are both alive with one name"));
            }
            for other in endpoints.iter().filter(|other| other.identity().incarnation != receiver) {
                let from = other.identity().incarnation;
                for lane in Lane::ALL {
                    let position = endpoint.peer_position(from, lane);
                    let position =
                        position.ok_or_else(|| format!("{receiver:?} does not know {from:?}"))?;
                    self.check_complete(receiver, from, lane, position)?;
                }
            }
            if !self.has_liars && endpoint.peer_count() != endpoints.len() - 1 {
                return Err(format!(
                    "{receiver:?} has {} peers instead of {}",
                    endpoint.peer_count(),
                    endpoints.len() - 1
                ));
            }
        }
        if self.survivors_agree { self.check_survivors_agree(&endpoints) } else { Ok(()) }
    }

    /// All survivors that started before a node ended got the same events of it.
    fn check_survivors_agree(&self, endpoints: &[&Endpoint]) -> Result<(), String> {
        for (dead, lifespan) in
            self.lifespans.iter().filter(|(_, lifespan)| lifespan.ended.is_some())
        {
            for lane in Lane::ALL {
                let mut ends = endpoints.iter().filter_map(|endpoint| {
                    let receiver = endpoint.identity().incarnation;
                    // A node that started after that end may or may not have met the ended node.
                    let was_alive_before =
                        self.lifespans.get(&receiver)?.began < lifespan.began.max(lifespan.ended?);
                    let (next, missed) = self.progress(receiver, *dead, lane)?;
                    let missed = if self.survivors_agree_on_gaps { missed } else { 0 };
                    was_alive_before.then_some((receiver, (next, missed)))
                });
                let Some((one, end)) = ends.next() else { continue };
                if let Some((other, other_end)) = ends.find(|(_, other)| *other != end) {
                    return Err(format!(
                        "of {dead:?}, which ended, {one:?} has (next, missing) {lane} {end:?}, \
                         but {other:?} has {other_end:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
