//! The encoding of sync messages, `[kind, round, ...]`, and of mirror digests.

use mailmesh_events::{Change, MirrorDigest, Share, SyncMessage, UnixMillis, limits};

use crate::CodecError;
use crate::change::{self, CERTIFICATE, NETWORK, VALUE};
use crate::key_messages::{
    read_action, read_report, report_field_count, write_action, write_report,
};
use crate::msgpack::{Fields, Reader, Writer};
use crate::symbols::{decode_items, decode_symbols, encode_items, encode_symbols};

const REQUEST: u64 = 1;
const PART: u64 = 2;
const ASK_SYMBOLS: u64 = 3;
const SYMBOLS: u64 = 4;
const ASK_ENTRIES: u64 = 5;
const ENTRIES: u64 = 6;
const ASK_TIME: u64 = 7;
const TIME: u64 = 8;
const ASK_KEYS: u64 = 9;
const KEYS: u64 = 10;

/// Encodes a message between mirrors.
///
/// # Errors
/// [`CodecError::TooLong`] past a limit of the message or [`limits::EVENT_LEN`] bytes in all;
/// [`CodecError::Type`] for a message that this version cannot encode.
pub fn encode_sync(message: &SyncMessage) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let w = &mut Writer(&mut out);
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
        SyncMessage::AskTime { asked } => {
            w.array(2).u64(ASK_TIME).u64(*asked);
        }
        SyncMessage::Time { asked, now } => {
            w.array(3).u64(TIME).u64(*asked).u64(now.0);
        }
        SyncMessage::AskKeys { number, action } => {
            w.array(4).u64(ASK_KEYS).u64((*number).into());
            write_action(w, action)?;
        }
        SyncMessage::Keys { number, held } => {
            w.array(2 + report_field_count(held)).u64(KEYS).u64((*number).into());
            write_report(w, held)?;
        }
        _ => {
            return Err(CodecError::Type { what: "sync message" });
        }
    }
    check_len("the sync message", out.len(), limits::EVENT_LEN)?;
    Ok(out)
}

fn check_len(what: &'static str, actual: usize, limit: usize) -> Result<(), CodecError> {
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

/// Decodes a message between mirrors. Changes of an unknown kind are skipped.
///
/// # Errors
/// A [`CodecError`] that names the field.
pub fn decode_sync(bytes: &[u8]) -> Result<SyncMessage, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "sync message")?;
    let message = match fields.u64("kind of sync message")? {
        REQUEST => SyncMessage::Request {
            round: fields.int("round")?,
            first: read_share(&mut fields)?,
            shares: fields.int("number of shares")?,
        },
        PART => SyncMessage::Part {
            round: fields.int("round")?,
            share: read_share(&mut fields)?,
            part: fields.int("part")?,
            more: fields.u64("whether more follow")? != 0,
            changes: read_changes(fields.required("changes")?)?,
        },
        ASK_SYMBOLS => SyncMessage::AskSymbols {
            round: fields.int("round")?,
            first: read_share(&mut fields)?,
            shares: fields.int("number of shares")?,
            from: fields.int("first symbol")?,
            count: fields.int("number of symbols")?,
        },
        SYMBOLS => SyncMessage::Symbols {
            round: fields.int("round")?,
            first: read_share(&mut fields)?,
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
        ASK_TIME => SyncMessage::AskTime { asked: fields.u64("time of the question")? },
        TIME => SyncMessage::Time {
            asked: fields.u64("time of the question")?,
            now: UnixMillis(fields.u64("time")?),
        },
        ASK_KEYS => SyncMessage::AskKeys {
            number: fields.int("number of the question")?,
            action: read_action(&mut fields)?,
        },
        KEYS => SyncMessage::Keys {
            number: fields.int("number of the question")?,
            held: read_report(&mut fields)?,
        },
        value => {
            return Err(CodecError::UnknownValue { what: "kind of sync message", value });
        }
    };
    fields.finish()?;
    Ok(message)
}

/// The round of a message that carries entries, without decoding the entries. `None` for all other
/// messages.
#[must_use]
pub fn peek_entries_round(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "sync message").ok()?;
    let kind = fields.u64("kind of sync message").ok()?;
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
