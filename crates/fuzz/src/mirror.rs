//! Two mirrors and their reconcilers with arbitrary inputs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use mailmesh_codec::decode_direct;
use mailmesh_events::{
    Change, DirectMessage, MirrorDigest, Network, NetworkChange, NodeId, Rule, RuleDetails, Stamp,
    UnixMillis, Value, ValueChange, ValueKey,
};
use mailmesh_state::{Bounds, Mirror, ReconcileConfig, Reconciler, Verdict};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const STEPS: usize = 300;
/// Capacity of each mirror, in networks and in values.
const MAX_ENTRIES: usize = 64;

fn moment(u: &mut Unstructured<'_>) -> Result<UnixMillis> {
    Ok(match u.int_in_range(0..=9)? {
        0 => UnixMillis(u.arbitrary()?),
        _ => UnixMillis(NOW.0 + u.int_in_range(0..=20_000)? - 10_000),
    })
}

fn network(u: &mut Unstructured<'_>) -> Result<Network> {
    let n: u8 = u.int_in_range(0..=20)?;
    let address: IpAddr = match n % 3 {
        0 => [11, 0, 0, n].into(),
        1 => [11, n, 0, 0].into(),
        _ => [0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 1].into(),
    };
    let len = u.int_in_range(0..=128)?;
    Ok(Network::new(address, len).unwrap_or_else(|_| Network::single(address)))
}

fn change(u: &mut Unstructured<'_>) -> Result<Change> {
    let stamp = Stamp::new(moment(u)?, u.int_in_range(0..=3)?, NodeId(u.int_in_range(0..=3)?));
    let expires = if u.arbitrary()? { Some(moment(u)?) } else { None };
    let live: bool = u.ratio(3, 4)?;
    if u.ratio(1, 4)? {
        let name = format!("flag {}", u.int_in_range(0..=9)?);
        let key = ValueKey::new("fuzz", name).expect("a key");
        let mut value = Value::new(vec![1, 2, 3]).expect("short");
        value.expires = expires;
        return Ok(Change::Value(ValueChange::new(key, stamp, live.then(|| Arc::new(value)))));
    }
    let rule = if u.ratio(1, 5)? { Rule::Allow } else { Rule::Block };
    let network = network(u)?;
    let mut block = RuleDetails::new("x", NOW).expect("short");
    block.expires = expires;
    let block = live.then(|| Arc::new(block));
    Ok(Change::Network(NetworkChange::new(rule, network, stamp, block)))
}

struct Replica {
    mirror: Mirror,
    reconciler: Reconciler<u8>,
}

pub(crate) fn run(data: &[u8]) {
    let mut bounds = Bounds::default();
    (bounds.networks, bounds.values) = (MAX_ENTRIES, MAX_ENTRIES);
    let replica = |n: u8| Replica {
        mirror: Mirror::with_bounds(NodeId(n.into()), [3; 16], bounds),
        reconciler: Reconciler::new(n, ReconcileConfig::default()),
    };
    let mut replicas = [replica(0), replica(1)];
    for n in 0..2 {
        replicas[usize::from(n)].reconciler.on_joined(1 - n);
    }
    let mut u = Unstructured::new(data);
    let (mut now, mut at) = (NOW, Duration::ZERO);
    for _ in 0..STEPS {
        if u.is_empty() || step(&mut replicas, &mut now, &mut at, &mut u).is_err() {
            break;
        }
        for replica in &mut replicas {
            let sent = replica.reconciler.take_outgoing();
            assert!(sent.len() < 10_000, "a step causes endless messages");
            assert!(replica.mirror.digest().entries <= 2 * MAX_ENTRIES as u64 + 10_000);
        }
    }
    let now = now.plus(Duration::from_secs(1));
    for replica in &replicas {
        replica.mirror.sweep(now);
        check(&replica.mirror, now);
    }
    // Each mirror accepts all that the other has. Tests of `crates/state` check that the mirrors
    // are equal then; there, time does not jump by years.
    let [a, b] = &replicas;
    b.mirror.apply_all(a.mirror.content(), now);
    b.mirror.sweep(now);
    check(&b.mirror, now);
}

fn step(
    replicas: &mut [Replica; 2],
    now: &mut UnixMillis,
    at: &mut Duration,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let n: u8 = u.int_in_range(0..=1)?;
    let Replica { mirror, reconciler } = &mut replicas[usize::from(n)];
    match u.int_in_range(0..=9)? {
        0 => {
            *at += Duration::from_millis(u.int_in_range(0..=3_000)?);
            *now = moment(u)?;
            mirror.sweep(*now);
            reconciler.on_deadline(*at);
        }
        1 => {
            let entries = if u.ratio(1, 4)? { u.arbitrary()? } else { u.int_in_range(0..=50)? };
            let theirs =
                MirrorDigest { entries, set_hash: u.arbitrary()?, key_id: mirror.digest().key_id };
            reconciler.on_digest(1 - n, theirs, mirror.digest(), *at);
        }
        2 => {
            let len = u.int_in_range(0..=200)?;
            let bytes = u.bytes(len.min(u.len()))?;
            if let Ok(DirectMessage::Sync(message)) = decode_direct(bytes) {
                reconciler.on_message(1 - n, message, mirror, *now, *at);
            }
        }
        3 => {
            let mut batch = Vec::new();
            for _ in 0..u.int_in_range(0..=8)? {
                let mut block = RuleDetails::new("batch", NOW).expect("short");
                block.expires = if u.arbitrary()? { Some(moment(u)?) } else { None };
                batch.push((network(u)?, block));
            }
            let _refused = mirror.set_all(Rule::Block, batch, *now);
        }
        4 => {
            let _absent = mirror.remove(Rule::Block, network(u)?, *now);
        }
        5 => {
            let keys: Vec<_> = mirror.content().iter().map(Change::key).collect();
            let saved: Vec<_> = mirror.saved(&keys).into_iter().flatten().collect();
            replicas[usize::from(1 - n)].mirror.restore(saved, *now);
        }
        _ => {
            let _stale = mirror.apply(&change(u)?, *now);
        }
    }
    Ok(())
}

/// Lookups agree with the content.
fn check(mirror: &Mirror, now: UnixMillis) {
    let listed = |rule| -> Vec<Network> {
        mirror.networks(rule, now).into_iter().map(|entry| entry.network).collect()
    };
    let (blocked, allowed) = (listed(Rule::Block), listed(Rule::Allow));
    for network in mirror.content().iter().filter_map(|change| match change {
        Change::Network(change) => Some(change.network),
        _ => None,
    }) {
        let address = network.address();
        let has = |networks: &[Network]| networks.iter().any(|n| n.contains(address));
        let expected = has(&blocked) && !has(&allowed) && !address.is_loopback();
        let found = mirror.is_blocked(address, now);
        let looked_up = matches!(mirror.lookup(address, now), Verdict::Blocked(_));
        assert_eq!(looked_up, expected, "{address}");
        // An entry that expires later than the lookup tables record is found until the next sweep.
        assert_eq!(found, expected, "{address}");
    }
}
