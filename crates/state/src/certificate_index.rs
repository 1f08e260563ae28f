//! Chooses the certificate for a host name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{Certificate, CertificateChange, DomainNames, HostName, UnixMillis};
use parking_lot::RwLock;

/// Whether a certificate is valid at a given time. There are only these three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Validity {
    /// The time is at or after `notBefore` and before `notAfter`.
    Valid,
    /// The time is at or after `notAfter`.
    Expired,
    /// The time is before `notBefore`.
    NotYetValid,
}

impl Validity {
    fn of(certificate: &Certificate, now: UnixMillis) -> Self {
        if now < certificate.not_before() {
            Self::NotYetValid
        } else if now < certificate.not_after() {
            Self::Valid
        } else {
            Self::Expired
        }
    }
}

/// The certificate chosen for a name, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChosenCertificate {
    /// The chosen certificate.
    pub certificate: Arc<Certificate>,
    /// Whether the certificate is valid. If it is not, no valid certificate matches the name.
    pub validity: Validity,
    /// Whether the certificate holds the name itself, and not only a wildcard that matches it.
    pub is_exact: bool,
    /// The time for which the certificate was chosen.
    pub at: UnixMillis,
}

impl fmt::Display for ChosenCertificate {
    /// The reason of the choice, such as `valid, exact name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_exact { "exact name" } else { "wildcard" };
        let nothing_better = "no valid certificate matches it";
        match self.validity {
            Validity::Valid => write!(f, "valid, {name}"),
            Validity::Expired => {
                let ago = CoarseDuration(self.at.since(self.certificate.not_after()));
                write!(f, "expired {ago} ago, {name}; {nothing_better}")
            }
            Validity::NotYetValid => {
                let until = CoarseDuration(self.certificate.not_before().since(self.at));
                write!(f, "valid in {until}, {name}; {nothing_better}")
            }
        }
    }
}

/// A duration in the largest unit that keeps it above one: days, hours, minutes or seconds.
struct CoarseDuration(Duration);

impl fmt::Display for CoarseDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            172_800.. => write!(f, "{} days", seconds / 86_400),
            7_200.. => write!(f, "{} hours", seconds / 3_600),
            120.. => write!(f, "{} minutes", seconds / 60),
            _ => write!(f, "{seconds} s"),
        }
    }
}

/// Certificates by host name. A lookup costs time for the certificates of that name only. A reader
/// waits for a writer for one insertion at most.
#[derive(Debug, Default)]
pub(crate) struct CertificateIndex {
    index: RwLock<NameTables>,
}

/// Certificates of one name, in [`issue_order`].
type CertificateList = Vec<Arc<Certificate>>;

#[derive(Debug, Default)]
struct NameTables {
    by_names: HashMap<DomainNames, Arc<Certificate>>,
    exact: HashMap<Box<str>, CertificateList>,
    /// Keyed by the parent domain of the wildcard: `example.org` for `*.example.org`.
    wildcard: HashMap<Box<str>, CertificateList>,
}

impl CertificateIndex {
    pub(crate) fn set(&self, change: &CertificateChange) {
        let mut index = self.index.write();
        let replaced = match &change.certificate {
            Some(certificate) => index.by_names.insert(change.names.clone(), certificate.clone()),
            None => index.by_names.remove(&change.names),
        };
        if let Some(replaced) = replaced {
            index.remove(&replaced);
        }
        if let Some(certificate) = &change.certificate {
            index.insert(certificate);
        }
    }

    pub(crate) fn get(&self, names: &DomainNames) -> Option<Arc<Certificate>> {
        self.index.read().by_names.get(names).cloned()
    }

    /// Prefers valid certificates, then exact names to wildcards, then the order of
    /// [`best_issued`].
    pub(crate) fn choose(&self, host: &str, now: UnixMillis) -> Option<ChosenCertificate> {
        let host = HostName::new(host)?;
        self.index.read().choose(Some(host.as_str()), host.parent(), now)
    }

    /// Every name in any certificate, sorted, with the certificate chosen for it. For a wildcard:
    /// the certificate for hosts that no exact name matches.
    pub(crate) fn by_name(&self, now: UnixMillis) -> Vec<(Box<str>, ChosenCertificate)> {
        let index = self.index.read();
        let exact = index.exact.keys().filter_map(|name| {
            let host = HostName::new(name)?;
            Some((name.clone(), index.choose(Some(host.as_str()), host.parent(), now)?))
        });
        let wildcard = index.wildcard.keys().filter_map(|parent| {
            Some((format!("*.{parent}").into(), index.choose(None, Some(parent), now)?))
        });
        let mut all: Vec<_> = exact.chain(wildcard).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    pub(crate) fn all(&self) -> Vec<Arc<Certificate>> {
        let mut all: Vec<_> = self.index.read().by_names.values().cloned().collect();
        all.sort_by(|a, b| a.names().cmp(b.names()));
        all
    }
}

impl NameTables {
    fn choose(
        &self,
        exact: Option<&str>,
        parent: Option<&str>,
        now: UnixMillis,
    ) -> Option<ChosenCertificate> {
        let chosen = |issued: &CertificateList, is_exact| {
            let certificate = best_issued(issued, now)?.clone();
            let validity = Validity::of(&certificate, now);
            Some(ChosenCertificate { certificate, validity, is_exact, at: now })
        };
        let exact = exact.and_then(|name| chosen(self.exact.get(name)?, true));
        if exact.as_ref().is_some_and(|exact| exact.validity == Validity::Valid) {
            return exact;
        }
        let wildcard = parent.and_then(|parent| chosen(self.wildcard.get(parent)?, false));
        match wildcard {
            Some(wildcard) if wildcard.validity == Validity::Valid => Some(wildcard),
            wildcard => exact.or(wildcard),
        }
    }

    fn table(&mut self, name: &str) -> (&mut HashMap<Box<str>, CertificateList>, Box<str>) {
        match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent.into()),
            None => (&mut self.exact, name.into()),
        }
    }

    fn insert(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names().iter() {
            let (table, name) = self.table(name);
            let issued = table.entry(name).or_default();
            let position =
                issued.partition_point(|other| issue_order(other) < issue_order(certificate));
            issued.insert(position, certificate.clone());
        }
    }

    fn remove(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names().iter() {
            let (table, name) = self.table(name);
            if let Some(issued) = table.get_mut(&name) {
                issued.retain(|other| !Arc::ptr_eq(other, certificate));
                if issued.is_empty() {
                    table.remove(&name);
                }
            }
        }
    }
}

/// Order of issue, the same on every node.
fn issue_order(certificate: &Certificate) -> impl Ord + use<> {
    (certificate.not_before(), certificate.not_after(), certificate.fingerprint())
}

/// The valid certificate that was issued last. If none is valid, the one that expired last, since a
/// client whose clock is behind may still accept it; else the one whose validity begins first.
fn best_issued(issued: &CertificateList, now: UnixMillis) -> Option<&Arc<Certificate>> {
    let started = issued.partition_point(|certificate| certificate.not_before() <= now);
    let (started, later) = issued.split_at(started);
    let valid = started.iter().rev().find(|certificate| now < certificate.not_after());
    let last_expired = || started.iter().max_by_key(|c| (c.not_after(), issue_order(c)));
    let next_valid = || {
        let at = later.first()?.not_before();
        later.iter().take_while(|certificate| certificate.not_before() == at).last()
    };
    valid.or_else(last_expired).or_else(next_valid)
}
