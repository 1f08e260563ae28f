//! The encoding of sync messages, `[kind, round, ...]`, and of mirror digests.

use mailmesh_events::{Change, MirrorDigest, Share, SyncMessage, limits};

use crate::CodecError;
use crate::change::{self, CERTIFICATE, NETWORK, VALUE};
use crate::msgpack::{Fields, Reader, Writer};
use crate::symbols::{decode_items, decode_symbols, encode_items, encode_symbols};

pub(crate) const REQUEST: u64 = 1;
const PART: u64 = 2;
const ASK_SYMBOLS: u64 = 3;
const SYMBOLS: u64 = 4;
const ASK_ENTRIES: u64 = 5;
pub(crate) const ENTRIES: u64 = 6;

/// Writes the array of a sync message.
pub(crate) fn write_message(w: &mut Writer<'_>, message: &SyncMessage) -> Result<(), CodecError> {
    match message {
        SyncMessage::Request { round, first, shares } => {
            w.array(5).u64(REQUEST).u64((*round).into());
            w.u64(first.bits.into()).u64(first.index.into()).u64((*shares).into());
        }
        SyncMessage::Part { round, share, part, changes, more } => {
            check_len("the changes of a part", changes.len(), limits::SYNC_CHANGES)?;
            w.array(7).u64(PART).u64((*round).into());
            w.u64(share.bits.into()).u64(share.index.into()).u64((*part).into());
            w.u64((*more).into());
            write_changes(w, changes)?;
        }
        SyncMessage::AskSymbols { round, first, shares, from, count } => {
            w.array(7).u64(ASK_SYMBOLS).u64((*round).into());
            w.u64(first.bits.into()).u64(first.index.into()).u64((*shares).into());
            w.u64((*from).into()).u64((*count).into());
        }
        SyncMessage::Symbols { round, first, from, count, symbols } => {
            check_len("the symbols", symbols.len(), limits::SYNC_SYMBOLS)?;
            w.array(7).u64(SYMBOLS).u64((*round).into());
            w.u64(first.bits.into()).u64(first.index.into());
            w.u64((*from).into()).u64((*count).into()).bytes(&encode_symbols(symbols));
        }
        SyncMessage::AskEntries { round, items } => {
            check_len("the items", items.len(), limits::SYNC_CHANGES)?;
            w.array(3).u64(ASK_ENTRIES).u64((*round).into()).bytes(&encode_items(items));
        }
        SyncMessage::Entries { round, changes, more } => {
            check_len("the entries", changes.len(), limits::SYNC_CHANGES)?;
            w.array(4).u64(ENTRIES).u64((*round).into()).u64((*more).into());
            write_changes(w, changes)?;
        }
        _ => return Err(CodecError::Type { what: "sync message" }),
    }
    Ok(())
}

pub(crate) fn check_len(what: &'static str, actual: usize, limit: usize) -> Result<(), CodecError> {
    if actual > limit {
        return Err(CodecError::TooLong { what, actual: actual as u64, limit: limit as u64 });
    }
    Ok(())
}

fn write_changes(w: &mut Writer<'_>, changes: &[Change]) -> Result<(), CodecError> {
    w.array(changes.len());
    changes.iter().try_for_each(|change| write_change(w, change))
}

fn write_change(w: &mut Writer<'_>, change: &Change) -> Result<(), CodecError> {
    match change {
        Change::Network(c) => {
            w.array(1 + change::NETWORK_FIELDS).u64(NETWORK);
            change::write_network(w, c);
        }
        Change::Certificate(c) => {
            w.array(1 + change::CERTIFICATE_FIELDS).u64(CERTIFICATE);
            change::write_certificate(w, c);
        }
        Change::Value(c) => {
            w.array(1 + change::VALUE_FIELDS).u64(VALUE);
            change::write_value(w, c);
        }
        _ => return Err(CodecError::Type { what: "change" }),
    }
    Ok(())
}

