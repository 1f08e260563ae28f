use std::fmt;

use serde::{Serialize, Serializer};

use crate::UnixMillis;

/// The writer of a change: 64 random bits, new at every start of a node, so that
/// no two writers ever make the same [`Stamp`], even if a clock stepped back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// When a change was made: a hybrid logical clock reading (Kulkarni et al.,
/// "Logical Physical Clocks", 2014), then the writer as tie-break. Stamps are
/// totally ordered; of two changes of one key the later stamp wins.
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

    /// The stamp of a physical time and a counter; a time past
    /// [`MAX_MILLIS`](Self::MAX_MILLIS) is taken as that.
    #[must_use]
    pub fn new(physical: UnixMillis, counter: u16, node: NodeId) -> Self {
        let time = physical.0.min(Self::MAX_MILLIS) << Self::COUNTER_BITS | u64::from(counter);
        Self { time, node }
    }

    /// The stamp of a clock reading as [`time`](Self::time) gives it.
    #[must_use]
    pub fn from_raw(time: u64, node: NodeId) -> Self {
        Self { time, node }
    }

    /// The clock reading: 48 bits of milliseconds, 16 bits of counter.
    #[must_use]
    pub fn time(self) -> u64 {
        self.time
    }

    /// The physical part.
    #[must_use]
    pub fn physical(self) -> UnixMillis {
        UnixMillis(self.time >> Self::COUNTER_BITS)
    }

    /// The writer.
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
    /// As text: its numbers are larger than JSON's readers keep.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
