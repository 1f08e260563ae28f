//! The bytes of every released version must decode for ever. `golden/v1/` holds one file per kind.
//! A released version never changes, and neither do its files.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use mailmesh_codec::*;
use mailmesh_events::*;
use zeroize::Zeroizing;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

fn stamp() -> Stamp {
    Stamp::new(UnixMillis(1_795_000_000_000), 3, NodeId(0x0102_0304_0506_0708))
}

fn certificate() -> Certificate {
    Certificate::new(CertificateParts {
        names: DomainNames::new(["mail.example.org", "*.example.org"]).unwrap(),
        chain: vec![Bytes::from_static(b"leaf"), Bytes::from_static(b"issuer")],
        key: PrivateKey::from_der(Zeroizing::new(b"key".to_vec())).unwrap(),
        not_before: UnixMillis(1_790_000_000_000),
        not_after: UnixMillis(1_800_000_000_000),
        fingerprint: CertificateFingerprint(std::array::from_fn(|i| i as u8)),
    })
    .unwrap()
}

fn events() -> Vec<(&'static str, Vec<Event>)> {
    let account = AccountId(70_000);
    let object = RegistryObject::new(ObjectType(3), ObjectId(1 << 40));
    let push = EmailPush::new(account, EmailId(5), ChangeId(43))
        .with_received(UnixMillis(1_795_000_000_000))
        .with_size(2_048);
    let block = RuleDetails::new("too many failed logins", UnixMillis(1_795_000_000_000)).unwrap();
    let block = block.with_origin("imap").unwrap().with_expiry(UnixMillis(1_795_000_600_000));
    let network = |network: &str, block: Option<RuleDetails>| {
        let (network, stamp) = (network.parse().unwrap(), stamp());
        NetworkChange::new(Rule::Block, network, stamp, block.map(Arc::new))
    };
    let names = certificate().names().clone();
    vec![
        (
            "state-change",
            vec![StateChange::new(account, ChangeId(42)).with(DataTypes::all()).into()],
        ),
        (
            "email-push",
            vec![push.with_mailboxes(vec![MailboxId(1), MailboxId(300)]).unwrap().into()],
        ),
        (
            "calendar-alert",
            vec![
                CalendarAlert::new(
                    account,
                    CalendarEventId(77),
                    AlertId(1),
                    UnixMillis(1_800_000_000_000),
                )
                .into(),
            ],
        ),
        (
            "push-subscription",
            [SubscriptionChange::Created, SubscriptionChange::Updated, SubscriptionChange::Removed]
                .map(|change| {
                    let subscription = SubscriptionId(4);
                    PushSubscriptionChange::new(account, subscription, change).into()
                })
                .into(),
        ),
        (
            "cache",
            vec![
                CacheInvalidation::ids(CacheKind::Domain, vec![ObjectId(8), ObjectId(1 << 33)])
                    .unwrap()
                    .into(),
                CacheInvalidation::negative(CacheKind::OAuth).into(),
                CacheInvalidation::all(CacheKind::Other(9)).into(),
            ],
        ),
        (
            "registry",
            vec![
                RegistryChange::Insert(object).into(),
                RegistryChange::Delete(object).into(),
                RegistryChange::Reload(Some(ObjectType(3))).into(),
                RegistryChange::Reload(None).into(),
            ],
        ),
        (
            "queue",
            [QueueSignal::Refresh, QueueSignal::Paused, QueueSignal::Resumed]
                .map(Event::from)
                .into(),
        ),
        (
            "network",
            vec![
                network("192.0.2.0/24", Some(block.clone())).into(),
                network("2001:db8::1", Some(block)).into(),
                network("192.0.2.7", None).into(),
            ],
        ),
        (
            "certificate",
            vec![
                CertificateChange::new(names.clone(), stamp(), Some(certificate().into())).into(),
                CertificateChange::new(names, stamp(), None).into(),
            ],
        ),
        (
            "value",
            vec![
                ValueChange::new(
                    ValueKey::new("acme.flags", "greylisting").unwrap(),
                    stamp(),
                    Some(
                        Value::new(b"payload".to_vec())
                            .unwrap()
                            .with_expiry(UnixMillis(1_800_000_060_000))
                            .into(),
                    ),
                )
                .into(),
                ValueChange::new(ValueKey::new("acme.flags", "").unwrap(), stamp(), None).into(),
            ],
        ),
        ("custom", vec![Custom::new("acme.greylist", b"payload".to_vec()).unwrap().into()]),
    ]
}

fn frame_key() -> ClusterKey {
    ClusterKey::from_bytes(&std::array::from_fn(|i| i as u8))
}

fn frame_header() -> Header {
    let (kind, incarnation) = (FrameKind::Data, [0xA5; 16]);
    Header { kind, lane: 1, incarnation, to: None, first: 1_000_000, count: 3 }
}

/// Compares with the golden file. `MAILMESH_WRITE_GOLDEN=1` writes files that are missing.
fn check(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if std::env::var_os("MAILMESH_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(bytes, golden, "{name}: the encoding of a version must not change");
    golden
}

#[test]
fn every_kind_of_event_has_golden_bytes() {
    let events = events();
    let names: Vec<_> = events.iter().map(|(name, _)| *name).collect();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unknown) {
        assert!(names.contains(&kind.name()), "add events of the kind `{kind}`");
    }
    for (name, events) in events {
        assert!(events.iter().all(|event| event.kind().name() == name), "{name}");
    }
}

