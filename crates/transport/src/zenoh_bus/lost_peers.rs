//! The members whose link closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most members, missing ones, and ones that left for good, that are noted.
const MAX_PEERS: usize = 2048;
/// How long a missing member is looked for at all; later only at the pace of rest.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// Members whose link closed, until it opens again. A liveliness token of a life that was never
/// a member says nothing: whoever reaches a link can show one and take it back.
#[derive(Debug, Default)]
pub(crate) struct LostPeers {
    state: Mutex<LostPeersState>,
    /// Woken when one more is missing.
    peer_lost: Notify,
}

#[derive(Debug, Default)]
struct LostPeersState {
    members: BTreeSet<Incarnation>,
    /// Since when each is missing.
    lost_peers: BTreeMap<Incarnation, Instant>,
    /// The last that left for good: the end of their links says nothing.
    gone: VecDeque<Incarnation>,
}

impl LostPeers {
    /// A peer joined.
    pub(super) fn peer_joined(&self, peer: Incarnation) {
        let mut state = self.state.lock();
        if state.members.len() < MAX_PEERS {
            state.members.insert(peer);
        }
    }

    /// The way to a peer opened or closed.
    pub(super) fn note_link(&self, peer: Incarnation, link: Link) {
        let mut state = self.state.lock();
        match link {
            Link::Up => {
                state.lost_peers.remove(&peer);
            }
            Link::Down if state.members.contains(&peer) && !state.gone.contains(&peer) => {
                state.lost_peers.insert(peer, Instant::now());
                self.peer_lost.notify_one();
            }
            Link::Down => {}
        }
    }

    /// A peer said goodbye, or has a new life: this one never comes back.
    pub(super) fn peer_left_for_good(&self, peer: Incarnation) {
        let mut state = self.state.lock();
        state.lost_peers.remove(&peer);
        state.members.remove(&peer);
        if state.gone.len() >= MAX_PEERS {
            state.gone.pop_front();
        }
        state.gone.push_back(peer);
    }

    /// Waits until one more is missing.
    pub(super) async fn peer_lost(&self) {
        self.peer_lost.notified().await;
    }

    /// For how long the one is missing that is so for the shortest time; without those
    /// that are given up. `None` if nobody is.
    pub(super) fn shortest_absence(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        let LostPeersState { members, lost_peers, .. } = &mut *state;
        lost_peers.retain(|peer, since| {
            let is_looked_for = since.elapsed() <= GIVE_UP_AFTER;
            if !is_looked_for {
                members.remove(peer);
            }
            is_looked_for
        });
        lost_peers.values().map(Instant::elapsed).min()
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
        let lost_peers = LostPeers::default();
        (1..=4).for_each(|n| lost_peers.peer_joined(id(n)));
        lost_peers.note_link(id(1), Link::Down);
        lost_peers.peer_left_for_good(id(1));
        lost_peers.peer_left_for_good(id(2));
        lost_peers.note_link(id(2), Link::Down);
        assert_eq!(lost_peers.shortest_absence(), None);
        lost_peers.note_link(id(3), Link::Down);
        tokio::time::advance(Duration::from_secs(400)).await;
        lost_peers.note_link(id(4), Link::Down);
        assert_eq!(lost_peers.shortest_absence(), Some(Duration::ZERO), "looked for briskly again");
        lost_peers.note_link(id(4), Link::Up);
        assert_eq!(lost_peers.shortest_absence(), Some(Duration::from_secs(400)));
        tokio::time::advance(GIVE_UP_AFTER).await;
        assert_eq!(lost_peers.shortest_absence(), None, "given up, each in its time");
        let state = lost_peers.state.lock();
        assert_eq!(state.members.iter().collect::<Vec<_>>(), [&id(4)]);
    }

    #[test]
    fn lives_that_were_never_members_are_not_missing_and_take_no_place() {
        let lost_peers = LostPeers::default();
        for n in 0..10_000_u128 {
            lost_peers.peer_left_for_good(Incarnation(n.to_be_bytes()));
            lost_peers.note_link(Incarnation((n << 64).to_be_bytes()), Link::Down);
        }
        let state = lost_peers.state.lock();
        assert_eq!(
            (state.lost_peers.len(), state.gone.len(), state.members.len()),
            (0, MAX_PEERS, 0)
        );
        drop(state);
        (0..10_000_u128).for_each(|n| lost_peers.peer_joined(Incarnation((n << 64).to_be_bytes())));
        assert_eq!(lost_peers.state.lock().members.len(), MAX_PEERS);
    }
}
