//! Checks of the machine that only `mailmesh check` makes: whether names resolve, and whether the
//! port of discovery can be had.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::error::ConfigError;
use super::exposure::host;
use super::resolve::{Found, WITHIN, resolve};
use super::{LinkProtection, Warning, ZenohSettings};

impl ZenohSettings {
    /// Looks up the names in `connect.endpoints`. One that does not resolve now may later.
    pub(super) fn check_names(&self) -> Vec<Warning> {
        let own = self.endpoints("listen");
        let mut names: Vec<String> = Vec::new();
        for endpoint in self.endpoints("connect").iter().filter(|other| !own.contains(other)) {
            let address = endpoint.split(['?', '#']).next().unwrap_or_default();
            let Some((protocol, address)) = address.split_once('/') else { continue };
            let is_name = host(endpoint)
                .is_some_and(|host| !host.contains('%') && host.parse::<IpAddr>().is_err());
            let has_host = protocol != "unixsock-stream";
            if is_name && has_host && !names.iter().any(|name| name == address) {
                names.push(address.to_owned());
            }
        }
        let mut warnings = Vec::new();
        let mut warn = |message: String| {
            warnings.push(Warning { message, corrected: None, place: None });
        };
        let mut unknown = Vec::new();
        for (name, found) in names.iter().zip(resolve(&names)) {
            let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
            match found {
                Found::Addresses(_) | Found::NotAsked => {}
                Found::Nothing(why) => warn(format!(
                    "`connect.endpoints`: the name {host} does not resolve here now: {why}; the \
                     node goes on trying"
                )),
                Found::Unknown => unknown.push(host),
            }
        }
        if let [first, more @ ..] = unknown.as_slice() {
            let more = match more.len() {
                0 => "was".to_owned(),
                more => format!("and {more} more were"),
            };
            let within = WITHIN.as_secs();
            warn(format!(
                "`connect.endpoints`: {first} {more} not resolved within {within} s; check the \
                 resolver of this host (`/etc/resolv.conf`)"
            ));
        }
        warnings
    }

    /// Whether the port at which other nodes are found by multicast can be had. Several nodes of
    /// a host share it; a program that does not share it takes it from them.
    pub(super) fn check_discovery(&self, has_key: bool) -> Result<Vec<Warning>, ConfigError> {
        if !self.scouts() || self.mode() == "client" {
            return Ok(Vec::new());
        }
        let protection = self.link_protection(has_key);
        let is_ours = matches!(protection, LinkProtection::Proven(_))
            && self.discovers(protection.has_gate());
        let (ours, ..) = self.discovery_group();
        let group = if is_ours { ours } else { self.scouting_group() };
        // As each binds it.
        let address = match group.ip() {
            group if !is_ours => group,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bind = || {
            let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            if group.is_ipv6() && is_ours {
                socket.set_only_v6(true)?;
            }
            socket.bind(&SocketAddr::new(address, group.port()).into())
        };
        let taken = bind().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
        if !taken {
            return Ok(Vec::new());
        }
        let port = group.port();
        let why = format!(
            "UDP port {port}, at which nodes are found by multicast, is taken by a program that \
             does not share it: stop that (`ss -ulpn sport = :{port}` names it), choose another \
             port here on every node, or name the others in `connect.endpoints` and set \
             `scouting.multicast.enabled` to false"
        );
        if !is_ours {
            return Err(ConfigError::bad_value("scouting.multicast.address", &why));
        }
        // A node starts all the same, and tries again.
        let message = format!("`scouting.multicast.address`: {why}");
        Ok(vec![Warning { message, corrected: None, place: None }])
    }
}
