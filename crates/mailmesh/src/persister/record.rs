//! Encodes an entry of the mirror as a record of the store: flags, expiry, and the change.

use mailmesh_codec::{CodecError, RecordCipher, decode_change, encode_change};
use mailmesh_events::UnixMillis;
use mailmesh_state::Saved;

/// The entry replaced another one.
const REPLACED: u8 = 1;
/// The entry has an expiry.
const ENDS: u8 = 2;
/// The change is sealed.
const SEALED: u8 = 4;
/// Bytes before the change: flags and expiry.
const HEADER_LEN: usize = 9;

/// Encodes the value of a record; `None` deletes the record. A private key is never written
/// unsealed.
pub(crate) fn write(
    name: &[u8],
    saved: Option<&Saved>,
    vault: Option<&RecordCipher>,
) -> Result<Option<Vec<u8>>, CodecError> {
    let Some(Saved { change, replaced_another, end }) = saved else { return Ok(None) };
    let mut flags = 0;
    if *replaced_another {
        flags |= REPLACED;
    }
    if end.is_some() {
        flags |= ENDS;
    }
    let encoded = encode_change(change)?;
    let sealed = match (change.has_private_key(), vault) {
        (false, _) => None,
        (true, Some(vault)) => Some(vault.seal(name, &encoded)?),
        (true, None) => return Err(CodecError::NoKey),
    };
    if sealed.is_some() {
        flags |= SEALED;
    }
    let body = sealed.as_deref().unwrap_or(&encoded);
    let mut value = Vec::with_capacity(HEADER_LEN + body.len());
    value.push(flags);
    value.extend(end.map_or(0, |end| end.0).to_be_bytes());
    value.extend(body);
    Ok(Some(value))
}

/// Decodes the entry of a record.
pub(crate) fn read(
    name: &[u8],
    value: &[u8],
    vault: Option<&RecordCipher>,
) -> Result<Saved, CodecError> {
    let truncated = CodecError::Truncated { what: "a stored entry" };
    let (head, body) = value.split_first_chunk::<HEADER_LEN>().ok_or(truncated)?;
    let [flags, end @ ..] = *head;
    let change = match (flags & SEALED != 0, vault) {
        (false, _) => decode_change(body)?,
        (true, Some(vault)) => decode_change(&vault.open(name, body)?)?,
        (true, None) => return Err(CodecError::NoKey),
    };
    if mailmesh_codec::encode_change_key(&change.key()) != name {
        return Err(CodecError::Type { what: "the entry of another record" });
    }
    let end = (flags & ENDS != 0).then_some(UnixMillis(u64::from_be_bytes(end)));
    Ok(Saved { change, replaced_another: flags & REPLACED != 0, end })
}
