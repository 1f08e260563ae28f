//! Replays a recorded handshake. A node that has the key dials an honest node through a proxy,
//! which records the messages of the dialer. Then that node leaves, and its messages are sent to
//! all nodes.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mailmesh::{ClusterKey, Coordinator, Node};
use zenoh::Wait;

use crate::attacks::KEY;
use crate::target::{Target, connect};
use crate::{batch, gate};

/// Number of threads that replay.
const THREADS: u64 = 4;
/// Maximum number of messages recorded for each connection.
const MAX_MESSAGES: usize = 64;
/// Maximum number of connections through the proxy.
const MAX_CONNECTIONS: usize = 16;
/// Time in which the recorded node must meet the honest one.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(15);
/// Recording time after that: the messages after the handshake are replayed too.
const RECORDING_TIME: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(20);

/// The messages of one connection: Zenoh batches, or the messages of the gate's handshake and the
/// bytes after it.
type Recording = Vec<Vec<u8>>;
type Recordings = Arc<Mutex<Vec<Recording>>>;

/// Replays until `stop` is set, and returns the number of attempts.
///
/// # Errors
/// If a node accepts a replayed handshake, or if none was recorded or answered.
pub(crate) fn run(target: &Target, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let Some(recording) = record(target, stop)? else { return Ok(0) };
    let sent = AtomicU64::new(0);
    let began = AtomicU64::new(0);
    let results = thread::scope(|scope| {
        let replaying: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        let attempt = began.fetch_add(1, Ordering::Relaxed);
                        // A refused link is an expected result.
                        let accepted = if target.is_bare {
                            replay_to_zenoh(target, &recording, attempt, &sent)
                        } else {
                            replay_to_gate(target, &recording, attempt, &sent)
                        };
                        let accepted = accepted.unwrap_or(false);
                        if accepted {
                            return Err(format!(
                                "a node accepted a replayed handshake, try {attempt}"
                            ));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let joined = replaying.into_iter().map(thread::ScopedJoinHandle::join);
        joined.collect::<Vec<_>>()
    });
    for result in results {
        result.map_err(|_| "a replaying thread panicked")??;
    }
    match sent.into_inner() {
        0 => Err("no node answered the first message of a handshake".into()),
        sent => Ok(sent),
    }
}

/// Whether a gate accepted the recording, with its own proof or with the gate's MAC reflected, and
/// with or without the bytes after it.
fn replay_to_gate(
    target: &Target,
    recording: &[Vec<u8>],
    number: u64,
    sent: &AtomicU64,
) -> std::io::Result<bool> {
    let [hello, proof, following @ ..] = recording else { return Ok(false) };
    let mut stream = connect(number, target.port(number / 4))?;
    stream.write_all(hello)?;
    let mut answer = [0; gate::ANSWER];
    stream.read_exact(&mut answer)?;
    let reflected = &answer[gate::ANSWER - gate::PROOF..];
    stream.write_all(if number % 2 == 1 { reflected } else { proof })?;
    sent.fetch_add(1, Ordering::Relaxed);
    if number % 4 > 1 {
        for bytes in following {
            // A closed link is no refusal: the node may have accepted it before.
            let _may_be_closed = stream.write_all(bytes);
        }
    }
    // Only an accepted link receives a byte.
    Ok(stream.read(&mut [0; 1])? > 0)
}

/// Whether a node of bare Zenoh accepted the recording.
fn replay_to_zenoh(
    target: &Target,
    recording: &[Vec<u8>],
    number: u64,
    sent: &AtomicU64,
) -> std::io::Result<bool> {
    let [init_syn, open_syn, following @ ..] = recording else { return Ok(false) };
    let mut stream = connect(number, target.port(number / 4))?;
    batch::write(&mut stream, init_syn)?;
    let answer = batch::read(&mut stream)?;
    if !batch::is_init_ack(&answer) {
        return Ok(false);
    }
    batch::write(&mut stream, open_syn)?;
    sent.fetch_add(1, Ordering::Relaxed);
    if number % 4 > 1 {
        for message in following {
            // A closed link is no refusal: the node may have accepted it before.
            let _may_be_closed = batch::write(&mut stream, message);
        }
    }
    Ok(batch::is_open_ack(&batch::read(&mut stream)?))
}

/// Records the messages of an accepted node; `None` if stopped before.
fn record(target: &Target, stop: &AtomicBool) -> Result<Option<Recording>, Box<dyn Error>> {
    let recordings = Recordings::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let endpoint = format!("tcp/{}", listener.local_addr()?);
    let (honest, is_bare) = (target.port(0), target.is_bare);
    let records = recordings.clone();
    // The thread ends with this process.
    thread::spawn(move || {
        for dialer in listener.incoming().map_while(Result::ok).take(MAX_CONNECTIONS) {
            let records = records.clone();
            thread::spawn(move || relay_and_record(dialer, honest, &records, is_bare));
        }
    });
    let config = serde_json::json!({
        "mode": "peer",
        "listen": { "endpoints": ["tcp/127.0.0.1:0"] },
        "connect": { "endpoints": [endpoint] },
        "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": false } },
    });
    let has_met = if target.is_bare {
        join_zenoh(&config.to_string(), stop)?
    } else {
        join_mailmesh(&config.to_string(), stop)?
    };
    if !has_met {
        return Ok(None);
    }
    let recordings = recordings.lock().unwrap_or_else(PoisonError::into_inner);
    // Of several connections the longest one: it was accepted.
    let recording = recordings.iter().max_by_key(|recording| recording.len()).cloned();
    let recording = recording.filter(|recording| recording.len() > 2);
    Ok(Some(recording.ok_or("the proxy recorded no handshake")?))
}

