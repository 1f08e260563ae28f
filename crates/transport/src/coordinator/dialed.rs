//! If Zenoh gets no link, the node makes the TLS handshake itself to find the cause. This module
//! reads the settings for it: the endpoints that Zenoh 1.10.2 dials, with their TLS settings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailmesh_secrets::display_path;
use mailmesh_secrets::pem::{self, CertificateDer, PrivateKeyDer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::endpoint_lists::endpoints_of_mode;
use super::error::ConfigError;
use super::tls::{MAX_AUTHORITIES, MAX_CHAIN, read_pem};
use super::tls_settings::{is_mutual, verifies_name};
use super::zenoh_config::given_to_zenoh;
use super::zenoh_settings::ZenohSettings;
use crate::link_proof::SessionProof;

/// An endpoint of `connect.endpoints` that leads to another node.
#[derive(Debug)]
pub(crate) struct DialedEndpoint {
    /// The endpoint of the configuration, without its settings.
    pub(crate) shown: String,
    pub(crate) link: DialedLink,
}

/// How Zenoh dials an endpoint. An address is a host and a port.
#[derive(Debug)]
pub(crate) enum DialedLink {
    Tcp {
        address: String,
    },
    Tls {
        address: String,
        /// The text of an error says which setting cannot be used.
        tls: Result<Box<DialedTls>, String>,
    },
    /// By another transport than TCP.
    Other,
}

/// The TLS settings of an endpoint.
#[derive(Debug)]
pub(crate) struct DialedTls {
    /// The name or address that the peer's certificate must have.
    pub(crate) host: String,
    /// The configured authorities. Zenoh trusts public authorities too.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// The file of the authorities, where they are of a file.
    pub(crate) authorities_file: Option<String>,
    /// Shown to a peer that asks for a certificate.
    pub(crate) identity: Option<DialerIdentity>,
    pub(crate) verifies_name: bool,
    /// Whether the certificates are derived from the cluster key (`mesh.links` of `tls`).
    pub(crate) is_of_cluster_key: bool,
}

/// The certificate that a dialer shows. Holds a secret, so its `Debug` shows nothing.
pub(crate) struct DialerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Zeroizing<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for DialerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DialerIdentity")
    }
}

/// The endpoints that a session with this proof dials. Reads the files of their certificates.
///
/// # Errors
/// Zenoh cannot be given the configuration.
pub(crate) fn dialed_endpoints(
    settings: &ZenohSettings,
    proof: Option<&SessionProof>,
) -> Result<Vec<DialedEndpoint>, ConfigError> {
    let given = given_to_zenoh(settings, None, proof)?;
    let is_of_cluster_key = matches!(proof, Some(SessionProof::Tls(_)));
    let dialed = endpoints_of_mode(&given, "connect", settings.mode());
    let endpoints = settings.dialed_shown().into_iter().zip(dialed);
    let endpoints = endpoints.map(|(shown, dialed)| {
        let endpoint = Endpoint::of(&dialed.text);
        let address = endpoint.address.to_owned();
        let link = match endpoint.protocol {
            "tcp" => DialedLink::Tcp { address },
            "tls" => {
                let tls = TlsSettings { given: &given, endpoint }.read(is_of_cluster_key);
                DialedLink::Tls { address, tls: tls.map(Box::new) }
            }
            _ => DialedLink::Other,
        };
        DialedEndpoint { shown, link }
    });
    Ok(endpoints.collect())
}

/// The settings of an endpoint and, for those that it lacks, of `transport.link.tls`.
struct TlsSettings<'a> {
    given: &'a Value,
    endpoint: Endpoint<'a>,
}

/// A PEM text.
struct Pem {
    text: Zeroizing<Vec<u8>>,
    /// The file of the text, if it is of one.
    file: Option<String>,
}

impl TlsSettings<'_> {
    fn read(&self, is_of_cluster_key: bool) -> Result<DialedTls, String> {
        let (mut authorities, mut authorities_file) = (Vec::new(), None);
        if let Some(pem) = self.pem("root_ca_certificate")? {
            authorities = pem::certificates(&pem.text, MAX_AUTHORITIES)
                .map_err(|error| format!("`root_ca_certificate`: {error}"))?;
            authorities_file = pem.file;
        }
        let is_mutual = is_mutual(self.given, &self.endpoint);
        let identity = if is_mutual { Some(self.identity()?) } else { None };
        let host = self.endpoint.host().unwrap_or_default().to_owned();
        let verifies_name = verifies_name(self.given, &self.endpoint);
        Ok(DialedTls {
            host,
            authorities,
            authorities_file,
            identity,
            verifies_name,
            is_of_cluster_key,
        })
    }

    fn identity(&self) -> Result<DialerIdentity, String> {
        let (certificate, key) = ("connect_certificate", "connect_private_key");
        let chain = self.pem(certificate)?.ok_or_else(|| format!("`{certificate}` is not set"))?;
        let chain = pem::certificates(&chain.text, MAX_CHAIN)
            .map_err(|error| format!("`{certificate}`: {error}"))?;
        let text = self.pem(key)?.ok_or_else(|| format!("`{key}` is not set"))?;
        let key = pem::private_key(&text.text).map_err(|error| format!("`{key}`: {error}"))?;
        Ok(DialerIdentity { chain, key })
    }

    /// The PEM text of a setting. Zenoh takes raw text first, then base64, then a file. A setting
    /// of the endpoint replaces only the shared setting of the same form.
    fn pem(&self, name: &str) -> Result<Option<Pem>, String> {
        if let Some(text) = self.endpoint.setting(&format!("{name}_raw")) {
            return Ok(Some(Pem { text: Zeroizing::new(text.as_bytes().to_vec()), file: None }));
        }
        let encoded = format!("{name}_base64");
        let own = self.endpoint.setting(&encoded);
        if let Some(encoded) = own.or_else(|| self.global(&encoded)?.as_str()) {
            let text = STANDARD.decode(encoded).map_err(|_| format!("`{name}` is not base64"))?;
            return Ok(Some(Pem { text: Zeroizing::new(text), file: None }));
        }
        let own = self.endpoint.setting(&format!("{name}_file"));
        let Some(path) = own.or_else(|| self.global(name)?.as_str()) else { return Ok(None) };
        let text = read_pem(path.as_ref()).map_err(|why| format!("`{name}`: {why}"))?;
        Ok(Some(Pem { text, file: Some(display_path(path.as_ref())) }))
    }

    fn global(&self, name: &str) -> Option<&Value> {
        self.given.pointer(&format!("/transport/link/tls/{name}"))
    }
}
