//! Recently received frames, for peers that missed them and cannot request them from their sender.

use std::collections::{BTreeMap, VecDeque};

use crate::planted::{Fault, planted};
use crate::replay_buffer::ReplayBuffer;
use crate::stream::{EventRange, StreamId};
use crate::{Frame, Lane};

/// The latest frames of all senders, within one bound of bytes. Beyond it the oldest frame of any
/// sender is evicted.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelayBuffer {
    streams: BTreeMap<StreamId, ReplayBuffer>,
    /// The stream of each frame, oldest frame first.
    order: VecDeque<StreamId>,
    bytes: usize,
}

impl RelayBuffer {
    /// Keeps a frame that was released in order.
    pub(crate) fn keep(&mut self, lane: Lane, frame: &Frame, limit: usize) {
        let stream = StreamId { sender: frame.incarnation, lane };
        let frame = frame.for_relay();
        self.bytes += frame.cost();
        self.streams.entry(stream).or_default().push(frame, usize::MAX);
        self.order.push_back(stream);
        let limit = if planted(Fault::RelayBufferUnbounded) { usize::MAX } else { limit };
        while self.bytes > limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.drop_oldest(oldest);
        }
    }

    /// The frames of a stream that contain events of the range.
    pub(crate) fn range(
        &self,
        stream: StreamId,
        range: EventRange,
    ) -> impl Iterator<Item = &Frame> {
        self.streams.get(&stream).into_iter().flat_map(move |frames| frames.range(range))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self, stream: StreamId) {
        if let Some(frames) = self.streams.get_mut(&stream) {
            self.bytes -= frames.pop_oldest().unwrap_or(0);
            if frames.oldest().is_none() {
                self.streams.remove(&stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameKind, Incarnation};

    const LANE: Lane = Lane::Events;

    fn frame(sender: u8, first: u64) -> Frame {
        let (incarnation, kind) = (Incarnation([sender; 16]), FrameKind::Data(LANE));
        let (body, wire) = (vec![0; 500].into(), Some(vec![1; 72].into()));
        Frame { incarnation, to: None, kind, first, count: 10, body, wire }
    }

    #[test]
    fn the_oldest_frames_are_evicted_and_only_wire_bytes_are_kept() {
        let mut buffer = RelayBuffer::default();
        for i in 0..6 {
            buffer.keep(LANE, &frame(i as u8 % 2, 1 + 10 * i), 800);
            assert!(buffer.bytes() <= 800);
        }
        let stream = |sender| StreamId { sender: Incarnation([sender; 16]), lane: LANE };
        let firsts = |sender| {
            let all = buffer.range(stream(sender), EventRange { first: 1, last: u64::MAX });
            all.map(|frame| frame.first).collect::<Vec<_>>()
        };
        assert_eq!((firsts(0), firsts(1)), (vec![21, 41], vec![31, 51]));
        let kept = buffer.range(stream(0), EventRange { first: 21, last: 21 }).next().unwrap();
        assert!(kept.body.is_empty() && kept.wire.as_ref().is_some_and(|wire| wire.len() == 72));
    }

    #[test]
    fn a_stream_without_frames_has_no_entry() {
        let mut buffer = RelayBuffer::default();
        buffer.keep(LANE, &frame(1, 1), 200);
        buffer.keep(LANE, &frame(2, 1), 200);
        assert_eq!((buffer.streams.len(), buffer.order.len()), (1, 1));
    }
}
