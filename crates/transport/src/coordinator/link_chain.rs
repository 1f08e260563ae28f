//! Whether the ends of a link accept each other's certificates, as far as one configuration shows.

use mailmesh_secrets::pem::{CertificateDer, LinkEnd, link_refusal};
use serde_json::Value;

use super::Warning;
use super::endpoint::Endpoint;
use super::endpoint_lists::ListedEndpoint;
use super::error::Place;
use super::tls_settings::{is_mutual, is_mutual_with_found_nodes};

/// The certificates of a configuration for its links.
#[derive(Default)]
pub(super) struct LinkChains {
    authorities: Vec<CertificateDer<'static>>,
    /// The setting that holds the first authorities.
    authority_key: Option<String>,
    chains: Vec<ShownChain>,
}

struct ShownChain {
    /// The setting, with the path of the file if the setting names one.
    shown: String,
    end: LinkEnd,
    chain: Vec<CertificateDer<'static>>,
    place: Place,
}

/// Whether a configuration dials TLS links, and whether this node shows a certificate there.
#[derive(Clone, Copy, Default)]
pub(super) struct TlsLinks {
    pub(super) dials: bool,
    pub(super) shows_certificate: bool,
}

impl TlsLinks {
    pub(super) fn of(value: &Value, endpoints: &[ListedEndpoint]) -> Self {
        let dialed = endpoints.iter().filter(|listed| listed.path[0] == "connect");
        let dialed: Vec<_> = dialed.map(|listed| Endpoint::of(&listed.text)).collect();
        let mut encrypted = dialed.iter().filter(|endpoint| endpoint.is_encrypted());
        let is_on = |pointer: &str| value.pointer(pointer).and_then(Value::as_bool) != Some(false);
        let finds = ["multicast", "gossip"].map(|way| format!("/scouting/{way}/enabled"));
        let finds = finds.iter().any(|pointer| is_on(pointer));
        Self {
            dials: encrypted.clone().next().is_some(),
            shows_certificate: finds && is_mutual_with_found_nodes(value)
                || encrypted.any(|endpoint| is_mutual(value, endpoint)),
        }
    }
}

impl LinkChains {
    pub(super) fn add_authorities(&mut self, key: &str, found: Vec<CertificateDer<'static>>) {
        self.authority_key.get_or_insert_with(|| key.to_owned());
        self.authorities.extend(found);
    }

    pub(super) fn add_chain(
        &mut self,
        name: &str,
        shown: String,
        chain: Vec<CertificateDer<'static>>,
        place: Place,
    ) {
        let end = match name {
            "listen_certificate" => LinkEnd::Listener,
            _ => LinkEnd::Dialer,
        };
        self.chains.push(ShownChain { shown, end, chain, place });
    }

    /// Warns of each chain that the authorities of the same configuration refuse, and of missing
    /// authorities. The nodes of a cluster usually share their authorities.
    pub(super) fn check(&self, links: TlsLinks, now: i64) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.authorities.is_empty() && links.dials {
            let message = "`transport.link.tls.root_ca_certificate` is not set: this node links \
                           only to nodes whose certificate a public authority signed; set it to \
                           the file of the authority that signed the certificates of the nodes";
            let message = message.to_owned();
            warnings.push(Warning::new(message));
        }
        let Some(key) = &self.authority_key else { return warnings };
        for ShownChain { shown, end, chain, place } in &self.chains {
            if *end == LinkEnd::Dialer && !links.shows_certificate {
                continue;
            }
            if let Some(why) = link_refusal(chain, &self.authorities, *end, now) {
                let message = format!("{shown}: a node with this `{key}` refuses it: {why}");
                warnings.push(Warning::new(message).at(place.clone()));
            }
        }
        warnings
    }
}
