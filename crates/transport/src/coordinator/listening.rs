//! The addresses a node listens at, with ports that stay the same when its session is reopened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::address_cache::AddressCache;
use super::addresses::{HostAddresses, is_link_local, is_v6_only};
use super::bind::bind;
use super::endpoint::interface_of;
use super::resolve::zoned;
use super::tls_endpoints::as_tls;
use super::zenoh_settings::ZenohSettings;
use crate::link_proof::LinkProof;

/// The `tcp/` endpoints that a node listens at.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    how: LinkProof,
    places: Vec<Place>,
    /// Cached, because other nodes may ask for this node's addresses at any rate.
    host: Arc<Mutex<AddressCache>>,
}

#[derive(Debug, Clone)]
struct Place {
    host: String,
    /// The address that the host resolved to; the unspecified one stands for every address.
    address: IpAddr,
    /// The interface index of a link-local IPv6 address; 0 for other addresses.
    scope: u32,
    port: u16,
    /// Whether the operator chose the port.
    is_chosen: bool,
    /// The endpoint's `?` metadata and `#` settings.
    settings: String,
}

impl Listening {
    /// The places at which `settings` listen. A port of 0 becomes a port that is free now.
    ///
    /// # Errors
    /// The system's error, if a host does not resolve or a port is not free.
    pub(crate) fn of(settings: &ZenohSettings, how: LinkProof) -> io::Result<Self> {
        let places: io::Result<_> =
            settings.listens().iter().map(|endpoint| place(endpoint)).collect();
        Ok(Self { how, places: places?, host: Arc::default() })
    }

    /// The same places for a session that is opened now. If the addresses of the host have changed
    /// since Zenoh read them, the places name the current addresses one by one.
    pub(crate) fn as_of_now(&self) -> Self {
        HostAddresses::unknown_to_zenoh().map_or_else(|| self.clone(), |now| self.one_by_one(&now))
    }

    fn one_by_one(&self, now: &HostAddresses) -> Self {
        let places: Vec<Place> = self.places.iter().flat_map(|place| place.on(now)).collect();
        if places.is_empty() { self.clone() } else { Self { places, ..self.clone() } }
    }

    /// Binds a listener at each place, for the gate.
    ///
    /// # Errors
    /// The system's error for the first place that cannot be bound.
    pub(crate) fn bind(&self) -> io::Result<Vec<TcpListener>> {
        self.places.iter().map(Place::bind).collect()
    }

    /// The places as shown to the operator.
    pub(crate) fn shown(&self) -> Vec<String> {
        let protocol = if self.how == LinkProof::Tls { "tls" } else { "tcp" };
        self.places
            .iter()
            .map(|place| format!("{protocol}/{}:{}", place.host, place.port))
            .collect()
    }

    /// The endpoints for Zenoh, all of `tcp/`.
    pub(super) fn endpoints(&self) -> Vec<String> {
        let is_tls = self.how == LinkProof::Tls;
        let host = HostAddresses::now();
        let endpoint =
            |place: &Place, host: &str| format!("tcp/{host}:{}{}", place.port, place.settings);
        self.places
            .iter()
            .flat_map(|place| {
                let own = place.addresses(host.as_ref());
                let mut dialed = own.iter().filter(|ip| !ip.is_loopback() && !is_link_local(**ip));
                match place.address {
                    // Zenoh announces IPv6 addresses in brackets, which its TLS cannot dial.
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED) if is_tls && is_v6_only(&own) => {
                        dialed.map(|ip| endpoint(place, &format!("[{ip}]"))).collect()
                    }
                    // For the unspecified address Zenoh does not announce the loopback.
                    ip if ip.is_unspecified() && dialed.next().is_none() => {
                        vec![endpoint(place, &Ipv4Addr::LOCALHOST.to_string())]
                    }
                    _ => vec![endpoint(place, &place.host)],
                }
            })
            .collect()
    }

    /// The addresses at which a node whose packets come from `asker` can dial this node now.
    pub(crate) fn addresses_for(&self, asker: IpAddr) -> Vec<SocketAddr> {
        let mut cache = self.host.lock();
        let host = cache.addresses(Instant::now());
        let all = self.places.iter().flat_map(|place| {
            place.addresses(host).into_iter().map(|ip| SocketAddr::new(ip, place.port))
        });
        let is_useful = |address: &SocketAddr| {
            !is_link_local(address.ip()) && (asker.is_loopback() || !address.ip().is_loopback())
        };
        all.filter(is_useful).collect()
    }

    /// The endpoint of an address that another node announced.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> String {
        let endpoint = format!("tcp/{address}");
        match self.how {
            LinkProof::Gate | LinkProof::Sealed | LinkProof::Challenge => endpoint,
            // `as_tls` fails only for an address with a zone, which no node announces.
            LinkProof::Tls => as_tls(&endpoint, false).unwrap_or(endpoint),
        }
    }

    /// The endpoints at which this host dials itself.
    pub(crate) fn own_endpoints(&self) -> Vec<String> {
        let own = self.places.iter().map(|place| match place.address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            // The listener accepts IPv4 too, and some hosts have no IPv6.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            ip => ip,
        });
        let ports = self.places.iter().map(|place| place.port);
        own.zip(ports).map(|(ip, port)| self.endpoint(SocketAddr::new(ip, port))).collect()
    }
}

