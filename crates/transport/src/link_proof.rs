//! How the links of one session prove the cluster key.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::TransportError;
use crate::gate::SessionSlots;
use crate::link_keys::{LinkKeys, Login, TlsCredentials};

/// The method by which links prove the cluster key (`mesh.links`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LinkProof {
    /// At mailmesh's own gate, before Zenoh reads a byte. Both ends prove the key, and all bytes
    /// after the proof travel in sealed records.
    #[default]
    Sealed,
    /// At the gate, but without encryption: an attacker on the path can insert bytes into a proven
    /// link.
    Gate,
    /// By Zenoh's challenge, with a login derived from the key. Only the dialer proves the key, so
    /// a node dials only addresses named by the operator or by a holder of the key. A recorded
    /// answer can be replayed until the key is retired.
    Challenge,
    /// By mutual TLS, with certificates derived from the key. Both ends prove the key, and an
    /// attacker on the path can neither read nor change the bytes.
    Tls,
}

/// The value of `mesh.links`.
impl fmt::Display for LinkProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "sealed",
            Self::Gate => "gate",
            Self::Challenge => "challenge",
            Self::Tls => "tls",
        })
    }
}

impl LinkProof {
    /// Whether links go through the gate.
    pub(crate) fn has_gate(self) -> bool {
        matches!(self, Self::Gate | Self::Sealed)
    }
}

/// The credentials for opening one session.
pub(crate) enum SessionProof {
    /// Zenoh only has links to the gate's sockets.
    Gate(Arc<SessionSlots>),
    Challenge {
        own: Login,
        accepted: SecretFile,
        /// The passwords of all logins, for redaction.
        passwords: Vec<Zeroizing<String>>,
    },
    Tls(TlsCredentials),
}

impl SessionProof {
    /// `names` are the names by which other nodes dial this node.
    ///
    /// # Errors
    /// [`TransportError::LinkCertificate`], [`TransportError::LinkSecrets`].
    pub(crate) fn new(
        proof: LinkProof,
        keys: &LinkKeys,
        names: &[String],
    ) -> Result<Self, TransportError> {
        Ok(match proof {
            LinkProof::Gate | LinkProof::Sealed | LinkProof::Challenge => {
                let logins = keys.logins();
                let accepted = SecretFile::new(&logins.accepted)
                    .map_err(|error| TransportError::LinkSecrets { why: error.to_string() })?;
                Self::Challenge { own: logins.own, accepted, passwords: logins.passwords }
            }
            LinkProof::Tls => Self::Tls(keys.credentials(names)?),
        })
    }

    /// Returns the library's text without the session's credentials.
    pub(crate) fn hide(&self, text: &str) -> String {
        let secrets = match self {
            Self::Gate(_) => return text.to_owned(),
            Self::Challenge { passwords, .. } => passwords.as_slice(),
            Self::Tls(credentials) => std::slice::from_ref(&credentials.private_key),
        };
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(&**secret, "***"))
    }
}

impl fmt::Debug for SessionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate(_) => "Gate",
            Self::Challenge { .. } => "Challenge",
            Self::Tls(_) => "Tls",
        })
    }
}

/// A file that Zenoh reads once, when a session opens; it is removed when dropped. Zenoh accepts
/// the list of valid logins only as a file.
pub(crate) struct SecretFile {
    _file: File,
    path: String,
    #[cfg(not(target_os = "linux"))]
    _dir: RemoveOnDrop,
}

impl SecretFile {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Creates the file in memory, without a name that another process could open.
    #[cfg(target_os = "linux")]
    fn new(text: &Zeroizing<String>) -> std::io::Result<Self> {
        use std::os::fd::AsRawFd;
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("links", flags)?);
        file.write_all(text.as_bytes())?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(Self { _file: file, path })
    }

    /// Creates the file in the directory for temporary files, readable by this user alone.
    #[cfg(not(target_os = "linux"))]
    fn new(text: &Zeroizing<String>) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut random = [0; 16];
        let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
        filled.map_err(|_| std::io::Error::other("the system provides no random numbers"))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("mailmesh-{name}"));
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        let on_disk = RemoveOnDrop(path.clone());
        file.write_all(text.as_bytes())?;
        Ok(Self { _file: file, path: path.display().to_string(), _dir: on_disk })
    }
}

#[cfg(not(target_os = "linux"))]
struct RemoveOnDrop(std::path::PathBuf);

#[cfg(not(target_os = "linux"))]
impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_error_text_reveals_no_secret_of_the_session() {
        let keys = LinkKeys::new(Zeroizing::new([1; 32]), [Zeroizing::new([2; 32])]);
        let challenge = SessionProof::new(LinkProof::Challenge, &keys, &[]).unwrap();
        let logins = keys.logins().accepted;
        let hidden = challenge.hide(&format!("bad logins: {}", *logins));
        assert_eq!(hidden.matches("***").count(), 2);
        for password in logins.lines().filter_map(|login| login.split(':').nth(1)) {
            assert!(!hidden.contains(password));
        }
        let tls = SessionProof::new(LinkProof::Tls, &keys, &[]).unwrap();
        let SessionProof::Tls(credentials) = &tls else { panic!() };
        let text = format!("tls/a:1#connect_private_key_base64={}", *credentials.private_key);
        assert_eq!(tls.hide(&text), "tls/a:1#connect_private_key_base64=***");
    }

    #[test]
    fn a_secret_file_is_readable_until_it_is_dropped() {
        let keys = LinkKeys::new(Zeroizing::new([1; 32]), [Zeroizing::new([2; 32])]);
        let proof = SessionProof::new(LinkProof::Challenge, &keys, &[]).unwrap();
        let SessionProof::Challenge { own, accepted, .. } = proof else { panic!() };
        let path = accepted.path().to_owned();
        let read = || std::fs::read_to_string(&path);
        assert!(read().unwrap().starts_with(&format!("{}:", own.user)));
        assert_eq!(read().unwrap().lines().count(), 2, "read a second time");
        drop(accepted);
        let read = read();
        assert!(read.is_err() || !read.unwrap().contains(&*own.password));
    }
}
