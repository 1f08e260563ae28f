//! The members whose link closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Maximum number of stored members, and of stored peers that left for good.
const MAX_PEERS: usize = 2048;
/// After this time a lost member no longer speeds up the search.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// Members whose link closed, until it opens again. The liveliness token of an incarnation that
/// never was a member is ignored: anyone with a link can declare and undeclare one.
#[derive(Debug, Default)]
pub(crate) struct LostPeers {
    state: Mutex<LostPeersState>,
    /// Notified when another member is lost.
    loss: Notify,
}

#[derive(Debug, Default)]
struct LostPeersState {
    members: BTreeSet<Incarnation>,
    /// When each lost member was lost.
    lost_since: BTreeMap<Incarnation, Instant>,
    /// The last peers that left for good: the end of their links is expected.
    left_for_good: VecDeque<Incarnation>,
}

impl LostPeers {
    /// A peer joined.
    pub(super) fn peer_joined(&self, peer: Incarnation) {
        let mut state = self.state.lock();
        if state.members.len() < MAX_PEERS {
            state.members.insert(peer);
        }
    }

    /// The path to a peer opened or closed.
    pub(super) fn note_link(&self, peer: Incarnation, link: Link) {
        let mut state = self.state.lock();
        match link {
            Link::Up => {
                state.lost_since.remove(&peer);
            }
            Link::Down if state.members.contains(&peer) && !state.left_for_good.contains(&peer) => {
                state.lost_since.insert(peer, Instant::now());
                self.loss.notify_one();
            }
            Link::Down => {}
        }
    }

    /// A peer said goodbye or has a newer incarnation: this incarnation never returns.
    pub(super) fn peer_left_for_good(&self, peer: Incarnation) {
        let mut state = self.state.lock();
        state.lost_since.remove(&peer);
        state.members.remove(&peer);
        if state.left_for_good.len() >= MAX_PEERS {
            state.left_for_good.pop_front();
        }
        state.left_for_good.push_back(peer);
    }

    /// Waits until another member is lost.
    pub(super) async fn wait_for_loss(&self) {
        self.loss.notified().await;
    }

    /// How long the most recently lost member has been lost. Members lost for more than
    /// [`GIVE_UP_AFTER`] are forgotten. `None` if no member is lost.
    pub(super) fn shortest_absence(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        let LostPeersState { members, lost_since, .. } = &mut *state;
        lost_since.retain(|peer, since| {
            let is_sought = since.elapsed() <= GIVE_UP_AFTER;
            if !is_sought {
                members.remove(peer);
            }
            is_sought
        });
        lost_since.values().map(Instant::elapsed).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_left_for_good_does_not_count_as_lost() {
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
        assert_eq!(
            lost_peers.shortest_absence(),
            Some(Duration::ZERO),
            "the fast search starts again"
        );
        lost_peers.note_link(id(4), Link::Up);
        assert_eq!(lost_peers.shortest_absence(), Some(Duration::from_secs(400)));
        tokio::time::advance(GIVE_UP_AFTER).await;
        assert_eq!(lost_peers.shortest_absence(), None, "each is given up in its time");
        let state = lost_peers.state.lock();
        assert_eq!(state.members.iter().collect::<Vec<_>>(), [&id(4)]);
    }

    #[test]
    fn incarnations_that_never_joined_are_not_lost_and_use_no_memory() {
        let lost_peers = LostPeers::default();
        for n in 0..10_000_u128 {
            lost_peers.peer_left_for_good(Incarnation(n.to_be_bytes()));
            lost_peers.note_link(Incarnation((n << 64).to_be_bytes()), Link::Down);
        }
        let state = lost_peers.state.lock();
        assert_eq!(
            (state.lost_since.len(), state.left_for_good.len(), state.members.len()),
            (0, MAX_PEERS, 0)
        );
        drop(state);
        (0..10_000_u128).for_each(|n| lost_peers.peer_joined(Incarnation((n << 64).to_be_bytes())));
        assert_eq!(lost_peers.state.lock().members.len(), MAX_PEERS);
    }
}
