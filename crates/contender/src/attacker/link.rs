//! A stranger at the links of nodes, below frames: a small client of Zenoh's link protocol that
//! never proves a key. It opens nothing that it was not invited to: no message that follows a
//! handshake is sent here.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use socket2::{Domain, SockAddr, Socket, Type};
use zenoh::Wait;

use crate::attacks::Attack;

/// Addresses of the loopback that links come from.
const ADDRESSES: u64 = 200;
/// Threads that open links.
const THREADS: u64 = 8;
/// Links that each keeps open and silent.
const SILENT: usize = 50;
const PATIENCE: Duration = Duration::from_millis(300);

/// Attacks until told to stop; how many links, or datagrams.
pub(crate) fn run(
    attack: Attack,
    ports: &[u16],
    group: SocketAddr,
    stop: &Arc<AtomicBool>,
) -> Result<u64, Box<dyn Error>> {
    if ports.is_empty() {
        return Err("the ports of the nodes are not known".into());
    }
    match attack {
        Attack::LinkWrongLogin => return wrong_login(ports, stop),
        Attack::DiscoveryFlood => return discovery(group, stop),
        Attack::LinkAll => return all(ports, group, stop),
        _ => {}
    }
    let sent = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (sent, stop) = (sent.clone(), stop.clone());
            scope.spawn(move || {
                let mut silent = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    let port = ports[(n / THREADS) as usize % ports.len()];
                    let from = Ipv4Addr::new(127, 0, 1, ((n + thread) % ADDRESSES) as u8 + 1);
                    // A refused link is one way to be kept out.
                    let _refused = link(attack, from, port, &mut silent);
                }
            });
        }
    });
    Ok(sent.load(Ordering::Relaxed))
}

/// Every attack at links at once.
fn all(ports: &[u16], group: SocketAddr, stop: &Arc<AtomicBool>) -> Result<u64, Box<dyn Error>> {
    let attacks = [
        Attack::LinkNoProof,
        Attack::LinkWrongLogin,
        Attack::LinkHalfOpen,
        Attack::LinkGarbage,
        Attack::DiscoveryFlood,
    ];
    let sent = thread::scope(|scope| {
        let one = |attack| move || run(attack, ports, group, stop).map_err(|e| e.to_string());
        let running = attacks.map(|attack| scope.spawn(one(attack)));
        running.map(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".into())))
    });
    let sent: Result<Vec<u64>, String> = sent.into_iter().collect();
    Ok(sent?.iter().sum())
}

fn link(
    attack: Attack,
    from: Ipv4Addr,
    port: u16,
    silent: &mut Vec<TcpStream>,
) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0))))?;
    let to = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    socket.connect_timeout(&to, PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
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
        _ => {
            stream.write_all(&init_syn())?;
            let _answer = stream.read(&mut [0; 512])?;
        }
    }
    Ok(())
}

/// The first message of a handshake of Zenoh (protocol version 9), of a peer without a proof.
fn init_syn() -> Vec<u8> {
    let message = [&[0x81, 0x09, 0xf1][..], &random::<16>(), &[0x01]].concat();
    [&(message.len() as u16).to_le_bytes()[..], &message].concat()
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

/// Datagrams for discovery: what nodes asked, as it was and changed, and noise.
fn discovery(group: SocketAddr, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let SocketAddr::V4(to) = group else { return Err("the group is not one of IPv4".into()) };
    let hearing = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    hearing.set_reuse_address(true)?;
    hearing.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, to.port()))))?;
    hearing.join_multicast_v4(to.ip(), &Ipv4Addr::LOCALHOST)?;
    let hearing = UdpSocket::from(hearing);
    hearing.set_nonblocking(true)?;
    let sending = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    sending.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    sending.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    let sending = UdpSocket::from(sending);
    let (mut heard, mut sent) = (random::<200>().to_vec(), 0_u64);
    let mut buffer = [0; 1_500];
    let begin = Instant::now();
    while !stop.load(Ordering::Acquire) {
        if let Ok((len, _)) = hearing.recv_from(&mut buffer)
            && buffer.starts_with(b"mmd2")
        {
            heard = buffer[..len].to_vec();
        }
        let mut message = heard.clone();
        match sent % 3 {
            0 => {}
            1 => {
                let at = sent as usize % message.len();
                message[at] ^= 0x55;
            }
            _ => message = random::<600>().to_vec(),
        }
        // A full buffer of this host is not the nodes' trouble.
        let _full = sending.send_to(&message, group);
        sent += 1;
        // 50,000 a second.
        let due = Duration::from_micros(sent * 20);
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            thread::sleep(early);
        }
    }
    Ok(sent)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Zeros are noise too.
    let _filled = SystemRandom::new().fill(&mut bytes);
    bytes
}
