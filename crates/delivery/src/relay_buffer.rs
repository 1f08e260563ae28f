//! What was received lately, for peers that missed it and cannot ask its sender.

use std::collections::{BTreeMap, VecDeque};

use crate::planted::{Fault, planted};
use crate::replay_buffer::ReplayBuffer;
use crate::{Frame, Incarnation, Lane};

/// A sender's lane.
type Stream = (Incarnation, Lane);

/// The latest frames of all senders, within one bound of bytes; past it the oldest
/// of all go.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelayBuffer {
    rings: BTreeMap<Stream, ReplayBuffer>,
    /// To whom each frame belongs, oldest first.
    order: VecDeque<Stream>,
    bytes: usize,
}

impl RelayBuffer {
    /// Keeps a frame that was released in order.
    pub(crate) fn keep(&mut self, lane: Lane, frame: &Frame, limit: usize) {
        let stream = (frame.incarnation, lane);
        let frame = frame.for_relay();
        self.bytes += frame.cost();
        self.rings.entry(stream).or_default().push(frame, usize::MAX);
        self.order.push_back(stream);
        let limit = if planted(Fault::RelayBufferUnbounded) { usize::MAX } else { limit };
        while self.bytes > limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.drop_oldest(oldest);
        }
    }

    /// The frames of a sender that have events from `first` to `last`.
    pub(crate) fn range(
        &self,
        (from, lane): Stream,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = &Frame> {
        self.rings.get(&(from, lane)).into_iter().flat_map(move |ring| ring.range(first, last))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self, stream: Stream) {
        if let Some(ring) = self.rings.get_mut(&stream) {
            self.bytes -= ring.pop_oldest().unwrap_or(0);
            if ring.oldest().is_none() {
                self.rings.remove(&stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrameKind;

    const LANE: Lane = Lane::Events;

    fn frame(sender: u8, first: u64) -> Frame {
        let (incarnation, kind) = (Incarnation([sender; 16]), FrameKind::Data(LANE));
        let (body, wire) = (vec![0; 500].into(), Some(vec![1; 72].into()));
        Frame { incarnation, to: None, kind, first, count: 10, body, wire }
    }

    #[test]
    fn the_oldest_of_all_senders_go_first_and_only_the_senders_bytes_are_kept() {
        let mut received = RelayBuffer::default();
        for i in 0..6 {
            received.keep(LANE, &frame(i as u8 % 2, 1 + 10 * i), 800);
            assert!(received.bytes() <= 800);
        }
        let firsts = |sender| {
            let stream = (Incarnation([sender; 16]), LANE);
            received.range(stream, 1, u64::MAX).map(|frame| frame.first).collect::<Vec<_>>()
        };
        assert_eq!((firsts(0), firsts(1)), (vec![21, 41], vec![31, 51]));
        let kept = received.range((Incarnation([0; 16]), LANE), 21, 21).next().unwrap();
        assert!(kept.body.is_empty() && kept.wire.as_ref().is_some_and(|wire| wire.len() == 72));
    }

    #[test]
    fn nothing_is_kept_of_a_sender_whose_frames_all_went() {
        let mut received = RelayBuffer::default();
        received.keep(LANE, &frame(1, 1), 200);
        received.keep(LANE, &frame(2, 1), 200);
        assert_eq!((received.rings.len(), received.order.len()), (1, 1));
    }
}
