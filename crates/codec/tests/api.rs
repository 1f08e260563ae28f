//! Properties that every public type of the crate has.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use mailmesh_codec::*;

fn is_send_sync<T: Send + Sync + std::fmt::Debug + 'static>() {}
fn is_error<T: std::error::Error + Send + Sync + Clone + PartialEq + 'static>() {}

#[test]
fn every_public_type_is_send_and_sync() {
    is_send_sync::<ClusterKey>();
    is_send_sync::<Events<'static>>();
    is_send_sync::<FrameKind>();
    is_send_sync::<Header>();
    is_send_sync::<KeyId>();
    is_send_sync::<Keyring>();
    is_send_sync::<Opener>();
    is_send_sync::<RecordCipher>();
    is_send_sync::<Sealer>();
    is_error::<CodecError>();
}

#[test]
fn debug_does_not_show_a_key() {
    let bytes = std::array::from_fn(|n| n as u8 + 0xa0);
    let key = ClusterKey::from_bytes(&bytes);
    let (sealer, opener) =
        (Sealer::keyed(&key, "mail", [7; 16]), Opener::keyed(&key, "mail", [9; 16]));
    let (ring, cipher) = (Keyring::new(key.clone()), RecordCipher::new(&key, "mail"));
    let shown = format!("{key:?} {ring:?} {sealer:?} {opener:?} {cipher:?}").to_lowercase();
    for part in ["a0, a1", "a0a1", "160, 161", "163, 164", &key.to_text().to_lowercase()[..8]] {
        assert!(!shown.contains(part), "{shown}");
    }
    let body = [0x92, 200, 0xa0, 0xa1, 0xa2];
    let shown = format!("{:?}", decode_events(&body, 1));
    assert_eq!(shown, "Events { remaining: 1, bytes: 5, .. }");
}
