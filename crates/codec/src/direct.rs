//! The encoding of direct messages, `[kind, ...]`: the kind tells sync, clock and key messages
//! apart.

use mailmesh_events::{ClockMessage, DirectMessage, UnixMillis, limits};

use crate::msgpack::{Fields, Reader, Writer};
use crate::{CodecError, key_messages, sync};

const CLOCK_QUERY: u64 = 7;
const CLOCK_ANSWER: u64 = 8;

/// Encodes a direct message.
///
/// # Errors
/// [`CodecError::TooLong`] past a limit of the message or [`limits::EVENT_LEN`] bytes in all;
/// [`CodecError::Type`] for a message that this version cannot encode.
pub fn encode_direct(message: &DirectMessage) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let w = &mut Writer(&mut out);
    match message {
        DirectMessage::Sync(message) => sync::write_message(w, message)?,
        DirectMessage::Clock(ClockMessage::Query { asked }) => {
            w.array(2).u64(CLOCK_QUERY).u64(*asked);
        }
        DirectMessage::Clock(ClockMessage::Answer { asked, now }) => {
            w.array(3).u64(CLOCK_ANSWER).u64(*asked).u64(now.0);
        }
        DirectMessage::Keys(message) => key_messages::write_message(w, message)?,
        _ => return Err(CodecError::Type { what: "direct message" }),
    }
    sync::check_len("the direct message", out.len(), limits::EVENT_LEN)?;
    Ok(out)
}

/// Decodes a direct message. Changes of an unknown kind are skipped.
///
/// # Errors
/// A [`CodecError`] that names the field.
pub fn decode_direct(bytes: &[u8]) -> Result<DirectMessage, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "direct message")?;
    let message = match fields.u64("kind of direct message")? {
        kind @ sync::REQUEST..=sync::ENTRIES => sync::read_message(kind, &mut fields)?.into(),
        CLOCK_QUERY => ClockMessage::Query { asked: fields.u64("time of the query")? }.into(),
        CLOCK_ANSWER => ClockMessage::Answer {
            asked: fields.u64("time of the query")?,
            now: UnixMillis(fields.u64("time")?),
        }
        .into(),
        kind @ (key_messages::REQUEST | key_messages::ANSWER) => {
            key_messages::read_message(kind, &mut fields)?.into()
        }
        value => return Err(CodecError::UnknownValue { what: "kind of direct message", value }),
    };
    fields.finish()?;
    Ok(message)
}
