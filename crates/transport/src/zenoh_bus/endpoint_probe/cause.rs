//! Says in words why there is no TLS link, and what the operator can do. Texts of a peer are
//! escaped and cut: a stranger may choose the names of its certificate.

use mailmesh_secrets::pem::{CertificateInfo, LinkEnd, link_refusal, rfc3339};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::REMAINING_CAUSES;
use super::handshake::{HandshakeError, HandshakeReport};
use crate::coordinator::{DialedTls, escaped, now};

/// Maximum number of names of a certificate that a text has.
const MAX_NAMES: usize = 4;
/// Longest text of a peer or of a library, in characters.
const MAX_CHARS: usize = 100;
const NO_TLS: &str = "check that the peer listens at `tls/` there, or dial it by `tcp/`";

/// The cause that a handshake shows.
pub(super) fn cause(tls: &DialedTls, report: &HandshakeReport) -> String {
    let error = match &report.result {
        Ok(()) => return format!("TLS is fine, but Zenoh has no link: {REMAINING_CAUSES}"),
        Err(error) => error,
    };
    match error {
        HandshakeError::Tls(Error::InvalidCertificate(error)) => {
            PeerCertificate { tls, report }.cause(error)
        }
        HandshakeError::Tls(Error::AlertReceived(alert)) => {
            refused_by_peer(tls, report, Some(*alert))
        }
        HandshakeError::Tls(Error::InvalidMessage(error))
            if report.chain.is_empty() && *error != InvalidMessage::HandshakePayloadTooLarge =>
        {
            format!("the peer does not speak TLS: {NO_TLS}")
        }
        HandshakeError::Tls(Error::PeerIncompatible(_)) => {
            let version = if tls.identity.is_some() { "TLS 1.3" } else { "TLS 1.2 or 1.3" };
            format!("the peer and this node have no {version} in common: {NO_TLS}")
        }
        HandshakeError::Tls(error) => format!("TLS fails: {}", printable(&error.to_string())),
        HandshakeError::TooLong => "TLS fails: the peer sends too many bytes".to_owned(),
        HandshakeError::TimedOut { has_answered: true } => {
            "the peer does not complete the TLS handshake within 3 s: it may be overloaded"
                .to_owned()
        }
        HandshakeError::TimedOut { has_answered: false } => format!(
            "the peer accepts connections and answers no TLS handshake within 3 s: it does not \
             speak TLS, or is overloaded: {NO_TLS}"
        ),
        HandshakeError::Closed { has_answered: true } => refused_by_peer(tls, report, None),
        HandshakeError::Closed { has_answered: false } => format!(
            "the peer closes the connection at the TLS handshake: it does not speak TLS, or \
             refuses this node's address: {NO_TLS}"
        ),
    }
}

/// The text for a peer that ended the handshake. The alert may be lost with the connection.
fn refused_by_peer(
    tls: &DialedTls,
    report: &HandshakeReport,
    alert: Option<AlertDescription>,
) -> String {
    let said = alert.map_or_else(String::new, |alert| format!(" (TLS alert {alert:?})"));
    let is_about_certificate = match alert {
        Some(AlertDescription::CertificateRequired) => true,
        None => report.was_asked,
        // In TLS 1.2 the alert for a missing certificate is HandshakeFailure.
        Some(AlertDescription::HandshakeFailure) => report.was_asked && tls.identity.is_none(),
        Some(alert) => report.was_asked && is_of_certificate(alert),
    };
    match (is_about_certificate, &tls.identity) {
        (true, None) => format!(
            "the peer asks for a client certificate{said}: set `connect_certificate`, \
             `connect_private_key` and `enable_mtls: true` in `transport.link.tls`"
        ),
        (true, Some(_)) if tls.is_of_cluster_key => format!(
            "the peer refuses the certificate of this node{said}, as a node with another cluster \
             key does: give all nodes the same key"
        ),
        (true, Some(own)) => {
            let own = own.chain.first().and_then(|leaf| CertificateInfo::from_der(leaf).ok());
            let issuer = own.map_or_else(String::new, |own| format!(" of {}", own.issuer));
            format!(
                "the peer refuses the certificate of this node{said}: check that the \
                 `root_ca_certificate` of the peer has the authority{issuer}, and that \
                 `connect_certificate` here has not expired and has all intermediate certificates"
            )
        }
        (false, _) => format!("the peer refuses the TLS handshake{said}"),
    }
}

fn is_of_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// The certificate of a peer that this node refuses.
struct PeerCertificate<'a> {
    tls: &'a DialedTls,
    report: &'a HandshakeReport,
}

