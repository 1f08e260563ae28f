//! Collects a list part by part within bounds, unpacks it, and decodes it to text.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use crate::{ListError, MAX_LEN};

/// The first bytes of compressed files, the name of the format, and the command that unpacks it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
];
/// The length of the longest of these beginnings.
const MAX_MAGIC_LEN: usize = 6;
/// The first bytes of a zip file; modern workbooks are zip files too.
const ZIP: &[u8] = b"PK\x03\x04";
/// Bytes that suffice for the first entry's name, in a zip that a spreadsheet program wrote.
const ZIP_HEAD_LEN: usize = 128;
/// The offset of the first entry's name in a zip (APPNOTE.TXT, 4.3.7).
const ZIP_NAME_AT: usize = 30;
/// The first bytes of a workbook in the format before 2007.
const WORKBOOK: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The first bytes of a gzip file (RFC 1952), with `deflate`, the only method in use.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// Bytes that may be unpacked however small the packed data is.
const ALWAYS_UNPACKED: usize = 16 << 20;
/// Upper bound on the bytes unpacked from each packed byte, beyond [`ALWAYS_UNPACKED`]; lists reach
/// 3 to 30.
const MAX_RATIO: usize = 200;

/// The text of a list, collected part by part. A part that makes the text too long, or that is not
/// text, is refused at once, so that a device or a wrong file is not read into memory first.
///
/// A list packed with gzip is unpacked. UTF-16 is decoded. A line that is not UTF-8 is decoded as
/// ISO 8859-1, in which addresses are the same.
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
    plain: Plain,
    unpacker: Option<MultiGzDecoder<Unpacked>>,
    /// Zero bytes at the end of the packed data, not unpacked yet: they may be padding.
    zeros: usize,
}

/// Unpacked bytes.
#[derive(Debug, Default)]
struct Plain {
    bytes: Vec<u8>,
}

/// The sink of the unpacker; enforces the bounds of unpacking.
#[derive(Debug, Default)]
struct Unpacked {
    plain: Plain,
    /// Packed bytes passed to the unpacker so far.
    packed: usize,
    failed: Option<ListError>,
}

impl Text {
    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`ListError::TooLong`], [`ListError::Compressed`], [`ListError::NotText`],
    /// [`ListError::Damaged`].
    pub fn push(&mut self, part: &[u8]) -> Result<(), ListError> {
        if self.unpacker.is_some() {
            return self.push_packed(part);
        }
        let before = self.plain.bytes.len();
        if before >= GZIP.len() {
            return self.plain.push(part);
        }
        check_len(before.saturating_add(part.len()))?;
        // The first bytes identify the format.
        let mut begin = std::mem::take(&mut self.plain.bytes);
        let (first, rest) = part.split_at(part.len().min(GZIP.len() - before));
        begin.extend_from_slice(first);
        if begin == GZIP {
            let unpacker = self.unpacker.insert(MultiGzDecoder::new(Unpacked::default()));
            unpack(unpacker, &begin)?;
            return self.push_packed(rest);
        }
        let is_whole = begin.len() == GZIP.len();
        if !is_whole && GZIP.starts_with(&begin) {
            self.plain.bytes = begin;
            return Ok(());
        }
        self.plain.push(&begin)?;
        self.plain.push(rest)
    }

    /// Unpacks the next bytes, except for zeros at their end.
    fn push_packed(&mut self, part: &[u8]) -> Result<(), ListError> {
        let Some(unpacker) = &mut self.unpacker else { return Ok(()) };
        let len = part.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if len > 0 {
            let mut zeros = std::mem::take(&mut self.zeros);
            while zeros > 0 {
                let count = zeros.min(ZEROS.len());
                unpack(unpacker, &ZEROS[..count])?;
                zeros -= count;
            }
            unpack(unpacker, &part[..len])?;
        }
        self.zeros += part.len() - len;
        check_len(self.zeros)
    }

    /// The whole text; call it after the last part.
    ///
    /// # Errors
    /// [`ListError::NotText`], [`ListError::Damaged`].
    pub fn finish(self) -> Result<String, ListError> {
        let Some(mut unpacker) = self.unpacker else { return self.plain.finish() };
        let ended = if self.zeros == 0 { unpacker.try_finish() } else { pad(&mut unpacker) };
        let failed = unpacker.get_mut().failed.take();
        match (ended, failed) {
            (_, Some(failed)) => Err(failed),
            (Err(error), None) => Err(ListError::Damaged { why: error.to_string() }),
            (Ok(()), None) => std::mem::take(&mut unpacker.get_mut().plain).finish(),
        }
    }
}

