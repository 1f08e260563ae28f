//! The sockets of discovery: one receives questions, and one for each interface sends them.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;

use if_addrs::Interface;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;

use crate::coordinator::MulticastGroup;

#[derive(Debug)]
pub(super) struct DiscoverySockets {
    pub(super) group: SocketAddr,
    /// Receives questions, and sends answers.
    pub(super) group_socket: Arc<UdpSocket>,
    /// Each socket sends questions on one interface, and receives answers.
    pub(super) query_sockets: Vec<Arc<UdpSocket>>,
    /// The interfaces when the sockets were opened.
    opened_on: BTreeSet<(String, IpAddr)>,
}

impl DiscoverySockets {
    /// Opens the sockets on the chosen interfaces of the host.
    ///
    /// # Errors
    /// The system's error, if the group socket cannot be opened, or if no interface supports
    /// multicast.
    pub(super) fn open(group: &MulticastGroup) -> io::Result<Self> {
        let all = if_addrs::get_if_addrs()?;
        let interfaces = chosen(&all, group);
        if interfaces.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no interface for multicast"));
        }
        let opened_on = names(&interfaces);
        let address = group.address;
        let group_socket = new_socket(address)?;
        group_socket.set_reuse_address(true)?;
        let everywhere: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        group_socket.bind(&SockAddr::from(SocketAddr::new(everywhere, address.port())))?;
        let mut query_sockets = Vec::new();
        for interface in interfaces {
            // Skips an interface that went down meanwhile.
            match join(&group_socket, interface, group)
                .and_then(|()| query_socket(interface, group))
            {
                Ok(socket) => query_sockets.push(Arc::new(socket)),
                Err(error) => {
                    tracing::debug!(%error, interface = interface.name, "no multicast there");
                }
            }
        }
        if query_sockets.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no interface takes multicast"));
        }
        Ok(Self {
            group: address,
            group_socket: Arc::new(to_tokio(group_socket)?),
            query_sockets,
            opened_on,
        })
    }

    /// Whether the interfaces have other addresses now. A socket bound to a removed address cannot
    /// send, and its group membership may be gone with the address.
    pub(super) fn are_outdated(&self, group: &MulticastGroup) -> bool {
        if_addrs::get_if_addrs().is_ok_and(|all| names(&chosen(&all, group)) != self.opened_on)
    }
}

fn names(interfaces: &[&Interface]) -> BTreeSet<(String, IpAddr)> {
    interfaces.iter().map(|i| (i.name.clone(), i.ip())).collect()
}

/// The interfaces to use, one address each.
fn chosen<'a>(all: &'a [Interface], group: &MulticastGroup) -> Vec<&'a Interface> {
    let is_family = |interface: &&Interface| interface.ip().is_ipv4() == group.address.is_ipv4();
    let of_family: Vec<&Interface> = all.iter().filter(is_family).collect();
    let mut chosen: Vec<&Interface> = match group.interfaces.as_str() {
        "auto" | "" => of_family.iter().copied().filter(|i| !i.is_loopback()).collect(),
        names => {
            let is_named = |i: &Interface| {
                let named = |name: &str| name == i.name || name.parse() == Ok(i.ip());
                names.split(',').map(str::trim).any(named)
            };
            of_family.iter().copied().filter(|i| is_named(i)).collect()
        }
    };
    if chosen.is_empty() && matches!(group.interfaces.as_str(), "auto" | "") {
        // Only the loopback interface exists: other nodes may run on this host.
        chosen = of_family;
    }
    // IPv6 multicast uses the interface index, whatever the address.
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|i| i.ip().is_ipv4() || seen.insert(i.index));
    chosen
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn join(group_socket: &Socket, interface: &Interface, group: &MulticastGroup) -> io::Result<()> {
    match (group.address.ip(), interface.ip()) {
        (IpAddr::V4(group), IpAddr::V4(own)) => group_socket.join_multicast_v4(&group, &own),
        (IpAddr::V6(group), _) => {
            group_socket.join_multicast_v6(&group, interface.index.unwrap_or(0))
        }
        _ => Ok(()),
    }
}

fn query_socket(interface: &Interface, group: &MulticastGroup) -> io::Result<UdpSocket> {
    let socket = new_socket(group.address)?;
    match interface.ip() {
        IpAddr::V4(own) => {
            socket.bind(&SockAddr::from(SocketAddr::new(own.into(), 0)))?;
            socket.set_multicast_if_v4(&own)?;
            socket.set_multicast_ttl_v4(group.ttl)?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(_) => {
            socket.bind(&SockAddr::from(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)))?;
            socket.set_multicast_if_v6(interface.index.unwrap_or(0))?;
            socket.set_multicast_hops_v6(group.ttl)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    to_tokio(socket)
}

fn to_tokio(socket: Socket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(StdSocket::from(socket))
}
