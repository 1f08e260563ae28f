//! Certificates for tests: an authority, its intermediates, and leaves.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};

/// A certificate with its key.
pub(super) struct TestCertificate {
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
}

impl TestCertificate {
    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// Creates a certificate for a key; self-signed without an `issuer`.
pub(super) fn signed(
    params: CertificateParams,
    key: KeyPair,
    issuer: Option<&TestCertificate>,
) -> TestCertificate {
    let made = match issuer {
        Some(issuer) => {
            params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key)).unwrap()
        }
        None => params.self_signed(&key).unwrap(),
    };
    TestCertificate { pem: made.pem(), der: made.der().to_vec(), params, key }
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    params
}

pub(super) fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(super) fn authority(name: &str, issuer: Option<&TestCertificate>) -> TestCertificate {
    signed(authority_params(name), KeyPair::generate().unwrap(), issuer)
}

pub(super) fn leaf_params(names: &[&str]) -> CertificateParams {
    named("", names)
}

pub(super) fn leaf(names: &[&str], issuer: &TestCertificate) -> TestCertificate {
    signed(leaf_params(names), KeyPair::generate().unwrap(), Some(issuer))
}

/// A root, an intermediate authority, and a leaf.
pub(super) fn test_chain() -> (TestCertificate, TestCertificate, TestCertificate) {
    let root = authority("Example Root", None);
    let middle = authority("Example Intermediate", Some(&root));
    let leaf = leaf(&["mail.example.org", "imap.example.org"], &middle);
    (root, middle, leaf)
}

/// DER of one element; its content is at most 65,535 bytes long.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head, content].concat()
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// PKCS #8 of an algorithm's content and a key.
pub(super) fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(2, &[0]), tlv(0x30, algorithm), tlv(4, key)].concat())
}

/// An `RSAPrivateKey` whose modulus has `bits` bits; not a working key.
pub(super) fn rsa(bits: usize) -> Vec<u8> {
    let modulus = [vec![0], vec![0xc5; bits / 8]].concat();
    tlv(0x30, &[tlv(2, &[0]), tlv(2, &modulus), tlv(2, &[1, 0, 1])].concat())
}

/// The content of an `AlgorithmIdentifier` of elliptic curves.
pub(super) fn curve(oid: &[u8]) -> Vec<u8> {
    [tlv(6, b"\x2a\x86\x48\xce\x3d\x02\x01"), tlv(6, oid)].concat()
}
