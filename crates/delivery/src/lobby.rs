use std::collections::VecDeque;

use crate::{Frame, Incarnation};

/// Frames of senders whose introduction is still on its way. When it comes, they
/// are handled as if they had come after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lobby {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Lobby {
    /// Keeps a frame; gives the number of frames that had to go for it.
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
    use crate::{FrameKind, Lane};

    fn frame(sender: u8, first: u64) -> Frame {
        let kind = FrameKind::Data(Lane::Events);
        Frame {
            incarnation: Incarnation([sender; 16]),
            kind,
            first,
            count: 1,
            body: vec![0; 72].into(),
            wire: None,
        }
    }

    #[test]
    fn frames_wait_in_order_and_the_oldest_go_first() {
        let mut lobby = Lobby::default();
        let dropped: u64 = (0..6).map(|i| lobby.keep(frame(i as u8 % 2, i), 1_000)).sum();
        assert_eq!(dropped, 1);
        let firsts = |frames: Vec<Frame>| frames.iter().map(|f| f.first).collect::<Vec<_>>();
        assert_eq!(firsts(lobby.take(Incarnation([0; 16]))), [2, 4]);
        assert_eq!(firsts(lobby.take(Incarnation([1; 16]))), [1, 3, 5]);
        assert_eq!((lobby.bytes, lobby.frames.len()), (0, 0));
    }
}
