//! Judges from outside: what was published, what came out.

use std::collections::BTreeMap;

use mailmesh_delivery::{Incarnation, Lane};

/// A sender's lane.
type Stream = (Incarnation, Lane);

/// The promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What happened.
    pub what: String,
    /// The seed of the run.
    pub seed: u64,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

impl std::error::Error for Violation {}

/// Per receiver and stream: which event must come next.
#[derive(Debug, Default)]
pub struct Oracle {
    published: BTreeMap<Stream, u64>,
    next: BTreeMap<(Incarnation, Stream), u64>,
    joined: BTreeMap<(Incarnation, Incarnation), bool>,
}

impl Oracle {
    /// A sender published its next `count` events of a lane.
    pub fn published(&mut self, from: Incarnation, lane: Lane, count: u64) {
        *self.published.entry((from, lane)).or_default() += count;
    }

    /// The number of the last event published in a stream.
    #[must_use]
    pub fn last_published(&self, from: Incarnation, lane: Lane) -> u64 {
        self.published.get(&(from, lane)).copied().unwrap_or(0)
    }

    /// A receiver was told that a peer takes part, its events awaited after these
    /// numbers.
    ///
    /// # Errors
    /// If it takes part already, if so much was never published, or if the peer was
    /// there before and events between then and now are left out.
    pub fn joined(
        &mut self,
        at: Incarnation,
        peer: Incarnation,
        awaited_after: [u64; 2],
    ) -> Result<(), String> {
        for (lane, position) in Lane::ALL.into_iter().zip(awaited_after) {
            let last = self.last_published(peer, lane);
            if position > last {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position} of {last}"));
            }
            let next = self.next.entry((at, (peer, lane))).or_insert(position + 1);
            if *next != position + 1 {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position}, had {next}"));
            }
        }
        match self.joined.insert((at, peer), true) {
            Some(true) => Err(format!("{at:?} was told twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// A receiver was told that a peer no longer takes part.
    ///
    /// # Errors
    /// If it did not take part.
    pub fn left(&mut self, at: Incarnation, peer: Incarnation) -> Result<(), String> {
        match self.joined.insert((at, peer), false) {
            Some(true) => Ok(()),
            _ => Err(format!("{at:?} was told that {peer:?} left, which was not there")),
        }
    }

    /// A receiver got events, or was told that they are missing.
    ///
    /// # Errors
    /// If they are not the next, were never published, or come from a peer that
    /// does not take part.
    pub fn came(
        &mut self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
        count: u64,
    ) -> Result<(), String> {
        let shown = format!("{at:?} got {first}..{} of {from:?} {lane}", first + count);
        if self.joined.get(&(at, from)) != Some(&true) {
            return Err(format!("{shown}, which does not take part"));
        }
        let last = first + count - 1;
        if count == 0 || last > self.last_published(from, lane) {
            return Err(format!("{shown}, which was not published"));
        }
        let Some(next) = self.next.get_mut(&(at, (from, lane))) else {
            return Err(format!("{shown}, of which nothing is awaited"));
        };
        if *next != first {
            return Err(format!("{shown}, but {next} is next"));
        }
        *next = first + count;
        Ok(())
    }

    /// All is quiet: a receiver of a peer that takes part must know of all that
    /// it published, up to `position` by its own account.
    ///
    /// # Errors
    /// If it does not.
    pub fn quiet(
        &self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        position: u64,
    ) -> Result<(), String> {
        let last = self.last_published(from, lane);
        let came = self.next.get(&(at, (from, lane))).map_or(position, |next| next - 1);
        if position != last || came != last {
            return Err(format!(
                "{at:?} knows of {from:?} {lane} up to {position}, got up to {came}; {last} were published"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);

    #[test]
    fn every_sort_of_breach_is_seen() {
        let lane = Lane::Events;
        let mut oracle = Oracle::default();
        oracle.published(A, lane, 10);
        assert!(oracle.came(B, A, lane, 3, 1).unwrap_err().contains("does not take part"));
        assert!(oracle.joined(B, A, [0, 11]).is_err(), "more than was published");
        oracle.joined(B, A, [0, 2]).unwrap();
        assert!(oracle.joined(B, A, [0, 2]).is_err());
        assert!(oracle.came(B, A, lane, 5, 1).is_err(), "skipped from the start");
        oracle.came(B, A, lane, 3, 2).unwrap();
        assert!(
            oracle.came(B, A, lane, 4, 1).unwrap_err().contains("5 is next"),
            "delivered twice"
        );
        assert!(oracle.came(B, A, lane, 6, 1).unwrap_err().contains("5 is next"), "skipped");
        assert!(oracle.came(B, A, lane, 5, 7).unwrap_err().contains("not published"));
        assert!(oracle.quiet(B, A, lane, 10).is_err(), "a lost tail");
        oracle.came(B, A, lane, 5, 6).unwrap();
        oracle.quiet(B, A, lane, 10).unwrap();
        oracle.left(B, A).unwrap();
        assert!(oracle.left(B, A).is_err());
        oracle.published(A, lane, 5);
        assert!(oracle.joined(B, A, [0, 15]).is_err(), "what it missed meanwhile is left out");
    }
}
