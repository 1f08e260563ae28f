//! What nodes say to each other of the cluster's keys.

use mailmesh_events::{KeyAction, KeySecret, KeysHeld, limits};
use zeroize::Zeroizing;

use crate::CodecError;
use crate::msgpack::{Fields, Reader, Writer};

const LIST: u64 = 0;
const ADD: u64 = 1;
const ACTIVATE: u64 = 2;
const RETIRE: u64 = 3;

/// Two fields: what to do, and with what.
pub(crate) fn write_action(w: &mut Writer<'_>, action: &KeyAction) -> Result<(), CodecError> {
    match action {
        KeyAction::List => w.u64(LIST).nil(),
        KeyAction::Add(key) => w.u64(ADD).bytes(key.bytes()),
        KeyAction::Activate(id) => w.u64(ACTIVATE).bytes(id),
        KeyAction::Retire(id) => w.u64(RETIRE).bytes(id),
        _ => return Err(CodecError::Type { what: "what to do with keys" }),
    };
    Ok(())
}

pub(crate) fn read_action(fields: &mut Fields<'_, '_>) -> Result<KeyAction, CodecError> {
    let kind = fields.u64("what to do with keys")?;
    let operand = fields.required("the key")?;
    Ok(match kind {
        LIST => {
            operand.skip("the key")?;
            KeyAction::List
        }
        ADD => {
            let bytes = Zeroizing::new(fixed(operand, "the key")?);
            KeyAction::Add(KeySecret::new(bytes))
        }
        ACTIVATE => KeyAction::Activate(fixed(operand, "the key's fingerprint")?),
        RETIRE => KeyAction::Retire(fixed(operand, "the key's fingerprint")?),
        value => {
            return Err(CodecError::UnknownValue { what: "what to do with keys", value });
        }
    })
}

/// In the last field: a restart brings back the key that seals.
const KEEPS_ACTIVE: u64 = 1;
/// In the last field: a key that is given now would be in the file.
const KEEPS_NEW: u64 = 2;

/// Fields that [`write_held`] writes.
pub(crate) fn held_fields(held: &KeysHeld) -> usize {
    3 + usize::from(says_keeps(held))
}

/// Whether the last field is written. Omitted if it equals what a reader assumes without it.
fn says_keeps(held: &KeysHeld) -> bool {
    (held.keeps_active, held.keeps_new) != (held.kept, held.kept)
}

/// Three or four fields: the keys, whether they are kept, why not, and what a restart brings
/// back. A node of an earlier version passes over the last.
pub(crate) fn write_held(w: &mut Writer<'_>, held: &KeysHeld) -> Result<(), CodecError> {
    let (keys, reason) = (held.keys.len(), held.refused.as_ref().map_or(0, String::len));
    for (what, actual, limit) in
        [("the keys", keys, limits::KEYS), ("the reason", reason, limits::TEXT_LEN)]
    {
        if actual > limit {
            return Err(CodecError::TooLong { what, actual: actual as u64, limit: limit as u64 });
        }
    }
    w.array(keys);
    for id in &held.keys {
        w.bytes(id);
    }
    w.u64(held.kept.into());
    match &held.refused {
        Some(reason) => w.str(reason),
        None => w.nil(),
    };
    if says_keeps(held) {
        let [active, new] = [(held.keeps_active, KEEPS_ACTIVE), (held.keeps_new, KEEPS_NEW)]
            .map(|(is_so, bit)| if is_so { bit } else { 0 });
        w.u64(active | new);
    }
    Ok(())
}

pub(crate) fn read_held(fields: &mut Fields<'_, '_>) -> Result<KeysHeld, CodecError> {
    let reader = fields.required("the keys")?;
    let len = reader.array("the keys", limits::KEYS)?;
    let keys =
        (0..len).map(|_| fixed(reader, "the key's fingerprint")).collect::<Result<_, _>>()?;
    let kept = fields.u64("whether they are kept")? != 0;
    let reader = fields.required("the reason")?;
    let refused = if reader.nil() {
        None
    } else {
        Some(reader.str("the reason", limits::TEXT_LEN)?.to_owned())
    };
    let keeps = match fields.optional() {
        Some(reader) => reader.u64("what a restart brings back")?,
        None if kept => KEEPS_ACTIVE | KEEPS_NEW,
        None => 0,
    };
    let [keeps_active, keeps_new] = [KEEPS_ACTIVE, KEEPS_NEW].map(|bit| keeps & bit != 0);
    Ok(KeysHeld { keys, kept, keeps_active, keeps_new, refused })
}

fn fixed<const N: usize>(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<[u8; N], CodecError> {
    reader.bytes(what, N)?.try_into().map_err(|_| CodecError::Type { what })
}
