//! Converts between frames of the delivery core and bytes of the codec.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mailmesh_codec::{CodecError, FrameKind, Header, OpenedFrame, Opener, Sealer};
use mailmesh_delivery as delivery;
use mailmesh_transport::{DecodedFrame, FrameDecoder, FrameEncoder};

use crate::keys::{NodeKeyring, PeerKeys};
use crate::refusals::Refusals;
use crate::token_bucket::TokenBucket;

/// Lane number of control, short direct and relay messages, which share one sequence.
const CONTROL_LANE: u8 = 2;
/// Lane number of long direct messages.
const BULK_LANE: u8 = 3;

/// Seals frames for the bus.
pub(crate) enum FrameSealer {
    /// No cluster key: frames are encoded but not sealed.
    OpenMesh,
    Keyed(Arc<NodeKeyring>),
}

impl FrameEncoder for FrameSealer {
    fn encode(
        &self,
        frame: &delivery::Frame,
    ) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let (kind, lane) = match frame.kind {
            delivery::FrameKind::Data(lane) => (FrameKind::Data, lane as u8),
            delivery::FrameKind::Control => (FrameKind::Control, CONTROL_LANE),
            delivery::FrameKind::Direct => (FrameKind::Direct, CONTROL_LANE),
            delivery::FrameKind::Bulk => (FrameKind::Direct, BULK_LANE),
            delivery::FrameKind::Relay => (FrameKind::Relay, CONTROL_LANE),
        };
        let (incarnation, first, count) = (frame.incarnation.0, frame.first, frame.count);
        let to = frame.to.map(|to| to.0);
        let header = Header { kind, lane, incarnation, to, first, count };
        Ok(match self {
            Self::OpenMesh => Sealer::unencrypted().seal(&header, &frame.body)?,
            Self::Keyed(keys) => keys.seal(&header, &frame.body)?,
        })
    }
}

/// Opens frames from the bus. Refused frames are counted.
pub(crate) struct FrameOpener {
    opener: Opener,
    /// `None` without a cluster key.
    keys: Option<Arc<NodeKeyring>>,
    /// Version of the keyring that the opener has.
    version: u64,
    /// Gets the key of the newest frame of each member.
    peer_keys: Arc<PeerKeys>,
    /// Budget for failed decryptions from unknown senders. Known senders are exempt: a frame forged
    /// in a member's name costs one copy and one AES-GCM pass per key.
    failed_opens: TokenBucket,
    refusals: Arc<Refusals>,
}

/// Failed decryptions allowed per second, and at once.
const MAX_FAILED_OPENS: f64 = 2_000.0;

impl FrameOpener {
    /// An opener for the node with incarnation `own`.
    pub(crate) fn new(
        keys: Option<Arc<NodeKeyring>>,
        own: delivery::Incarnation,
        peer_keys: Arc<PeerKeys>,
        refusals: Arc<Refusals>,
    ) -> Self {
        let (opener, failed_opens) =
            (Opener::unencrypted(own.0), TokenBucket::new(MAX_FAILED_OPENS, MAX_FAILED_OPENS));
        Self { opener, keys, version: 0, peer_keys, failed_opens, refusals }
    }
}

impl FrameDecoder for FrameOpener {
    fn decode(&mut self, bytes: Bytes) -> Option<DecodedFrame> {
        if let Some(keys) = &self.keys {
            keys.refresh(&mut self.opener, &mut self.version);
        }
        let opened = self.open_frame(bytes).and_then(|outer| match outer.kind {
            delivery::FrameKind::Relay => {
                let via = delivery::Via { peer: outer.incarnation, number: outer.first };
                Ok(DecodedFrame { frame: self.open_frame(outer.body)?, via: Some(via) })
            }
            _ => Ok(DecodedFrame { frame: outer, via: None }),
        });
        opened.inspect_err(|error| self.refusals.count(error)).ok()
    }

    fn peer_joined(&mut self, peer: delivery::Incarnation) {
        self.opener.member_joined(peer.0);
        self.peer_keys.on_joined(peer);
    }

    fn peer_left(&mut self, peer: delivery::Incarnation) {
        self.opener.member_left(peer.0);
        self.peer_keys.on_left(peer);
    }
}

impl FrameOpener {
    fn open_frame(&mut self, wire: Bytes) -> Result<delivery::Frame, CodecError> {
        let failed_opens = &mut self.failed_opens;
        let opened = self.opener.open_rate_limited(&wire, || failed_opens.has_one(Instant::now()));
        if matches!(opened, Err(CodecError::NotAuthentic)) {
            failed_opens.take();
        }
        let OpenedFrame { header, body, key } = opened?;
        if let Some(key) = key.filter(|_| header.lane == CONTROL_LANE) {
            let peer = delivery::Incarnation(header.incarnation);
            self.peer_keys.on_control_frame(peer, header.first, key);
        }
        to_frame(&header, body, wire)
    }
}

fn to_frame(header: &Header, body: Bytes, wire: Bytes) -> Result<delivery::Frame, CodecError> {
    let kind = match (header.kind, header.lane) {
        (FrameKind::Data, 0) => delivery::FrameKind::Data(delivery::Lane::Urgent),
        (FrameKind::Data, 1) => delivery::FrameKind::Data(delivery::Lane::Events),
        (FrameKind::Control, CONTROL_LANE) => delivery::FrameKind::Control,
        (FrameKind::Direct, CONTROL_LANE) => delivery::FrameKind::Direct,
        (FrameKind::Direct, BULK_LANE) => delivery::FrameKind::Bulk,
        (FrameKind::Relay, CONTROL_LANE) => delivery::FrameKind::Relay,
        (_, lane) => {
            return Err(CodecError::Header { what: "lane", value: lane.into() });
        }
    };
    let incarnation = delivery::Incarnation(header.incarnation);
    let (first, count, wire) = (header.first, header.count, Some(wire));
    let to = header.to.map(delivery::Incarnation);
    Ok(delivery::Frame { incarnation, to, kind, first, count, body, wire })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_kind_survives_a_round_trip_and_no_two_share_a_nonce() {
        use delivery::{FrameKind as Kind, Incarnation, Lane};
        let (us, them) = (Incarnation([1; 16]), Incarnation([2; 16]));
        let mut opener = FrameOpener::new(None, us, Arc::default(), Arc::default());
        let kinds = [
            (Kind::Data(Lane::Urgent), 0),
            (Kind::Data(Lane::Events), 1),
            (Kind::Control, 2),
            (Kind::Direct, 2),
            (Kind::Bulk, 3),
        ];
        for (kind, lane) in kinds {
            let (incarnation, body) = (them, Bytes::from_static(b"body"));
            let frame = delivery::Frame {
                incarnation,
                to: None,
                kind,
                first: 7,
                count: 0,
                body,
                wire: None,
            };
            let wire = FrameSealer::OpenMesh.encode(&frame).unwrap();
            assert_eq!(wire[5], lane, "{kind:?}");
            let opened = opener.decode(wire.clone()).unwrap();
            let same = delivery::Frame { wire: Some(wire), ..frame };
            assert_eq!((opened.frame, opened.via), (same, None));
        }
    }
}
