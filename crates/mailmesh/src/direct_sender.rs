//! Sends a node's direct messages: reconciliation, clock queries and key requests.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_codec::encode_direct;
use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::{DirectMessage, SyncMessage};
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

    /// Sends messages to members, at most once each. Messages to a peer that has left are dropped.
    pub(crate) fn send<M: Into<DirectMessage>>(
        &self,
        messages: impl IntoIterator<Item = (Incarnation, M)>,
    ) {
        for (peer, message) in messages {
            let mut message = message.into();
            if let DirectMessage::Sync(
                SyncMessage::Part { changes, .. } | SyncMessage::Entries { changes, .. },
            ) = &mut message
                && !self.is_sealed
            {
                // Without a cluster key the mirror holds no private keys; this check ensures that
                // none is sent.
                changes.retain(|change| !change.has_private_key());
            }
            match encode_direct(&message) {
                Ok(body) => {
                    let _peer_left = self.handle.send_direct(peer, body.into());
                }
                Err(error) => tracing::error!(%error, "a direct message was not sent"),
            }
        }
    }

    /// Handle of the transport driver.
    pub(crate) fn handle(&self) -> &DriverHandle {
        &self.handle
    }

    /// The members, each with the time since its last frame.
    pub(crate) fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        self.handle.peers()
    }

    /// The names of the members.
    pub(crate) fn member_names(&self) -> BTreeMap<Incarnation, NodeName> {
        self.peers().into_iter().map(|(peer, _)| (peer.incarnation, peer.name)).collect()
    }
}
