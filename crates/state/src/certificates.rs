use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{Certificate, CertificateChange, DomainNames, HostName, UnixMillis};
use parking_lot::RwLock;

/// Whether a certificate can be used at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// The moment is within its `notBefore` and `notAfter`.
    Valid,
    /// Its `notAfter` is over.
    Ended,
    /// Its `notBefore` is yet to come.
    NotYet,
}

impl Validity {
    fn of(certificate: &Certificate, now: UnixMillis) -> Self {
        if now < certificate.not_before() {
            Self::NotYet
        } else if now < certificate.not_after() {
            Self::Valid
        } else {
            Self::Ended
        }
    }
}

/// The certificate that a name gets, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChosenCertificate {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Whether it is valid. If not, no certificate that serves the name is.
    pub validity: Validity,
    /// It holds the name itself, not a wildcard that serves it.
    pub is_exact: bool,
    /// The moment that it was chosen for.
    pub at: UnixMillis,
}

impl fmt::Display for ChosenCertificate {
    /// The reason: `valid, exact name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_exact { "exact name" } else { "wildcard" };
        let nothing_better = "no valid certificate serves it";
        match self.validity {
            Validity::Valid => write!(f, "valid, {name}"),
            Validity::Ended => {
                let ago = Roughly(self.at.since(self.certificate.not_after()));
                write!(f, "ended {ago} ago, {name}; {nothing_better}")
            }
            Validity::NotYet => {
                let until = Roughly(self.certificate.not_before().since(self.at));
                write!(f, "valid in {until}, {name}; {nothing_better}")
            }
        }
    }
}

/// A duration in the unit that a reader would choose.
struct Roughly(Duration);

impl fmt::Display for Roughly {
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

/// Certificates by host name. A lookup costs what the certificates of that one name cost,
/// however many there are of others. A reader waits for a writer at most for one insertion.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    index: RwLock<Index>,
}

/// Certificates of one name, the one issued last at the end.
type Issued = Vec<Arc<Certificate>>;

#[derive(Debug, Default)]
struct Index {
    by_names: HashMap<DomainNames, Arc<Certificate>>,
    exact: HashMap<Box<str>, Issued>,
    /// By the domain below which the wildcard serves: `example.org` for `*.example.org`.
    wildcard: HashMap<Box<str>, Issued>,
}

impl Certificates {
    pub(crate) fn set(&self, change: &CertificateChange) {
        let mut index = self.index.write();
        let replaced = match &change.certificate {
            Some(certificate) => index.by_names.insert(change.names.clone(), certificate.clone()),
            None => index.by_names.remove(&change.names),
        };
        if let Some(replaced) = replaced {
            index.unlist(&replaced);
        }
        if let Some(certificate) = &change.certificate {
            index.list(certificate);
        }
    }

    pub(crate) fn get(&self, names: &DomainNames) -> Option<Arc<Certificate>> {
        self.index.read().by_names.get(names).cloned()
    }

    /// Valid before not valid, then the exact name before a wildcard, then as [`best`] says.
    pub(crate) fn choose(&self, host: &str, now: UnixMillis) -> Option<ChosenCertificate> {
        let host = HostName::new(host)?;
        self.index.read().choose(Some(host.as_str()), host.parent(), now)
    }

    /// Every name of a certificate, sorted, and the certificate that it gets. A wildcard gets
    /// the certificate of the hosts that no exact name serves.
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

impl Index {
    fn choose(
        &self,
        exact: Option<&str>,
        parent: Option<&str>,
        now: UnixMillis,
    ) -> Option<ChosenCertificate> {
        let chosen = |issued: &Issued, is_exact| {
            let certificate = best(issued, now)?.clone();
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

    fn table(&mut self, name: &str) -> (&mut HashMap<Box<str>, Issued>, Box<str>) {
        match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent.into()),
            None => (&mut self.exact, name.into()),
        }
    }

    fn list(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names().iter() {
            let (table, name) = self.table(name);
            let issued = table.entry(name).or_default();
            let place = issued.partition_point(|other| rank(other) < rank(certificate));
            issued.insert(place, certificate.clone());
        }
    }

    fn unlist(&mut self, certificate: &Arc<Certificate>) {
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

/// The same order on every node.
fn rank(certificate: &Certificate) -> impl Ord + use<> {
    (certificate.not_before(), certificate.not_after(), certificate.fingerprint())
}

/// Of the valid ones the one issued last. If none is valid: the one that ended last, since a
/// client whose clock is behind may still take it; else the one that begins first.
fn best(issued: &Issued, now: UnixMillis) -> Option<&Arc<Certificate>> {
    let begun = issued.partition_point(|certificate| certificate.not_before() <= now);
    let (begun, later) = issued.split_at(begun);
    let valid = begun.iter().rev().find(|certificate| now < certificate.not_after());
    let ended = || begun.iter().max_by_key(|c| (c.not_after(), rank(c)));
    let first = || {
        let at = later.first()?.not_before();
        later.iter().take_while(|certificate| certificate.not_before() == at).last()
    };
    valid.or_else(ended).or_else(first)
}
