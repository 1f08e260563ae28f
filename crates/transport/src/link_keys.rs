//! Secrets that links prove, derived from the cluster keys.
//!
//! - A **login**: a user name and a password for each key, used in Zenoh's own challenge (an HMAC
//!   of the password under a random number of the listener). It costs nothing once the link is
//!   open. It authenticates only the dialer, so a node dials only addresses named by the operator
//!   or by a holder of the key (`discovery`).
//! - **Certificates** for mutual TLS 1.3 (RFC 8446). The certificate authority is an Ed25519 key
//!   (RFC 8032) that each holder of a cluster key derives from it, so no files are distributed. TLS
//!   authenticates both ends and encrypts the link.
//!
//! `docs/decisions/0022-links-prove-the-key.md` says when to use which.
//!
//! **Invariant**: the private key of an authority never leaves this module. The module gives out
//! the public half of each authority, and a certificate whose private key is generated at random
//! for one session.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
};
use ring::hmac;
use zeroize::Zeroizing;

use crate::TransportError;

/// Maximum number of names in one certificate, which is sent in each TLS handshake.
const MAX_NAMES: usize = 128;
/// PKCS #8 of an Ed25519 private key without its 32 bytes (RFC 8410, section 7).
const PKCS8_ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The secrets that links prove: one derived from each key of the cluster's ring. A node presents a
/// certificate of the first secret and accepts certificates of all.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKeys {
    /// Never empty; the first secret is that of the active key.
    secrets: Vec<Zeroizing<[u8; 32]>>,
}

impl LinkKeys {
    /// Secrets derived from the active key and from the other accepted keys. Each must be derived
    /// with a label of its own and be used for nothing else.
    #[must_use]
    pub fn new(
        active: Zeroizing<[u8; 32]>,
        others: impl IntoIterator<Item = Zeroizing<[u8; 32]>>,
    ) -> Self {
        let mut others: Vec<_> = others.into_iter().filter(|other| *other != active).collect();
        others.sort_unstable_by_key(|secret| **secret);
        others.dedup();
        Self { secrets: std::iter::once(active).chain(others).collect() }
    }

    /// Steps from these keys to `target` such that nodes one step apart accept each other. First
    /// the node accepts more keys (0), then it presents another key (1), then it accepts fewer (2).
    /// The number of a step counts the pauses before it; during each pause all nodes complete the
    /// step before.
    pub(crate) fn steps_to(&self, target: &Self) -> Vec<(u32, Self)> {
        let all = || self.secrets.iter().chain(&target.secrets).cloned();
        let steps = [
            (0, Self::new(self.secrets[0].clone(), all())),
            (1, Self::new(target.secrets[0].clone(), all())),
            (2, target.clone()),
        ];
        let mut from = self.clone();
        let is_step = |(_, step): &(u32, Self)| std::mem::replace(&mut from, step.clone()) != *step;
        steps.into_iter().filter(is_step).collect()
    }

    /// The login of the active key, and the accepted logins of all keys.
    pub(crate) fn logins(&self) -> Logins {
        let logins: Vec<Login> = self.secrets.iter().map(|secret| Login::of(secret)).collect();
        let mut accepted = Zeroizing::new(String::with_capacity(128 * logins.len()));
        for login in &logins {
            accepted.push_str(&login.user);
            accepted.push(':');
            accepted.push_str(&login.password);
            accepted.push('\n');
        }
        let own = logins[0].clone();
        let passwords = logins.into_iter().map(|login| login.password).collect();
        Logins { own, accepted, passwords }
    }

    /// The HMAC keys of discovery: the first signs, all are accepted.
    pub(crate) fn discovery_keys(&self) -> Vec<hmac::Key> {
        let key = |secret: &Zeroizing<[u8; 32]>| {
            hmac::Key::new(hmac::HMAC_SHA256, &*derive(secret, b"discovery"))
        };
        self.secrets.iter().map(key).collect()
    }

    /// The keys that the gate's handshakes prove: the first is preferred, all are accepted.
    pub(crate) fn gate_keys(&self) -> Vec<GateKey> {
        self.secrets.iter().map(|secret| GateKey::of(secret)).collect()
    }

