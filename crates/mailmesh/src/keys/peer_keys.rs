//! The key that each member seals with, as the member's frames show it.
//!
//! Only frames of the lane of control messages count. Their sender numbers them in order and no
//! node retransmits them, so the frame with the largest number shows the present key. An old data
//! frame may arrive at any time: a third node retransmits it as its sender sealed it. A frame that
//! an attacker replays has a number that is not larger than that of the newest frame.

use std::collections::BTreeMap;

use mailmesh_codec::KeyId;
use mailmesh_delivery::Incarnation;
use parking_lot::Mutex;

/// The newest frame of each member. The delivery core bounds the number of members.
#[derive(Debug, Default)]
pub(crate) struct PeerKeys(Mutex<BTreeMap<Incarnation, Option<NewestFrame>>>);

#[derive(Debug, Clone, Copy)]
struct NewestFrame {
    number: u64,
    key: KeyId,
}

impl PeerKeys {
    pub(crate) fn on_joined(&self, peer: Incarnation) {
        self.0.lock().entry(peer).or_default();
    }

    pub(crate) fn on_left(&self, peer: Incarnation) {
        self.0.lock().remove(&peer);
    }

    /// A frame of the control lane was opened with this key. Frames of non-members are ignored.
    pub(crate) fn on_control_frame(&self, peer: Incarnation, number: u64, key: KeyId) {
        if let Some(newest) = self.0.lock().get_mut(&peer)
            && newest.is_none_or(|newest| newest.number < number)
        {
            *newest = Some(NewestFrame { number, key });
        }
    }

    /// The members that have sent a control frame since they joined, and the key of the newest one.
    /// Heartbeats are such frames, so a member is missing for one heartbeat interval at most.
    pub(super) fn all(&self) -> BTreeMap<Incarnation, KeyId> {
        let peers = self.0.lock();
        peers.iter().filter_map(|(peer, newest)| Some((*peer, newest.as_ref()?.key))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_control_frame_of_a_member_shows_its_key() {
        let peers = PeerKeys::default();
        let [member, stranger] = [1, 2].map(|n| Incarnation([n; 16]));
        let [old, new] = [1, 2].map(|n| KeyId([n; 8]));
        peers.on_joined(member);
        assert!(peers.all().is_empty(), "no frame yet");
        peers.on_control_frame(stranger, 1, old);
        peers.on_control_frame(member, 7, old);
        peers.on_control_frame(member, 9, new);
        // Delayed, and replayed.
        peers.on_control_frame(member, 8, old);
        peers.on_control_frame(member, 9, old);
        peers.on_joined(member);
        assert_eq!(peers.all(), BTreeMap::from([(member, new)]));
        peers.on_left(member);
        peers.on_control_frame(member, 10, new);
        assert!(peers.all().is_empty());
    }
}
