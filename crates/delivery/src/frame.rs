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
    /// The same, longer than [`BULK_LEN`]. Such frames stand behind events on a link, so control
    /// messages overtake them without bound: they have numbers of their own.
    Bulk,
    /// A frame of another node, whole, as its sender made it. Only between a driver
    /// and its codec: a node gives [`Output::Relay`](crate::Output::Relay) and takes
    /// [`handle_relayed`](crate::Endpoint::handle_relayed).
    Relay,
}

/// Length of a message of the layer above from which on it is [`FrameKind::Bulk`], exclusive.
pub const BULK_LEN: usize = 1_024;

/// One message on the bus.
///
/// (incarnation, data lane, `first`), (incarnation, `first`) of bulk, and (incarnation, `first`)
/// of the other three kinds together are never used for two different frames, so a codec may use
/// them as a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sender.
    pub incarnation: Incarnation,
    /// The only node it is for, which a codec seals it for; `None`: for all, and may be
    /// passed on. Nobody can have made a frame for a node before that node began.
    pub to: Option<Incarnation>,
    /// What it carries.
    pub kind: FrameKind,
    /// Number of the first event, from 1; or of the message.
    pub first: u64,
    /// Number of events; 0 unless it carries data.
    pub count: u16,
    /// The events, opaque here.
    pub body: Bytes,
    /// The frame as it came, sealed by its sender, if the bus gave that: whoever
    /// passes it on to a third node gives exactly these bytes.
    pub wire: Option<Bytes>,
}

/// What keeping a frame costs besides its bytes.
pub(crate) const FRAME_COST: usize = 128;

impl Frame {
    /// One past the number of its last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes it takes to keep.
    pub(crate) fn cost(&self) -> usize {
        self.body.len() + self.wire.as_ref().map_or(0, Bytes::len) + FRAME_COST
    }

    /// Bytes of the window that it takes: the same at its sender and its receivers, who alone
    /// have it as it came.
    pub(crate) fn window_cost(&self) -> usize {
        self.body.len() + FRAME_COST
    }

    /// What of it is kept for others: its sender's bytes if there are any.
    pub(crate) fn for_relay(&self) -> Self {
        let body = if self.wire.is_some() { Bytes::new() } else { self.body.clone() };
        Self { body, ..self.clone() }
    }

    /// The same of a frame that tells a status, unless it is longer than any need be.
    pub(crate) fn for_introduction(&self) -> Option<Self> {
        (self.cost() <= MAX_INTRODUCTION).then(|| self.for_relay())
    }
}

/// A status with a full digest costs a third of this.
const MAX_INTRODUCTION: usize = 16 << 10;
