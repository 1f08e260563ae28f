//! Checks of the machine that only `mailmesh check` makes: names, the port of discovery, and a
//! trial session of Zenoh.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use zenoh::Wait as _;

use super::Warning;
use super::endpoint::Endpoint;
use super::error::{ConfigError, ConfigErrorKind};
use super::protection::LinkProtection;
use super::resolve::{RESOLVE_TIMEOUT, Resolution, resolve};
use super::zenoh_config::trial_config;
use super::zenoh_settings::ZenohSettings;
use crate::open_error::open_error;

/// Timeout for opening the trial session, which neither listens nor dials.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Warns of names in `connect.endpoints` that do not resolve now; they may resolve later.
pub(super) fn check_names(settings: &ZenohSettings) -> Vec<Warning> {
    let mut names: Vec<String> = Vec::new();
    for endpoint in settings.others() {
        let endpoint = Endpoint::of(&endpoint);
        let is_name = endpoint.protocol != "unixsock-stream" && endpoint.ip().is_none();
        if is_name && !names.iter().any(|name| name == endpoint.address) {
            names.push(endpoint.address.to_owned());
        }
    }
    let mut warnings = Vec::new();
    let mut warn = |message: String| {
        warnings.push(Warning::new(message));
    };
    let mut unknown = Vec::new();
    for (name, found) in names.iter().zip(resolve(&names)) {
        let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
        match found {
            Resolution::Addresses(_) | Resolution::NotAsked => {}
            Resolution::Nothing(why) => warn(format!(
                "`connect.endpoints`: the name {host} does not resolve here now: {why}; the \
                 node goes on trying"
            )),
            Resolution::Unknown => unknown.push(host),
        }
    }
    if let [first, more @ ..] = unknown.as_slice() {
        let more = match more.len() {
            0 => "was".to_owned(),
            more => format!("and {more} more were"),
        };
        let seconds = RESOLVE_TIMEOUT.as_secs();
        warn(format!(
            "`connect.endpoints`: {first} {more} not resolved within {seconds} s; check the \
             resolver of this host (`/etc/resolv.conf`)"
        ));
    }
    warnings
}

/// Checks that Zenoh opens a session with these settings: it makes checks that its parser does
/// not make. The session neither listens nor dials.
pub(super) fn check_opens(settings: &ZenohSettings) -> Result<(), ConfigError> {
    let config = trial_config(settings)?;
    let refused = |why: String| Err(ConfigError::new(ConfigErrorKind::Zenoh { why }));
    let (answer, answered) = channel();
    let open = move || {
        let opened = zenoh::open(config).wait();
        let result = opened.and_then(|session| session.close().wait());
        // The caller may have stopped waiting.
        let _late = answer.send(result.map_err(|error| error.to_string()));
    };
    // Zenoh blocks, which is not allowed on a thread of an async runtime, and it may panic.
    let thread = std::thread::Builder::new().name("mailmesh-trial".to_owned()).spawn(open);
    if thread.is_err() {
        return Ok(());
    }
    match answered.recv_timeout(TRIAL_TIMEOUT) {
        Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => Ok(()),
        Ok(Err(why)) => {
            let error = open_error(settings.hide(&why, None)).to_string();
            refused(error)
        }
        Err(RecvTimeoutError::Disconnected) => refused(
            "it panics where its session is opened; compare with the example in the \
             documentation, \"Configuration\", and take settings out until it does not"
                .to_owned(),
        ),
    }
}

/// Checks that this node can bind the UDP port of multicast discovery. Several nodes of a host
/// share the port; a program that does not share it blocks them.
pub(super) fn check_discovery(
    settings: &ZenohSettings,
    has_key: bool,
) -> Result<Vec<Warning>, ConfigError> {
    if !settings.scouts() || settings.mode() == "client" {
        return Ok(Vec::new());
    }
    let protection = settings.link_protection(has_key);
    let is_ours = matches!(protection, LinkProtection::Proven(_))
        && settings.discovers(protection.has_gate());
    let ours = settings.discovery_group().address;
    let group = if is_ours { ours } else { settings.scouting_group() };
    // mailmesh's discovery binds the unspecified address, Zenoh's scouting the group itself.
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
    // A node starts nevertheless, and retries.
    let message = format!("`scouting.multicast.address`: {why}");
    Ok(vec![Warning::new(message)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Backend, Coordinator};

    #[test]
    fn settings_that_zenoh_cannot_open_a_session_with_are_refused() {
        let refused = |value: serde_json::Value| {
            let coordinator = Coordinator::parse("{ mode: 'client' }").unwrap();
            let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
            // The value bypasses mailmesh's own checks.
            check_opens(&settings.with_value(value)).err().map(|error| error.to_string())
        };
        assert_eq!(refused(json!({})), None);
        let low = json!({ "mode": "router", "transport": { "unicast": { "lowlatency": true } } });
        let error = refused(low).unwrap();
        assert!(error.contains("incompatible; take `transport.unicast.lowlatency` out"), "{error}");
        let empty = json!({ "access_control": { "enabled": true, "default_permission": "deny" } });
        let error = refused(empty).unwrap();
        assert!(error.contains("mend `access_control`") && !error.contains(".rs"), "{error}");
    }
}
