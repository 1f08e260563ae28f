//! Sends the direct messages of a node: those between mirrors, about clocks and about keys.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_codec::encode_sync;
use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::SyncMessage;
use mailmesh_transport::DriverHandle;

#[derive(Debug, Clone)]
pub(crate) struct DirectSender {
    handle: DriverHandle,
    /// Frames are sealed, so private keys may be sent.
    is_sealed: bool,
}

impl DirectSender {
    pub(crate) fn new(handle: DriverHandle, is_sealed: bool) -> Self {
        Self { handle, is_sealed }
    }

    /// Whether frames are sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Sends messages to members, at most once each. A peer that left meanwhile needs none.
    pub(crate) fn send(&self, messages: impl IntoIterator<Item = (Incarnation, SyncMessage)>) {
        for (peer, mut message) in messages {
            if let SyncMessage::Part { changes, .. } | SyncMessage::Entries { changes, .. } =
                &mut message
                && !self.is_sealed
            {
                // An open mesh has no private keys; this line makes sure that none leaves it.
                changes.retain(|change| !change.has_private_key());
            }
            match encode_sync(&message) {
                Ok(body) => {
                    let _peer_left = self.handle.send_direct(peer, body.into());
                }
                Err(error) => tracing::error!(%error, "a direct message was not sent"),
            }
        }
    }

    /// The driver's handle.
    pub(crate) fn handle(&self) -> &DriverHandle {
        &self.handle
    }

    /// The members, with how long ago each was heard.
    pub(crate) fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        self.handle.peers()
    }

    /// The names of the members.
    pub(crate) fn member_names(&self) -> BTreeMap<Incarnation, NodeName> {
        self.peers().into_iter().map(|(peer, _)| (peer.incarnation, peer.name)).collect()
    }
}
