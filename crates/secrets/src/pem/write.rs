//! Writes PEM (RFC 7468), and tells whether other readers read a text as this one does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::PemError;
use super::identity::Identity;

/// Certificates as PEM, in their order.
#[must_use]
pub fn certificates_to_pem<C: AsRef<[u8]>>(certificates: &[C]) -> String {
    let mut text = String::new();
    certificates.iter().for_each(|der| write(&mut text, "CERTIFICATE", der.as_ref()));
    text
}

/// A private key as PEM.
///
/// # Errors
/// [`PemError::NotAKey`] if it is of no format that has a label.
pub fn key_to_pem(key: &PrivateKeyDer<'_>) -> Result<Zeroizing<String>, PemError> {
    let label = match key {
        PrivateKeyDer::Pkcs8(_) => "PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        _ => return Err(PemError::NotAKey),
    };
    let der = key.secret_der();
    // As long as it gets, so that no copy of less is left behind.
    let mut text = Zeroizing::new(String::with_capacity(der.len() * 3 / 2 + 128));
    write(&mut text, label, der);
    Ok(text)
}

/// Writes one section: 64 characters a line, as of 48 bytes.
fn write(out: &mut String, label: &str, der: &[u8]) {
    out.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(48) {
        STANDARD.encode_string(line, out);
        out.push('\n');
    }
    out.extend(["-----END ", label, "-----\n"]);
}

impl Identity {
    /// Whether a server that keeps to the lines of PEM, and to its order, reads the same leaf and
    /// every issuer of the text that the chain was read of.
    #[must_use]
    pub fn is_chain_read_alike(&self, text: &[u8]) -> bool {
        plain_certificates(text).is_some_and(|found| {
            found.first() == self.chain.first()
                && self.chain.iter().all(|member| found.contains(member))
        })
    }

    /// Whether such a server reads the same key of the text that the key was read of.
    #[must_use]
    pub fn is_key_read_alike(&self, text: &[u8]) -> bool {
        plain_key(text).is_some_and(|found| found == self.key)
    }
}

/// Whether a server that keeps to the lines of PEM reads these certificates of a text.
#[must_use]
pub fn are_read_alike(text: &[u8], certificates: &[CertificateDer<'_>]) -> bool {
    plain_certificates(text).is_some_and(|found| found == certificates)
}

fn plain_certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    let certificates = sections.filter_map(|section| match section {
        Ok((SectionKind::Certificate, der)) => Some(Some(CertificateDer::from(der))),
        Ok((_, maybe_key)) => {
            drop(Zeroizing::new(maybe_key));
            None
        }
        Err(_) => Some(None),
    });
    certificates.collect()
}

/// The key that such a server takes: the first of PKCS #1, else of PKCS #8, else of SEC 1.
fn plain_key(text: &[u8]) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
    let keys = PrivateKeyDer::pem_slice_iter(text).map(|key| key.map(Zeroizing::new));
    let keys = keys.collect::<Result<Vec<_>, _>>().ok()?;
    let rank = |key: &Zeroizing<PrivateKeyDer<'static>>| match **key {
        PrivateKeyDer::Pkcs1(_) => 0,
        PrivateKeyDer::Pkcs8(_) => 1,
        _ => 2,
    };
    // Of those of one kind, the first.
    keys.into_iter().min_by_key(rank)
}
