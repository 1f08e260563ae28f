use std::collections::HashMap;
use std::sync::Arc;

use mailmesh_events::{Certificate, CertificateChange, DomainNames};
use parking_lot::RwLock;

/// Lookup of certificates by host name. A reader waits for a writer at most for
/// one insertion.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_names: RwLock<HashMap<DomainNames, Arc<Certificate>>>,
}

impl Certificates {
    pub(crate) fn set(&self, change: &CertificateChange) {
        let mut map = self.by_names.write();
        match &change.certificate {
            Some(certificate) => map.insert(change.names.clone(), certificate.clone()),
            None => map.remove(&change.names),
        };
    }

    pub(crate) fn get(&self, names: &DomainNames) -> Option<Arc<Certificate>> {
        self.by_names.read().get(names).cloned()
    }

    /// Of those that serve `host`, the one issued last.
    pub(crate) fn for_host(&self, host: &str) -> Option<Arc<Certificate>> {
        let map = self.by_names.read();
        let serving = map.values().filter(|certificate| certificate.names().serve(host));
        serving
            .max_by_key(|certificate| (certificate.not_before(), certificate.not_after()))
            .cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Certificate>> {
        let mut all: Vec<_> = self.by_names.read().values().cloned().collect();
        all.sort_by(|a, b| a.names().cmp(b.names()));
        all
    }
}
