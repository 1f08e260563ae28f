#![doc = include_str!("../README.md")]

mod alarm;
mod blocks;
#[cfg(doctest)]
mod book;
#[cfg(feature = "bounded-log")]
mod bounded_log;
mod certs;
mod churn_limiter;
mod clock;
mod clock_offset;
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
pub mod limits;
mod member_log;
mod members;
mod mirror_watch;
mod node;
mod node_builder;
mod parts;
mod pause_gate;
mod persister;
pub mod prelude;
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

pub use blocks::{AddNetwork, Blocks, Import, ImportEntry, Imported};
#[cfg(feature = "bounded-log")]
pub use bounded_log::BoundedLog;
pub use certs::{Certs, SetCertificate};
pub use clock_offset::ClockOffset;
pub use endpoints::Endpoint;
pub use error::{Error, FilterError, KeyError, MirrorError, PublishError, StartError, Stopped};
pub use former_members::FormerMember;
pub use inbox::{Filter, Inbox};
pub use incoming::{Gap, GapReason, Incoming, LeaveReason, Received};
pub use keys::{ActivateKey, AddKey, Keys, NodeKeys, RetireKey};
pub use lifecycle::StopReason;
pub use mailmesh_codec::{ClusterKey, CodecError, Keyring};
pub use mailmesh_delivery::{DeliveryCounters, DeliveryError, Incarnation, NodeName, Settings};
pub use mailmesh_events::{
    AccountId, AlertId, CacheInvalidation, CacheKind, CacheScope, CalendarAlert, CalendarEventId,
    Certificate, CertificateChange, CertificateFingerprint, Change, ChangeId, Custom, DataTypes,
    DomainNames, EmailId, EmailPush, Escaper, Event, EventError, HostName, KeyId, Kind, KindSet,
    Lane, MailboxId, Network, NetworkChange, NodeId, ObjectId, ObjectType, Printable,
    PrintableJson, PrivateKey, PushSubscriptionChange, QueueSignal, RegistryChange, RegistryObject,
    Rule, RuleDetails, Stamp, StateChange, SubscriptionChange, SubscriptionId, UnixMillis,
    UnknownEvent, Value, ValueChange, ValueKey, is_unprintable,
};
pub use mailmesh_lists as lists;
pub use mailmesh_secrets as secrets;
pub use mailmesh_state::{
    CertificateDetails, CertificatePem, ChosenCertificate, Material, NetworkEntry, ReadCertificate,
    StateError, Validity, Verdict, certificate_from_der, certificate_from_pem, certificate_to_pem,
    read_certificate,
};
pub use mailmesh_store::{StoreError, TrustedDir, Untrusted, check_dir, store_in_use};
pub use mailmesh_transport::{
    Backend, ConfigError, ConfigErrorKind, Coordinator, DriverCounters, EndpointState, GateCounts,
    KeySpace, MemoryHub, Secret, TransportError, Warning,
};
pub use members::{Member, MemberRef};
pub use mirror_watch::{MirrorUpdate, MirrorWatch};
pub use node::Node;
pub use node_builder::{DEFAULT_CLUSTER, NodeBuilder};
#[cfg(feature = "bounded-log")]
pub use printable_fields::PrintableFields;
pub use status::{Refused, Status, StoreStatus};
pub use values::{NamedValue, Namespace, SetValue, ValueUpdate, ValueWatch, Values};
pub use watch::{BlockUpdate, BlockWatch, CertUpdate, CertWatch};
