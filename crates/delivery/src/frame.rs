//! A frame as this crate sees it: sender, kind, numbers, opaque body.

use bytes::Bytes;

use crate::{Incarnation, Lane};

/// Maximum number of events in one frame.
pub const MAX_EVENTS_PER_FRAME: u16 = 1024;

/// The contents of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameKind {
    /// Events of a lane.
    Data(Lane),
    /// A control message of this protocol.
    Control,
    /// A message of the layer above to one peer, unordered and never retransmitted.
    Direct,
    /// The same, longer than [`BULK_LEN`]. Such frames queue behind events on a link, so any number
    /// of control messages may overtake them. They have a number sequence of their own.
    Bulk,
    /// A whole frame of another node, exactly as its sender encoded it. Only a driver and its codec
    /// use this kind: an endpoint outputs [`Output::Relay`](crate::Output::Relay) and takes
    /// [`handle_relayed`](crate::Endpoint::handle_relayed).
    Relay,
}

/// Maximum bytes of a [`FrameKind::Direct`] message; a longer one is [`FrameKind::Bulk`].
pub const BULK_LEN: usize = 1_024;

/// One message on the bus.
///
/// A codec may use these as a nonce, since two different frames never share them: (incarnation,
/// lane, `first`) of data, (incarnation, `first`) of bulk, and (incarnation, `first`) of the other
/// three kinds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sender.
    pub incarnation: Incarnation,
    /// The only recipient, for which a codec seals the frame. `None`: the frame is for all, and
    /// peers may relay it. A frame for a node proves that its sender was alive after that node
    /// started.
    pub to: Option<Incarnation>,
    /// The contents, which decide how `first` is numbered.
    pub kind: FrameKind,
    /// Number of the first event, from 1; or number of the message.
    pub first: u64,
    /// Number of events; 0 unless the frame carries data.
    pub count: u16,
    /// The encoded events or message. Event bodies are opaque to this crate.
    pub body: Bytes,
    /// The frame as it arrived, sealed by its sender, if the bus provides that. A relay passes on
    /// exactly these bytes.
    pub wire: Option<Bytes>,
}

/// Bytes that keeping a frame costs besides its contents.
pub(crate) const FRAME_COST: usize = 128;

impl Frame {
    /// The number after that of the last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes that keeping the frame costs.
    pub(crate) fn cost(&self) -> usize {
        self.body.len() + self.wire.as_ref().map_or(0, Bytes::len) + FRAME_COST
    }

    /// Bytes of the window that the frame uses. It leaves out `wire`, which only receivers have, so
    /// that sender and receivers count the same.
    pub(crate) fn window_cost(&self) -> usize {
        self.body.len() + FRAME_COST
    }

    /// The part kept for other peers: the sender's sealed bytes if there are any, else the body.
    pub(crate) fn for_relay(&self) -> Self {
        let body = if self.wire.is_some() { Bytes::new() } else { self.body.clone() };
        Self { body, ..self.clone() }
    }

    /// The same for a frame with a status; `None` if the frame is longer than a status needs.
    pub(crate) fn for_introduction(&self) -> Option<Self> {
        (self.cost() <= MAX_INTRODUCTION).then(|| self.for_relay())
    }
}

/// Maximum cost of an introduction. A status with a full digest costs a third of this.
const MAX_INTRODUCTION: usize = 16 << 10;
