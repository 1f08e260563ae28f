//! A stranger at the links of nodes, below frames: a small client of Zenoh's link protocol that
//! never proves a key. All that it sends is well formed, or noise: no fault of Zenoh is used.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use zenoh::Wait;

use crate::attacks::Attack;
use crate::batch::{self, random};
use crate::{discovery, gate, outcast, replay};

/// Addresses of the loopback that links come from.
const ADDRESSES: u64 = 200;
/// Threads that open links.
const THREADS: u64 = 8;
/// Links that each keeps open and silent.
const SILENT: usize = 50;
const PATIENCE: Duration = Duration::from_millis(300);

/// Where the nodes are that it attacks.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The ports that they listen on, of the loopback.
    pub(crate) ports: Vec<u16>,
    /// Where they ask each other who is there; Zenoh's scouting is one port below.
    pub(crate) group: SocketAddr,
    /// They are bare Zenoh.
    pub(crate) is_bare: bool,
}

impl Target {
    /// The ports in turn.
    pub(crate) fn port(&self, number: u64) -> u16 {
        self.ports[number as usize % self.ports.len()]
    }
}

/// Attacks until told to stop; how many links, datagrams or nodes.
pub(crate) fn run(
    attack: Attack,
    target: &Target,
    stop: &AtomicBool,
) -> Result<u64, Box<dyn Error>> {
    if target.ports.is_empty() {
        return Err("the ports of the nodes are not known".into());
    }
    match attack {
        Attack::LinkWrongLogin => wrong_login(&target.ports, stop),
        Attack::LinkReplayed => replay::run(target, stop),
        Attack::LinkRetiredKey => outcast::run(target, true, stop),
        Attack::LinkNoKey => outcast::run(target, false, stop),
        Attack::DiscoveryFlood => discovery::run(target.group, stop),
        Attack::LinkAll => all(target, stop),
        _ => Ok(flood(attack, target, stop)),
    }
}

/// Opens links as fast as it goes, from many addresses.
fn flood(attack: Attack, target: &Target, stop: &AtomicBool) -> u64 {
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let sent = &sent;
            scope.spawn(move || {
                let mut silent = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    // A refused link is one way to be kept out.
                    let is_bare = target.is_bare;
                    let _refused = connect(n + thread, target.port(n / THREADS))
                        .and_then(|stream| link(attack, n, stream, &mut silent, is_bare));
                }
            });
        }
    });
    sent.into_inner()
}

/// Every attack at links at once, but those of a node with a retired key: it needs nodes that
/// have retired one.
fn all(target: &Target, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let mut attacks = vec![
        Attack::LinkNoProof,
        Attack::LinkUnasked,
        Attack::LinkWrongLogin,
        Attack::LinkHalfOpen,
        Attack::LinkGarbage,
        Attack::LinkReplayed,
        Attack::DiscoveryFlood,
    ];
    if !target.is_bare {
        attacks.push(Attack::LinkNoKey);
    }
    let sent: Vec<Result<u64, String>> = thread::scope(|scope| {
        let one = |attack| move || run(attack, target, stop).map_err(|e| e.to_string());
        let running: Vec<_> = attacks.into_iter().map(|attack| scope.spawn(one(attack))).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|sent| sent.unwrap_or_else(|_| Err("it panicked".into()))).collect()
    });
    let sent: Result<Vec<u64>, String> = sent.into_iter().collect();
    Ok(sent?.iter().sum())
}

/// A link to a node, from one of many addresses.
pub(crate) fn connect(number: u64, port: u16) -> std::io::Result<TcpStream> {
    let from = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0))))?;
    let to = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    socket.connect_timeout(&to, PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn link(
    attack: Attack,
    number: u64,
    mut stream: TcpStream,
    silent: &mut Vec<TcpStream>,
    is_bare: bool,
) -> std::io::Result<()> {
    match attack {
        Attack::LinkHalfOpen => {
            if silent.len() >= SILENT {
                // The oldest is closed by the node, or now.
                let _nothing = silent.remove(0).read(&mut [0; 64]);
            }
            silent.push(stream);
        }
        Attack::LinkGarbage => {
            stream.write_all(&random::<16_384>())?;
            let _closed = stream.read(&mut [0; 64])?;
        }
        Attack::LinkUnasked => {
            for message in batch::unasked(number) {
                batch::write(&mut stream, &message)?;
            }
            let _closed = stream.read(&mut [0; 64])?;
        }
        _ if !is_bare && !number.is_multiple_of(8) => gate::unproven(&mut stream, number)?,
        _ => {
            batch::write(&mut stream, &batch::init_syn())?;
            let _answer = stream.read(&mut [0; 512])?;
        }
    }
    Ok(())
}

/// Sessions of Zenoh with a login that is none.
fn wrong_login(ports: &[u16], stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let endpoints: Vec<String> = ports.iter().map(|p| format!("tcp/127.0.0.1:{p}")).collect();
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        let user: String = random::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let config = serde_json::json!({
            "mode": "peer",
            "listen": { "endpoints": [] },
            "connect": { "endpoints": endpoints, "timeout_ms": 50, "exit_on_failure": false },
            "scouting": { "multicast": { "enabled": false } },
            "transport": { "auth": { "usrpwd": { "user": user, "password": "guessed" } } },
        });
        let config = zenoh::Config::from_json5(&config.to_string()).map_err(|e| e.to_string())?;
        let session = zenoh::open(config).wait().map_err(|error| error.to_string())?;
        sent += ports.len() as u64;
        session.close().wait().map_err(|error| error.to_string())?;
    }
    Ok(sent)
}
