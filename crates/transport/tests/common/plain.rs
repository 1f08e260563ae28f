//! Unsealed frames: a stand-in for the sealing encoder, in tests and benches.

use bytes::Bytes;
use mailmesh_delivery::{Frame, FrameKind, Incarnation, Lane, Via};
use mailmesh_transport::{DecodedFrame, FrameDecoder, FrameEncoder};

/// Encodes kind, count, number, sender and destination, then the body.
pub(crate) struct Plain;

impl FrameEncoder for Plain {
    fn encode(&self, frame: &Frame) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let kind = match frame.kind {
            FrameKind::Data(lane) => lane as u8,
            FrameKind::Control => 2,
            FrameKind::Direct => 3,
            FrameKind::Relay => 4,
            FrameKind::Bulk => 5,
        };
        let mut out = vec![kind];
        out.extend(frame.count.to_be_bytes());
        out.extend(frame.first.to_be_bytes());
        out.extend(frame.incarnation.0);
        out.extend(frame.to.map_or([0; 16], |to| to.0));
        out.extend(&frame.body);
        Ok(out.into())
    }
}

impl FrameDecoder for Plain {
    fn decode(&mut self, wire: Bytes) -> Option<DecodedFrame> {
        let outer = read(wire)?;
        if outer.kind == FrameKind::Relay {
            let via = Via { peer: outer.incarnation, number: outer.first };
            return Some(DecodedFrame { frame: read(outer.body)?, via: Some(via) });
        }
        Some(DecodedFrame { frame: outer, via: None })
    }
}

fn read(wire: Bytes) -> Option<Frame> {
    let (kind, rest) = wire.split_first()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (incarnation, rest) = rest.split_first_chunk()?;
    let (to, body) = rest.split_first_chunk::<16>()?;
    let kind = match kind {
        0 => FrameKind::Data(Lane::Urgent),
        1 => FrameKind::Data(Lane::Events),
        2 => FrameKind::Control,
        3 => FrameKind::Direct,
        5 => FrameKind::Bulk,
        _ => FrameKind::Relay,
    };
    let body = Bytes::copy_from_slice(body);
    Some(Frame {
        to: (*to != [0; 16]).then_some(Incarnation(*to)),
        incarnation: Incarnation(*incarnation),
        kind,
        first: u64::from_be_bytes(*first),
        count: u16::from_be_bytes(*count),
        body,
        wire: Some(wire),
    })
}
