//! A stranger at the links of nodes, below frames: a small client of Zenoh's link protocol that
//! never proves a key. All messages are well formed or random; no defect of Zenoh is used.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use zenoh::Wait;

use crate::attacks::Attack;
use crate::batch::{self, random};
use crate::target::{Target, connect};
use crate::{discovery, gate, intruder, replay};

/// Number of threads that open links.
const THREADS: u64 = 8;
/// Maximum number of silent links that each thread keeps open.
const MAX_SILENT_LINKS: usize = 50;

/// Attacks until `stop` is set, and returns the number of links, datagrams or nodes.
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
        Attack::LinkRetiredKey => intruder::run(target, true, stop),
        Attack::LinkNoKey => intruder::run(target, false, stop),
        Attack::DiscoveryFlood => discovery::run(target.group, stop),
        Attack::LinkAll => run_all(target, stop),
        _ => Ok(flood(attack, target, stop)),
    }
}

/// Opens links from many addresses, as fast as possible.
fn flood(attack: Attack, target: &Target, stop: &AtomicBool) -> u64 {
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let sent = &sent;
            scope.spawn(move || {
                let mut silent = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    // A refused link is an expected result.
                    let is_bare = target.is_bare;
                    let _refused = connect(n + thread, target.port(n / THREADS))
                        .and_then(|stream| attack_link(attack, n, stream, &mut silent, is_bare));
                }
            });
        }
    });
    sent.into_inner()
}

/// Runs all attacks at links at once, except the retired key: it needs nodes that have retired one.
fn run_all(target: &Target, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
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
        joined.map(|sent| sent.unwrap_or_else(|_| Err("an attack panicked".into()))).collect()
    });
    let sent: Result<Vec<u64>, String> = sent.into_iter().collect();
    Ok(sent?.iter().sum())
}

fn attack_link(
    attack: Attack,
    number: u64,
    mut stream: TcpStream,
    silent: &mut Vec<TcpStream>,
    is_bare: bool,
) -> std::io::Result<()> {
    match attack {
        Attack::LinkHalfOpen => {
            if silent.len() >= MAX_SILENT_LINKS {
                // The oldest link is closed now, unless the node has closed it.
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

/// Opens Zenoh sessions with invalid credentials.
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
