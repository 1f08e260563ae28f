#![doc = include_str!("../README.md")]

mod candidate;
mod column;
mod end_in_comment;
mod ends;
mod error;
mod exception;
mod exported;
mod format;
mod list;
mod network;
mod normal_name;
mod not_a_list;
mod readers;
mod record;
mod reserved;
mod secret_key;
mod text;
mod verdict;
mod words;
mod write;

use std::borrow::Cow;
use std::time::Duration;

use mailmesh_events::{Network, Rule, UnixMillis};

pub use error::ListError;
pub use format::{Format, OutputFormat};
pub use list::{
    BadLine, Ended, LeftOut, LeftOutNetworks, List, Note, PrivateNetwork, Reason, Terms, Unit,
};
pub use mailmesh_events as events;
pub use text::Text;
pub use write::{Listed, postfix_stale_at, write};

/// Upper bound on the entries of a list: as many networks as a mirror holds.
pub const MAX_ENTRIES: usize = 4_000_000;
/// Upper bound on the length of a list, in bytes.
pub const MAX_LEN: usize = 512 << 20;
/// Upper bound on the length of a line, CSV record or JSON string, in bytes.
pub const MAX_LINE: usize = 64 << 10;
/// Upper bound on the columns of CSV.
pub const MAX_COLUMNS: usize = 1_024;
/// Upper bound on the nesting of JSON.
pub const MAX_DEPTH: usize = 32;
/// Upper bound on the bad lines that are kept to be shown; all of them are counted.
pub const MAX_BAD: usize = 100;

/// Upper bound on the columns or keys that a note names.
const MAX_NAMES_IN_NOTE: usize = 20;
/// Upper bound on the lines with content that are examined to recognise a text.
const MAX_EXAMINED_LINES: usize = 64;

/// Later than any end: stands for the end of an entry that holds until it is removed.
const NEVER: UnixMillis = UnixMillis(u64::MAX);

/// A network of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line of the entry in the file, from 1.
    pub line: usize,
    /// The listed network.
    pub network: Network,
    /// The reason that the list gives; empty if it gives none. At most
    /// [`limits::TEXT_LEN`](mailmesh_events::limits::TEXT_LEN) bytes: longer text is cut off.
    pub reason: Box<str>,
    /// The program or service that listed the network; empty if the list names none.
    pub origin: Box<str>,
    /// When the entry ends.
    pub ends: Ends,
    /// The number of the line or JSON entry that contains this network. Networks with the same
    /// number count as one.
    pub unit: usize,
}

/// The end of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The entry holds until it is removed.
    Never,
    /// The entry ends at this moment.
    At(UnixMillis),
    /// The entry ends at this moment, read as UTC because the list does not give the time zone. A
    /// date without a time ends with its day. See [`List::in_zone`].
    Local(UnixMillis),
    /// The entry ends this long after the list is read.
    After(Duration),
}

impl Ends {
    /// The moment of the end, for a list that is read at `now`; `None` if there is no end.
    #[must_use]
    pub fn moment(self, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Never => None,
            Self::At(moment) | Self::Local(moment) => Some(moment),
            Self::After(duration) => Some(now.plus(duration)),
        }
    }
}

/// Reads a list of networks to block. Bounds on lengths, counts and depth are checked before the
/// data is parsed.
///
/// # Errors
/// [`ListError`] if the text is not a list in this format, or exceeds a bound.
pub fn read(text: &str, format: Format) -> Result<List, ListError> {
    read_for(Rule::Block, text, format)
}

/// As [`read`], for networks to block or to allow: where a source names an action, only entries
/// with the action of `rule` are imported.
///
/// # Errors
/// As [`read`].
pub fn read_for(rule: Rule, text: &str, format: Format) -> Result<List, ListError> {
    if text.len() > MAX_LEN {
        return Err(ListError::TooLong { len: text.len(), limit: MAX_LEN });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = with_newlines(text);
    let line_in_hex = secret_key::refuse_keys(&text)?;
    let list = read_format(&text, rule, format);
    match line_in_hex {
        // A line of 64 hex digits can be a file hash. It is an error only if the list has no
        // entries or cannot be read.
        Some(line) if list.as_ref().map_or(true, |list| list.entries.is_empty()) => {
            Err(secret_key::cluster_key_error(line))
        }
        _ => list,
    }
}

fn read_format(text: &str, rule: Rule, format: Format) -> Result<List, ListError> {
    not_a_list::refuse_known(text)?;
    exported::refuse_exceptions(text, rule)?;
    readers::read(text, rule, format)
}

/// Ends each line with a newline: old spreadsheets write a carriage return alone.
fn with_newlines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') && !text.contains('\n') {
        Cow::Owned(text.replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Checks that the length of a line is in bounds.
fn check_line(line: &str) -> Result<(), String> {
    match line.len() {
        ..=MAX_LINE => Ok(()),
        len => Err(format!("the line has {len} bytes, the limit is {MAX_LINE}")),
    }
}