    /// A certificate for one session of this node, and the authorities whose certificates it
    /// accepts. `names` are the names and addresses by which other nodes dial this node. A name
    /// that a certificate cannot contain is left out, and so are names past [`MAX_NAMES`].
    ///
    /// # Errors
    /// [`TransportError::LinkCertificate`].
    pub(crate) fn credentials(&self, names: &[String]) -> Result<TlsCredentials, TransportError> {
        let failed = |error: rcgen::Error| {
            // The kind of error reveals no secret; the library's message might.
            tracing::debug!(kind = ?std::mem::discriminant(&error), "no certificate for links");
            TransportError::LinkCertificate
        };
        let authorities = self.secrets.iter().map(|secret| authority(secret));
        let authorities = authorities.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let (node, key) = node_certificate(&authorities[0], names).map_err(failed)?;
        let all: String = authorities.iter().map(|authority| authority.pem()).collect();
        Ok(TlsCredentials {
            authorities: STANDARD.encode(all),
            certificate: STANDARD.encode(node),
            private_key: Zeroizing::new(STANDARD.encode(key.as_bytes())),
        })
    }
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKeys({} secrets)", self.secrets.len())
    }
}

/// 32 bytes for one purpose (HMAC as a pseudo-random function, RFC 5869).
fn derive(secret: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose);
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// A user name that reveals nothing about the key, and a password of 256 bits.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Zeroizing<String>,
}

impl Login {
    fn of(secret: &[u8; 32]) -> Self {
        let user = hex(&derive(secret, b"user")[..8]).to_string();
        Self { user, password: hex(&*derive(secret, b"password")) }
    }
}

/// The keys of the gate's handshake, derived from one cluster key.
#[derive(Clone)]
pub(crate) struct GateKey {
    /// The public id of the key; it reveals nothing about the key.
    pub(crate) id: [u8; 8],
    /// MAC keys of the dialed node (the acceptor) and of the dialer.
    pub(crate) acceptor: hmac::Key,
    pub(crate) dialer: hmac::Key,
    /// Key for deriving the session keys after the proof.
    pub(crate) session: hmac::Key,
}

impl GateKey {
    fn of(secret: &[u8; 32]) -> Self {
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &*derive(secret, purpose));
        let mut id = [0; 8];
        id.copy_from_slice(&derive(secret, b"gate key id")[..8]);
        Self {
            id,
            acceptor: key(b"gate acceptor"),
            dialer: key(b"gate dialer"),
            session: key(b"gate session"),
        }
    }
}

/// The logins that Zenoh gets for its challenge.
pub(crate) struct Logins {
    /// Presented when this node dials.
    pub(crate) own: Login,
    /// Accepted from nodes that dial this node: one `user:password` per line.
    pub(crate) accepted: Zeroizing<String>,
    /// The password of each accepted login, so that error texts can be redacted.
    pub(crate) passwords: Vec<Zeroizing<String>>,
}

/// The certificates and key that Zenoh gets for TLS: PEM in base64.
pub(crate) struct TlsCredentials {
    pub(crate) authorities: String,
    pub(crate) certificate: String,
    pub(crate) private_key: Zeroizing<String>,
}

/// The authority of one secret: the same on every node that has the secret. Its certificate has
/// rcgen's default validity (1975 to 4096), so that a node with a wrong clock is not locked out.
fn authority(secret: &[u8; 32]) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let pkcs8 = Zeroizing::new([PKCS8_ED25519.as_slice(), secret].concat());
    let key = KeyPair::try_from(pkcs8.as_slice())?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = common_name("mailmesh links");
    CertifiedIssuer::self_signed(params, key)
}

/// A certificate of the authority and its private key, both as PEM.
fn node_certificate(
    authority: &Issuer<'_, KeyPair>,
    names: &[String],
) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("mailmesh node");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = names.iter().filter_map(|name| alt_name(name)).collect();
    params.subject_alt_names.truncate(MAX_NAMES);
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

