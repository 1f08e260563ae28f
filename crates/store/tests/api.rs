//! Properties that every public type of the crate has.

#![allow(missing_docs, reason = "tests")]

use mailmesh_store::{Record, Store, StoreError, TrustedDir, Untrusted};

fn is_send_sync<T: Send + Sync + 'static>() {}
fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn every_public_type_is_send_and_sync() {
    is_send_sync::<Record>();
    is_send_sync::<Store>();
    is_send_sync::<TrustedDir>();
    is_error::<StoreError>();
    is_error::<Untrusted>();
}

#[test]
fn debug_of_a_record_does_not_show_its_bytes() {
    let shown = format!("{:?} {:?}", Record::set("kkk", "vvvv"), Record::remove("kkk"));
    let lengths =
        "Record { key_len: 3, value_len: Some(4) } Record { key_len: 3, value_len: None }";
    assert_eq!(shown, lengths);
}