/// Reads the fields after the kind. Changes of an unknown kind are skipped.
pub(crate) fn read_message(
    kind: u64,
    fields: &mut Fields<'_, '_>,
) -> Result<SyncMessage, CodecError> {
    Ok(match kind {
        REQUEST => SyncMessage::Request {
            round: fields.int("round")?,
            first: read_share(fields)?,
            shares: fields.int("number of shares")?,
        },
        PART => SyncMessage::Part {
            round: fields.int("round")?,
            share: read_share(fields)?,
            part: fields.int("part")?,
            more: fields.u64("whether more follow")? != 0,
            changes: read_changes(fields.required("changes")?)?,
        },
        ASK_SYMBOLS => SyncMessage::AskSymbols {
            round: fields.int("round")?,
            first: read_share(fields)?,
            shares: fields.int("number of shares")?,
            from: fields.int("first symbol")?,
            count: fields.int("number of symbols")?,
        },
        SYMBOLS => SyncMessage::Symbols {
            round: fields.int("round")?,
            first: read_share(fields)?,
            from: fields.int("first symbol")?,
            count: fields.int("number of symbols")?,
            symbols: decode_symbols(
                fields.required("symbols")?.bytes("symbols", limits::EVENT_LEN)?,
            )?,
        },
        ASK_ENTRIES => SyncMessage::AskEntries {
            round: fields.int("round")?,
            items: decode_items(
                fields.required("items")?.bytes("items", 8 * limits::SYNC_CHANGES)?,
            )?,
        },
        ENTRIES => SyncMessage::Entries {
            round: fields.int("round")?,
            more: fields.u64("whether more follow")? != 0,
            changes: read_changes(fields.required("changes")?)?,
        },
        value => return Err(CodecError::UnknownValue { what: "kind of sync message", value }),
    })
}

/// The round of a message that carries entries, without decoding the entries. `None` for all other
/// messages.
#[must_use]
pub fn peek_entries_round(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "direct message").ok()?;
    let kind = fields.u64("kind of direct message").ok()?;
    (kind == PART || kind == ENTRIES).then(|| fields.int("round").ok()).flatten()
}

fn read_share(fields: &mut Fields<'_, '_>) -> Result<Share, CodecError> {
    let share = Share { bits: fields.int("bits of a share")?, index: fields.int("share")? };
    if share.bits > limits::SHARE_BITS || share.index >> share.bits != 0 {
        let value = share.bits.into();
        return Err(CodecError::UnknownValue { what: "share", value });
    }
    Ok(share)
}

/// Shortest encoded change in bytes; bounds the allocation of a list.
const MIN_CHANGE_LEN: usize = 8;

fn read_changes(reader: &mut Reader<'_>) -> Result<Vec<Change>, CodecError> {
    let len = reader.array("changes", limits::SYNC_CHANGES)?;
    let mut changes = Vec::with_capacity(len.min(reader.rest().len() / MIN_CHANGE_LEN));
    for _ in 0..len {
        let bytes = reader.skip("change")?;
        match read_change(bytes) {
            Ok(change) => changes.push(change),
            Err(CodecError::UnknownValue { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(changes)
}

fn read_change(bytes: &[u8]) -> Result<Change, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "change")?;
    let change = match fields.u64("kind of change")? {
        NETWORK => Change::Network(change::read_network(&mut fields)?),
        CERTIFICATE => Change::Certificate(change::read_certificate(&mut fields)?),
        VALUE => Change::Value(change::read_value(&mut fields)?),
        value => {
            return Err(CodecError::UnknownValue { what: "kind of change", value });
        }
    };
    fields.finish()?;
    Ok(change)
}

/// Encodes a digest for heartbeats.
#[must_use]
pub fn encode_digest(digest: &MirrorDigest) -> [u8; 28] {
    let mut out = [0; 28];
    out[..8].copy_from_slice(&digest.entries.to_be_bytes());
    out[8..24].copy_from_slice(&digest.set_hash.to_be_bytes());
    out[24..].copy_from_slice(&digest.key_id.to_be_bytes());
    out
}

/// Decodes a digest. Trailing bytes of a newer version are ignored.
///
/// # Errors
/// [`CodecError::Truncated`] below 28 bytes.
pub fn decode_digest(bytes: &[u8]) -> Result<MirrorDigest, CodecError> {
    let truncated = CodecError::Truncated { what: "the mirror digest" };
    let (entries, rest) = bytes.split_first_chunk().ok_or(truncated.clone())?;
    let (set_hash, rest) = rest.split_first_chunk().ok_or(truncated.clone())?;
    let key_id = rest.first_chunk().ok_or(truncated)?;
    Ok(MirrorDigest {
        entries: u64::from_be_bytes(*entries),
        set_hash: u128::from_be_bytes(*set_hash),
        key_id: u32::from_be_bytes(*key_id),
    })
}
