/// Why a text is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It is not in the format.
    #[error("this is no {format}: {why}; give its format, if it is another")]
    NotThis {
        /// Which format.
        format: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// There is no such format.
    #[error("there is no format `{name}`; one of {known}")]
    UnknownFormat {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
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
