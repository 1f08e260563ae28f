//! Several frames for one peer in one message of the bus.
//!
//! A retransmission often consists of thousands of frames with one event each. Each separate put
//! costs system calls and wake-ups at both ends; a bundle costs little more than one put. Each
//! frame is sealed by itself, so the bundle around the frames needs no authentication.
//!
//! ```text
//! "mmB\x01"  (length, 4 bytes big endian; frame) ...
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mailmesh_delivery::Incarnation;

/// No frame begins with these bytes: the third byte of a frame is its version.
const MAGIC: &[u8; 4] = b"mmB\x01";
/// Bytes of the length before each frame.
const LENGTH_PREFIX: usize = size_of::<u32>();
/// Maximum bundle length in bytes. Zenoh does not split a message of this length on a TCP link.
const MAX_BUNDLE_LEN: usize = 48 << 10;
/// Maximum number of frames in a bundle, for the sender and for the receiver.
const MAX_FRAMES: usize = 1024;

/// Frames that are being collected for one peer.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    peer: Option<Incarnation>,
    frames: Vec<Bytes>,
    len: usize,
}

impl Bundle {
    /// Whether a frame of `len` bytes for `peer` may be added.
    pub(crate) fn has_room(&self, peer: Incarnation, len: usize) -> bool {
        self.frames.is_empty()
            || (self.peer == Some(peer)
                && self.len + LENGTH_PREFIX + len <= MAX_BUNDLE_LEN
                && self.frames.len() < MAX_FRAMES)
    }

    /// Adds a frame. The caller has checked [`has_room`](Self::has_room).
    pub(crate) fn add(&mut self, peer: Incarnation, frame: Bytes) {
        if self.frames.is_empty() {
            (self.peer, self.len) = (Some(peer), MAGIC.len());
        }
        self.len += LENGTH_PREFIX + frame.len();
        self.frames.push(frame);
    }

    /// The message to be put, if any frame was collected. A single frame goes without a bundle
    /// around it.
    pub(crate) fn take(&mut self) -> Option<(Incarnation, Bytes)> {
        let peer = self.peer.take()?;
        if let [frame] = self.frames.as_mut_slice() {
            let frame = std::mem::take(frame);
            self.frames.clear();
            return Some((peer, frame));
        }
        let mut bundle = BytesMut::with_capacity(self.len);
        bundle.put_slice(MAGIC);
        for frame in self.frames.drain(..) {
            // A frame in a bundle of several is shorter than the bundle.
            bundle.put_u32(frame.len() as u32);
            bundle.put_slice(&frame);
        }
        Some((peer, bundle.freeze()))
    }
}

/// The frames of a message: the message itself, or the frames of a bundle. Each frame of a bundle
/// is a copy, so that a frame that is kept does not keep the whole bundle. A truncated frame, and a
/// frame past the maximum number, yields one empty frame, which the decoder refuses and counts; the
/// rest of the bundle is skipped.
pub(crate) fn frames(mut message: Bytes) -> impl Iterator<Item = Bytes> {
    let is_bundle = message.starts_with(MAGIC);
    let mut whole = (!is_bundle).then(|| message.clone());
    let mut rest = if is_bundle { message.split_off(MAGIC.len()) } else { Bytes::new() };
    let mut left = MAX_FRAMES;
    let bundled = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let frame = first_frame(&rest).filter(|_| left > 0).map(Bytes::copy_from_slice);
        match &frame {
            Some(frame) => rest.advance(LENGTH_PREFIX + frame.len()),
            None => rest.clear(),
        }
        left = left.saturating_sub(1);
        Some(frame.unwrap_or_default())
    });
    std::iter::from_fn(move || whole.take()).chain(bundled)
}

/// The first frame of `rest`, the bytes after the magic. A frame of length 0 is invalid.
fn first_frame(rest: &[u8]) -> Option<&[u8]> {
    let (length, rest) = rest.split_first_chunk::<LENGTH_PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length == 0 { None } else { rest.get(..length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: Incarnation = Incarnation([1; 16]);

    fn bundled(frames: &[Bytes]) -> Bytes {
        let mut bundle = Bundle::default();
        for frame in frames {
            assert!(bundle.has_room(PEER, frame.len()));
            bundle.add(PEER, frame.clone());
        }
        let (peer, message) = bundle.take().unwrap();
        assert_eq!((peer, bundle.take()), (PEER, None));
        message
    }

    #[test]
    fn a_bundle_is_for_one_peer_and_bounded() {
        let mut bundle = Bundle::default();
        assert_eq!(bundle.take(), None);
        assert!(bundle.has_room(PEER, 1 << 20), "a long frame goes alone");
        bundle.add(PEER, vec![7; 40 << 10].into());
        assert!(bundle.has_room(PEER, 7 << 10) && !bundle.has_room(PEER, 9 << 10));
        assert!(!bundle.has_room(Incarnation([2; 16]), 1));
    }

    #[test]
    fn a_single_frame_gets_no_bundle() {
        let frame = Bytes::from_static(b"mm frame");
        assert_eq!(bundled(std::slice::from_ref(&frame)), frame);
        assert_eq!(frames(frame.clone()).collect::<Vec<_>>(), [frame]);
    }

    #[test]
    fn frames_before_a_false_length_are_read() {
        let mut message = bundled(&[b"one"[..].into(), b"two"[..].into()]).to_vec();
        message.extend(u32::MAX.to_be_bytes());
        message.extend(b"three");
        assert_eq!(frames(message.into()).collect::<Vec<_>>(), [&b"one"[..], b"two", b""]);
    }

    #[test]
    fn the_frames_of_a_bundle_are_bounded() {
        let message = [&MAGIC[..], &[0, 0, 0, 1, 7].repeat(5_000)].concat();
        let taken: Vec<Bytes> = frames(message.into()).collect();
        assert_eq!((taken.len(), taken[MAX_FRAMES].len()), (MAX_FRAMES + 1, 0));
    }

    proptest! {
        #[test]
        fn bundled_frames_are_read_back_unchanged(
            given in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 2..40),
        ) {
            let given: Vec<Bytes> = given.into_iter().map(Bytes::from).collect();
            prop_assert_eq!(frames(bundled(&given)).collect::<Vec<_>>(), given);
        }

        #[test]
        fn arbitrary_bytes_are_bounded_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let message = [&MAGIC[..], &bytes].concat();
            let total = frames(message.into()).map(|frame| frame.len()).sum::<usize>();
            prop_assert!(total <= bytes.len());
        }
    }
}
