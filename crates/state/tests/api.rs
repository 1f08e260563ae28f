//! Properties that every public type of the crate has.

use mailmesh_events::{NodeId, UnixMillis};
use mailmesh_state::*;

fn is_send_sync<T: Send + Sync + 'static>() {}
fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn every_public_type_is_send_and_sync() {
    is_send_sync::<Applied>();
    is_send_sync::<Batch>();
    is_send_sync::<Bounds>();
    is_send_sync::<CertificateDetails>();
    is_send_sync::<CertificatePem>();
    is_send_sync::<ChosenCertificate>();
    is_send_sync::<ClockEstimate<u64>>();
    is_send_sync::<ClockReading>();
    is_send_sync::<ClusterClock<u64>>();
    is_send_sync::<ExpiryWarning>();
    is_send_sync::<HybridClock>();
    is_send_sync::<Material>();
    is_send_sync::<Mirror>();
    is_send_sync::<MirrorCounters>();
    is_send_sync::<NetworkEntry>();
    is_send_sync::<Observed<'static>>();
    is_send_sync::<PeerClockOffset<u64>>();
    is_send_sync::<ReadCertificate>();
    is_send_sync::<ReconcileConfig>();
    is_send_sync::<Reconciler<u64>>();
    is_send_sync::<Saved>();
    is_send_sync::<Swept>();
    is_send_sync::<Validity>();
    is_send_sync::<Verdict>();
    is_error::<StateError>();
}

#[test]
fn debug_of_a_mirror_does_not_show_its_key() {
    let key = [0x5a; 16];
    let mirror = Mirror::new(NodeId(1), key);
    let reconciler = Reconciler::new(1_u64, ReconcileConfig::default());
    let shown = format!("{mirror:?} {reconciler:?} {:?}", mirror.sweep(UnixMillis(1)));
    let half = u64::from_le_bytes([0x5a; 8]);
    // SipHash keeps its state as the halves of the key, each combined with a constant.
    for (secret, name) in [(half, "a half of the key"), (half ^ 0x736f_6d65_7073_6575, "a state")] {
        assert!(!shown.contains(&secret.to_string()), "{name} is shown: {shown}");
    }
}
