//! What holds once all faults have ended.

use std::collections::BTreeMap;

use mailmesh_delivery::{Endpoint, Lane};

use super::Oracle;
use crate::seat::Seat;

impl Oracle {
    /// After calm: everybody knows everybody and all they published, each name is borne
    /// once, and of who crashed all have the same.
    pub(crate) fn check_calm(&self, seats: &[Seat]) -> Result<(), String> {
        let nodes: Vec<&Endpoint> = seats.iter().filter_map(|seat| seat.node.as_ref()).collect();
        let mut names = BTreeMap::new();
        for node in &nodes {
            let at = node.identity().incarnation;
            if let Some(other) = names.insert(node.identity().name.clone(), at) {
                return Err(format!("{at:?} and {other:?} both live on with one name"));
            }
            for other in nodes.iter().filter(|other| other.identity().incarnation != at) {
                let from = other.identity().incarnation;
                for lane in Lane::ALL {
                    let position = node.peer_position(from, lane);
                    let position =
                        position.ok_or_else(|| format!("{at:?} does not know {from:?}"))?;
                    self.quiet(at, from, lane, position)?;
                }
            }
            if !self.some_lie && node.peer_count() != nodes.len() - 1 {
                return Err(format!("{at:?} knows {} peers", node.peer_count()));
            }
        }
        if self.same_last_words { self.check_last_words(&nodes) } else { Ok(()) }
    }

    /// All that were there when a node ended, and still are, got the same of it.
    fn check_last_words(&self, nodes: &[&Endpoint]) -> Result<(), String> {
        for (dead, life) in self.lives.iter().filter(|(_, life)| life.ended.is_some()) {
            for lane in Lane::ALL {
                let mut ends = nodes.iter().filter_map(|node| {
                    let at = node.identity().incarnation;
                    // Who began when it ended may have met it or not.
                    let was_there = self.lives.get(&at)?.began < life.began.max(life.ended?);
                    let (next, missed) = self.got(at, *dead, lane)?;
                    let missed = if self.same_gaps { missed } else { 0 };
                    was_there.then_some((at, (next, missed)))
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
