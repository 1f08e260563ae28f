//! mailmesh nodes that honest nodes must exclude: with a retired key, or without a key.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailmesh::{
    ClusterKey, Coordinator, Custom, Filter, Inbox, Incoming, Kind, Network, Node, Rule,
};

use crate::target::Target;

/// The key that the nodes under attack have retired (`system/mailmesh.rs`).
const RETIRED_KEY: [u8; 32] = [0x72; 32];
/// Prefix of the intruders' names, kind of their events, and reason of their blocks.
const INTRUDER: &str = "outcast";
/// Time for which each intruder runs.
const NODE_LIFETIME: Duration = Duration::from_secs(2);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(20);

/// Starts nodes one after the other until `stop` is set, and returns their number.
///
/// # Errors
/// If one of them ever sees an honest node, or an event or a block of one.
pub(crate) fn run(
    target: &Target,
    is_keyed: bool,
    stop: &AtomicBool,
) -> Result<u64, Box<dyn Error>> {
    let endpoints: Vec<_> = target.ports.iter().map(|p| format!("tcp/127.0.0.1:{p}")).collect();
    let scouting = format!("{}:{}", target.group.ip(), target.group.port() - 1);
    let config = serde_json::json!({
        "@type": "Zenoh",
        "config": {
            "mode": "peer",
            "listen": { "endpoints": ["tcp/127.0.0.1:0"] },
            "connect": { "endpoints": endpoints },
            "scouting": { "multicast": { "address": scouting, "interface": "lo" } },
        },
        "mesh": { "open": !is_keyed },
    });
    let config = config.to_string();
    let started = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = |number| run_nodes(&config, is_keyed, number, &started, stop);
        // Four nodes at once. They may see each other.
        tokio::try_join!(node(0), node(1), node(2), node(3))
    })?;
    Ok(started.into_inner())
}

async fn run_nodes(
    config: &str,
    is_keyed: bool,
    number: u8,
    started: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), Box<dyn Error>> {
    while !stop.load(Ordering::Acquire) {
        let mut builder = Node::builder().name(format!("{INTRUDER}-{number}"));
        if is_keyed {
            builder = builder.key(ClusterKey::from_bytes(&RETIRED_KEY));
        }
        let node = builder.coordinator(Coordinator::parse(config)?).start().await?;
        started.fetch_add(1, Ordering::Relaxed);
        let kept_out = check_exclusion(&node, number, stop).await;
        // A node without peers may be slow to shut down.
        let _late = tokio::time::timeout(SHUTDOWN_TIMEOUT, node.shutdown()).await;
        kept_out?;
    }
    Ok(())
}

async fn check_exclusion(node: &Node, number: u8, stop: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let mut inbox = node.inbox(Filter::kinds([Kind::Custom])?);
    let address = Ipv4Addr::new(192, 0, 2, number);
    node.blocks().add(Network::single(address.into())).reason(INTRUDER).await?;
    let end = Instant::now() + NODE_LIFETIME;
    while Instant::now() < end && !stop.load(Ordering::Acquire) {
        node.publish(Custom::new(INTRUDER, Bytes::from_static(INTRUDER.as_bytes()))?).await?;
        if let Some(member) = node.members().iter().find(|m| !is_intruder(m.name.as_str())) {
            return Err(format!("an intruder has the member {}", member.name).into());
        }
        let blocks = node.blocks().list(Rule::Block);
        if let Some(entry) = blocks.iter().find(|entry| entry.details.reason() != INTRUDER) {
            return Err(format!("an intruder received a block: {entry:?}").into());
        }
        check_events(&mut inbox).await?;
    }
    Ok(())
}

/// Checks pending events until none arrives for a moment.
async fn check_events(inbox: &mut Inbox) -> Result<(), Box<dyn Error>> {
    while let Ok(Some(incoming)) = tokio::time::timeout(RECEIVE_TIMEOUT, inbox.recv()).await {
        if let Incoming::Event(received) = incoming
            && !is_intruder(received.from.name.as_str())
        {
            let from = &received.from.name;
            return Err(format!("an intruder received an event of {from}").into());
        }
    }
    Ok(())
}

fn is_intruder(name: &str) -> bool {
    name.starts_with(INTRUDER)
}
