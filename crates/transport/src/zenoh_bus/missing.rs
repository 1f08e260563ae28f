//! The members whose link closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most members, missing ones, and ones that left for good, that are noted.
const MOST: usize = 2048;
/// How long a missing member is looked for at all; later only at the pace of rest.
const AT_ALL: Duration = Duration::from_secs(3600);

/// Members whose link closed, until it opens again. A liveliness token of a life that was never
/// a member says nothing: whoever reaches a link can show one and take it back.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    noted: Mutex<Noted>,
    /// Woken when one more is missing.
    more: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    members: BTreeSet<Incarnation>,
    /// Since when each is missing.
    missing: BTreeMap<Incarnation, Instant>,
    /// The last that left for good: the end of their links says nothing.
    gone: VecDeque<Incarnation>,
}

impl Missing {
    /// A peer joined.
    pub(super) fn is_member(&self, peer: Incarnation) {
        let mut noted = self.noted.lock();
        if noted.members.len() < MOST {
            noted.members.insert(peer);
        }
    }

    /// The way to a peer opened or closed.
    pub(super) fn note(&self, peer: Incarnation, link: Link) {
        let mut noted = self.noted.lock();
        match link {
            Link::Up => {
                noted.missing.remove(&peer);
            }
            Link::Down if noted.members.contains(&peer) && !noted.gone.contains(&peer) => {
                noted.missing.insert(peer, Instant::now());
                self.more.notify_one();
            }
            Link::Down => {}
        }
    }

    /// A peer said goodbye, or has a new life: this one never comes back.
    pub(super) fn is_gone(&self, peer: Incarnation) {
        let mut noted = self.noted.lock();
        noted.missing.remove(&peer);
        noted.members.remove(&peer);
        if noted.gone.len() >= MOST {
            noted.gone.pop_front();
        }
        noted.gone.push_back(peer);
    }

    /// Waits until one more is missing.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    /// For how long the one is missing that is so for the shortest time; without those
    /// that are given up. `None` if nobody is.
    pub(super) fn shortest(&self) -> Option<Duration> {
        let mut noted = self.noted.lock();
        let Noted { members, missing, .. } = &mut *noted;
        missing.retain(|peer, since| {
            let is_looked_for = since.elapsed() <= AT_ALL;
            if !is_looked_for {
                members.remove(peer);
            }
            is_looked_for
        });
        missing.values().map(Instant::elapsed).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_left_for_good_is_not_looked_for_whichever_is_known_first() {
        let missing = Missing::default();
        (1..=4).for_each(|n| missing.is_member(id(n)));
        missing.note(id(1), Link::Down);
        missing.is_gone(id(1));
        missing.is_gone(id(2));
        missing.note(id(2), Link::Down);
        assert_eq!(missing.shortest(), None);
        missing.note(id(3), Link::Down);
        tokio::time::advance(Duration::from_secs(400)).await;
        missing.note(id(4), Link::Down);
        assert_eq!(missing.shortest(), Some(Duration::ZERO), "looked for briskly again");
        missing.note(id(4), Link::Up);
        assert_eq!(missing.shortest(), Some(Duration::from_secs(400)));
        tokio::time::advance(AT_ALL).await;
        assert_eq!(missing.shortest(), None, "given up, each in its time");
        let noted = missing.noted.lock();
        assert_eq!(noted.members.iter().collect::<Vec<_>>(), [&id(4)]);
    }

    #[test]
    fn lives_that_were_never_members_are_not_missing_and_take_no_place() {
        let missing = Missing::default();
        for n in 0..10_000_u128 {
            missing.is_gone(Incarnation(n.to_be_bytes()));
            missing.note(Incarnation((n << 64).to_be_bytes()), Link::Down);
        }
        let noted = missing.noted.lock();
        assert_eq!((noted.missing.len(), noted.gone.len(), noted.members.len()), (0, MOST, 0));
        drop(noted);
        (0..10_000_u128).for_each(|n| missing.is_member(Incarnation((n << 64).to_be_bytes())));
        assert_eq!(missing.noted.lock().members.len(), MOST);
    }
}