fn alt_name(name: &str) -> Option<SanType> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(SanType::IpAddress(address));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let name = name.trim_end_matches('.');
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let is_name = name.len() <= 253 && labels.split('.').all(is_label);
    is_name.then(|| name.to_owned().try_into().ok().map(SanType::DnsName)).flatten()
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seeds: &[u8]) -> LinkKeys {
        let mut secrets = seeds.iter().map(|n| Zeroizing::new([*n; 32]));
        LinkKeys::new(secrets.next().unwrap(), secrets)
    }

    fn pem(base64: &str) -> String {
        String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
    }

    #[test]
    fn every_holder_of_a_key_derives_the_same_authority() {
        let [one, again] = [keys(&[1]), keys(&[1])].map(|keys| keys.credentials(&[]).unwrap());
        let published = [&one.authorities, &one.certificate].map(|base64| pem(base64));
        assert!(published.iter().all(|pem| !pem.contains("PRIVATE")), "{published:?}");
        let subject_key = |n: u8| {
            use rcgen::PublicKeyData;
            authority(&[n; 32]).unwrap().key().subject_public_key_info()
        };
        assert_eq!(subject_key(1), subject_key(1));
        assert_ne!(subject_key(1), subject_key(2));
        assert_ne!(one.certificate, again.certificate, "each session has its own key");
    }

    #[test]
    fn nodes_one_rotation_step_apart_accept_each_other() {
        let (old, both) = (keys(&[1]), keys(&[1, 2]));
        assert_eq!(old.steps_to(&old), []);
        assert_eq!(old.steps_to(&both), [(0, both.clone())]);
        assert_eq!(both.steps_to(&keys(&[2, 1])), [(1, keys(&[2, 1]))]);
        assert_eq!(keys(&[2, 1]).steps_to(&keys(&[2])), [(2, keys(&[2]))]);
        let steps = old.steps_to(&keys(&[2]));
        assert_eq!(steps, [(0, both), (1, keys(&[2, 1])), (2, keys(&[2]))]);
        let steps = steps.into_iter().map(|(_, step)| step);
        let all: Vec<LinkKeys> = std::iter::once(old).chain(steps).collect();
        for pair in all.windows(2) {
            for (shows, accepts) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert!(accepts.secrets.contains(&shows.secrets[0]), "{pair:?}");
            }
        }
        assert_eq!(keys(&[1, 3, 2, 3, 1]), keys(&[1, 2, 3]));
    }

    #[test]
    fn a_login_belongs_to_one_key_and_reveals_nothing_about_it() {
        let logins = keys(&[1, 2]).logins();
        let lines: Vec<&str> = logins.accepted.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], format!("{}:{}", logins.own.user, *logins.own.password));
        assert_eq!(lines[1], keys(&[2]).logins().accepted.trim_end());
        assert!(!logins.accepted.contains(&"01".repeat(4)) && !lines[0].contains(lines[1]));
        assert_eq!((logins.own.user.len(), logins.own.password.len()), (16, 64));
    }

    #[test]
    fn all_keys_of_the_ring_are_accepted() {
        let credentials = keys(&[1, 2, 3]).credentials(&[]).unwrap();
        assert_eq!(pem(&credentials.authorities).matches("BEGIN CERTIFICATE").count(), 3);
        assert_eq!(pem(&credentials.certificate).matches("BEGIN CERTIFICATE").count(), 1);
        assert_eq!(format!("{:?}", keys(&[1, 2])), "LinkKeys(2 secrets)");
    }

    #[test]
    fn names_that_are_invalid_in_a_certificate_are_left_out() {
        for (name, fits) in [
            ("mx1.example.org", true),
            ("mx1.example.org.", true),
            ("*.mx.svc", true),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("", false),
            ("a b", false),
            ("a..b", false),
            ("m\u{fc}nchen.example", false),
            (&"x".repeat(64), false),
        ] {
            assert_eq!(alt_name(name).is_some(), fits, "{name}");
        }
        let many: Vec<String> = (0..1_000).map(|n| format!("mx{n}.example.org")).collect();
        assert!(keys(&[1]).credentials(&many).unwrap().certificate.len() < 16_384);
    }
}
