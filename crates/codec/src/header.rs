//! The fixed header of a frame: its fields, their limits, their encoding.

use crate::CodecError;

/// The version of the wire format that this crate writes, and the only one that it reads.
pub const VERSION: u8 = 1;
/// Length of an encoded [`Header`] in bytes.
pub const HEADER_LEN: usize = 32;
/// Longest frame in bytes, with header and authentication tag. An event of the maximum length
/// fits.
pub const MAX_FRAME_LEN: usize = mailmesh_events::limits::EVENT_LEN + 4096;

const MAGIC: [u8; 2] = *b"mm";
/// Most events in one frame.
const MAX_EVENTS: u16 = 1024;
const FLAG_SEALED: u8 = 1;
/// The frame is for one node. Its incarnation is authenticated, but not part of the frame.
const FLAG_UNICAST: u8 = 2;

/// The content of a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum FrameKind {
    /// `count` events of one lane, with consecutive sequence numbers from `first`.
    Data = 1,
    /// A message of the delivery protocol.
    Control = 2,
    /// A message to one node about its mirror, its clock or its keys.
    Direct = 3,
    /// A whole frame of another node, relayed by the sender.
    Relay = 4,
}

/// The fixed header of a frame. With a cluster key it is authenticated as associated data and
/// determines key and nonce: a sender never uses (incarnation, lane, first) for two different
/// frames.
///
/// ```text
///  0  2  4  5    6      8             24         32
///  |mm|ver,kind|flags|lane|count| incarnation | first | body ...
///   2   1   1    1    1     2        16          8        big endian
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The content of the body.
    pub kind: FrameKind,
    /// The lane of the delivery protocol; the codec does not interpret it.
    pub lane: u8,
    /// The incarnation of the sender.
    pub incarnation: [u8; 16],
    /// The incarnation of the only recipient; `None` if the frame is for all nodes. It is part of
    /// the associated data, not of the frame. So no other node, and no later incarnation of this
    /// one, accepts the frame.
    pub to: Option<[u8; 16]>,
    /// The sequence number of the first event, or of the message.
    pub first: u64,
    /// Number of events, at most 1,024; 0 unless the body is events.
    pub count: u16,
}

impl Header {
    /// Encodes the header.
    #[must_use]
    pub(crate) fn encode(&self, sealed: Sealed) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = VERSION;
        out[3] = self.kind as u8;
        out[4] = if sealed == Sealed::Yes { FLAG_SEALED } else { 0 }
            | if self.to.is_some() { FLAG_UNICAST } else { 0 };
        out[5] = self.lane;
        out[6..8].copy_from_slice(&self.count.to_be_bytes());
        out[8..24].copy_from_slice(&self.incarnation);
        out[24..].copy_from_slice(&self.first.to_be_bytes());
        out
    }

    /// Decodes the header of a frame that the incarnation `own` received.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Version` and `Header`; `TooLong` for a frame past
    /// [`MAX_FRAME_LEN`].
    pub(crate) fn decode(frame: &[u8], own: [u8; 16]) -> Result<(Self, Sealed), CodecError> {
        if frame.len() > MAX_FRAME_LEN {
            let (actual, limit) = (frame.len() as u64, MAX_FRAME_LEN as u64);
            return Err(CodecError::TooLong { what: "the frame", actual, limit });
        }
        let head: &[u8; HEADER_LEN] =
            frame.first_chunk().ok_or(CodecError::Truncated { what: "the frame header" })?;
        let [m0, m1, version, kind, flags, lane, c0, c1, ..] = *head;
        if [m0, m1] != MAGIC {
            return Err(CodecError::Magic { found: [m0, m1] });
        }
        if version != VERSION {
            return Err(CodecError::Version { theirs: version, ours: VERSION });
        }
        let kind = match kind {
            1 => FrameKind::Data,
            2 => FrameKind::Control,
            3 => FrameKind::Direct,
            4 => FrameKind::Relay,
            other => {
                return Err(CodecError::Header { what: "kind", value: other.into() });
            }
        };
        if flags & !(FLAG_SEALED | FLAG_UNICAST) != 0 {
            return Err(CodecError::Header { what: "flags", value: flags.into() });
        }
        let sealed = if flags & FLAG_SEALED != 0 { Sealed::Yes } else { Sealed::No };
        let to = (flags & FLAG_UNICAST != 0).then_some(own);
        let count = u16::from_be_bytes([c0, c1]);
        if count > MAX_EVENTS {
            return Err(CodecError::Header { what: "count", value: count.into() });
        }
        let mut incarnation = [0; 16];
        incarnation.copy_from_slice(&head[8..24]);
        let mut first = [0; 8];
        first.copy_from_slice(&head[24..]);
        let first = u64::from_be_bytes(first);
        if first.checked_add(u64::from(count)).is_none() {
            return Err(CodecError::Header { what: "first sequence number", value: first });
        }
        Ok((Self { kind, lane, incarnation, to, first, count }, sealed))
    }
}

/// Whether the body of a frame is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealed {
    No,
    Yes,
}
