//! Bytes for events: frames, MessagePack bodies, sealing.
//!
//! A **frame** is a fixed [`Header`] of 32 bytes and a body. The body of a data
//! frame is a run of MessagePack arrays, one an event: an integer tag, then the
//! fields. With a [`ClusterKey`] the body is sealed (AES-256-GCM) and the header
//! is authenticated with it.
//!
//! **Invariant**: input is hostile until checked. Every length and count is held
//! against the bytes that remain and against a limit before it sizes anything;
//! decoding is driven by the schema and never recurses over the input. Decoding
//! `n` bytes never has more than `16 n + 4096` bytes allocated at once
//! (`tests/hostile.rs` measures it).
//!
//! **Evolution**: an event with an unknown tag or variant is handed on as
//! [`Event::Unknown`](mailmesh_events::Event::Unknown); unknown trailing fields
//! are ignored; fields added after version 1 take their default when missing.
//! `tests/golden/` holds the bytes of every released version.
//!
//! **Left to others**: which frame comes next (`mailmesh-delivery`), merging
//! (`mailmesh-state`), sockets (`mailmesh-transport`).
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
mod error;
mod event;
mod header;
mod key;
mod keyring;
mod keys;
mod known_keys;
mod msgpack;
mod record;
mod seal;
mod symbols;
mod sync;

pub use error::CodecError;
pub use event::{Events, decode_events, encode_event};
pub use header::{FrameKind, HEADER_LEN, Header, MAX_FRAME_LEN, VERSION};
pub use key::{ClusterKey, KeyId};
pub use keyring::Keyring;
pub use record::{Vault, decode_change, encode_change, encode_change_key};
pub use seal::{Opener, Sealer};
pub use sync::{decode_digest, decode_sync, encode_digest, encode_sync, round_of_entries};