/// Ends a gzip file that zeros follow, as on tapes and in blocks of a fixed size. Some of the zeros
/// may belong to the file, so they are fed one by one. Once the last member is complete and its
/// checksum is verified, a further zero is an invalid header.
fn pad(unpacker: &mut MultiGzDecoder<Unpacked>) -> io::Result<()> {
    for zero in ZEROS.chunks(1) {
        let written = unpacker.write_all(zero);
        if unpacker.get_ref().failed.is_some() {
            return Ok(());
        }
        match written {
            Err(error) if error.to_string() == "invalid gzip header" => return Ok(()),
            written => written?,
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before its end"))
}

/// Enough zeros to complete a gzip trailer and to fill the header of a next member.
const ZEROS: [u8; 64] = [0; 64];

fn unpack(unpacker: &mut MultiGzDecoder<Unpacked>, part: &[u8]) -> Result<(), ListError> {
    unpacker.get_mut().packed += part.len();
    let written = unpacker.write_all(part);
    match (written, unpacker.get_mut().failed.take()) {
        (_, Some(failed)) => Err(failed),
        (Err(error), None) => Err(ListError::Damaged { why: error.to_string() }),
        (Ok(()), None) => Ok(()),
    }
}

impl Write for Unpacked {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let len = self.plain.bytes.len() + part.len();
        let result = if len > ALWAYS_UNPACKED.saturating_add(self.packed.saturating_mul(MAX_RATIO))
        {
            Err(ListError::Damaged {
                why: format!("it unpacks to more than {MAX_RATIO} times its size"),
            })
        } else {
            self.plain.push(part)
        };
        match result {
            Ok(()) => Ok(part.len()),
            Err(error) => {
                let shown = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(shown)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Plain {
    fn push(&mut self, part: &[u8]) -> Result<(), ListError> {
        let before = self.bytes.len();
        check_len(before.saturating_add(part.len()))?;
        self.bytes.extend_from_slice(part);
        if self.bytes.starts_with(ZIP) {
            let is_whole = self.bytes.len() >= ZIP_HEAD_LEN;
            return if is_whole { Err(of_zip(&self.bytes)) } else { Ok(()) };
        }
        if before < MAX_MAGIC_LEN {
            let is_begin = |(begin, ..): &&(&[u8], _, _)| self.bytes.starts_with(begin);
            if let Some((_, format, command)) = COMPRESSED.iter().find(is_begin) {
                return Err(ListError::Compressed { format, command });
            }
        }
        if self.bytes.starts_with(WORKBOOK) {
            return Err(ListError::Workbook);
        }
        if WORKBOOK.starts_with(&self.bytes) {
            return Ok(());
        }
        if self.bytes.len() < UTF16_HEAD_LEN || utf16(&self.bytes).is_some() {
            return Ok(());
        }
        self.refuse_nul(if before < UTF16_HEAD_LEN { 0 } else { before })
    }

    fn refuse_nul(&self, from: usize) -> Result<(), ListError> {
        match self.bytes[from..].iter().position(|byte| *byte == 0) {
            Some(at) => Err(ListError::NotText { at: from + at }),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<String, ListError> {
        if self.bytes.starts_with(ZIP) {
            return Err(of_zip(&self.bytes));
        }
        match utf16(&self.bytes) {
            Some(encoding) => from_utf16(&self.bytes, encoding),
            None => {
                self.refuse_nul(0)?;
                Ok(String::from_utf8(self.bytes)
                    .unwrap_or_else(|error| from_latin1_where_needed(error.as_bytes())))
            }
        }
    }
}

/// The error for a zip: a workbook if its first entry has such a name, otherwise an archive.
fn of_zip(bytes: &[u8]) -> ListError {
    const ENTRIES: [&[u8]; 5] = [
        b"[Content_Types].xml",
        b"_rels/",
        b"docProps/",
        b"xl/",
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
    ];
    let name = bytes.get(ZIP_NAME_AT..).unwrap_or_default();
    if ENTRIES.iter().any(|entry| name.starts_with(entry)) {
        return ListError::Workbook;
    }
    ListError::Compressed { format: "zip", command: "unzip -p" }
}

fn check_len(len: usize) -> Result<(), ListError> {
    if len > MAX_LEN { Err(ListError::TooLong { len, limit: MAX_LEN }) } else { Ok(()) }
}

/// Bytes that suffice to recognise UTF-16.
const UTF16_HEAD_LEN: usize = 4;

/// The encoding of a text in UTF-16.
#[derive(Debug, Clone, Copy)]
struct Utf16 {
    is_little_endian: bool,
    /// The offset of the text behind its byte-order mark.
    begin: usize,
}

/// Recognises UTF-16 by its byte-order mark, or by two ASCII characters at the beginning.
fn utf16(bytes: &[u8]) -> Option<Utf16> {
    let found = |is_little_endian, begin| Some(Utf16 { is_little_endian, begin });
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match bytes {
        [0xFF, 0xFE, ..] => found(true, 2),
        [0xFE, 0xFF, ..] => found(false, 2),
        [a, 0, b, 0, ..] if is_text(a) && is_text(b) => found(true, 0),
        [0, a, 0, b, ..] if is_text(a) && is_text(b) => found(false, 0),
        _ => None,
    }
}

fn from_utf16(bytes: &[u8], encoding: Utf16) -> Result<String, ListError> {
    let Utf16 { is_little_endian, begin } = encoding;
    let pairs = bytes[begin..].chunks(2).map(|pair| match pair {
        [a, b] if is_little_endian => u16::from_le_bytes([*a, *b]),
        [a, b] => u16::from_be_bytes([*a, *b]),
        // Half a character: the text shows U+FFFD there.
        _ => 0xFFFD,
    });
    let text: String =
        char::decode_utf16(pairs).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    match text.find('\0') {
        Some(at) => Err(ListError::NotText { at: begin + at * 2 }),
        None => Ok(text),
    }
}

/// Decodes lines that are not UTF-8 as ISO 8859-1: each byte is the character of that number.
fn from_latin1_where_needed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match std::str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => text.extend(line.iter().map(|byte| char::from(*byte))),
        }
    }
    text
}
