//! The version of what is in the file, apart from redb's own.

use redb::{Database, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use crate::store::{NOTES, RECORDS};

/// The format that this version writes.
pub const FORMAT: u32 = 1 + UPGRADES.len() as u32;

/// Brings a file from the format before to the next.
pub(crate) type Upgrade = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The first is from format 1 to 2, and so on.
pub(crate) const UPGRADES: &[Upgrade] = &[];

/// The note that has the format.
const NAME: &str = "format";

/// Whether a file has all tables, in the format of now.
pub(crate) fn is_current(database: &Database, upgrades: &[Upgrade]) -> Result<bool, redb::Error> {
    let read = database.begin_read()?;
    let notes = match (read.open_table(NOTES), read.open_table(RECORDS)) {
        (Err(TableError::TableDoesNotExist(_)), _) | (_, Err(TableError::TableDoesNotExist(_))) => {
            return Ok(false);
        }
        (notes, records) => {
            records?;
            notes?
        }
    };
    let known = 1 + upgrades.len() as u32;
    Ok(notes.get(NAME)?.is_some_and(|note| note.value() == known.to_be_bytes()))
}

/// The format that a file had, and brings it up to date; `Err(found)` if it is newer.
pub(crate) fn bring_up_to_date(
    write: &WriteTransaction,
    upgrades: &[Upgrade],
) -> Result<Result<(), u32>, redb::Error> {
    let known = 1 + upgrades.len() as u32;
    let found = {
        let notes = write.open_table(NOTES)?;
        let note = notes.get(NAME)?;
        note.and_then(|note| note.value().try_into().ok()).map(u32::from_be_bytes)
    };
    let found = found.unwrap_or(known);
    if found > known || found == 0 {
        return Ok(Err(found));
    }
    for upgrade in &upgrades[found as usize - 1..] {
        upgrade(write)?;
    }
    write.open_table(NOTES)?.insert(NAME, known.to_be_bytes().as_slice())?;
    Ok(Ok(()))
}
