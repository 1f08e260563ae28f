//! The hybrid logical time and the writer of a change.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::UnixMillis;

/// The writer of a change: 64 random bits, new at every start of a node. So no two writers make
/// the same [`Stamp`], even if a clock stepped back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// When a change was made: a hybrid logical clock reading (Kulkarni et al., "Logical Physical
/// Clocks", 2014), with the writer as tie-break. Stamps are totally ordered. Of two changes of one
/// key, the change with the later stamp wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    time: u64,
    node: NodeId,
}

impl Stamp {
    /// Bits of the logical counter, below 48 bits of milliseconds.
    const COUNTER_BITS: u32 = 16;
    /// The largest physical part, about the year 10889.
    pub const MAX_MILLIS: u64 = u64::MAX >> Self::COUNTER_BITS;

    /// The stamp of a physical time and a counter. A time past [`MAX_MILLIS`](Self::MAX_MILLIS)
    /// is clamped.
    #[must_use]
    pub fn new(physical: UnixMillis, counter: u16, node: NodeId) -> Self {
        let time = physical.0.min(Self::MAX_MILLIS) << Self::COUNTER_BITS | u64::from(counter);
        Self { time, node }
    }

    /// The stamp of a clock reading in the form of [`time`](Self::time).
    #[must_use]
    pub fn from_raw(time: u64, node: NodeId) -> Self {
        Self { time, node }
    }

    /// The clock reading: 48 bits of milliseconds, 16 bits of counter.
    #[must_use]
    pub fn time(self) -> u64 {
        self.time
    }

    /// The physical part of the clock reading.
    #[must_use]
    pub fn physical(self) -> UnixMillis {
        UnixMillis(self.time >> Self::COUNTER_BITS)
    }

    /// The node that made the change.
    #[must_use]
    pub fn node(self) -> NodeId {
        self.node
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counter = self.time & ((1 << Self::COUNTER_BITS) - 1);
        write!(f, "{}+{counter} by {}", self.physical(), self.node)
    }
}

impl Serialize for Stamp {
    /// As text, because many JSON parsers lose precision above 2^53.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
