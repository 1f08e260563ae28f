use bytes::Bytes;

use crate::{Incarnation, Lane};

/// Most events in one frame.
pub const MAX_EVENTS_PER_FRAME: u16 = 1024;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameKind {
    /// Events of a lane.
    Data(Lane),
    /// A message of this protocol.
    Control,
    /// A message of the layer above, to one peer, neither ordered nor repeated.
    Direct,
}

/// One message on the bus.
///
/// (incarnation, data lane, `first`) and (incarnation, `first`) of the other two
/// kinds together are never used for two different frames, so a codec may use
/// them as a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sender.
    pub incarnation: Incarnation,
    /// What it carries.
    pub kind: FrameKind,
    /// Number of the first event, from 1; or of the message.
    pub first: u64,
    /// Number of events; 0 unless it carries data.
    pub count: u16,
    /// The events, opaque here.
    pub body: Bytes,
}
