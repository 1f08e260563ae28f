//! Untrusted bytes cause no panic, and no allocation above a stated multiple of the input.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{any_change, any_event};
use mailmesh_codec::*;
use mailmesh_events::*;
use proptest::prelude::*;

/// The most bytes that decoding `len` bytes may have allocated at once.
fn bound(len: usize) -> u64 {
    16 * len as u64 + 4096
}

/// Decodes bytes with every decoder and checks the memory used.
fn decode_all(bytes: &[u8]) {
    let measured = |what: &str, decode: &dyn Fn()| {
        let used = allocation_counter::measure(decode).bytes_max;
        let bound = bound(bytes.len());
        assert!(used <= bound, "{what}: {used} bytes for {} bytes of input", bytes.len());
    };
    measured("events", &|| decode_events(bytes, 1024).for_each(drop));
    measured("direct message", &|| drop(decode_direct(bytes)));
    measured("digest", &|| drop(decode_digest(bytes)));
    measured("open frame", &|| drop(Opener::unencrypted([9; 16]).open(bytes)));
    let key = ClusterKey::from_bytes(&[7; 32]);
    measured("sealed frame", &|| drop(Opener::keyed(&key, "mail", [9; 16]).open(bytes)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_within_the_bound(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        decode_all(&bytes);
    }

    /// Almost valid input reaches deeper into the decoders: truncated events with altered bytes.
    #[test]
    fn damaged_events_stay_within_the_bound(
        events in prop::collection::vec(any_event(), 1..10),
        cut: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut body = Vec::new();
        for event in &events {
            encode_event(event, &mut body).unwrap();
        }
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(cut.index(body.len() + 1));
        decode_all(&body);
    }

    #[test]
    fn damaged_messages_and_frames_stay_within_the_bound(
        changes in prop::collection::vec(any_change(), 1..10),
        cut: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let share = Share::default();
        let message = SyncMessage::Part { round: 1, share, part: 0, changes, more: false };
        let body = encode_direct(&message.into()).unwrap();
        let (kind, incarnation) = (FrameKind::Direct, [1; 16]);
        let header = Header { kind, lane: 2, incarnation, to: None, first: 1, count: 0 };
        let frame = Sealer::unencrypted().seal(&header, &body).unwrap();
        let symbols = vec![CodedSymbol { sum: 1, check: 2, count: 3_000 }; 5];
        let first = Share { bits: 3, index: 5 };
        let symbols = SyncMessage::Symbols { round: 1, first, from: 0, count: 5, symbols };
        let symbols = encode_direct(&symbols.into()).unwrap();
        for bytes in [body, symbols, frame.to_vec()] {
            let mut bytes = bytes;
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            decode_all(&bytes);
        }
    }
}

/// Each input claims a length far beyond its end.
#[test]
fn false_lengths_allocate_nothing() {
    let inputs: &[&[u8]] = &[
        &[0xdd, 0xff, 0xff, 0xff, 0xff], // an array of 4 G fields
        &[0x94, 5, 2, 2, 0xdd, 0xff, 0xff, 0xff, 0xff, 1], // 4 G cache entries
        &[0x97, 2, 1, 1, 1, 1, 1, 0xdd, 0x00, 0x00, 0x40, 0x00, 1], // 16 Ki mailboxes
        &[0x93, 10, 0xdb, 0xff, 0xff, 0xff, 0xff, b'x'], // a kind of 4 GB
        &[0x93, 10, 0xa1, b'x', 0xc6, 0xff, 0xff, 0xff, 0xff, 0], // a payload of 4 GB
        &[0x95, 9, 0xdc, 0x01, 0x00, 0xa1, b'a'], // 256 names
        &[0x95, 2, 1, 0, 1, 0xdd, 0x00, 0x00, 0x04, 0x00], // 1,024 changes
        &[0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0], // a map of 4 G pairs
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1], // an extension of 4 GB
    ];
    for input in inputs {
        decode_all(input);
        let used = allocation_counter::measure(|| decode_events(input, 1).for_each(drop)).bytes_max;
        assert!(used < 512, "{input:02x?}: {used} bytes");
    }
}

#[test]
fn an_oversized_frame_is_refused_before_it_is_copied() {
    let frame = vec![0; MAX_FRAME_LEN + 1];
    let mut error = None;
    let used = allocation_counter::measure(|| {
        error = Opener::unencrypted([9; 16]).open(&frame).err();
    });
    assert!(matches!(error, Some(CodecError::TooLong { .. })));
    assert!(used.bytes_max < 512);
}