impl PeerCertificate<'_> {
    fn cause(&self, error: &CertificateError) -> String {
        let host = printable(&self.tls.host);
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                self.unknown_authority(&host)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                self.other_name(&host)
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => self.not_valid_now(&host),
            error => {
                let (chain, authorities) = (&self.report.chain, &self.tls.authorities);
                let why = link_refusal(chain, authorities, LinkEnd::Listener, now());
                let library = || printable(&Error::from(error.clone()).to_string());
                format!("the certificate of {host} is refused: {}", why.unwrap_or_else(library))
            }
        }
    }

    fn unknown_authority(&self, host: &str) -> String {
        if self.tls.is_of_cluster_key {
            return format!(
                "the certificate of {host} is of another cluster key: give all nodes the same key, \
                 and check that the endpoint is a node with `mesh.links` of \"tls\""
            );
        }
        let last = self.report.chain.last().and_then(|last| CertificateInfo::from_der(last).ok());
        let issuer = last.map_or_else(|| "an authority".to_owned(), |last| last.issuer);
        let setting = "`root_ca_certificate`";
        if self.tls.authorities.is_empty() {
            return format!(
                "the certificate of {host} is signed by {issuer}, which is no public authority, \
                 and {setting} is not set: set it to the file of that authority"
            );
        }
        let file = self.tls.authorities_file.as_ref();
        let file = file.map_or_else(String::new, |file| format!(" ({file})"));
        format!(
            "the certificate of {host} is signed by {issuer}, an authority that {setting}{file} \
             does not have: add its certificate there, or, if it is an intermediate authority, \
             append its certificate to the `listen_certificate` of the peer"
        )
    }

    fn other_name(&self, host: &str) -> String {
        let leaf = self.report.chain.first().and_then(|leaf| CertificateInfo::from_der(leaf).ok());
        let names = leaf.map_or_else(Vec::new, |leaf| {
            let addresses = leaf.addresses.iter().map(ToString::to_string);
            leaf.dns_names.iter().map(|name| printable(name)).chain(addresses).collect()
        });
        let more = names.len().saturating_sub(MAX_NAMES);
        let mut shown = names[..names.len() - more].join(", ");
        if more > 0 {
            shown = format!("{shown} and {more} more");
        }
        if self.tls.is_of_cluster_key {
            return format!(
                "the certificate is for {shown}, not for {host}: add {host} to `mesh.names` of \
                 that node"
            );
        }
        if names.is_empty() {
            return format!(
                "the certificate of {host} has no subjectAltName: give the peer a certificate \
                 with one, or set `verify_name_on_connect: false`"
            );
        }
        format!(
            "the certificate is for {shown}, not for {host}: connect by a name of the certificate, \
             or set `verify_name_on_connect: false`"
        )
    }

    /// Names the first certificate of the chain that is not valid now.
    fn not_valid_now(&self, host: &str) -> String {
        let now = now();
        let infos = self.report.chain.iter().map(|member| CertificateInfo::from_der(member).ok());
        let mut is_whole = true;
        for (index, info) in infos.enumerate() {
            let Some(info) = info else {
                is_whole = false;
                continue;
            };
            let of = match index {
                0 => format!("the certificate of {host}"),
                _ => format!("the certificate of {} in the chain of {host}", info.subject),
            };
            if info.not_after <= now {
                let end = rfc3339(info.not_after);
                return format!("{of} expired at {end}: renew it on the peer");
            }
            if info.not_before > now {
                let start = rfc3339(info.not_before);
                return format!(
                    "{of} is not valid before {start}: check the clocks of both nodes, and the \
                     certificate"
                );
            }
        }
        if !is_whole {
            return format!(
                "a certificate in the chain of {host} is not valid now, and one of them cannot be \
                 read: check the dates of that chain on the peer"
            );
        }
        format!("the authority of the certificate of {host} has expired: renew it on all nodes")
    }
}

fn printable(text: &str) -> String {
    let cut: String = text.chars().take(MAX_CHARS).collect();
    escaped(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;

    fn cause_of(error: HandshakeError, chain: Vec<CertificateDer<'static>>) -> String {
        let tls = DialedTls {
            host: "mx1.example.org".to_owned(),
            authorities: Vec::new(),
            authorities_file: None,
            identity: None,
            verifies_name: true,
            is_of_cluster_key: false,
        };
        cause(&tls, &HandshakeReport { result: Err(error), chain, was_asked: false })
    }

    #[test]
    fn a_peer_that_sends_too_many_tls_bytes_speaks_tls() {
        let cause = cause_of(HandshakeError::TooLong, Vec::new());
        assert_eq!(cause, "TLS fails: the peer sends too many bytes");
    }

    #[test]
    fn an_authority_is_blamed_only_if_the_whole_chain_was_read() {
        let expired = || HandshakeError::Tls(CertificateError::Expired.into());
        let key = rcgen::generate_simple_self_signed(["mx1.example.org".to_owned()]).unwrap();
        let valid = key.cert.der().clone();
        let cause = cause_of(expired(), vec![valid.clone()]);
        assert!(cause.starts_with("the authority of "), "{cause}");
        let cause = cause_of(expired(), vec![valid, vec![0x30, 0].into()]);
        assert!(!cause.contains("authority"), "{cause}");
        assert!(cause.contains("cannot be read"), "{cause}");
    }
}
