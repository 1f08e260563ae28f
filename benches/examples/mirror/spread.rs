//! Propagation of one block to 31 peers, beside a bare Zenoh put to as many subscribers. All run in
//! this process over the loopback, fully connected.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mailmesh::{ClusterKey, Coordinator, Network, Node};
use zenoh::Wait;
use zenoh::qos::{CongestionControl, Priority};

use crate::row::Row;

const NODES: usize = 32;
/// Rounds that are not measured, while connections are new.
const WARM_UP: u32 = 10;
const ROUNDS: u32 = 80;
/// Time between two rounds. An attacked server blocks an address now and then, and the 32 nodes on
/// the same processors need time for their messages after each block.
const PAUSE: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(60);
/// Size of the bare put: about that of a sealed block.
const PUT_BYTES: usize = 150;

/// Configurations with one port per node. All nodes connect to the first one and learn of the
/// others from it.
fn configs() -> Result<Vec<String>, Box<dyn Error>> {
    let free = || std::net::TcpListener::bind("127.0.0.1:0");
    let listeners = (0..NODES).map(|_| free()).collect::<Result<Vec<_>, _>>()?;
    let ports = listeners
        .iter()
        .map(|l| l.local_addr().map(|a| a.port()))
        .collect::<Result<Vec<_>, _>>()?;
    let config = |port: &u16| {
        format!(
            "{{mode: 'peer', scouting: {{multicast: {{enabled: false}}}}, \
             listen: {{endpoints: ['tcp/127.0.0.1:{port}']}}, \
             connect: {{endpoints: ['tcp/127.0.0.1:{}']}}}}",
            ports[0]
        )
    };
    Ok(ports.iter().map(config).collect())
}

/// Polls a condition, sleeping between polls.
fn wait_until(condition: impl Fn() -> bool) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > TIMEOUT {
            return Err("the block or put did not reach every node".into());
        }
        std::thread::sleep(Duration::from_micros(10));
    }
    Ok(begin.elapsed())
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e3
}

/// Milliseconds until 31 subscribers have received a put.
fn bare_zenoh() -> Result<f64, Box<dyn Error>> {
    let open = |config: &String| -> Result<zenoh::Session, Box<dyn Error>> {
        // Plain Zenoh, without the settings of mailmesh.
        let config = zenoh::Config::from_json5(config).map_err(|error| error.to_string())?;
        Ok(zenoh::open(config).wait().map_err(|error| error.to_string())?)
    };
    let sessions = configs()?.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let received = Arc::new(AtomicUsize::new(0));
    let mut subscribers = Vec::new();
    for session in &sessions[1..] {
        let received = received.clone();
        let subscriber = session.declare_subscriber("bench/spread").callback(move |_| {
            received.fetch_add(1, Ordering::AcqRel);
        });
        subscribers.push(subscriber.wait().map_err(|error| error.to_string())?);
    }
    let publisher = sessions[0]
        .declare_publisher("bench/spread")
        .congestion_control(CongestionControl::Block)
        .priority(Priority::InteractiveHigh)
        .express(true)
        .wait()
        .map_err(|error| error.to_string())?;
    let put = || -> Result<Duration, Box<dyn Error>> {
        std::thread::sleep(PAUSE);
        received.store(0, Ordering::Release);
        let begin = Instant::now();
        publisher.put(vec![7_u8; PUT_BYTES]).wait().map_err(|error| error.to_string())?;
        wait_until(|| received.load(Ordering::Acquire) == NODES - 1)?;
        Ok(begin.elapsed())
    };
    // Wait until all subscriptions are known.
    let begin = Instant::now();
    loop {
        received.store(0, Ordering::Release);
        publisher.put(vec![7_u8; PUT_BYTES]).wait().map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(50));
        if received.load(Ordering::Acquire) == NODES - 1 {
            break;
        }
        if begin.elapsed() > TIMEOUT {
            return Err("not all subscriptions are known".into());
        }
    }
    for _ in 0..WARM_UP {
        put()?;
    }
    let took = (0..ROUNDS).map(|_| put()).collect::<Result<Vec<_>, _>>()?;
    for session in sessions {
        session.close().wait().map_err(|error| error.to_string())?;
    }
    Ok(median(took))
}

/// Milliseconds until 31 mirrors have applied a block.
async fn ours() -> Result<f64, Box<dyn Error>> {
    let key = ClusterKey::generate()?;
    let mut nodes = Vec::new();
    for (n, config) in configs()?.iter().enumerate() {
        let builder = Node::builder().name(format!("mx{n}")).key(key.clone());
        nodes.push(builder.coordinator(Coordinator::parse(config)?).start().await?);
    }
    for node in &nodes {
        tokio::time::timeout(TIMEOUT, node.wait_for_members(NODES - 1)).await?;
    }
    let mut took = Vec::new();
    for n in 0..WARM_UP + ROUNDS {
        let address = IpAddr::from(Ipv4Addr::from(0x0B00_0000 + n));
        tokio::time::sleep(PAUSE).await;
        let begin = Instant::now();
        nodes[0].blocks().add(Network::single(address)).reason("too many failed logins").await?;
        tokio::task::block_in_place(|| {
            wait_until(|| nodes.iter().all(|node| node.blocks().is_blocked(address)))
                .map_err(|error| error.to_string())
        })?;
        if n >= WARM_UP {
            took.push(begin.elapsed());
        }
    }
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(median(took))
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let before = bare_zenoh()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ours = runtime.block_on(ours())?;
    // The load of the machine changes, so bare Zenoh is measured before and after.
    let rival = f64::midpoint(before, bare_zenoh()?);
    let row = Row::new("one block at 31 peers", ours, "ms", 1.25 * rival);
    Ok(vec![row.versus("a put of bare Zenoh", rival)])
}
