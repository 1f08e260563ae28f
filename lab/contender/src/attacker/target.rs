//! The nodes under attack, and TCP links to them.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Loopback source addresses that links are opened from.
const ADDRESSES: u64 = 200;
/// Timeout of a connect, a read and a write.
const LINK_TIMEOUT: Duration = Duration::from_millis(300);

/// The nodes under attack.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Loopback ports on which the nodes listen.
    pub(crate) ports: Vec<u16>,
    /// The multicast group of their discovery; Zenoh's scouting uses the port below.
    pub(crate) group: SocketAddr,
    /// Whether the nodes are bare Zenoh.
    pub(crate) is_bare: bool,
}

impl Target {
    /// The port for attempt `number`: the nodes take turns.
    pub(crate) fn port(&self, number: u64) -> u16 {
        self.ports[number as usize % self.ports.len()]
    }
}

/// Opens a link to a node, from one of many source addresses.
pub(crate) fn connect(number: u64, port: u16) -> std::io::Result<TcpStream> {
    let from = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0))))?;
    let to = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    socket.connect_timeout(&to, LINK_TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LINK_TIMEOUT))?;
    stream.set_write_timeout(Some(LINK_TIMEOUT))?;
    Ok(stream)
}
