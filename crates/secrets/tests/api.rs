//! Properties that every public type of the crate has.

#![allow(missing_docs, reason = "tests")]

use mailmesh_secrets::pem::{
    Authorities, CertificateInfo, DataKind, Expected, Identity, IdentityError, KeyKind, LinkEnd,
    PemError, PemWarning,
};

fn is_send_sync<T: Send + Sync + std::fmt::Debug + 'static>() {}
fn is_error<T: std::error::Error + Send + Sync + Clone + PartialEq + 'static>() {}

#[test]
fn every_public_type_is_send_and_sync() {
    is_send_sync::<Authorities>();
    is_send_sync::<CertificateInfo>();
    is_send_sync::<DataKind>();
    is_send_sync::<Expected>();
    is_send_sync::<Identity>();
    is_send_sync::<KeyKind>();
    is_send_sync::<LinkEnd>();
    is_send_sync::<PemWarning>();
    is_error::<IdentityError>();
    is_error::<PemError>();
}