/// Lets a node with the key meet the honest one, talk, and leave.
fn join_mailmesh(config: &str, stop: &AtomicBool) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let builder = Node::builder().name("recorded").key(ClusterKey::from_bytes(&KEY));
        let node = builder.coordinator(Coordinator::parse(config)?).start().await?;
        let met = wait_for_peer(stop, || !node.members().is_empty());
        node.shutdown().await;
        met
    })
}

/// The same with a session of bare Zenoh.
fn join_zenoh(config: &str, stop: &AtomicBool) -> Result<bool, Box<dyn Error>> {
    let config = zenoh::Config::from_json5(config).map_err(|error| error.to_string())?;
    let session = zenoh::open(config).wait().map_err(|error| error.to_string())?;
    let met = wait_for_peer(stop, || session.info().peers_zid().wait().next().is_some());
    session.close().wait().map_err(|error| error.to_string())?;
    met
}

fn wait_for_peer(stop: &AtomicBool, has_met: impl Fn() -> bool) -> Result<bool, Box<dyn Error>> {
    let deadline = Instant::now() + DISCOVERY_TIMEOUT;
    while !has_met() {
        if stop.load(Ordering::Acquire) {
            return Ok(false);
        }
        if Instant::now() > deadline {
            return Err(format!(
                "the recorded node met no other node within {DISCOVERY_TIMEOUT:?}"
            )
            .into());
        }
        thread::sleep(POLL);
    }
    thread::sleep(RECORDING_TIME);
    Ok(true)
}

/// Relays between a dialer and a node, and records the messages of the dialer.
fn relay_and_record(
    mut dialer: TcpStream,
    honest: u16,
    recordings: &Recordings,
    is_bare: bool,
) -> Option<()> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, honest));
    let mut node = TcpStream::connect(to).ok()?;
    let (mut answers, mut back) = (node.try_clone().ok()?, dialer.try_clone().ok()?);
    thread::spawn(move || {
        let _until_closed = std::io::copy(&mut answers, &mut back);
        let _may_be_closed = back.shutdown(Shutdown::Both);
    });
    let at = {
        let mut recordings = recordings.lock().unwrap_or_else(PoisonError::into_inner);
        recordings.push(Vec::new());
        recordings.len() - 1
    };
    let mut count = 0;
    loop {
        let message =
            if is_bare { batch::read(&mut dialer) } else { read_gate_message(&mut dialer, count) };
        count += 1;
        let Ok(message) = message else { break };
        let written =
            if is_bare { batch::write(&mut node, &message) } else { node.write_all(&message) };
        if written.is_err() {
            break;
        }
        let mut recordings = recordings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recording) =
            recordings.get_mut(at).filter(|batches| batches.len() < MAX_MESSAGES)
        {
            recording.push(message);
        }
    }
    node.shutdown(Shutdown::Both).ok()
}

/// Reads a dialer's message to a gate: the hello, the proof, then any bytes.
fn read_gate_message(dialer: &mut TcpStream, number: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = match number {
        0 => vec![0; gate::HELLO],
        1 => vec![0; gate::PROOF],
        _ => {
            let mut bytes = vec![0; 4_096];
            let len = dialer.read(&mut bytes)?;
            if len == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            bytes.truncate(len);
            return Ok(bytes);
        }
    };
    dialer.read_exact(&mut bytes)?;
    Ok(bytes)
}
