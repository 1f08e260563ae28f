#![doc = include_str!("../README.md")]

mod change;
mod cluster_key;
mod direct;
mod error;
mod event;
mod header;
mod key_messages;
mod keyring;
mod msgpack;
mod record_cipher;
mod seal;
mod sender_keys;
mod stored_change;
mod symbols;
mod sync;

pub use cluster_key::ClusterKey;
pub use direct::{decode_direct, encode_direct};
pub use error::CodecError;
pub use event::{Events, decode_events, encode_event};
pub use header::{FrameKind, HEADER_LEN, Header, MAX_FRAME_LEN, VERSION};
pub use keyring::Keyring;
pub use mailmesh_events::{self as events, KeyId};
pub use record_cipher::RecordCipher;
pub use seal::{OpenedFrame, Opener, Sealer};
pub use stored_change::{decode_change, encode_change, encode_change_key};
pub use sync::{decode_digest, encode_digest, peek_entries_round};
