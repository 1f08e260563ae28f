//! Between the frames of delivery and the bytes of the codec.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mailmesh_codec::{CodecError, FrameKind, Header, Opener, Sealer};
use mailmesh_delivery as delivery;
use mailmesh_transport::{DecodedFrame, FrameDecoder, FrameEncoder};

use crate::keys::NodeKeyring;
use crate::refusals::Refusals;
use crate::token_bucket::TokenBucket;

/// The lane number of control, short direct and relay messages, which are numbered together.
const CONTROL_LANE: u8 = 2;
/// The lane number of long direct messages.
const BULK_LANE: u8 = 3;

/// Seals frames for the bus.
pub(crate) enum SealFrames {
    /// Of an open mesh: frames are only framed.
    Open,
    Keyed(Arc<NodeKeyring>),
}

impl FrameEncoder for SealFrames {
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
            Self::Open => Sealer::open_mesh().seal(&header, &frame.body)?,
            Self::Keyed(keys) => keys.seal(&header, &frame.body)?,
        })
    }
}

/// Opens frames from the bus; refuses, counts and reports the others.
pub(crate) struct OpenFrames {
    opener: Opener,
    /// Without them the mesh is open.
    keys: Option<Arc<NodeKeyring>>,
    /// Of the keys that the opener has.
    version: u64,
    /// Attempts that may fail. Frames of who was heard before need none: what is forged in a
    /// member's name costs a copy and a pass of AES-GCM for each key.
    attempts: TokenBucket,
    refusals: Arc<Refusals>,
}

/// How many frames are opened in vain: so many a second, and at once.
const ATTEMPTS: f64 = 2_000.0;

impl OpenFrames {
    /// Of the node `own`.
    pub(crate) fn new(
        keys: Option<Arc<NodeKeyring>>,
        own: delivery::Incarnation,
        refusals: Arc<Refusals>,
    ) -> Self {
        let (opener, attempts) = (Opener::open_mesh(own.0), TokenBucket::new(ATTEMPTS, ATTEMPTS));
        Self { opener, keys, version: 0, attempts, refusals }
    }
}

impl FrameDecoder for OpenFrames {
    fn decode(&mut self, bytes: Bytes) -> Option<DecodedFrame> {
        if let Some(keys) = &self.keys {
            keys.refresh(&mut self.opener, &mut self.version);
        }
        let opened = self.frame(bytes).and_then(|outer| match outer.kind {
            delivery::FrameKind::Relay => {
                let via = delivery::Via { peer: outer.incarnation, number: outer.first };
                Ok(DecodedFrame { frame: self.frame(outer.body)?, via: Some(via) })
            }
            _ => Ok(DecodedFrame { frame: outer, via: None }),
        });
        opened.inspect_err(|error| self.refusals.count(error)).ok()
    }

    fn peer_joined(&mut self, peer: delivery::Incarnation) {
        self.opener.member_joined(peer.0);
    }

    fn peer_left(&mut self, peer: delivery::Incarnation) {
        self.opener.member_left(peer.0);
    }
}

impl OpenFrames {
    fn frame(&mut self, wire: Bytes) -> Result<delivery::Frame, CodecError> {
        let attempts = &mut self.attempts;
        let opened = self.opener.open_if(&wire, || attempts.has_one(Instant::now()));
        if opened == Err(CodecError::NotAuthentic) {
            attempts.take();
        }
        let (header, body) = opened?;
        frame(&header, body, wire)
    }
}

fn frame(header: &Header, body: Bytes, wire: Bytes) -> Result<delivery::Frame, CodecError> {
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
    fn each_kind_of_frame_comes_back_and_no_two_share_a_nonce() {
        use delivery::{FrameKind as Kind, Incarnation, Lane};
        let (us, them) = (Incarnation([1; 16]), Incarnation([2; 16]));
        let mut open = OpenFrames::new(None, us, Arc::default());
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
            let wire = SealFrames::Open.encode(&frame).unwrap();
            assert_eq!(wire[5], lane, "{kind:?}");
            let opened = open.decode(wire.clone()).unwrap();
            let same = delivery::Frame { wire: Some(wire), ..frame };
            assert_eq!((opened.frame, opened.via), (same, None));
        }
    }
}
