//! Peer-to-peer coordination for clustered mail servers.
//!
//! Nodes find each other over Eclipse Zenoh, exchange events, and keep a replicated mirror of
//! blocked networks and TLS certificates. There is no broker: this crate runs inside each server
//! process, on its tokio runtime. Delivery has threads of its own, so a server that blocks its
//! runtime for seconds stays a member.
//!
//! **The promise**: every event is delivered once, in order per sender and lane, or the receiver
//! learns exactly how many events of that sender and lane it missed ([`Incoming::Gap`]).
//!
//! ```
//! use mailmesh::*;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let hub = MemoryHub::new();
//! # let in_memory = |name: &str| Node::builder().name(name).memory(&hub);
//! // In a server: Node::builder().coordinator(Coordinator::load("coordinator.json")?)
//! let mx1 = in_memory("mx1").start().await?;
//! let mx2 = in_memory("mx2").start().await?;
//! let mut inbox = mx2.inbox(Filter::all());
//! mx1.wait_for_members(1).await;
//!
//! mx1.publish(StateChange::new(AccountId(7), ChangeId(42)).with(DataTypes::EMAIL)).await?;
//! mx1.blocks().add("192.0.2.7".parse()?, "too many failed logins", None).await?;
//!
//! while let Some(incoming) = inbox.recv().await {
//!     match incoming {
//!         Incoming::Event(received) => {
//!             println!("{} sent {}", received.from.name, received.event);
//!             if received.event.kind() == Kind::Network { break }
//!         }
//!         Incoming::Gap(gap) => println!("missed {} events of {}: drop caches", gap.missed, gap.from.name),
//!         _ => {}
//!     }
//! }
//! assert!(mx2.blocks().is_blocked("192.0.2.7".parse()?));
//! mx1.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! The module `testing` (feature `testing`) runs a whole cluster in one process for the tests of a
//! server. It cuts links, freezes and kills nodes, and sets wrong clocks.

mod alarm;
mod blocks;
#[cfg(doctest)]
mod book;
#[cfg(feature = "bounded-log")]
mod bounded_log;
mod certs;
mod churn_limiter;
mod clock;
mod clock_sync;
mod cluster_time;
mod direct_receiver;
mod direct_sender;
mod endpoints;
mod error;
mod former_members;
mod framing;
mod inbox;
mod incoming;
mod keys;
mod lifecycle;
mod member_log;
mod members;
mod node;
mod node_builder;
mod parts;
mod pause_gate;
mod persister;
#[cfg(feature = "bounded-log")]
mod printable_fields;
mod publisher;
mod refusals;
mod relayed_members;
mod replication;
mod sink;
mod stall_detector;
mod status;
#[cfg(all(test, feature = "bounded-log"))]
mod test_log;
#[cfg(feature = "testing")]
pub mod testing;
mod ticker;
mod token_bucket;
mod values;
mod watch;

pub use blocks::{Blocks, Imported};
#[cfg(feature = "bounded-log")]
pub use bounded_log::BoundedLog;
pub use certs::Certs;
pub use endpoints::Endpoint;
pub use error::Error;
pub use former_members::FormerMember;
pub use inbox::{Filter, Inbox};
pub use incoming::{Gap, GapReason, Incoming, LeaveReason, Received};
pub use keys::{Keys, NodeKeys};
pub use lifecycle::StopReason;
pub use mailmesh_codec::{ClusterKey, CodecError, KeyId, Keyring};
pub use mailmesh_delivery::{Incarnation, NodeName, Settings};
pub use mailmesh_events::*;
pub use mailmesh_lists as lists;
pub use mailmesh_secrets as secrets;
pub use mailmesh_state::{
    CertificateDetails, CertificatePem, ChosenCertificate, Material, NetworkEntry, ReadCertificate,
    StateError, Validity, Verdict, certificate_from_der, certificate_from_pem, certificate_to_pem,
    read_certificate,
};
pub use mailmesh_store::{TrustedDir, Untrusted, check_dir, store_in_use};
pub use mailmesh_transport::{
    Backend, ConfigError, ConfigErrorKind, Coordinator, EndpointState, GateCounts, KeySpace,
    MemoryHub, Secret, TransportError, Warning,
};
pub use members::{Member, MemberRef};
pub use node::Node;
pub use node_builder::{DEFAULT_CLUSTER, NodeBuilder};
#[cfg(feature = "bounded-log")]
pub use printable_fields::PrintableFields;
pub use status::{Refused, Status, StoreStatus};
pub use values::{NamedValue, Namespace, ValueUpdate, ValueWatch, Values};
pub use watch::{BlockUpdate, BlockWatch, CertUpdate, CertWatch};
