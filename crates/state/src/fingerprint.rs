use std::hash::Hasher;

use mailmesh_events::{ChangeKey, MirrorDigest};
use siphasher::sip::SipHasher13 as SipHasher64;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::version::Version;

/// Bits of an item that tell the version of its entry; the others are its id's first.
pub(crate) const ITEM_VERSION_MASK: u64 = (1 << 24) - 1;

/// A keyed hash of a key, 128 bits: that two keys have the same does not happen (of four
/// million, with a chance of 2^-85).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(u128);

impl EntryId {
    /// Its first 64 bits.
    pub(crate) fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// The digest of a set of entries, kept current: the sum of a keyed hash of each
/// entry's id, stamp and content, so order does not matter and each change costs one hash.
#[derive(Debug, Clone)]
pub(crate) struct Fingerprint {
    hasher: SipHasher13,
    short: SipHasher64,
    digest: MirrorDigest,
}

impl Fingerprint {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let short = SipHasher64::new_with_key(&key);
        let mut name = short;
        name.write(b"name of the key");
        let digest = MirrorDigest { key: (name.finish() >> 32) as u32, ..MirrorDigest::default() };
        Self { hasher: SipHasher13::new_with_key(&key), short, digest }
    }

    pub(crate) fn digest(&self) -> MirrorDigest {
        self.digest
    }

    pub(crate) fn add(&mut self, id: EntryId, version: &Version) {
        self.digest.entries += 1;
        self.digest.fingerprint = self.digest.fingerprint.wrapping_add(self.hash(id, version));
    }

    pub(crate) fn remove(&mut self, id: EntryId, version: &Version) {
        self.digest.entries -= 1;
        self.digest.fingerprint = self.digest.fingerprint.wrapping_sub(self.hash(id, version));
    }

    /// The id of a key.
    pub(crate) fn id(&self, key: &ChangeKey) -> EntryId {
        let mut hasher = self.hasher;
        match key {
            ChangeKey::Network(rule, network) => {
                hasher.write(&[0, *rule as u8, network.prefix_len()]);
                match network.address() {
                    std::net::IpAddr::V4(v4) => hasher.write(&v4.octets()),
                    std::net::IpAddr::V6(v6) => hasher.write(&v6.octets()),
                }
            }
            ChangeKey::Certificate(names) => {
                hasher.write(&[1]);
                for name in names.iter() {
                    hasher.write(name.as_bytes());
                    hasher.write(&[0xff]);
                }
            }
            ChangeKey::Value(key) => {
                hasher.write(&[3]);
                // No name of a namespace has a zero in it.
                hasher.write(key.namespace().as_bytes());
                hasher.write(&[0]);
                hasher.write(key.name().as_bytes());
            }
            _ => hasher.write(&[2]),
        }
        EntryId(hasher.finish128().as_u128())
    }

    /// What tells an entry in its present version, in 64 bits: the first of its id, then of
    /// a hash of its version. Two entries of four million with the same item have a chance of
    /// one in two million; then they are told apart by the digest, and exchanged in full.
    pub(crate) fn item(&self, id: EntryId, version: &Version) -> u64 {
        let mut hasher = self.short;
        write(&mut hasher, id, version);
        id.high() & !ITEM_VERSION_MASK | hasher.finish() & ITEM_VERSION_MASK
    }

    fn hash(&self, id: EntryId, version: &Version) -> u128 {
        let mut hasher = self.hasher;
        write(&mut hasher, id, version);
        hasher.finish128().as_u128()
    }
}

/// The same bytes on every machine.
fn write(hasher: &mut impl Hasher, id: EntryId, version: &Version) {
    hasher.write(&id.0.to_le_bytes());
    hasher.write(&version.bytes());
}
