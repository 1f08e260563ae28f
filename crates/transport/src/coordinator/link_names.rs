//! The names by which other nodes dial this one, for its certificate.

use std::collections::HashSet;
use std::net::IpAddr;

use super::addresses::HostAddresses;
use super::endpoint::Endpoint;
use super::zenoh_settings::ZenohSettings;

/// The names and addresses by which other nodes may dial this one: `mesh.names`, its addresses,
/// its host name, and the hosts of its endpoints. The endpoints include `connect.endpoints`,
/// since one list may serve all nodes.
pub(crate) fn names_for_links(settings: &ZenohSettings) -> Vec<String> {
    let mut names = settings.names().to_vec();
    names.extend(addresses().iter().map(ToString::to_string));
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    names.extend(gethostname::gethostname().into_string());
    let endpoints = settings.endpoints("listen").into_iter().chain(settings.endpoints("connect"));
    names
        .extend(endpoints.filter_map(|endpoint| Endpoint::of(&endpoint).host().map(str::to_owned)));
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The addresses of this host; empty if the system does not report them.
fn addresses() -> Vec<IpAddr> {
    HostAddresses::now().map_or_else(Vec::new, |host| host.on(None).collect())
}
