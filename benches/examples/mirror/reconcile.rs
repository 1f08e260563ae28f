//! Cost of finding and repairing differences. Two mirrors exchange encoded messages in memory.

use std::error::Error;
use std::time::{Duration, Instant};

use mailmesh_benches::corpus::{self, ADDRESSES, NOW};
use mailmesh_codec::{encode_digest, encode_direct};
use mailmesh_events::{Network, NodeId, Rule, SyncMessage};
use mailmesh_state::{Mirror, ReconcileConfig, Reconciler};

use crate::row::Row;

struct Node {
    mirror: Mirror,
    reconciler: Reconciler<usize>,
}

#[derive(Debug, Default)]
struct Cost {
    bytes: usize,
    /// Bytes of the messages that carry entries.
    in_entries: usize,
    entries: usize,
    round_trips: usize,
    cpu: Duration,
    heartbeats: usize,
}

/// Two nodes with the same addresses. The second one has `differences` more.
fn pair(differences: u32) -> Result<[Node; 2], Box<dyn Error>> {
    let mut nodes = [0, 1].map(|n| {
        let mirror = Mirror::new(NodeId(n as u64 + 1), [7; 16]);
        let mut reconciler = Reconciler::new(n, ReconcileConfig::default());
        reconciler.on_joined(1 - n);
        Node { mirror, reconciler }
    });
    let all = (0..ADDRESSES).map(|n| (Network::single(corpus::v4(n)), corpus::block(n)));
    let changes = nodes[0].mirror.set_all(Rule::Block, all.collect(), NOW)?.changes;
    changes.iter().for_each(|change| drop(nodes[1].mirror.apply(change, NOW)));
    let more = (0..differences).map(|n| {
        let n = 0x3000_0000 + n;
        (Network::single(corpus::v4(n)), corpus::block(n))
    });
    nodes[1].mirror.set_all(Rule::Block, more.collect(), NOW)?;
    // The nodes know each other's digest already, so no comparison is urgent.
    for node in &mut nodes {
        let digest = node.mirror.digest();
        let other = 1 - usize::from(node.mirror.latest_stamp().node() == NodeId(2));
        node.reconciler.on_digest(other, digest, digest, Duration::ZERO);
    }
    Ok(nodes)
}

fn reconcile(nodes: &mut [Node; 2]) -> Result<Cost, Box<dyn Error>> {
    let (mut cost, mut at) = (Cost::default(), Duration::ZERO);
    while nodes[0].mirror.digest() != nodes[1].mirror.digest() {
        cost.heartbeats += 1;
        if cost.heartbeats > 300 {
            return Err("the mirrors do not converge".into());
        }
        let digests = [0, 1].map(|n: usize| nodes[n].mirror.digest());
        let begin = Instant::now();
        for n in 0..2 {
            nodes[n].reconciler.on_digest(1 - n, digests[1 - n], digests[n], at);
        }
        loop {
            let sent = [0, 1].map(|n: usize| nodes[n].reconciler.take_outgoing());
            if sent.iter().all(Vec::is_empty) {
                break;
            }
            cost.round_trips += usize::from(!sent[0].is_empty());
            for (from, messages) in sent.into_iter().enumerate() {
                for (to, message) in messages {
                    let bytes = encode_direct(&message.clone().into())?.len();
                    cost.bytes += bytes;
                    if let SyncMessage::Part { changes, .. }
                    | SyncMessage::Entries { changes, .. } = &message
                    {
                        cost.in_entries += bytes;
                        cost.entries += changes.len();
                    }
                    let node = &mut nodes[to];
                    node.reconciler.on_message(from, message, &node.mirror, NOW, at);
                }
            }
        }
        cost.cpu += begin.elapsed();
        at += Duration::from_secs(1);
        for node in nodes.iter_mut() {
            node.reconciler.on_deadline(at);
        }
    }
    Ok(cost)
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    let mut nodes = pair(10)?;
    let digest = encode_digest(&nodes[0].mirror.digest()).len();
    rows.push(Row::new("two equal mirrors of 1 M: to know it", digest as f64, "B", 32.0));
    let resend = {
        let page: Vec<_> = nodes[0].mirror.content().into_iter().take(1_000).collect();
        let bytes = encode_direct(
            &SyncMessage::Entries { round: 1, changes: page.clone(), more: false }.into(),
        )?;
        bytes.len() as f64 / page.len() as f64 * f64::from(ADDRESSES)
    };
    let cost = reconcile(&mut nodes)?;
    let besides = (cost.bytes - cost.in_entries) as f64;
    rows.push(
        Row::new("10 differences in 1 M, besides the entries", besides, "B", 2_000.0)
            .versus("full resend", resend),
    );
    rows.push(Row::new("10 differences in 1 M, round trips", cost.round_trips as f64, "", 2.0));
    rows.push(Row::new(
        "10 differences in 1 M, CPU of both",
        cost.cpu.as_secs_f64() * 1e3,
        "ms",
        10.0,
    ));
    drop(nodes);
    let mut nodes = pair(100_000)?;
    let cost = reconcile(&mut nodes)?;
    let own = cost.in_entries as f64 * 100_000.0 / cost.entries as f64;
    rows.push(
        Row::new("100,000 differences in 1 M", cost.bytes as f64 / own, "times", 2.0)
            .versus("full resend, in MB against MB", resend / own),
    );
    println!(
        "    ({} bytes, {} of them entries, {} entries sent; {} heartbeats, {:.2} s CPU)",
        cost.bytes,
        cost.in_entries,
        cost.entries,
        cost.heartbeats,
        cost.cpu.as_secs_f64()
    );
    Ok(rows)
}
