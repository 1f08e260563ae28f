//! Reads a list part by part, within bounds.

use crate::{ListError, MAX_LEN};

/// The beginnings of what is no text, what it is, and what unpacks it.
const COMPRESSED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
];
/// Longest of these.
const LONGEST: usize = 6;

/// The text of a list, as it is read part by part: refused as soon as it is too long, or no
/// text, so that a device or a wrong file is not read into memory first.
///
/// ```
/// let mut text = mailmesh_lists::Text::default();
/// for part in [&b"192.0.2.0/24 ; SB"[..], b"L1\n"] {
///     text.push(part)?;
/// }
/// assert_eq!(text.finish()?, "192.0.2.0/24 ; SBL1\n");
/// assert!(mailmesh_lists::Text::default().push(&[0; 4096]).is_err());
/// # Ok::<(), mailmesh_lists::ListError>(())
/// ```
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
}

impl Text {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ListError::TooLong`], [`ListError::Compressed`], [`ListError::NotText`].
    pub fn push(&mut self, part: &[u8]) -> Result<(), ListError> {
        let before = self.bytes.len();
        let len = before.saturating_add(part.len());
        if len > MAX_LEN {
            return Err(ListError::TooLong { len, limit: MAX_LEN });
        }
        self.bytes.extend_from_slice(part);
        if before < LONGEST {
            let is_it = |(begin, ..): &&(&[u8], _, _)| self.bytes.starts_with(begin);
            if let Some((_, format, command)) = COMPRESSED.iter().find(is_it) {
                return Err(ListError::Compressed { format, command });
            }
        }
        match part.iter().position(|byte| *byte == 0) {
            Some(at) => Err(ListError::NotText { at: before + at }),
            None => Ok(()),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// [`ListError::NotText`].
    pub fn finish(self) -> Result<String, ListError> {
        String::from_utf8(self.bytes)
            .map_err(|error| ListError::NotText { at: error.utf8_error().valid_up_to() })
    }
}
