//! The wire format of mailmesh: frames, MessagePack bodies and sealing.
//!
//! A **frame** is a fixed [`Header`] of 32 bytes and a body. The body of a data frame is a sequence
//! of MessagePack arrays, one per event: an integer tag, then the fields. With a [`ClusterKey`] the
//! body is sealed (AES-256-GCM), and the header is authenticated as associated data.
//!
//! **Invariant**: all input is untrusted. Every length and count is checked against the remaining
//! bytes and against a limit before it sizes an allocation. The schema drives decoding, which never
//! recurses over the input. Decoding `n` bytes allocates at most `16 n + 4096` bytes at once
//! (`tests/hostile.rs` measures it).
//!
//! **Evolution**: an event with an unknown tag or variant decodes as
//! [`Event::Unknown`](mailmesh_events::Event::Unknown). Unknown trailing fields are ignored, and
//! fields added after version 1 take a default when missing. `tests/golden/` holds the bytes of
//! every released version.
//!
//! **Other crates**: order and retransmission (`mailmesh-delivery`), merging (`mailmesh-state`),
//! sockets (`mailmesh-transport`).
//!
//! ```
//! use mailmesh_codec::{Header, FrameKind, Sealer, Opener, ClusterKey, decode_events, encode_event};
//! use mailmesh_events::{Event, QueueSignal};
//!
//! let key = ClusterKey::generate()?;
//! let event = Event::from(QueueSignal::Refresh);
//! let mut body = Vec::new();
//! encode_event(&event, &mut body)?;
//!
//! let incarnation = [7; 16];
//! let header = Header { kind: FrameKind::Data, lane: 1, incarnation, to: None, first: 1, count: 1 };
//! let frame = Sealer::keyed(&key, "mail", incarnation).seal(&header, &body)?;
//!
//! let (header, body) = Opener::keyed(&key, "mail", [9; 16]).open(&frame)?;
//! let decoded: Vec<_> = decode_events(&body, header.count).collect::<Result<_, _>>()?;
//! assert_eq!(decoded, [event]);
//! # Ok::<(), mailmesh_codec::CodecError>(())
//! ```

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
pub use mailmesh_events::KeyId;
pub use record_cipher::RecordCipher;
pub use seal::{OpenedFrame, Opener, Sealer};
pub use stored_change::{decode_change, encode_change, encode_change_key};
pub use sync::{decode_digest, encode_digest, peek_entries_round};
