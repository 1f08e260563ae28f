//! A lying member gives one stamp to several contents and sends each to other nodes: mirrors detect
//! the difference and agree on one content.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn stamp() -> Stamp {
    Stamp::new(NOW, 0, NodeId(7))
}

fn network_change(block: Option<RuleDetails>) -> Change {
    let network = "192.0.2.7".parse().unwrap();
    let block = block.map(Arc::new);
    Change::Network(NetworkChange::new(Rule::Block, network, stamp(), block))
}

fn blocked(reason: &str, added: u64) -> Change {
    network_change(Some(RuleDetails::new(reason, UnixMillis(added)).unwrap()))
}

fn value_change(value: Option<Value>) -> Change {
    let key = ValueKey::new("acme.flags", "greylisting").unwrap();
    Change::Value(ValueChange::new(key, stamp(), value.map(Arc::new)))
}

fn certificate_change(certificate: Option<Certificate>) -> Change {
    let names = DomainNames::new(["mx.example.org"]).unwrap();
    let certificate = certificate.map(Arc::new);
    Change::Certificate(CertificateChange::new(names, stamp(), certificate))
}

/// Two certificates of one name, each with its own key.
fn certificates() -> [Certificate; 2] {
    [(); 2].map(|()| {
        let made = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    })
}

/// One mirror for each change, holding only that change.
fn mirrors(changes: &[&Change]) -> Vec<Mirror> {
    let mirror = |(n, change): (u64, &&Change)| {
        let mirror = Mirror::new(NodeId(n), [3; 16]);
        assert_eq!(mirror.apply(change, NOW), Applied::Changed);
        mirror
    };
    (1..).zip(changes).map(mirror).collect()
}

/// Runs reconciliation between two mirrors for this many seconds.
fn compare(mirrors: &[Mirror], seconds: u64) {
    let mut nodes: Vec<_> =
        (0..2).map(|n| Reconciler::new(n, ReconcileConfig::default())).collect();
    nodes[0].on_joined(1);
    nodes[1].on_joined(0);
    for second in 0..seconds {
        let (now, at) = (NOW.plus(Duration::from_secs(second)), Duration::from_secs(second));
        let digests = [mirrors[0].digest(), mirrors[1].digest()];
        for n in 0..2 {
            nodes[n].on_deadline(at);
            nodes[n].on_digest(1 - n, digests[1 - n], digests[n], at);
        }
        loop {
            let sent: Vec<_> = nodes.iter_mut().map(Reconciler::take_outgoing).collect();
            if sent.iter().all(Vec::is_empty) {
                break;
            }
            for (from, messages) in sent.into_iter().enumerate() {
                for (to, message) in messages {
                    nodes[to].on_message(from, message, &mirrors[to], now, at);
                }
            }
        }
    }
}

fn become_equal(one: &Change, other: &Change) -> Vec<Change> {
    let [there, back] = [[one, other], [other, one]].map(|changes| {
        let mirrors = mirrors(&changes);
        assert_ne!(mirrors[0].digest(), mirrors[1].digest(), "{one:?} and {other:?}");
        compare(&mirrors, 10);
        assert_eq!(mirrors[0].content(), mirrors[1].content());
        assert_eq!(mirrors[0].digest(), mirrors[1].digest());
        mirrors[0].content()
    });
    assert_eq!(there, back, "the result depends on which node has which content");
    there
}

#[test]
fn mirrors_with_different_contents_of_one_stamp_become_equal() {
    let end = NOW.plus(Duration::from_secs(3_600));
    let (spam, other) = (blocked("spam", 1), blocked("other", 1));
    become_equal(&spam, &other);
    become_equal(&spam, &blocked("spam", 2));
    let block = RuleDetails::new("spam", UnixMillis(1)).unwrap();
    become_equal(&spam, &network_change(Some(block.clone().with_origin("imap").unwrap())));
    // The content that expires later wins, so that the other does not outlast it; any entry beats a
    // removal.
    let ends = network_change(Some(block.with_expiry(end)));
    assert_eq!(become_equal(&ends, &spam), std::slice::from_ref(&spam));
    let removed = network_change(None);
    assert_eq!(become_equal(&removed, &spam), std::slice::from_ref(&spam));
    let value = |bytes: &'static str| value_change(Some(Value::new(bytes.as_bytes()).unwrap()));
    become_equal(&value("on"), &value("off"));
    become_equal(&value("on"), &value_change(None));
    let [one, other] = certificates().map(Some).map(certificate_change);
    become_equal(&one, &other);
    become_equal(&one, &certificate_change(None));
}