#[test]
fn events_of_version_1_have_their_golden_bytes() {
    for (name, events) in events() {
        let mut body = Vec::new();
        for event in &events {
            encode_event(event, &mut body).unwrap();
        }
        let bytes = check(name, &body);
        let decoded: Vec<_> =
            decode_events(&bytes, events.len() as u16).collect::<Result<_, _>>().unwrap();
        assert_eq!(decoded, events, "{name}");
    }
}

#[test]
fn frames_of_version_1_have_their_golden_bytes() {
    let mut body = Vec::new();
    for signal in [QueueSignal::Refresh, QueueSignal::Paused, QueueSignal::Resumed] {
        encode_event(&signal.into(), &mut body).unwrap();
    }
    let header = frame_header();
    let open = check("frame-open", &Sealer::unencrypted().seal(&header, &body).unwrap());
    let sealer = Sealer::keyed(&frame_key(), "mail", header.incarnation);
    let sealed = check("frame-sealed", &sealer.seal(&header, &body).unwrap());
    for (mut opener, bytes) in [
        (Opener::unencrypted([9; 16]), open),
        (Opener::keyed(&frame_key(), "mail", [9; 16]), sealed),
    ] {
        let (found, found_body) = opener.open(&bytes).unwrap();
        assert_eq!((found, &found_body[..]), (header, &body[..]));
    }
    let header = Header { to: Some([9; 16]), first: 1_000_001, ..header };
    let sealed = check("frame-for-one", &sealer.seal(&header, &body).unwrap());
    let opened = Opener::keyed(&frame_key(), "mail", [9; 16]).open(&sealed).unwrap();
    assert_eq!((opened.0, &opened.1[..]), (header, &body[..]));
}

#[test]
fn direct_messages_of_version_1_have_their_golden_bytes() {
    let changes: Vec<Change> = events()
        .into_iter()
        .flat_map(|(_, events)| events)
        .filter_map(|event| Change::try_from(event).ok())
        .collect();
    assert_eq!(changes.len(), 7);
    let first = Share { bits: 5, index: 31 };
    let part = |more, changes| SyncMessage::Part { round: 7, share: first, part: 9, changes, more };
    let symbol = |count| CodedSymbol { sum: u64::MAX - 1, check: 0xFEDC_BA98, count };
    let symbols = [0, 1, -1, 200, -70_000, i64::MIN].map(symbol).to_vec();
    let all = changes.clone();
    let ask = |action| KeyMessage::Request { number: 7, action };
    let refused = Some("there are 4 cluster keys already".to_owned());
    let held = |kept, keeps_active, keeps_new| {
        let (keys, refused) = (vec![KeyId([8; 8]), KeyId([9; 8])], refused.clone());
        KeyMessage::Answer {
            number: 7,
            held: KeysHeld { keys, kept, keeps_active, keeps_new, refused },
        }
    };
    let sync = [
        ("sync-part", part(true, changes.clone())),
        ("sync-last-part", part(false, changes)),
        ("sync-request", SyncMessage::Request { round: 7, first, shares: 64 }),
        (
            "sync-ask-symbols",
            SyncMessage::AskSymbols { round: 7, first, shares: 3, from: 64, count: 2 },
        ),
        ("sync-symbols", SyncMessage::Symbols { round: 7, first, from: 64, count: 2, symbols }),
        ("sync-ask-entries", SyncMessage::AskEntries { round: 7, items: vec![1, u64::MAX] }),
        ("sync-entries", SyncMessage::Entries { round: 7, changes: all, more: true }),
    ];
    let clock = [
        ("sync-ask-time", ClockMessage::Query { asked: 12_345_678 }),
        (
            "sync-time",
            ClockMessage::Answer { asked: 12_345_678, now: UnixMillis(1_800_000_000_000) },
        ),
    ];
    let keys = [
        ("sync-list-keys", ask(KeyAction::List)),
        ("sync-add-key", ask(KeyAction::Add(KeySecret::new([7; 32].into())))),
        ("sync-activate-key", ask(KeyAction::Activate(KeyId([8; 8])))),
        ("sync-retire-key", ask(KeyAction::Retire(KeyId([9; 8])))),
        ("sync-keys", held(true, true, true)),
        ("sync-keys-not-kept", held(false, false, false)),
        ("sync-keys-active-not-kept", held(true, false, true)),
        ("sync-keys-kept-for-now", held(false, true, false)),
    ];
    let sync = sync.map(|(name, message)| (name, DirectMessage::from(message)));
    let clock = clock.map(|(name, message)| (name, DirectMessage::from(message)));
    let keys = keys.map(|(name, message)| (name, DirectMessage::from(message)));
    for (name, message) in sync.into_iter().chain(clock).chain(keys) {
        let bytes = check(name, &encode_direct(&message).unwrap());
        assert_eq!(decode_direct(&bytes).unwrap(), message);
    }
    let digest = MirrorDigest { entries: 5, set_hash: 1 << 100, key_id: 0x0102_0304 };
    assert_eq!(decode_digest(&check("digest", &encode_digest(&digest))).unwrap(), digest);
}
