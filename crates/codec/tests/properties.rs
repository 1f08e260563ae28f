//! Properties of every event, frame and message.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{any_change, any_event};
use mailmesh_codec::*;
use mailmesh_events::*;
use proptest::prelude::*;

fn header(incarnation: [u8; 16], first: u64, count: u16) -> Header {
    Header { kind: FrameKind::Data, lane: 1, incarnation, to: None, first, count }
}

proptest! {
    #[test]
    fn events_round_trip(events in prop::collection::vec(any_event(), 0..20)) {
        let mut body = Vec::new();
        for event in &events {
            encode_event(event, &mut body).unwrap();
        }
        let decoded: Vec<_> = decode_events(&body, events.len() as u16).collect();
        prop_assert_eq!(decoded, events.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn sync_messages_round_trip(
        round: u32, part: u16, bits in 0u8..=16, index: u16,
        changes in prop::collection::vec(any_change(), 0..20), more: bool,
        items in prop::collection::vec(any::<u64>(), 0..40),
    ) {
        let share = Share { bits, index: u32::from(index) % (1 << bits) };
        let copy = changes.clone();
        for message in [
            SyncMessage::Request { round, first: share, shares: part },
            SyncMessage::Part { round, share, part, changes: copy, more },
            SyncMessage::Entries { round, changes, more },
            SyncMessage::AskEntries { round, items },
        ] {
            let message = DirectMessage::from(message);
            prop_assert_eq!(decode_direct(&encode_direct(&message).unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn digests_round_trip(entries: u64, set_hash: u128) {
        let digest = MirrorDigest { entries, set_hash, key_id: entries as u32 };
        prop_assert_eq!(decode_digest(&encode_digest(&digest)).unwrap(), digest);
    }

    #[test]
    fn sealed_frames_round_trip(
        key: [u8; 32], incarnation: [u8; 16], first: u32,
        body in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let key = ClusterKey::from_bytes(&key);
        let header = header(incarnation, first.into(), 1);
        let frame = Sealer::keyed(&key, "mail", incarnation).seal(&header, &body).unwrap();
        let (opened, opened_body) = Opener::keyed(&key, "mail", [9; 16]).open(&frame).unwrap();
        prop_assert_eq!(opened, header);
        prop_assert_eq!(&opened_body[..], &body[..]);
    }
}

/// Exhaustive over the bits of one frame, header included.
#[test]
fn a_sealed_frame_with_any_bit_flipped_is_refused() {
    let key = ClusterKey::from_bytes(&[7; 32]);
    let mut body = Vec::new();
    encode_event(&QueueSignal::Paused.into(), &mut body).unwrap();
    let frame = Sealer::keyed(&key, "mail", [3; 16]).seal(&header([3; 16], 5, 1), &body).unwrap();
    let mut opener = Opener::keyed(&key, "mail", [9; 16]);
    assert!(opener.open(&frame).is_ok());
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(opener.open(&flipped).is_err(), "bit {bit} of {}", frame.len() * 8);
    }
    for cut in 0..frame.len() {
        assert!(opener.open(&frame[..cut]).is_err(), "cut at {cut}");
    }
}
