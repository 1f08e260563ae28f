//! Upper bounds of the fields of events and messages. Constructors refuse values beyond them;
//! decoders do so before they allocate.

/// Longest reason or origin of a block entry, in bytes of UTF-8.
pub const TEXT_LEN: usize = 256;
/// Longest kind of a [`Custom`](crate::Custom) event, in bytes of UTF-8.
pub const CUSTOM_KIND_LEN: usize = 64;
/// Longest payload of a [`Custom`](crate::Custom) event, in bytes.
pub const CUSTOM_PAYLOAD_LEN: usize = 192 * 1024;
/// Most ids in one list (mailboxes of an e-mail, entries of a cache).
pub const LIST_IDS: usize = 16_384;
/// Most names in one certificate.
pub const CERTIFICATE_NAMES: usize = 256;
/// Longest DNS name, in bytes (RFC 1035, section 2.3.4).
pub const NAME_LEN: usize = 253;
/// Most certificates in one chain.
pub const CHAIN_CERTIFICATES: usize = 16;
/// Longest single certificate or private key, in bytes of DER.
pub const DER_LEN: usize = 16 * 1024;
/// Longest name of a namespace of values, in bytes.
pub const NAMESPACE_LEN: usize = 64;
/// Longest name of a value, in bytes.
pub const VALUE_NAME_LEN: usize = 256;
/// Longest value, in bytes.
pub const VALUE_LEN: usize = 16 * 1024;
/// Most changes in one [`SyncMessage`](crate::SyncMessage).
pub const SYNC_CHANGES: usize = 1_024;
/// Most symbols in one [`SyncMessage`](crate::SyncMessage).
pub const SYNC_SYMBOLS: usize = 4_096;
/// Mirrors compare their content in at most 2^16 [`Share`](crate::Share)s.
pub const SHARE_BITS: u8 = 16;
/// Most shares that one [`SyncMessage`](crate::SyncMessage) requests.
pub const SYNC_SHARES: u16 = 64;
/// Most cluster keys of a node.
pub const CLUSTER_KEYS: usize = 4;
/// Longest encoded event, in bytes.
pub const EVENT_LEN: usize = 256 * 1024;