/// Lookups, observers and stores see the winning content.
#[test]
fn the_winning_content_of_a_stamp_is_in_force() {
    let address = "192.0.2.7".parse().unwrap();
    let mirror = Mirror::new(NodeId(1), [3; 16]);
    assert_eq!(mirror.apply(&network_change(None), NOW), Applied::Changed);
    assert!(!mirror.is_blocked(address, NOW));
    assert_eq!(mirror.apply(&blocked("spam", 1), NOW), Applied::Changed);
    assert!(mirror.is_blocked(address, NOW));
    assert_eq!(mirror.apply(&network_change(None), NOW), Applied::Stale);
    assert_eq!(mirror.apply(&blocked("spam", 1), NOW), Applied::Stale);
    assert_eq!(mirror.digest().entries, 1);
    assert_eq!(mirror.content(), [blocked("spam", 1)]);
}

#[test]
fn rekeying_gives_the_fingerprint_of_the_new_key() {
    let (old, new) = (Mirror::new(NodeId(1), [3; 16]), Mirror::new(NodeId(2), [4; 16]));
    let [certificate, _] = certificates();
    let value = Value::new(&b"on"[..]).unwrap();
    for change in
        [blocked("spam", 1), certificate_change(Some(certificate)), value_change(Some(value))]
    {
        old.apply(&change, NOW);
        new.apply(&change, NOW);
    }
    old.rekey([4; 16]);
    assert_eq!(old.digest(), new.digest());
    let later = NOW.plus(Duration::from_secs(1));
    for mirror in [&old, &new] {
        mirror.purge_until(Stamp::new(later, 0, NodeId(0)));
        assert_eq!((mirror.digest().entries, mirror.digest().set_hash), (0, 0));
    }
}

/// The item of each content, read from the first coded symbol of a mirror that holds only that
/// content. Each change must win over the previous one.
fn items(changes: impl Iterator<Item = Change>) -> impl Iterator<Item = (u64, Change)> {
    let mirror = Mirror::new(NodeId(1), [3; 16]);
    let mut node = Reconciler::new(0, ReconcileConfig::default());
    node.on_joined(1);
    changes.zip(1..).map(move |(change, second)| {
        assert_eq!(mirror.apply(&change, NOW), Applied::Changed);
        let (first, at) = (Share { bits: 0, index: 0 }, Duration::from_secs(second));
        let query = SyncMessage::AskSymbols { round: 1, first, shares: 1, from: 0, count: 1 };
        node.on_message(1, query, &mirror, NOW, at);
        match &node.take_outgoing()[..] {
            [(_, SyncMessage::Symbols { symbols, .. })] => (symbols[0].sum, change),
            other => panic!("{other:?}"),
        }
    })
}

/// A comparison uses 24 bits of each version. A member, which has the key, can search for two
/// contents that share them.
#[test]
fn contents_with_equal_items_are_exchanged_in_full() {
    let mut seen = HashMap::new();
    let mut pairs = items((1..100_000).map(|added| blocked("spam", added)))
        .filter_map(|(item, change)| Some([seen.insert(item, change.clone())?, change]));
    let [one, other] = pairs.next().unwrap();
    for changes in [[&one, &other], [&other, &one]] {
        let mirrors = mirrors(&changes);
        compare(&mirrors, 60);
        assert_eq!(mirrors[0].content(), mirrors[1].content());
    }
}

fn any_content() -> impl Strategy<Value = Change> {
    let end = prop_oneof![Just(None), (0_u64..3).prop_map(|n| Some(NOW.plus(DAY * n as u32)))];
    let block = ("[ab]{0,2}", "[ab]{0,2}", 0_u64..3, end).prop_map(|(why, by, added, end)| {
        let block = RuleDetails::new(why, UnixMillis(added)).unwrap().with_origin(by).unwrap();
        end.into_iter().fold(block, RuleDetails::with_expiry)
    });
    prop::option::of(block).prop_map(network_change)
}

const DAY: Duration = Duration::from_secs(86_400);

proptest! {
    #[test]
    fn order_and_repetition_of_equal_stamps_do_not_matter(
        contents in prop::collection::vec(any_content(), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let [one, other] = [1, 2].map(|n| Mirror::new(NodeId(n), [3; 16]));
        contents.iter().for_each(|change| drop(one.apply(change, NOW)));
        let again = order.iter().map(|index| index.get(&contents));
        again.chain(contents.iter().rev()).for_each(|change| drop(other.apply(change, NOW)));
        prop_assert_eq!(one.content(), other.content());
        prop_assert_eq!(one.digest(), other.digest());
        // Equal digests mean equal content.
        let third = Mirror::new(NodeId(3), [3; 16]);
        third.apply(&contents[0], NOW);
        prop_assert_eq!(third.digest() == one.digest(), third.content() == one.content());
    }
}
