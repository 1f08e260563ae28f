//! Decoders: a decoded value is encoded again, and the result must decode to the same value.

use mailmesh_codec::{
    ClusterKey, Opener, RecordCipher, Sealer, decode_change, decode_digest, decode_direct,
    decode_events, encode_change, encode_direct, encode_event,
};
use mailmesh_lists::{Format, Terms, Text};
use mailmesh_store::{Record, Store};

const OWN_ID: [u8; 16] = [9; 16];

fn key() -> ClusterKey {
    ClusterKey::from_bytes(&[7; 32])
}

pub(crate) fn frame(data: &[u8]) {
    let _refused = Opener::keyed(&key(), "mail", OWN_ID).open(data);
    if let Ok((header, body)) = Opener::unencrypted(OWN_ID).open(data) {
        // Seal the frame as a member does.
        let sealed = Sealer::keyed(&key(), "mail", header.incarnation).seal(&header, &body);
        let sealed = sealed.expect("the body came in a longer frame");
        let opened = Opener::keyed(&key(), "mail", OWN_ID).open(&sealed);
        assert_eq!(opened.expect("the frame is for this node or for all"), (header, body));
    }
    let _none = decode_digest(data);
}

pub(crate) fn discovery(data: &[u8]) {
    mailmesh_transport::fuzz_datagram(data);
}

pub(crate) fn handshake(data: &[u8]) {
    mailmesh_transport::fuzz_handshake(data);
}

pub(crate) fn events(data: &[u8]) {
    let Some((count, body)) = data.split_first() else { return };
    for event in decode_events(body, (*count).into()).flatten() {
        let mut encoded = Vec::new();
        // Unknown events keep their bytes; known events are encoded from their fields.
        encode_event(&event, &mut encoded).expect("a decoded event can be encoded");
        let decoded = decode_events(&encoded, 1).next();
        assert_eq!(decoded.expect("one event").expect("an encoded event can be decoded"), event);
    }
}

pub(crate) fn sync(data: &[u8]) {
    let Ok(message) = decode_direct(data) else { return };
    // The encoding of a decoded message may exceed the size limit.
    if let Ok(encoded) = encode_direct(&message) {
        assert_eq!(decode_direct(&encoded).expect("an encoded message can be decoded"), message);
    }
}

pub(crate) fn record(data: &[u8]) {
    let _refused = RecordCipher::new(&key(), "mail").open(b"name", data);
    if let Ok(change) = decode_change(data) {
        let encoded = encode_change(&change).expect("a decoded change can be encoded");
        assert_eq!(decode_change(&encoded).expect("an encoded change can be decoded"), change);
    }
}

/// Longest list that is parsed, in bytes of text.
const MAX_TEXT_BYTES: usize = 1 << 20;

pub(crate) fn lists(data: &[u8]) {
    let mut read = Text::default();
    let Ok(text) = read.push(data).and_then(|()| read.finish()) else { return };
    // A compressed list may unpack to a long text, which every format parses.
    if text.len() > MAX_TEXT_BYTES {
        return;
    }
    let text = &*text;
    let formats = Format::ALL.into_iter().map(|(_, format)| format);
    for format in formats.chain([Format::guess(text)]) {
        if let Ok(mut list) = mailmesh_lists::read(text, format) {
            // A range splits into at most two prefixes per address bit, and has at least four bytes
            // of text.
            assert!(list.entries.len() <= text.len() * 64, "{} entries", list.entries.len());
            list.select_for_import(&Terms::default());
            assert_eq!(list.imported() + list.left_out.total(), list.units);
        }
    }
}

/// A store file with arbitrary bytes.
pub(crate) fn store(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("mirror.redb"), data).expect("a file");
    if let Ok(mut store) = Store::open(dir.path()) {
        let _damaged = store.read(|_, _| {});
        let _damaged = store.note("stamp");
        let _damaged = store.commit([Record::set(b"key", b"value")], &[]);
    }
}
