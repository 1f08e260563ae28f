#![doc = include_str!("../README.md")]

mod certificate_index;
mod clock;
mod cluster_clock;
mod entries;
mod error;
mod fingerprint;
mod lookup;
mod mirror;
mod observe;
#[cfg(not(planted))]
mod planted;
#[cfg(planted)]
pub mod planted;
mod reconcile;
mod riblt;
mod value_index;
mod verdict;
mod version;
mod x509;

pub use certificate_index::{ChosenCertificate, Validity};
pub use clock::HybridClock;
pub use cluster_clock::{
    CLOCK_TOLERANCE, ClockEstimate, ClockReading, ClusterClock, PeerClockOffset,
};
pub use entries::{Bounds, ExpiryWarning, Swept};
pub use error::{Material, StateError};
pub use mailmesh_events as events;
pub use mailmesh_secrets as secrets;
pub use mirror::{Applied, Batch, Mirror, MirrorCounters, Saved, fingerprint_key_id};
pub use observe::{Observed, Observer};
pub use reconcile::{ReconcileConfig, Reconciler};
pub use verdict::{NetworkEntry, Verdict};
pub use version::compare_changes;
pub use x509::{
    CertificateDetails, CertificatePem, ReadCertificate, certificate_from_der,
    certificate_from_pem, certificate_to_pem, read_certificate,
};
