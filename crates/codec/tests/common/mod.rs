//! Strategies for arbitrary events and changes.

use std::sync::Arc;

use bytes::Bytes;
use mailmesh_events::*;
use proptest::prelude::*;
use zeroize::Zeroizing;

pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(account, change, types)| {
            let types = DataTypes::from_bits_retain(types);
            StateChange::new(AccountId(account), ChangeId(change)).with(types).into()
        }),
        any_push(),
        (any::<u32>(), any::<u32>(), any::<u16>(), any::<u64>()).prop_map(
            |(account, event, alert, due)| {
                let (account, event) = (AccountId(account), CalendarEventId(event));
                let (alert, due) = (AlertId(alert), UnixMillis(due));
                CalendarAlert::new(account, event, alert, due).into()
            }
        ),
        (any::<u32>(), any::<u32>(), 0..3).prop_map(|(account, subscription, change)| {
            let change = [
                SubscriptionChange::Created,
                SubscriptionChange::Updated,
                SubscriptionChange::Removed,
            ][change as usize];
            let (account, subscription) = (AccountId(account), SubscriptionId(subscription));
            PushSubscriptionChange::new(account, subscription, change).into()
        }),
        (any_cache(), prop::collection::vec(any::<u64>(), 0..50), any::<bool>()).prop_map(
            |(cache, ids, negative)| match (ids.is_empty(), negative) {
                (false, _) => {
                    let ids = ids.into_iter().map(ObjectId).collect();
                    CacheInvalidation::ids(cache, ids).unwrap().into()
                }
                (true, true) => CacheInvalidation::negative(cache).into(),
                (true, false) => CacheInvalidation::all(cache).into(),
            }
        ),
        (0..4, any::<u16>(), any::<u64>()).prop_map(|(change, object_type, id)| {
            let object = RegistryObject::new(ObjectType(object_type), ObjectId(id));
            match change {
                0 => RegistryChange::Insert(object),
                1 => RegistryChange::Delete(object),
                2 => RegistryChange::Reload(Some(ObjectType(object_type))),
                _ => RegistryChange::Reload(None),
            }
            .into()
        }),
        (0..3).prop_map(|signal| {
            [QueueSignal::Refresh, QueueSignal::Paused, QueueSignal::Resumed][signal as usize]
                .into()
        }),
        any_change().prop_map(Event::from),
        ("[a-z.]{1,64}", prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(kind, payload)| Custom::new(kind, payload).unwrap().into()),
    ]
}

fn any_push() -> impl Strategy<Value = Event> {
    let ids = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<u32>());
    (ids, prop::collection::vec(any::<u32>(), 0..20)).prop_map(|(ids, mailboxes)| {
        let (account, email, change, received, size) = ids;
        EmailPush::new(AccountId(account), EmailId(email), ChangeId(change))
            .with_received(UnixMillis(received))
            .with_size(size)
            .with_mailboxes(mailboxes.into_iter().map(MailboxId).collect())
            .unwrap()
            .into()
    })
}

fn any_cache() -> impl Strategy<Value = CacheKind> {
    prop_oneof![
        prop::sample::select(vec![
            CacheKind::AccessToken,
            CacheKind::Account,
            CacheKind::Domain,
            CacheKind::Tenant,
            CacheKind::Role,
            CacheKind::MailingList,
            CacheKind::Messages,
            CacheKind::DavResources,
            CacheKind::DkimKey,
            CacheKind::Dns,
            CacheKind::OAuth,
        ]),
        any::<u16>().prop_map(CacheKind::Other),
    ]
}

pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    let stamp = (any::<u64>(), any::<u64>()).prop_map(|(t, n)| Stamp::from_raw(t, NodeId(n)));
    let block = (".{0,60}", ".{0,60}", any::<u64>(), any::<Option<u64>>()).prop_map(
        |(reason, origin, added, expires)| {
            let block =
                RuleDetails::new(reason, UnixMillis(added)).unwrap().with_origin(origin).unwrap();
            Arc::new(expires.map_or(block.clone(), |at| block.with_expiry(UnixMillis(at))))
        },
    );
    let network = (any::<std::net::IpAddr>(), 0u8..=128)
        .prop_filter_map("prefix too long", |(address, len)| Network::new(address, len).ok());
    let networks = (any::<bool>(), network, stamp.clone(), prop::option::of(block)).prop_map(
        |(allow, network, stamp, block)| {
            let rule = if allow { Rule::Allow } else { Rule::Block };
            Change::Network(NetworkChange::new(rule, network, stamp, block))
        },
    );
    let names = prop::collection::vec("[a-z]{1,20}\\.example", 1..6);
    let chain = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 1..4);
    let key =
        ("[a-z0-9._-]{1,64}", ".{0,60}").prop_map(|(n, name)| ValueKey::new(n, name).unwrap());
    let value = (prop::collection::vec(any::<u8>(), 0..300), any::<Option<u64>>());
    let values = (key, stamp.clone(), prop::option::of(value)).prop_map(|(key, stamp, value)| {
        let value = value.map(|(bytes, expires)| {
            let value = Value::new(bytes).unwrap();
            Arc::new(expires.map_or(value.clone(), |at| value.with_expiry(UnixMillis(at))))
        });
        Change::Value(ValueChange::new(key, stamp, value))
    });
    let certificates = (names, stamp, prop::option::of((chain, any::<[u8; 32]>()))).prop_map(
        |(names, stamp, parts)| {
            let names = DomainNames::new(names).unwrap();
            let certificate = parts.map(|(chain, bytes)| {
                let parts = CertificateParts {
                    names: names.clone(),
                    chain: chain.into_iter().map(Bytes::from).collect(),
                    key: PrivateKey::from_der(Zeroizing::new(bytes.to_vec())).unwrap(),
                    not_before: UnixMillis(u64::from(bytes[0])),
                    not_after: UnixMillis(u64::from(bytes[1]) << 40),
                    fingerprint: CertificateFingerprint(bytes),
                };
                Arc::new(Certificate::new(parts).unwrap())
            });
            Change::Certificate(CertificateChange::new(names, stamp, certificate))
        },
    );
    prop_oneof![networks, certificates, values]
}
