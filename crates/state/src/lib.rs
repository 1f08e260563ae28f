//! The replicated mirror: which networks are blocked, which certificates are current. Its content
//! is the same on every node, and lookups are answered from local memory.
//!
//! - [`Mirror`]: versioned entries. Of two changes of one key the later stamp wins
//!   ([`compare_changes`]), so every node reaches the same content whatever the order, loss or
//!   repetition of changes (a state-based CRDT with last-writer-wins registers).
//! - [`Reconciler`]: detects that two mirrors differ, and exchanges the difference.
//! - [`HybridClock`]: makes stamps.
//! - [`ClusterClock`]: estimates the time that the nodes of a cluster agree on.
//!
//! **Invariant**: no I/O, no clock, no async; time is an argument. A change that the mirror cannot
//! hold (beyond [`Bounds`], or with an invalid certificate) is refused and counted, never applied in
//! part.
//!
//! **Left to the caller**: encoding, peers, transport, and when to call [`Mirror::sweep`].
//!
//! ```
//! use mailmesh_events::{RuleDetails, NodeId, UnixMillis};
//! use mailmesh_state::{Mirror, Verdict};
//!
//! let now = UnixMillis(1_000);
//! let (a, b) = (Mirror::new(NodeId(1), [0; 16]), Mirror::new(NodeId(2), [0; 16]));
//! let change = a.block("192.0.2.0/24".parse()?, RuleDetails::new("spam", now)?, now)?;
//! b.apply(&change, now);
//!
//! assert!(b.is_blocked("192.0.2.7".parse()?, now));
//! assert!(matches!(b.lookup("192.0.2.7".parse()?, now), Verdict::Blocked(entry)
//!     if entry.details.reason() == "spam"));
//! assert_eq!(a.digest(), b.digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use mirror::{Applied, Batch, Mirror, MirrorCounters, Saved, fingerprint_key_id};
pub use observe::{Observed, Observer};
pub use reconcile::{ReconcileConfig, Reconciler};
pub use verdict::{NetworkEntry, Verdict};
pub use version::compare_changes;
pub use x509::{
    CertificateDetails, CertificatePem, ReadCertificate, certificate_from_der,
    certificate_from_pem, certificate_to_pem, read_certificate,
};
