use std::hash::Hash;

use mailmesh_events::{ChangeKey, MirrorDigest, Stamp};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The digest of a set of entries, kept current: the sum of a keyed hash of each
/// entry's key and stamp, so order does not matter and each change costs one hash.
#[derive(Debug, Clone)]
pub(crate) struct Fingerprint {
    hasher: SipHasher13,
    digest: MirrorDigest,
}

impl Fingerprint {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { hasher: SipHasher13::new_with_key(&key), digest: MirrorDigest::default() }
    }

    pub(crate) fn digest(&self) -> MirrorDigest {
        self.digest
    }

    pub(crate) fn add(&mut self, key: &ChangeKey, stamp: Stamp) {
        self.digest.entries += 1;
        self.digest.fingerprint = self.digest.fingerprint.wrapping_add(self.hash(key, stamp));
    }

    pub(crate) fn remove(&mut self, key: &ChangeKey, stamp: Stamp) {
        self.digest.entries -= 1;
        self.digest.fingerprint = self.digest.fingerprint.wrapping_sub(self.hash(key, stamp));
    }

    fn hash(&self, key: &ChangeKey, stamp: Stamp) -> u128 {
        let mut hasher = self.hasher;
        match key {
            ChangeKey::Network(rule, network) => {
                (0_u8, *rule as u8, network.prefix_len()).hash(&mut hasher);
                match network.address() {
                    std::net::IpAddr::V4(v4) => u32::from(v4).hash(&mut hasher),
                    std::net::IpAddr::V6(v6) => u128::from(v6).hash(&mut hasher),
                }
            }
            ChangeKey::Certificate(names) => {
                1_u8.hash(&mut hasher);
                names.iter().for_each(|name| name.hash(&mut hasher));
            }
            _ => 2_u8.hash(&mut hasher),
        }
        (stamp.time(), stamp.node().0).hash(&mut hasher);
        hasher.finish128().as_u128()
    }
}
