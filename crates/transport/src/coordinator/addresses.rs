//! The current addresses of this host, and the endpoints for Zenoh after the addresses changed.
//!
//! Zenoh reads the addresses of the host once in the life of a process. It announces a listener on
//! the unspecified address with that list, even in a session that is opened later. Zenoh's scouting
//! sends on the interfaces of that list. Zenoh announces a listener on one address with that
//! address. So after a change the endpoints name the addresses one by one.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::OnceLock;

use super::endpoint::interface_of;
use if_addrs::Interface;

/// The usable addresses of this host when Zenoh opened its first session.
static AT_START: OnceLock<BTreeSet<IpAddr>> = OnceLock::new();
/// Most addresses that a node names one by one.
const MAX_ADDRESSES: usize = 64;

/// Addresses of this host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostAddresses {
    interfaces: Vec<Interface>,
    /// Addresses that other hosts can dial, on running interfaces; at most `MAX_ADDRESSES`.
    pub(crate) usable: BTreeSet<IpAddr>,
}

impl HostAddresses {
    /// The current addresses; `None` if the system does not report them.
    pub(crate) fn now() -> Option<Self> {
        let interfaces = if_addrs::get_if_addrs().ok()?;
        Some(Self::of(interfaces, |ip| UdpSocket::bind((ip, 0)).is_ok()))
    }

    /// A host with one running interface for each address.
    #[cfg(test)]
    pub(crate) fn with(addresses: &[&str]) -> Self {
        let interfaces = addresses.iter().map(|ip| tests::interface("eth0", ip, true)).collect();
        Self::of(interfaces, |_| true)
    }

    fn of(interfaces: Vec<Interface>, is_bindable: impl Fn(IpAddr) -> bool) -> Self {
        let is_usable = |i: &&Interface| {
            let ip = i.ip();
            let is_dialed = !ip.is_loopback() && !is_link_local(ip) && !ip.is_unspecified();
            // IPv6 duplicate address detection takes about a second, and may reject the address.
            i.is_oper_up() && is_dialed && (ip.is_ipv4() || is_bindable(ip))
        };
        let usable =
            interfaces.iter().filter(is_usable).map(Interface::ip).take(MAX_ADDRESSES).collect();
        Self { interfaces, usable }
    }

    /// The addresses of one interface, or of all interfaces.
    pub(super) fn on(&self, interface: Option<&str>) -> impl Iterator<Item = IpAddr> {
        let is_one = move |i: &&Interface| interface.is_none_or(|name| name == i.name);
        self.interfaces.iter().filter(is_one).map(Interface::ip)
    }

    /// Whether this host has link-local addresses only, which others dial with an interface name.
    pub(super) fn has_only_link_local(&self) -> bool {
        let listed = || std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        self.usable.is_empty() && lists_link_local(&listed())
    }

    /// Whether an interface of this host has the address.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|i| i.ip() == address)
    }

    /// Whether a session that announces `announced` is out of date: this host lost one of these
    /// addresses, or gained a usable one. An interface that stops running changes nothing.
    pub(crate) fn differ_from(&self, announced: &BTreeSet<IpAddr>) -> bool {
        !self.usable.is_subset(announced) || !announced.iter().all(|ip| self.has(*ip))
    }

    /// The current addresses, if they differ from the addresses that Zenoh read.
    pub(super) fn unknown_to_zenoh() -> Option<Self> {
        let start = AT_START.get()?;
        Self::now().filter(|now| !now.usable.is_empty() && now.differ_from(start))
    }

    /// The addresses that a listener on `address` covers. If the operator chose the port, the list
    /// includes the loopback: a program on this host may dial that port there.
    pub(super) fn of_listener(
        &self,
        address: IpAddr,
        settings: &str,
        has_chosen_port: bool,
    ) -> Vec<IpAddr> {
        if !address.is_unspecified() {
            // Binding an address that this host lacks would fail, and with it the session.
            let is_here = address.is_multicast() || address.is_loopback() || self.has(address);
            return if is_here { vec![address] } else { Vec::new() };
        }
        let interface = interface_of(settings);
        let is_one = |i: &&Interface| {
            let is_named = interface.is_none_or(|name| name == i.name);
            let is_wanted =
                self.usable.contains(&i.ip()) || (has_chosen_port && i.ip().is_loopback());
            is_named && is_wanted && (address.is_ipv6() || i.ip().is_ipv4())
        };
        self.interfaces.iter().filter(is_one).map(Interface::ip).collect()
    }

    /// One Zenoh endpoint for each address that `endpoint` covers.
    pub(super) fn endpoints(&self, endpoint: &str) -> Vec<String> {
        let whole = || vec![endpoint.to_owned()];
        let Some((protocol, rest)) = endpoint.split_once('/') else { return whole() };
        let (address, settings) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let Ok(address) = address.parse::<SocketAddr>() else { return whole() };
        let port = address.port();
        let each = self.of_listener(address.ip(), settings, port != 0).into_iter();
        each.map(|ip| format!("{protocol}/{}{settings}", SocketAddr::new(ip, port))).collect()
    }

    /// The interfaces for Zenoh's scouting. A name becomes the IPv4 address of that interface; an
    /// address stays if this host has it.
    pub(super) fn scouted(&self, names: &str) -> Vec<String> {
        let v4 = |name: &str| {
            self.interfaces.iter().find(|i| i.name == name && i.ip().is_ipv4()).map(Interface::ip)
        };
        let is_auto = matches!(names, "auto" | "");
        let names: BTreeSet<&str> = if is_auto {
            let running = self.interfaces.iter().filter(|i| self.usable.contains(&i.ip()));
            running.filter(|i| !i.is_p2p()).map(|i| i.name.as_str()).collect()
        } else {
            names.split(',').map(str::trim).collect()
        };
        let address = |name: &str| match name.parse::<IpAddr>() {
            Ok(address) => self.has(address).then_some(address),
            Err(_) => v4(name),
        };
        names.into_iter().filter_map(address).map(|ip| ip.to_string()).collect()
    }
}

