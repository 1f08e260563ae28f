//! Names the host's current addresses in a Zenoh configuration, since Zenoh reads them only once.

use serde_json::{Value, json};

use super::addresses::HostAddresses;
use super::endpoint::Endpoint;
use super::zenoh_settings::ZenohSettings;

/// Writes the addresses of the host into a Zenoh configuration; the listen endpoints only if
/// `is_listening`.
pub(super) fn name_addresses(
    host: &HostAddresses,
    value: &mut Value,
    settings: &ZenohSettings,
    is_listening: bool,
) {
    if is_listening {
        let endpoints: Vec<String> =
            settings.listens().iter().flat_map(|endpoint| host.endpoints(endpoint)).collect();
        value["listen"]["endpoints"] = json!({ settings.mode(): endpoints });
    }
    let group = settings.discovery_group();
    let scouted = host.scouted(&group.interfaces);
    if settings.scouts() && group.address.is_ipv4() && !scouted.is_empty() {
        value["scouting"]["multicast"]["interface"] = json!(scouted.join(","));
    }
}

/// Whether Zenoh's session must be reopened when the addresses of the host change: it listens
/// on an unspecified address, or Zenoh's own scouting finds the peers.
pub(crate) fn depends_on_addresses(settings: &ZenohSettings, is_found_by_us: bool) -> bool {
    let is_everywhere = |endpoint: &String| {
        Endpoint::of(endpoint).ip().is_some_and(|address| address.is_unspecified())
    };
    settings.listens().iter().any(is_everywhere) || (settings.scouts() && !is_found_by_us)
}

#[cfg(test)]
mod tests {
    use super::super::addresses::tests::host;
    use super::*;
    use crate::{Backend, Coordinator};

    #[test]
    fn a_session_reopens_after_a_change_if_zenoh_uses_the_addresses() {
        let depends = |config: &str, is_found_by_us| match Coordinator::parse(config) {
            Ok(parsed) => match parsed.backend() {
                Backend::Zenoh(settings) => depends_on_addresses(settings, is_found_by_us),
                other => panic!("{other:?}"),
            },
            Err(error) => panic!("{error}"),
        };
        let fixed = "{ listen: { endpoints: ['tcp/192.0.2.1:7447'] } }";
        assert!(depends("{}", true) && depends(fixed, false) && !depends(fixed, true));
        assert!(!depends("{ mode: 'client' }", true));
    }

    #[test]
    fn the_configuration_for_zenoh_lists_the_addresses_of_the_host() {
        let parsed = Coordinator::parse("{ mode: 'peer' }").unwrap();
        let Backend::Zenoh(settings) = parsed.backend() else { panic!() };
        let mut value = settings.value().clone();
        name_addresses(&host(), &mut value, settings, true);
        let endpoints = &value["listen"]["endpoints"]["peer"];
        assert_eq!(endpoints[0], "tcp/192.0.2.7:0");
        assert_eq!(value["scouting"]["multicast"]["interface"], "192.0.2.7,198.51.100.7");
        zenoh::Config::from_json5(&value.to_string()).unwrap();
    }
}
