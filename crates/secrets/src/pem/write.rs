//! Writes PEM (RFC 7468), and predicts whether strict readers read a text like this crate does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::PemError;
use super::identity::Identity;

/// Writes certificates as PEM, in their order.
#[must_use]
pub fn certificates_to_pem<C: AsRef<[u8]>>(certificates: &[C]) -> String {
    let mut text = String::new();
    certificates.iter().for_each(|der| write(&mut text, "CERTIFICATE", der.as_ref()));
    text
}

/// Writes a private key as PEM.
///
/// # Errors
/// [`PemError::NotAKey`] for a format without a PEM label.
pub fn key_to_pem(key: &PrivateKeyDer<'_>) -> Result<Zeroizing<String>, PemError> {
    let label = match key {
        PrivateKeyDer::Pkcs8(_) => "PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        _ => return Err(PemError::NotAKey),
    };
    let der = key.secret_der();
    // At full capacity, because a reallocation would leave a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(der.len() * 3 / 2 + 128));
    write(&mut text, label, der);
    Ok(text)
}

/// Writes one section with lines of 64 characters (48 bytes).
fn write(out: &mut String, label: &str, der: &[u8]) {
    out.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(48) {
        STANDARD.encode_string(line, out);
        out.push('\n');
    }
    out.extend(["-----END ", label, "-----\n"]);
}

impl Identity {
    /// Whether a strict PEM reader, which requires lines and order, reads the same leaf and all
    /// issuers from `text`, the source of the chain.
    #[must_use]
    pub fn is_chain_portable(&self, text: &[u8]) -> bool {
        strict_certificates(text).is_some_and(|found| {
            found.first() == self.chain.first()
                && self.chain.iter().all(|member| found.contains(member))
        })
    }

    /// Whether a strict PEM reader reads the same key from `text`, the source of the key.
    #[must_use]
    pub fn is_key_portable(&self, text: &[u8]) -> bool {
        strict_key(text).is_some_and(|found| found == self.key)
    }
}

/// Whether a strict PEM reader reads exactly these certificates from a text.
#[must_use]
pub fn are_portable(text: &[u8], certificates: &[CertificateDer<'_>]) -> bool {
    strict_certificates(text).is_some_and(|found| found == certificates)
}

fn strict_certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
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

/// The key that a strict reader chooses: the first in PKCS #1, else in PKCS #8, else in SEC 1.
fn strict_key(text: &[u8]) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
    let keys = PrivateKeyDer::pem_slice_iter(text).map(|key| key.map(Zeroizing::new));
    let keys = keys.collect::<Result<Vec<_>, _>>().ok()?;
    let rank = |key: &Zeroizing<PrivateKeyDer<'static>>| match **key {
        PrivateKeyDer::Pkcs1(_) => 0,
        PrivateKeyDer::Pkcs8(_) => 1,
        _ => 2,
    };
    // Of several in one format, the first.
    keys.into_iter().min_by_key(rank)
}
