//! Buffers frames of nodes whose introduction has not arrived yet.

use std::collections::VecDeque;

use crate::{Frame, FrameKind, Incarnation, PerLane};

/// Frames of senders whose introduction is still on its way. When it arrives, these frames are
/// handled as if they had arrived after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnknownSenderBuffer {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl UnknownSenderBuffer {
    /// Keeps a frame; returns the number of frames evicted for it.
    pub(crate) fn keep(&mut self, frame: Frame, limit: usize) -> u64 {
        self.bytes += frame.cost();
        self.frames.push_back(frame);
        let mut dropped = 0;
        while self.bytes > limit
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.cost();
            dropped += 1;
        }
        dropped
    }

    /// Moves `positions` back before the frames that are buffered without a hole up to them, so
    /// that events published during the introduction are not lost.
    pub(crate) fn rewind_over_buffered(
        &self,
        of: Incarnation,
        positions: PerLane<u64>,
    ) -> PerLane<u64> {
        let mut back = positions;
        // The latest frames first.
        for frame in self.frames.iter().rev().filter(|frame| frame.incarnation == of) {
            if let FrameKind::Data(lane) = frame.kind
                && (frame.first..frame.end()).contains(&back[lane])
            {
                back[lane] = frame.first - 1;
            }
        }
        back
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the frames of one sender, oldest first.
    pub(crate) fn take(&mut self, incarnation: Incarnation) -> Vec<Frame> {
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            self.frames.drain(..).partition(|frame| frame.incarnation == incarnation);
        self.frames = kept;
        self.bytes -= taken.iter().map(Frame::cost).sum::<usize>();
        taken.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;

    fn frame(sender: u8, first: u64) -> Frame {
        let kind = FrameKind::Data(Lane::Events);
        Frame {
            to: None,
            incarnation: Incarnation([sender; 16]),
            kind,
            first,
            count: 1,
            body: vec![0; 72].into(),
            wire: None,
        }
    }

    #[test]
    fn the_start_position_moves_back_before_contiguous_buffered_frames() {
        let mut unknown_senders = UnknownSenderBuffer::default();
        for first in [1, 2, 5, 6, 7, 9] {
            unknown_senders.keep(frame(1, first), 1 << 20);
        }
        unknown_senders.keep(frame(2, 8), 1 << 20);
        let back = |position| {
            let positions = PerLane::new(position, position);
            unknown_senders.rewind_over_buffered(Incarnation([1; 16]), positions)
        };
        // Only frames of the lane `Events` are buffered.
        let expected = [(7, 4), (8, 8), (9, 8), (2, 0), (0, 0)];
        let expected = expected.map(|(urgent, events)| PerLane::new(urgent, events));
        assert_eq!([7, 8, 9, 2, 0].map(back), expected);
    }

    #[test]
    fn frames_keep_their_order_and_the_oldest_are_evicted_first() {
        let mut unknown_senders = UnknownSenderBuffer::default();
        let dropped: u64 = (0..6).map(|i| unknown_senders.keep(frame(i as u8 % 2, i), 1_000)).sum();
        assert_eq!(dropped, 1);
        let firsts = |frames: Vec<Frame>| frames.iter().map(|f| f.first).collect::<Vec<_>>();
        assert_eq!(firsts(unknown_senders.take(Incarnation([0; 16]))), [2, 4]);
        assert_eq!(firsts(unknown_senders.take(Incarnation([1; 16]))), [1, 3, 5]);
        assert_eq!((unknown_senders.bytes, unknown_senders.frames.len()), (0, 0));
    }
}
