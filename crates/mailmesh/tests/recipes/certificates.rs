//! Certificate authorities and the certificates they sign.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A node's directory: `ca.pem` of the trusted authority, and `node.pem` and `node.key` with a
    /// certificate of this authority for this common name and host.
    pub(crate) fn files(&self, trusted: &Self, common_name: &str, host: &str) -> TempDir {
        self.files_until(trusted, common_name, host, Duration::from_secs(86_400))
    }

    /// Same as [`files`](Self::files), with a certificate that is valid for `life` from now.
    pub(crate) fn files_until(
        &self,
        trusted: &Self,
        common_name: &str,
        host: &str,
        life: Duration,
    ) -> TempDir {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + life;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name, text| std::fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", trusted.0.pem());
        write("node.pem", certificate.pem());
        write("node.key", key.serialize_pem());
        dir
    }
}
