//! The latest frames of one stream, kept to be retransmitted.

use std::collections::VecDeque;

use crate::Frame;
use crate::planted::{Fault, planted};
use crate::stream::EventRange;

/// The latest frames of one stream, for retransmission.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplayBuffer {
    /// Ordered by number. A stream of received frames may have holes.
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl ReplayBuffer {
    /// Keeps the next frame; evicts the oldest frames beyond `limit` bytes.
    pub(crate) fn push(&mut self, frame: Frame, limit: usize) {
        self.bytes += frame.cost();
        self.frames.push_back(frame);
        let limit = if planted(Fault::ReplayBufferUnbounded) { usize::MAX } else { limit };
        while self.bytes > limit && self.pop_oldest().is_some() {}
    }

    /// Removes the oldest frame; returns its cost in bytes.
    pub(crate) fn pop_oldest(&mut self) -> Option<usize> {
        let cost = self.frames.pop_front()?.cost();
        self.bytes -= cost;
        Some(cost)
    }

    /// Number of the first event still kept.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.first)
    }

    /// The frames that contain events of the range, oldest first.
    pub(crate) fn range(&self, range: EventRange) -> impl Iterator<Item = &Frame> {
        let start = self.frames.partition_point(|frame| frame.end() <= range.first);
        self.frames.range(start..).take_while(move |frame| frame.first <= range.last)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameKind, Incarnation, Lane};

    fn buffer(frames: u64, limit: usize) -> ReplayBuffer {
        let mut buffer = ReplayBuffer::default();
        for i in 0..frames {
            let (incarnation, kind) = (Incarnation([1; 16]), FrameKind::Data(Lane::Events));
            let (first, body) = (1 + 10 * i, vec![0; 72].into());
            buffer.push(
                Frame { incarnation, to: None, kind, first, count: 10, body, wire: None },
                limit,
            );
            assert!(buffer.bytes() <= limit);
        }
        buffer
    }

    fn firsts(buffer: &ReplayBuffer, first: u64, last: u64) -> Vec<u64> {
        buffer.range(EventRange { first, last }).map(|frame| frame.first).collect()
    }

    #[test]
    fn a_range_has_whole_frames_and_the_oldest_are_evicted_first() {
        let all = buffer(5, 10_000);
        assert_eq!(firsts(&all, 11, 20), [11]);
        assert_eq!(firsts(&all, 15, 21), [11, 21]);
        assert_eq!(firsts(&all, 1, u64::MAX), [1, 11, 21, 31, 41]);
        assert_eq!(firsts(&all, 51, 60), [0; 0]);
        let some = buffer(5, 450);
        assert_eq!((some.oldest(), firsts(&some, 1, 35)), (Some(31), vec![31]));
        assert_eq!(buffer(1, 100).oldest(), None);
    }
}
