//! The encoding of the messages about cluster keys.

use mailmesh_events::{KeyAction, KeyId, KeyMessage, KeySecret, KeysHeld, limits};
use zeroize::Zeroizing;

use crate::CodecError;
use crate::msgpack::{Fields, Reader, Writer};

pub(crate) const REQUEST: u64 = 9;
pub(crate) const ANSWER: u64 = 10;

const LIST: u64 = 0;
const ADD: u64 = 1;
const ACTIVATE: u64 = 2;
const RETIRE: u64 = 3;

/// Writes the array of a message about keys: the kind, the number, then the action or the report.
pub(crate) fn write_message(w: &mut Writer<'_>, message: &KeyMessage) -> Result<(), CodecError> {
    match message {
        KeyMessage::Request { number, action } => {
            w.array(4).u64(REQUEST).u64((*number).into());
            write_action(w, action)
        }
        KeyMessage::Answer { number, held } => {
            w.array(2 + report_field_count(held)).u64(ANSWER).u64((*number).into());
            write_report(w, held)
        }
        _ => Err(CodecError::Type { what: "key message" }),
    }
}

/// Reads the fields after the kind.
pub(crate) fn read_message(
    kind: u64,
    fields: &mut Fields<'_, '_>,
) -> Result<KeyMessage, CodecError> {
    let number = fields.int("number of the request")?;
    Ok(match kind {
        REQUEST => KeyMessage::Request { number, action: read_action(fields)? },
        ANSWER => KeyMessage::Answer { number, held: read_report(fields)? },
        value => return Err(CodecError::UnknownValue { what: "kind of key message", value }),
    })
}

/// Writes two fields: the action and its operand.
fn write_action(w: &mut Writer<'_>, action: &KeyAction) -> Result<(), CodecError> {
    match action {
        KeyAction::List => w.u64(LIST).nil(),
        KeyAction::Add(key) => w.u64(ADD).bytes(key.as_bytes()),
        KeyAction::Activate(id) => w.u64(ACTIVATE).bytes(&id.0),
        KeyAction::Retire(id) => w.u64(RETIRE).bytes(&id.0),
        _ => return Err(CodecError::Type { what: "key action" }),
    };
    Ok(())
}

fn read_action(fields: &mut Fields<'_, '_>) -> Result<KeyAction, CodecError> {
    let kind = fields.u64("key action")?;
    let operand = fields.required("the key")?;
    Ok(match kind {
        LIST => {
            operand.skip("the key")?;
            KeyAction::List
        }
        ADD => {
            let bytes = Zeroizing::new(read_array(operand, "the key")?);
            KeyAction::Add(KeySecret::new(bytes))
        }
        ACTIVATE => KeyAction::Activate(KeyId(read_array(operand, "the key id")?)),
        RETIRE => KeyAction::Retire(KeyId(read_array(operand, "the key id")?)),
        value => {
            return Err(CodecError::UnknownValue { what: "key action", value });
        }
    })
}

/// Bit of the last field: a restart restores the sealing key.
const ACTIVE_PERSISTED: u64 = 1;
/// Bit of the last field: a key that is added now would be stored in the file.
const ADDITIONS_PERSISTED: u64 = 2;

/// Number of fields that [`write_report`] writes.
fn report_field_count(held: &KeysHeld) -> usize {
    3 + usize::from(has_persistence_field(held))
}

/// Whether the last field is written. It is omitted if it equals the default of the reader.
fn has_persistence_field(held: &KeysHeld) -> bool {
    (held.keeps_active, held.keeps_new) != (held.kept, held.kept)
}

/// Writes three or four fields: the key ids, whether they are stored in a file, the reason of a
/// refusal, and what a restart restores. Earlier versions ignore the fourth field.
fn write_report(w: &mut Writer<'_>, held: &KeysHeld) -> Result<(), CodecError> {
    let (keys, reason) = (held.keys.len(), held.refused.as_ref().map_or(0, String::len));
    for (what, actual, limit) in
        [("the keys", keys, limits::CLUSTER_KEYS), ("the reason", reason, limits::TEXT_LEN)]
    {
        if actual > limit {
            return Err(CodecError::TooLong { what, actual: actual as u64, limit: limit as u64 });
        }
    }
    w.array(keys);
    for id in &held.keys {
        w.bytes(&id.0);
    }
    w.u64(held.kept.into());
    match &held.refused {
        Some(reason) => w.str(reason),
        None => w.nil(),
    };
    if has_persistence_field(held) {
        let [active, new] =
            [(held.keeps_active, ACTIVE_PERSISTED), (held.keeps_new, ADDITIONS_PERSISTED)]
                .map(|(is_so, bit)| if is_so { bit } else { 0 });
        w.u64(active | new);
    }
    Ok(())
}

fn read_report(fields: &mut Fields<'_, '_>) -> Result<KeysHeld, CodecError> {
    let reader = fields.required("the keys")?;
    let len = reader.array("the keys", limits::CLUSTER_KEYS)?;
    let keys =
        (0..len).map(|_| read_array(reader, "the key id").map(KeyId)).collect::<Result<_, _>>()?;
    let kept = fields.u64("whether keys are stored")? != 0;
    let reader = fields.required("the reason")?;
    let refused = if reader.nil() {
        None
    } else {
        Some(reader.str("the reason", limits::TEXT_LEN)?.to_owned())
    };
    let persistence = match fields.optional() {
        Some(reader) => reader.u64("what a restart restores")?,
        None if kept => ACTIVE_PERSISTED | ADDITIONS_PERSISTED,
        None => 0,
    };
    let [keeps_active, keeps_new] =
        [ACTIVE_PERSISTED, ADDITIONS_PERSISTED].map(|bit| persistence & bit != 0);
    Ok(KeysHeld { keys, kept, keeps_active, keeps_new, refused })
}

fn read_array<const N: usize>(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<[u8; N], CodecError> {
    reader.bytes(what, N)?.try_into().map_err(|_| CodecError::Type { what })
}
