//! Tables of the file, and the version of their content. redb has a file version of its own.

use redb::{
    Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};

/// The records, by key.
pub(crate) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
/// The notes, by name; one of them is the format.
pub(crate) const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");

/// The format of files that this version writes.
pub const FORMAT: u32 = 1 + UPGRADES.len() as u32;

/// Upgrades a file by one format, within a transaction.
pub(crate) type Upgrade = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The upgrades: the first is from format 1 to 2, and so on.
pub(crate) const UPGRADES: &[Upgrade] = &[];

/// The name of the note that holds the format.
const FORMAT_NOTE: &str = "format";

/// Whether a file has all tables in the current format.
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
    Ok(notes.get(FORMAT_NOTE)?.is_some_and(|note| note.value() == known.to_be_bytes()))
}

/// Upgrades a file to the current format. The inner `Err` is the format of a file that is newer.
pub(crate) fn upgrade_to_current(
    write: &WriteTransaction,
    upgrades: &[Upgrade],
) -> Result<Result<(), u32>, redb::Error> {
    let known = 1 + upgrades.len() as u32;
    let found = {
        let notes = write.open_table(NOTES)?;
        let note = notes.get(FORMAT_NOTE)?;
        note.and_then(|note| note.value().try_into().ok()).map(u32::from_be_bytes)
    };
    let found = found.unwrap_or(known);
    if found > known || found == 0 {
        return Ok(Err(found));
    }
    for upgrade in &upgrades[found as usize - 1..] {
        upgrade(write)?;
    }
    write.open_table(NOTES)?.insert(FORMAT_NOTE, known.to_be_bytes().as_slice())?;
    Ok(Ok(()))
}