/// Whether Linux's list of IPv6 addresses has a link-local one, which the list of interfaces omits.
fn lists_link_local(listed: &str) -> bool {
    listed.lines().any(|line| line.starts_with("fe80"))
}

/// Records the addresses that Zenoh reads when it opens its first session.
pub(crate) fn note_addresses_of_start() {
    if let Some(now) = HostAddresses::now() {
        AT_START.get_or_init(|| now.usable);
    }
}

/// Whether other hosts can reach this one by IPv6 only.
pub(super) fn is_v6_only(addresses: &[IpAddr]) -> bool {
    let mut dialed = addresses.iter().filter(|ip| !ip.is_loopback() && !is_link_local(**ip));
    dialed.clone().any(IpAddr::is_ipv6) && !dialed.any(IpAddr::is_ipv4)
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    pub(super) fn interface(name: &str, ip: &str, is_up: bool) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => IfAddr::V4(Ifv4Addr {
                ip,
                netmask: [255, 255, 255, 0].into(),
                prefixlen: 24,
                broadcast: None,
            }),
            IpAddr::V6(ip) => {
                IfAddr::V6(Ifv6Addr { ip, netmask: ip, prefixlen: 64, broadcast: None })
            }
        };
        let oper_status = if is_up { IfOperStatus::Up } else { IfOperStatus::Down };
        let (name, index) = (name.to_owned(), Some(1));
        Interface { name, addr, index, oper_status, is_p2p: false }
    }

    pub(in super::super) fn host() -> HostAddresses {
        let interfaces = [
            ("lo", "127.0.0.1", true),
            ("lo", "::1", true),
            ("eth0", "192.0.2.7", true),
            ("eth0", "fe80::7", true),
            ("eth0", "2001:db8::7", true),
            ("eth0", "2001:db8::bad", true),
            ("eth1", "198.51.100.7", true),
            ("ipvs0", "203.0.113.1", false),
        ];
        let interfaces = interfaces.map(|(name, ip, is_up)| interface(name, ip, is_up));
        HostAddresses::of(interfaces.to_vec(), |ip| ip.to_string() != "2001:db8::bad")
    }

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_are_usable_if_others_can_dial_them() {
        let host = host();
        assert_eq!(host.usable, set(&["192.0.2.7", "198.51.100.7", "2001:db8::7"]));
        assert!(!host.differ_from(&host.usable));
        assert!(host.differ_from(&set(&["192.0.2.7", "198.51.100.7"])), "one came");
        let with = |ip: &str| host.usable.iter().copied().chain(set(&[ip])).collect();
        assert!(host.differ_from(&with("192.0.2.8")), "one went");
        assert!(!host.differ_from(&with("203.0.113.1")), "its interface does not run");
    }

    #[test]
    fn a_host_with_only_link_local_addresses_is_recognized() {
        let of_loopback = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let of_link = "fe80000000000000000000000000000a 02 40 20 80       eth0\n";
        assert!(lists_link_local(&format!("{of_loopback}{of_link}")));
        assert!(!lists_link_local(of_loopback));
        assert!(!HostAddresses::with(&["127.0.0.1", "192.0.2.7"]).has_only_link_local());
    }

    #[test]
    fn an_endpoint_names_the_addresses_that_it_stands_for() {
        let host = host();
        let all = host.endpoints("tcp/[::]:0?prio=1");
        let each = ["192.0.2.7", "[2001:db8::7]", "198.51.100.7"];
        assert_eq!(all, each.map(|ip| format!("tcp/{ip}:0?prio=1")));
        let of_eth1 = host.endpoints("tls/0.0.0.0:7447#iface=eth1");
        assert_eq!(of_eth1, ["tls/198.51.100.7:7447#iface=eth1"]);
        let with_loopback = host.endpoints("tcp/0.0.0.0:7447");
        let each = ["127.0.0.1", "192.0.2.7", "198.51.100.7"];
        assert_eq!(with_loopback, each.map(|ip| format!("tcp/{ip}:7447")));
        for kept in
            ["tcp/192.0.2.7:1", "tcp/mx1.example:1", "unixsock-stream//a", "udp/224.0.0.1:1"]
        {
            assert_eq!(host.endpoints(kept), [kept]);
        }
        assert_eq!(host.endpoints("tcp/192.0.2.9:1"), [""; 0], "it cannot be listened on");
    }

    #[test]
    fn scouting_gets_the_addresses_of_its_interfaces() {
        let host = host();
        assert_eq!(host.scouted("auto"), ["192.0.2.7", "198.51.100.7"]);
        assert_eq!(host.scouted("eth1, 192.0.2.9,none"), ["198.51.100.7"]);
    }

    #[test]
    fn a_host_without_ipv4_is_noticed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(is_v6_only(&[ip("127.0.0.1"), ip("::1"), ip("fe80::1"), ip("2001:db8::1")]));
        assert!(!is_v6_only(&[ip("127.0.0.1"), ip("::1"), ip("fe80::1")]));
        assert!(!is_v6_only(&[ip("192.0.2.1"), ip("2001:db8::1")]));
    }
}
