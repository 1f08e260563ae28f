//! Properties that every public type of the crate has.

#![allow(missing_docs, reason = "tests")]

use mailmesh_events::*;

fn is_value<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
fn is_error<T: std::error::Error + Send + Sync + Clone + PartialEq + 'static>() {}

#[test]
fn every_public_type_is_a_value_that_threads_may_share() {
    is_value::<AccountId>();
    is_value::<CacheInvalidation>();
    is_value::<CacheKind>();
    is_value::<CacheScope>();
    is_value::<CalendarAlert>();
    is_value::<Certificate>();
    is_value::<CertificateChange>();
    is_value::<CertificateFingerprint>();
    is_value::<CertificateParts>();
    is_value::<Change>();
    is_value::<ChangeKey>();
    is_value::<CodedSymbol>();
    is_value::<Custom>();
    is_value::<DataTypes>();
    is_value::<DomainNames>();
    is_value::<EmailPush>();
    is_value::<Event>();
    is_value::<HostName<'static>>();
    is_value::<KeyAction>();
    is_value::<KeyId>();
    is_value::<KeySecret>();
    is_value::<KeysHeld>();
    is_value::<Kind>();
    is_value::<KindSet>();
    is_value::<Lane>();
    is_value::<MirrorDigest>();
    is_value::<Network>();
    is_value::<NetworkChange>();
    is_value::<NodeId>();
    is_value::<ObjectType>();
    is_value::<Printable<String>>();
    is_value::<PrintableJson<String>>();
    is_value::<PrivateKey>();
    is_value::<PushSubscriptionChange>();
    is_value::<QueueSignal>();
    is_value::<RegistryChange>();
    is_value::<RegistryObject>();
    is_value::<Rule>();
    is_value::<RuleDetails>();
    is_value::<Share>();
    is_value::<Stamp>();
    is_value::<StateChange>();
    is_value::<SubscriptionChange>();
    is_value::<SyncMessage>();
    is_value::<UnixMillis>();
    is_value::<UnknownEvent>();
    is_value::<Value>();
    is_value::<ValueChange>();
    is_value::<ValueKey>();
    is_error::<EventError>();
}
