//! Keyed hashes of entries, and their sum: the fingerprint of a mirror.

use std::fmt;
use std::hash::Hasher;

use mailmesh_events::{ChangeKey, MirrorDigest};
use siphasher::sip::SipHasher13 as SipHasher64;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::version::Version;

/// The low bits of an item, which identify the version of its entry. The high bits are those of the
/// entry's id.
pub(crate) const ITEM_VERSION_MASK: u64 = (1 << 24) - 1;

/// A keyed 128-bit hash of a key. Two of four million keys collide with a probability of 2^-85.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(u128);

impl EntryId {
    /// The first 64 bits.
    pub(crate) fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// The digest of a set of entries: the sum of a keyed hash of each entry's id, stamp and content.
/// The order of entries does not matter, and each change costs one hash.
#[derive(Clone)]
pub(crate) struct Fingerprint {
    hasher: SipHasher13,
    short: SipHasher64,
    digest: MirrorDigest,
}

/// Leaves out the hashers, whose state is the key.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Fingerprint {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let short = SipHasher64::new_with_key(&key);
        let mut name = short;
        name.write(b"name of the key");
        let digest =
            MirrorDigest { key_id: (name.finish() >> 32) as u32, ..MirrorDigest::default() };
        Self { hasher: SipHasher13::new_with_key(&key), short, digest }
    }

    pub(crate) fn digest(&self) -> MirrorDigest {
        self.digest
    }

    pub(crate) fn add(&mut self, id: EntryId, version: &Version) {
        self.digest.entries += 1;
        self.digest.set_hash = self.digest.set_hash.wrapping_add(self.hash(id, version));
    }

    pub(crate) fn remove(&mut self, id: EntryId, version: &Version) {
        self.digest.entries -= 1;
        self.digest.set_hash = self.digest.set_hash.wrapping_sub(self.hash(id, version));
    }

    /// The id of a key.
    pub(crate) fn id(&self, key: &ChangeKey) -> EntryId {
        let mut hasher = self.hasher;
        match key {
            ChangeKey::Network { rule, network } => {
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
                // Names of namespaces contain no zero byte.
                hasher.write(key.namespace().as_bytes());
                hasher.write(&[0]);
                hasher.write(key.name().as_bytes());
            }
            _ => hasher.write(&[2]),
        }
        EntryId(hasher.finish128().as_u128())
    }

    /// The item that identifies an entry in its current version: 40 bits of the id, then 24 bits of
    /// a hash of the version. Some pair of four million entries has the same item with a
    /// probability of one in two million. In that case the digests still differ, and the mirrors
    /// are exchanged in full.
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

/// Hashes an id and a version, with the same bytes on every platform.
fn write(hasher: &mut impl Hasher, id: EntryId, version: &Version) {
    hasher.write(&id.0.to_le_bytes());
    hasher.write(&version.bytes());
}
