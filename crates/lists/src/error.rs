use mailmesh_events::Printable;

/// The error of reading a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The text is not in the format.
    #[error("this is no {format}: {}; give its format, if it is another", Printable(.why))]
    NotThis {
        /// The format that was expected.
        format: &'static str,
        /// The fault, and its line.
        why: String,
    },
    /// The text is known, and not a list: reading a part of it would block what it does not mean.
    #[error("{}; make a list with `{command}`", Printable(.why))]
    NotAList {
        /// The content of the text, and its line.
        why: String,
        /// The command that prints a list.
        command: &'static str,
    },
    /// There is no such format.
    #[error("there is no format `{}`; one of {known}", Printable(.name))]
    UnknownFormat {
        /// The name that was given.
        name: String,
        /// The names of the formats.
        known: String,
    },
    /// A line is a key: the text is not shown.
    #[error(
        "line {line}: this looks like a key ({what}), so it is not shown and nothing is read; is \
         this the right file?"
    )]
    Key {
        /// The line, from 1.
        line: usize,
        /// The kind of key.
        what: &'static str,
    },
    /// The data is no text.
    #[error("it is not text: byte {at} is NUL; is this the right file?")]
    NotText {
        /// The first byte that is not, from 0.
        at: usize,
    },
    /// The data is compressed, or an archive.
    #[error(
        "it is compressed ({format}); unpack it first: `{command} FILE | mailmesh block import -`"
    )]
    Compressed {
        /// The format of the compression.
        format: &'static str,
        /// The command that unpacks it to standard output.
        command: &'static str,
    },
    /// The data is a workbook of a spreadsheet.
    #[error("it is a workbook of a spreadsheet: save it as CSV, and import that")]
    Workbook,
    /// The data is packed with gzip, and cannot be unpacked.
    #[error("it is compressed (gzip), and cannot be unpacked: {}; fetch it again", Printable(.why))]
    Damaged {
        /// The fault.
        why: String,
    },
    /// Something in it passes a limit that holds for all of it.
    #[error("line {line}: {what}, the limit is {limit}; is this the right file, or format?")]
    Limit {
        /// The line, from 1.
        line: usize,
        /// The quantity that passes the limit.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The text is too long to be read at once.
    #[error("the list has {len} bytes, more than {limit}; split it")]
    TooLong {
        /// The length in bytes.
        len: usize,
        /// Most bytes.
        limit: usize,
    },
    /// The list has more entries than a mirror holds.
    #[error(
        "the list has more than {limit} entries, which no mirror holds; split it, or use wider \
         prefixes"
    )]
    TooMany {
        /// Most entries.
        limit: usize,
    },
}
