use crate::CodecError;

/// The version of the wire this crate writes. It reads this one (and, once there
/// is a second, the one before).
pub const VERSION: u8 = 1;
/// Length of an encoded [`Header`] in bytes.
pub const HEADER_LEN: usize = 32;
/// Longest frame in bytes, header and seal included: one event of the largest
/// size fits.
pub const MAX_FRAME_LEN: usize = mailmesh_events::limits::EVENT_LEN + 4096;

const MAGIC: [u8; 2] = *b"mm";
/// Most events in a frame.
const MAX_COUNT: u16 = 1024;
const FLAG_SEALED: u8 = 1;
/// It is for one node, whose incarnation is sealed with it and not in the frame.
const FLAG_FOR_ONE: u8 = 2;

/// What a frame's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum FrameKind {
    /// `count` events of a lane, numbered from `first`.
    Data = 1,
    /// A message of the delivery protocol.
    Control = 2,
    /// A message between mirrors.
    Direct = 3,
    /// A whole frame of another node, passed on.
    Relay = 4,
}

/// The fixed head of a frame. With a cluster key it is authenticated as the
/// seal's associated data, and names the nonce: (incarnation, lane, first) is
/// never used for two different frames.
///
/// ```text
///  0  2  4  5    6      8             24         32
///  |mm|ver,kind|flags|lane|count| incarnation | first | body ...
///   2   1   1    1    1     2        16          8        big endian
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: FrameKind,
    /// The lane; the codec gives it no meaning.
    pub lane: u8,
    /// The sender's incarnation.
    pub incarnation: [u8; 16],
    /// The incarnation of the only node it is for, if it is not for all. Not in the bytes:
    /// sealed with them, so that no other node takes the frame, nor this one in another
    /// life.
    pub to: Option<[u8; 16]>,
    /// The sequence number of the first event, or of the control message.
    pub first: u64,
    /// Number of events, at most 1,024.
    pub count: u16,
}

impl Header {
    /// The 32 bytes of this header.
    #[must_use]
    pub(crate) fn encode(&self, sealed: Sealed) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = VERSION;
        out[3] = self.kind as u8;
        out[4] = if sealed == Sealed::Yes { FLAG_SEALED } else { 0 }
            | if self.to.is_some() { FLAG_FOR_ONE } else { 0 };
        out[5] = self.lane;
        out[6..8].copy_from_slice(&self.count.to_be_bytes());
        out[8..24].copy_from_slice(&self.incarnation);
        out[24..].copy_from_slice(&self.first.to_be_bytes());
        out
    }

    /// Reads a header off the front of a frame that came to the node `own`.
    ///
    /// # Errors
    /// Those that name a header: `Truncated`, `Magic`, `Version`, `Header`,
    /// and `TooLong` for a frame past [`MAX_FRAME_LEN`].
    pub(crate) fn decode(frame: &[u8], own: [u8; 16]) -> Result<(Self, Sealed), CodecError> {
        if frame.len() > MAX_FRAME_LEN {
            let (actual, limit) = (frame.len() as u64, MAX_FRAME_LEN as u64);
            return Err(CodecError::TooLong { what: "the frame", actual, limit });
        }
        let head: &[u8; HEADER_LEN] =
            frame.first_chunk().ok_or(CodecError::Truncated { what: "the frame header" })?;
        let [m0, m1, version, kind, flags, lane, c0, c1, ..] = *head;
        if [m0, m1] != MAGIC {
            return Err(CodecError::Magic([m0, m1]));
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
        if flags & !(FLAG_SEALED | FLAG_FOR_ONE) != 0 {
            return Err(CodecError::Header { what: "flags", value: flags.into() });
        }
        let sealed = if flags & FLAG_SEALED != 0 { Sealed::Yes } else { Sealed::No };
        let to = (flags & FLAG_FOR_ONE != 0).then_some(own);
        let count = u16::from_be_bytes([c0, c1]);
        if count > MAX_COUNT {
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

/// Whether a frame's body is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealed {
    No,
    Yes,
}
