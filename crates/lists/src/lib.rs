//! Lists of blocked networks as other programs write them: read, and written.
//!
//! Read: plain lists (Spamhaus DROP as text, FireHOL netsets, address ranges), CSV with
//! reason and end, JSON lines (Spamhaus DROP), the decisions of CrowdSec, and what
//! `fail2ban-client banned` prints. Written: plain, CSV, JSON lines, an nftables set, and
//! a Postfix `cidr:` table.
//!
//! A line that cannot be read is told with its number and does not spoil the others;
//! whether the rest is then used is the caller's choice. No I/O, no clock.
//!
//! ```
//! use mailmesh_lists::{Ends, Format, read};
//!
//! let list = read("192.0.2.0/24 ; SBL1\n198.51.100.7\nnot an address\n", Format::Plain)?;
//! assert_eq!(list.entries.len(), 2);
//! assert_eq!(&*list.entries[0].reason, "SBL1");
//! assert_eq!(list.entries[0].ends, Ends::Never);
//! assert_eq!(list.bad[0].line, 3);
//! # Ok::<(), mailmesh_lists::ListError>(())
//! ```

mod crowdsec;
mod csv_list;
mod error;
mod fail2ban;
mod format;
mod json;
mod plain;
mod text;
mod write;

use std::time::Duration;

use mailmesh_events::{Network, Printable, UnixMillis, limits};

pub use error::ListError;
pub use format::{Format, OutputFormat};
pub use text::Text;
pub use write::{Listed, write};

/// Most entries of a list: as many networks as a mirror holds.
pub const MAX_ENTRIES: usize = 4_000_000;
/// Longest list in bytes.
pub const MAX_LEN: usize = 512 << 20;
/// Longest line, record of CSV or string of JSON, in bytes.
pub const MAX_LINE: usize = 64 << 10;
/// Most columns of CSV.
pub const MAX_COLUMNS: usize = 1_024;
/// Deepest nesting of JSON that is one value.
pub const MAX_DEPTH: usize = 32;
/// Most bad lines that are kept to be shown; the rest is counted.
pub const MAX_BAD: usize = 100;

/// A network of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its line, from 1; in JSON that is one value, the number of the element, from 1.
    pub line: usize,
    /// The network.
    pub network: Network,
    /// Why, as the list says it; empty if it does not. At most
    /// [`limits::TEXT_LEN`] bytes: more is cut off.
    pub reason: Box<str>,
    /// What found it, as the list says it; empty if it does not.
    pub origin: Box<str>,
    /// When it ends.
    pub ends: Ends,
}

/// When an entry of a list ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// When it is removed.
    Never,
    /// At this moment.
    At(UnixMillis),
    /// So long after it is read.
    After(Duration),
}

impl Ends {
    /// The moment, for a list that is read at `now`.
    #[must_use]
    pub fn moment(self, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Never => None,
            Self::At(moment) => Some(moment),
            Self::After(duration) => Some(now.plus(duration)),
        }
    }
}

/// A line, or an element of JSON, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its line, from 1; in JSON that is one value, the number of the element, from 1.
    pub line: usize,
    /// What is wrong, on one line that may be shown; at most 300 characters.
    pub why: String,
}

/// What a list holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct List {
    /// What could be read, in its order.
    pub entries: Vec<Entry>,
    /// The first [`MAX_BAD`] that could not.
    pub bad: Vec<BadLine>,
    /// How many could not.
    pub bad_count: usize,
    /// Lines that say nothing of a network: comments, headers, what is no ban.
    pub skipped: usize,
}

impl List {
    fn push(&mut self, entry: Entry) -> Result<(), ListError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(ListError::TooMany { limit: MAX_ENTRIES });
        }
        self.entries.push(entry);
        Ok(())
    }

    fn refuse(&mut self, line: usize, why: impl std::fmt::Display) {
        self.bad_count += 1;
        if self.bad.len() < MAX_BAD {
            let why = Printable(why).to_string().chars().take(MAX_WHY).collect();
            self.bad.push(BadLine { line, why });
        }
    }
}

/// Longest reason why a line is bad, in characters.
const MAX_WHY: usize = 300;

/// Reads a list. A bound on lengths, counts and depth holds before anything is made of them.
///
/// # Errors
/// [`ListError`] for what is no list of this format at all, or too long.
pub fn read(text: &str, format: Format) -> Result<List, ListError> {
    if text.len() > MAX_LEN {
        return Err(ListError::TooLong { len: text.len(), limit: MAX_LEN });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Plain => plain::read(text),
        Format::Csv => csv_list::read(text),
        Format::JsonLines => json::read(text),
        Format::CrowdSec => crowdsec::read(text),
        Format::Fail2ban => fail2ban::read(text),
    }
}

/// A text of a list in bounds, on one line.
fn bounded(text: &str) -> Box<str> {
    let text = text.trim();
    let mut end = text.len().min(limits::TEXT_LEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
}

/// Whether a line is in bounds, or what is wrong with it.
fn check_line(line: &str) -> Result<(), String> {
    match line.len() {
        ..=MAX_LINE => Ok(()),
        len => Err(format!("the line has {len} bytes, the limit is {MAX_LINE}")),
    }
}

/// The network of a field, or what is wrong with it.
fn network(text: &str) -> Result<Network, String> {
    text.parse::<Network>().map_err(|error| error.to_string())
}
