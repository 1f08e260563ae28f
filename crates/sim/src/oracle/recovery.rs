//! What holds once all faults have ended.

use std::collections::BTreeMap;

use mailmesh_delivery::{Endpoint, Lane};

use super::Oracle;
use crate::host::Host;

impl Oracle {
    /// After calm: everybody knows everybody and all they published, each name is borne
    /// once, and of who crashed all have the same.
    pub(crate) fn check_recovered(&self, hosts: &[Host]) -> Result<(), String> {
        let endpoints: Vec<&Endpoint> =
            hosts.iter().filter_map(|host| host.endpoint.as_ref()).collect();
        let mut names = BTreeMap::new();
        for endpoint in &endpoints {
            let receiver = endpoint.identity().incarnation;
            if let Some(other) = names.insert(endpoint.identity().name.clone(), receiver) {
                return Err(format!("{receiver:?} and {other:?} both live on with one name"));
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
                return Err(format!("{receiver:?} knows {} peers", endpoint.peer_count()));
            }
        }
        if self.survivors_agree { self.check_survivors_agree(&endpoints) } else { Ok(()) }
    }

    /// All that were there when a node ended, and still are, got the same of it.
    fn check_survivors_agree(&self, endpoints: &[&Endpoint]) -> Result<(), String> {
        for (dead, lifespan) in
            self.lifespans.iter().filter(|(_, lifespan)| lifespan.ended.is_some())
        {
            for lane in Lane::ALL {
                let mut ends = endpoints.iter().filter_map(|endpoint| {
                    let receiver = endpoint.identity().incarnation;
                    // Who began when it ended may have met it or not.
                    let was_alive_before =
                        self.lifespans.get(&receiver)?.began < lifespan.began.max(lifespan.ended?);
                    let (next, missed) = self.progress(receiver, *dead, lane)?;
                    let missed = if self.survivors_agree_on_gaps { missed } else { 0 };
                    was_alive_before.then_some((receiver, (next, missed)))
                });
                let Some((one, end)) = ends.next() else { continue };
                if let Some((other, other_end)) = ends.find(|(_, other)| *other != end) {
                    return Err(format!(
                        "of {dead:?}, which ended, {one:?} knows (next, missed) {lane} {end:?}, {other:?} {other_end:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