impl Place {
    fn bind(&self) -> io::Result<TcpListener> {
        let bind = |address: SocketAddr| bind(address, interface_of(&self.settings));
        let bound = bind(match self.address {
            IpAddr::V6(v6) => SocketAddrV6::new(v6, self.port, 0, self.scope).into(),
            IpAddr::V4(v4) => SocketAddr::from((v4, self.port)),
        });
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("tcp/{}:{}: {error}", self.host, self.port))
        };
        match bound {
            // The host has no IPv6.
            Err(_) if self.address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                bind((Ipv4Addr::UNSPECIFIED, self.port).into()).map_err(failed)
            }
            bound => bound.map_err(failed),
        }
    }

    /// One place for each current address of the host that this place covers.
    fn on(&self, now: &HostAddresses) -> Vec<Self> {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        // The host is a name: the place stays as it is.
        let Ok(_) = address else { return vec![self.clone()] };
        let each = now.of_listener(self.address, &self.settings, self.is_chosen).into_iter();
        each.map(|address| {
            let host = match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            };
            Self { host, address, ..self.clone() }
        })
        .collect()
    }

    /// The addresses that this place covers on `host`.
    fn addresses(&self, host: Option<&HostAddresses>) -> Vec<IpAddr> {
        if !self.address.is_unspecified() {
            return vec![self.address];
        }
        let of_host = host.map(|host| host.on(interface_of(&self.settings)));
        let takes = |ip: &IpAddr| self.address.is_ipv6() || ip.is_ipv4();
        of_host.into_iter().flatten().filter(takes).collect()
    }
}

fn place(endpoint: &str) -> io::Result<Place> {
    let rest = endpoint.strip_prefix("tcp/").unwrap_or(endpoint);
    let (address, settings) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let no_port = || io::Error::new(io::ErrorKind::InvalidInput, format!("{endpoint} has no port"));
    let (host, port) = address.rsplit_once(':').ok_or_else(no_port)?;
    let mut host = host.to_owned();
    let is_chosen = port != "0";
    let mut resolved = match zoned(address) {
        Some(literal) => literal,
        None => address.to_socket_addrs()?.next().ok_or_else(no_port)?,
    };
    if !is_chosen {
        let bound = TcpListener::bind(resolved).or_else(|error| {
            // The host has no IPv6.
            if resolved.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
                return Err(error);
            }
            host = Ipv4Addr::UNSPECIFIED.to_string();
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        })?;
        resolved = bound.local_addr()?;
    }
    let scope = if let SocketAddr::V6(v6) = resolved { v6.scope_id() } else { 0 };
    let (address, port) = (resolved.ip(), resolved.port());
    Ok(Place { host, address, scope, port, is_chosen, settings: settings.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Coordinator};

    fn listening(config: &str, how: LinkProof) -> Listening {
        match Coordinator::parse(config).unwrap().backend() {
            Backend::Zenoh(settings) => Listening::of(settings, how).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_port_is_chosen_once_and_settings_are_kept() {
        let config = "{ listen: { endpoints: ['tcp/127.0.0.1:0?prio=1-3#iface=lo'] } }";
        let listening = listening(config, LinkProof::Challenge);
        let [endpoint] = listening.endpoints().try_into().unwrap();
        let port = listening.places[0].port;
        assert_ne!(port, 0);
        assert_eq!(endpoint, format!("tcp/127.0.0.1:{port}?prio=1-3#iface=lo"));
        assert_eq!(listening.own_endpoints(), [format!("tcp/127.0.0.1:{port}")]);
        let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        assert_eq!(listening.addresses_for(Ipv4Addr::LOCALHOST.into()), loopback);
        assert_eq!(listening.addresses_for("192.0.2.1".parse().unwrap()), []);
    }

    #[test]
    fn a_listener_on_all_addresses_offers_each_peer_the_usable_ones() {
        let listening = listening("{}", LinkProof::Tls);
        let here = listening.addresses_for(Ipv4Addr::LOCALHOST.into());
        assert!(here.iter().any(|address| address.ip() == IpAddr::from(Ipv4Addr::LOCALHOST)));
        let away = listening.addresses_for("192.0.2.1".parse().unwrap());
        assert!(away.iter().all(|address| !address.ip().is_loopback()), "{away:?}");
        assert!(listening.own_endpoints()[0].starts_with("tls/127.0.0.1:"));
        let v6 = listening.endpoint("[2001:db8::1]:7".parse().unwrap());
        assert_eq!(v6, "tls/2001:db8::1:7");
    }
}
