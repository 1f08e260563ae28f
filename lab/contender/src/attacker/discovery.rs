//! Floods the ports of mailmesh's discovery and of Zenoh's scouting, which is one port below.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::batch::{hello, is_scout, random};

/// Interval between datagrams: 50,000 a second.
const INTERVAL: Duration = Duration::from_micros(20);
/// Maximum number of scouting nodes that are remembered and answered.
const MAX_ASKERS: usize = 64;

/// Sends recorded queries, unchanged and changed, random bytes, and scouting answers of invented
/// peers. Returns the number of datagrams.
pub(crate) fn run(group: SocketAddr, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let SocketAddr::V4(group) = group else { return Err("the group is not one of IPv4".into()) };
    let scouting = SocketAddrV4::new(*group.ip(), group.port() - 1);
    let (discovery_socket, scouting_socket) = (listen(group)?, listen(scouting)?);
    let sending = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    sending.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    sending.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    let sending = UdpSocket::from(sending);
    let (mut recorded, mut sent) = (random::<200>().to_vec(), 0_u64);
    let mut askers: Vec<SocketAddr> = Vec::new();
    let mut buffer = [0; 1_500];
    let begin = Instant::now();
    while !stop.load(Ordering::Acquire) {
        if let Ok((len, _)) = discovery_socket.recv_from(&mut buffer)
            && buffer.starts_with(b"mmd2")
        {
            recorded = buffer[..len].to_vec();
        }
        if let Ok((len, asker)) = scouting_socket.recv_from(&mut buffer)
            && is_scout(&buffer[..len])
            && !askers.contains(&asker)
        {
            askers.push(asker);
            if askers.len() > MAX_ASKERS {
                askers.remove(0);
            }
        }
        let (to, message) = match sent % 6 {
            0 => (group.into(), recorded.clone()),
            1 => {
                let mut message = recorded.clone();
                let at = sent as usize % message.len();
                message[at] ^= 0x55;
                (group.into(), message)
            }
            2 => (group.into(), random::<600>().to_vec()),
            3 => {
                let asker = askers.get((sent / 6) as usize % askers.len().max(1));
                (asker.copied().unwrap_or(scouting.into()), hello())
            }
            4 => (scouting.into(), hello()),
            _ => (scouting.into(), random::<600>().to_vec()),
        };
        // A full send buffer of this host says nothing about the nodes.
        let _full = sending.send_to(&message, to);
        sent += 1;
        let due = INTERVAL.saturating_mul(u32::try_from(sent).unwrap_or(u32::MAX));
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            thread::sleep(early);
        }
    }
    Ok(sent)
}

/// A socket that receives the datagrams of a multicast group on the loopback.
fn listen(group: SocketAddrV4) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, group.port()))))?;
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST)?;
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}
