//! Decoders: what is read is written and read again as the same.

use mailmesh_codec::{
    ClusterKey, Opener, Sealer, Vault, decode_change, decode_digest, decode_events, decode_sync,
    encode_change, encode_event, encode_sync,
};
use mailmesh_lists::{Format, Terms, Text};
use mailmesh_store::Store;

const OWN: [u8; 16] = [9; 16];

fn key() -> ClusterKey {
    ClusterKey::from_bytes(&[7; 32])
}

pub(crate) fn frame(data: &[u8]) {
    let _refused = Opener::keyed(&key(), "mail", OWN).open(data);
    if let Ok((header, body)) = Opener::open_mesh(OWN).open(data) {
        // As a member would have sealed it.
        let sealed = Sealer::keyed(&key(), "mail", header.incarnation).seal(&header, &body);
        let sealed = sealed.expect("it came in a frame that was longer");
        let opened = Opener::keyed(&key(), "mail", OWN).open(&sealed);
        assert_eq!(opened.expect("it was sealed for us, or for all"), (header, body));
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
        let mut again = Vec::new();
        // Unknown events are passed on as they came; others are what they say.
        encode_event(&event, &mut again).expect("what was read can be written");
        let read = decode_events(&again, 1).next();
        assert_eq!(read.expect("one event").expect("it was just written"), event);
    }
}

pub(crate) fn sync(data: &[u8]) {
    let Ok(message) = decode_sync(data) else { return };
    // What is written again may be longer, past the limit: numbers take their least bytes.
    if let Ok(again) = encode_sync(&message) {
        assert_eq!(decode_sync(&again).expect("it was just written"), message);
    }
}

pub(crate) fn record(data: &[u8]) {
    let _refused = Vault::keyed(&key(), "mail").open(b"name", data);
    if let Ok(change) = decode_change(data) {
        let again = encode_change(&change).expect("what was read can be written");
        assert_eq!(decode_change(&again).expect("it was just written"), change);
    }
}

/// Longest text of a list, in bytes.
const MAX_UNPACKED: usize = 1 << 20;

pub(crate) fn lists(data: &[u8]) {
    let mut read = Text::default();
    let Ok(text) = read.push(data).and_then(|()| read.finish()) else { return };
    // A packed text may be long, and each format reads it.
    if text.len() > MAX_UNPACKED {
        return;
    }
    let text = &*text;
    let formats = Format::ALL.into_iter().map(|(_, format)| format);
    for format in formats.chain([Format::guess(text)]) {
        if let Ok(mut list) = mailmesh_lists::read(text, format) {
            // A range falls into 2 prefixes a bit at most, and takes four bytes at least.
            assert!(list.entries.len() <= text.len() * 64, "{} entries", list.entries.len());
            list.select_for_import(&Terms::default());
            assert_eq!(list.imported() + list.left_out.total(), list.units);
        }
    }
}

/// A file of a store, with any bytes in it.
pub(crate) fn store(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("mirror.redb"), data).expect("a file");
    if let Ok(mut store) = Store::open(dir.path()) {
        let _damaged = store.read(|_, _| {});
        let _damaged = store.note("stamp");
        let _damaged = store.commit(vec![(b"key".to_vec(), Some(b"value".to_vec()))], &[]);
    }
}
