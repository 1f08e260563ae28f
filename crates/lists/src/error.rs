use mailmesh_events::Printable;

/// Why a text is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It is not in the format.
    #[error("this is no {format}: {}; give its format, if it is another", Printable(.why))]
    NotThis {
        /// Which format.
        format: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// There is no such format.
    #[error("there is no format `{}`; one of {known}", Printable(.name))]
    UnknownFormat {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// It is no text.
    #[error("it is not text: byte {at} is NUL; is this the right file?")]
    NotText {
        /// The first byte that is not, from 0.
        at: usize,
    },
    /// It is compressed, or an archive.
    #[error(
        "it is compressed ({format}); unpack it first: `{command} FILE | mailmesh block import -`"
    )]
    Compressed {
        /// With what.
        format: &'static str,
        /// What unpacks it to standard output.
        command: &'static str,
    },
    /// It is packed with gzip, and cannot be unpacked.
    #[error("it is compressed (gzip), and cannot be unpacked: {}; fetch it again", Printable(.why))]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// Something in it passes a limit that holds for all of it.
    #[error("line {line}: {what}, the limit is {limit}; is this the right file, or format?")]
    Limit {
        /// The line, from 1.
        line: usize,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It is too long to be read at once.
    #[error("the list has {len} bytes, more than {limit}; split it")]
    TooLong {
        /// Bytes.
        len: usize,
        /// Most bytes.
        limit: usize,
    },
    /// It has more entries than a mirror holds.
    #[error(
        "the list has more than {limit} entries, which no mirror holds; split it, or use wider prefixes"
    )]
    TooMany {
        /// Most entries.
        limit: usize,
    },
}
