//! Why a whole list is refused.

use mailmesh_events::Printable;

impl ListError {
    /// Passes the text that may quote the list through `show`, such as a function that masks
    /// secrets. The advice of this crate, which holds none, stays as it is.
    #[must_use]
    pub fn show_quotes(self, show: impl Fn(&str) -> String) -> Self {
        match self {
            Self::NotThis { format, why } => Self::NotThis { format, why: show(&why) },
            Self::NotAList { why, command } => Self::NotAList { why: show(&why), command },
            Self::UnknownFormat { name, known } => Self::UnknownFormat { name: show(&name), known },
            Self::Damaged { why } => Self::Damaged { why: show(&why) },
            other => other,
        }
    }
}

/// Why a whole list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The text is not in the expected format.
    #[error("this is no {format}: {}; give its format, if it is another", Printable(.why))]
    NotThis {
        /// The format that was expected.
        format: &'static str,
        /// The fault and its line.
        why: String,
    },
    /// The text is recognised as no list: reading a part of it would block what it does not mean.
    #[error("{}; make a list with `{command}`", Printable(.why))]
    NotAList {
        /// The kind of the text, and the line that shows it.
        why: String,
        /// The command that prints a list.
        command: &'static str,
    },
    /// The text is an export of this crate for the other rule.
    #[error("line {line}: these are exported {what}: import them with `{command}`")]
    OtherRule {
        /// The first line that says so, from 1.
        line: usize,
        /// The kind of entries that were exported.
        what: &'static str,
        /// The command that imports them.
        command: &'static str,
    },
    /// No format has this name.
    #[error("there is no format `{}`; one of {known}", Printable(.name))]
    UnknownFormat {
        /// The name that the caller gave, at most 40 characters.
        name: String,
        /// The names of all formats, separated by commas.
        known: String,
    },
    /// A line looks like a secret key: the text is not shown.
    #[error(
        "line {line}: this looks like a key ({what}), so it is not shown and nothing is read; is \
         this the right file?"
    )]
    Key {
        /// The line of the key, from 1.
        line: usize,
        /// The kind of key.
        what: &'static str,
    },
    /// The data is not text.
    #[error("it is not text: byte {at} is NUL; is this the right file?")]
    NotText {
        /// The offset of the first NUL byte, from 0.
        at: usize,
    },
    /// The data is compressed or an archive.
    #[error(
        "it is compressed ({format}); unpack it first: `{command} FILE | mailmesh block import -`"
    )]
    Compressed {
        /// The format of the compression.
        format: &'static str,
        /// The command that unpacks the data to standard output.
        command: &'static str,
    },
    /// The data is a workbook of a spreadsheet program.
    #[error("it is a workbook of a spreadsheet: save it as CSV, and import that")]
    Workbook,
    /// The data is packed with gzip, but cannot be unpacked.
    #[error("it is compressed (gzip), and cannot be unpacked: {}; fetch it again", Printable(.why))]
    Damaged {
        /// The fault that the unpacker reports.
        why: String,
    },
    /// A part of the text exceeds a limit for which the whole text is refused.
    #[error("line {line}: {what}, the limit is {limit}; is this the right file, or format?")]
    Limit {
        /// The line, from 1.
        line: usize,
        /// The quantity that exceeds the limit.
        what: &'static str,
        /// The limit, in the unit of that quantity.
        limit: usize,
    },
    /// The text is too long to be read at once.
    #[error("the list has {len} bytes, more than {limit}; split it")]
    TooLong {
        /// The length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The list has more entries than a mirror holds.
    #[error(
        "the list has more than {limit} entries, which no mirror holds; split it, or use wider \
         prefixes"
    )]
    TooMany {
        /// The limit on entries.
        limit: usize,
    },
}
