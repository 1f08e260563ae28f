//! A list that was read, and the account of its lines.

use std::fmt;
use std::time::Duration;

use mailmesh_events::{Network, Printable, Rule, UnixMillis};

use crate::field::{clean, moment_of};
use crate::key::hidden;
use crate::moment::{earliest, is_date, latest};
use crate::role::{Hint, hint};
use crate::{Ends, Entry, ListError, MAX_BAD, MAX_ENTRIES, check_line};

/// The reason why a line, or an entry of JSON, is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The line is empty.
    Blank,
    /// The line is a comment.
    Comment,
    /// The line belongs to the format: names of columns, braces, metadata, the head of a status.
    Frame,
    /// The line belongs to the record of the line before.
    Continued,
    /// The source means another action than a block, such as a captcha; in a list for the other
    /// rule, another than letting in.
    NotABan,
    /// The source only simulates the block.
    Simulated,
    /// The entry is of a country, a user or a port, which the mirror does not hold.
    OtherScope,
    /// A rule of a firewall that names addresses; only sets are read.
    Rule,
    /// The end is in the past.
    Ended,
    /// The network is private or reserved.
    Private,
    /// The same network is imported from another line.
    Duplicate,
    /// The line or entry cannot be read.
    Bad,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Blank,
        Self::Comment,
        Self::Frame,
        Self::Continued,
        Self::NotABan,
        Self::Simulated,
        Self::OtherScope,
        Self::Rule,
        Self::Ended,
        Self::Private,
        Self::Duplicate,
        Self::Bad,
    ];

    /// The words for this reason in a report, after a number.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Comment => "comment",
            Self::Frame => "heading or frame of the format",
            Self::Continued => "continued from the line before",
            Self::NotABan => "not a ban",
            Self::Simulated => "simulated",
            Self::OtherScope => "other scope",
            Self::Rule => "rule, not read",
            Self::Ended => "ended",
            Self::Private => "private or reserved",
            Self::Duplicate => "duplicate",
            Self::Bad => "bad",
        }
    }
}

/// The number of lines, or entries, that are left out for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut([usize; Reason::ALL.len()]);

impl LeftOut {
    /// The number for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> usize {
        self.0[reason as usize]
    }

    /// The number for all reasons.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// The reasons that occur, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, usize)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|(_, n)| *n > 0)
    }

    pub(crate) fn add(&mut self, reason: Reason, count: usize) {
        self.0[reason as usize] += count;
    }
}

/// The unit that a list is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Lines.
    #[default]
    Line,
    /// Entries of a value of JSON or Python: a line may hold many.
    Entry,
}

/// A line, or an entry of JSON, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line in the file, from 1.
    pub line: usize,
    /// The fault, on one line that may be shown; at most 300 characters.
    pub why: String,
}

/// A remark on a line that is imported, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line in the file, from 1.
    pub line: usize,
    /// The remark, on one line that may be shown; at most 300 characters.
    pub what: String,
}

/// A network that a list takes out of those it names otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exception {
    pub(crate) network: Network,
    /// Entries with a number from this one on are meant.
    pub(crate) from_unit: usize,
    /// Entries with a number below this one are meant.
    pub(crate) to_unit: usize,
    /// Entries within the network stay: the longest match decides.
    pub(crate) keeps_narrower: bool,
}

/// A moment that speaks against an entry if it is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) moment: UnixMillis,
    pub(crate) kind: DoubtKind,
}

/// The kind of such a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoubtKind {
    /// It may be the end.
    End,
    /// It is a sight, a report or the like, which may be a little ahead.
    Sight,
    /// The entry holds from it on.
    Begin,
    /// As `Begin`, by a clock whose time zone is not known.
    LocalBegin,
}

impl Doubt {
    /// The reason why an entry beside this moment is bad; none, if the moment has passed.
    pub(crate) fn fault(self, now: UnixMillis) -> Option<String> {
        const HOUR: Duration = Duration::from_secs(3_600);
        let hours = match self.kind {
            DoubtKind::End | DoubtKind::Begin => 0,
            DoubtKind::LocalBegin => 14,
            DoubtKind::Sight => 48,
        };
        let moment = self.moment;
        // Without a clock none has passed.
        if self.kind != DoubtKind::End && now == UnixMillis(0) {
            return None;
        }
        (moment > now.plus(HOUR * hours)).then(|| match self.kind {
            DoubtKind::End | DoubtKind::Sight => {
                format!("{moment} may be its end: name its column `expires`")
            }
            DoubtKind::Begin | DoubtKind::LocalBegin => {
                format!("it begins later, at {moment}: import it then")
            }
        })
    }
}

/// The entries of a list, and the account of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct List {
    /// The entries that were read, in the order of the list; after
    /// [`select_for_import`](Self::select_for_import), those to be imported.
    pub entries: Vec<Entry>,
    /// The first [`MAX_BAD`] lines or entries that could not be read.
    pub bad: Vec<BadLine>,
    /// The lines or entries that are left out, by reason.
    pub left_out: LeftOut,
    /// The unit of the counts.
    pub unit: Unit,
    /// Lines of the file, or entries of the value. Each is imported, or counted in `left_out`.
    pub units: usize,
    /// The first [`MAX_BAD`] notes.
    pub notes: Vec<Note>,
    /// The number of all notes.
    pub note_count: usize,
    /// Ends without a time zone are of the host that wrote the list, as fail2ban prints them. If
    /// not, the list says nothing of their zone.
    pub has_host_time: bool,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) rule: ReadFor,
    /// Whether a note on columns that are not used was made.
    pub(crate) has_noted_unused: bool,
    /// Moments beside entries, with their lines or entries: they may be ends.
    pub(crate) doubts: Vec<(usize, Doubt)>,
    /// Keys that are not used, and the line of the first record with one.
    unused: (usize, Vec<String>),
    /// The set that the last note on sets names.
    noted_set: String,
    open: Open,
}

/// The rule that a list is read for; entries for the other rule are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadFor(pub(crate) Rule);

impl Default for ReadFor {
    fn default() -> Self {
        Self(Rule::Block)
    }
}

impl PartialEq for Exception {
    fn eq(&self, other: &Self) -> bool {
        self.network == other.network
    }
}

impl Eq for Exception {}

/// The line or entry that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Open {
    /// Entries before it.
    before: usize,
    reason: Option<Reason>,
}

/// No list is read before this moment, in milliseconds: 2025-01-01.
const DOUBTED_FROM: u64 = 1_735_689_600_000;
/// Most keys that a note names.
const MOST_NAMED: usize = 20;
/// Most networks that a list takes out of those it names otherwise.
const MAX_EXCEPTIONS: usize = 100_000;
/// Longest reason why a line is bad, in characters.
const MAX_WHY: usize = 300;

fn shown(text: impl fmt::Display) -> String {
    hidden(&Printable(text).to_string()).chars().take(MAX_WHY).collect()
}

impl List {
    pub(crate) fn new(unit: Unit, rule: Rule) -> Self {
        Self { unit, rule: ReadFor(rule), ..Self::default() }
    }

    /// Begins the next line or entry.
    pub(crate) fn begin(&mut self) {
        self.units += 1;
        self.open = Open { before: self.entries.len(), reason: None };
    }

    /// Ends the line or entry: with a bad part, nothing of it is taken.
    pub(crate) fn end(&mut self) {
        let Open { before, reason } = self.open;
        if reason == Some(Reason::Bad) {
            self.entries.truncate(before);
        }
        if self.entries.len() == before {
            self.left_out.add(reason.unwrap_or(Reason::Frame), 1);
        } else if let (Some(reason), Some(entry)) = (reason, self.entries.last()) {
            let line = entry.line;
            self.note(line, format_args!("a part of it is left out: {}", reason.name()));
        }
    }

    /// Begins and ends one of which nothing is taken.
    pub(crate) fn pass(&mut self, reason: Reason) {
        self.begin();
        self.leave_out(reason);
        self.end();
    }

    /// Begins and ends a bad one.
    pub(crate) fn pass_bad(&mut self, line: usize, why: impl fmt::Display) {
        self.begin();
        self.refuse(line, why);
        self.end();
    }

    /// Lines that belong to the one before.
    pub(crate) fn continued(&mut self, count: usize) {
        self.units += count;
        self.left_out.add(Reason::Continued, count);
    }

    pub(crate) fn push(&mut self, mut entry: Entry) -> Result<(), ListError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(ListError::TooMany { limit: MAX_ENTRIES });
        }
        entry.unit = self.units;
        self.entries.push(entry);
        Ok(())
    }

    /// Leaves out the line or entry that is being read, or a part of it.
    pub(crate) fn leave_out(&mut self, reason: Reason) {
        self.open.reason.get_or_insert(reason);
    }

    /// Counts a line that is blank, is a comment or is too long; whether it was one.
    pub(crate) fn passes_over(&mut self, number: usize, line: &str, signs: &[&str]) -> bool {
        if self.passes_over_comment(line, signs) {
            return true;
        }
        let why = check_line(line).err();
        why.map(|why| self.refuse(number, why)).is_some()
    }

    /// Counts a line that is blank, or begins with one of the signs of a comment; whether it does.
    pub(crate) fn passes_over_comment(&mut self, line: &str, signs: &[&str]) -> bool {
        let is_comment = signs.iter().any(|sign| line.starts_with(sign));
        if line.is_empty() || is_comment {
            self.leave_out(if is_comment { Reason::Comment } else { Reason::Blank });
        }
        line.is_empty() || is_comment
    }

    /// Counts the line or entry that is being read as bad.
    pub(crate) fn refuse(&mut self, line: usize, why: impl fmt::Display) {
        if self.open.reason != Some(Reason::Bad) {
            self.keep_bad(line, why);
        }
        self.open.reason = Some(Reason::Bad);
    }

    /// Keeps the reason why a line is bad, if there is room; the caller counts the line.
    pub(crate) fn keep_bad(&mut self, line: usize, why: impl fmt::Display) {
        if self.bad.len() < MAX_BAD {
            self.bad.push(BadLine { line, why: shown(why) });
        }
    }

    /// Moves ends that have no time zone ([`Ends::Local`]) to where `to_utc` puts them, given the
    /// moment as if it were one of UTC. Gives how many there were. To be called before
    /// [`select_for_import`](Self::select_for_import), which takes those that are left for moments of UTC.
    pub fn in_zone(&mut self, to_utc: impl Fn(UnixMillis) -> UnixMillis) -> usize {
        let mut moved = 0;
        for entry in &mut self.entries {
            if let Ends::Local(moment) = entry.ends {
                entry.ends = Ends::At(to_utc(moment));
                moved += 1;
            }
        }
        moved
    }

    pub(crate) fn note(&mut self, line: usize, what: impl fmt::Display) {
        self.note_count += 1;
        if self.notes.len() < MAX_BAD {
            self.notes.push(Note { line, what: shown(what) });
        }
    }

    /// Remembers a moment beside an entry without an end: if it is in the future, it is an end.
    pub(crate) fn doubt(&mut self, text: &str) {
        let number = text.parse().ok().and_then(moment_of);
        if let Some(moment) = number.or_else(|| is_date(text).then(|| latest(text)).flatten()) {
            self.doubt_moment(DoubtKind::End, moment);
        }
    }

    /// As [`doubt`](Self::doubt), for the moment of a begin or a sight.
    pub(crate) fn doubt_as(&mut self, kind: DoubtKind, text: &str) {
        let number = text.parse().ok().and_then(moment_of).map(|moment| (moment, true));
        let moment = number.or_else(|| is_date(text).then(|| earliest(text)).flatten());
        let Some((moment, is_sure)) = moment else { return };
        let is_local = kind == DoubtKind::Begin && !is_sure;
        self.doubt_moment(if is_local { DoubtKind::LocalBegin } else { kind }, moment);
    }

    fn doubt_moment(&mut self, kind: DoubtKind, moment: UnixMillis) {
        // Most sights and begins have passed long ago: they take no memory.
        if kind == DoubtKind::End || moment.0 > DOUBTED_FROM {
            self.doubts.push((self.units, Doubt { moment, kind }));
        }
    }

    /// As [`doubt`](Self::doubt), for a text that is a moment, or says that one in it is an end.
    pub(crate) fn doubt_in(&mut self, text: &str) {
        self.doubt(text);
        text.split([',', ';', '|'])
            .skip(usize::from(!text.contains([',', ';', '|'])))
            .map(clean)
            .for_each(|part| self.doubt(part));
        // A day that is to come is most likely an end, unless the word before it says otherwise.
        let mut before = "";
        for word in text.split([' ', '\t', ',', ';', '(', ')']).filter(|word| !word.is_empty()) {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            if is_number && is_date(word) && hint(before) != Hint::Past {
                self.doubt_as(DoubtKind::Sight, word);
            }
            before = word;
        }
    }

    /// Notes once that numbers beside addresses are not used.
    pub(crate) fn note_score(&mut self, line: usize, number: &str) {
        let what = format!("`{number}` is no moment: numbers in this column are not used");
        self.note_once(line, &what);
    }

    /// Remembers a key of a record that is not used.
    pub(crate) fn add_unused(&mut self, line: usize, key: &str) {
        let (first, keys) = &mut self.unused;
        if keys.len() < MOST_NAMED && !keys.iter().any(|known| known == key) {
            if keys.is_empty() {
                *first = line;
            }
            keys.push(shown(key));
        }
    }

    /// Notes the keys of all records that are not used.
    pub(crate) fn note_unused(&mut self) {
        let (line, keys) = std::mem::take(&mut self.unused);
        if !keys.is_empty() {
            self.note(line, format_args!("keys that are not used: {}", keys.join(", ")));
        }
    }

    /// Makes one note of a kind for all rows.
    pub(crate) fn note_once(&mut self, line: usize, what: &str) {
        if !self.has_noted_unused {
            self.has_noted_unused = true;
            self.note(line, what);
        }
    }

    /// Notes once a set why its elements are no bans.
    pub(crate) fn note_set(&mut self, line: usize, name: &str, why: &str) {
        if self.noted_set != name {
            name.clone_into(&mut self.noted_set);
            self.note(line, format_args!("the set `{name}` is not read as bans: {why}"));
        }
    }

    /// Takes a network out of entries that hold it: of those up to now, or of those from now on.
    pub(crate) fn except(
        &mut self,
        network: Network,
        from_unit: usize,
        to_unit: usize,
    ) -> Result<(), ListError> {
        if self.exceptions.len() == MAX_EXCEPTIONS {
            let what = "the list has more exceptions";
            return Err(ListError::Limit { line: self.units, what, limit: MAX_EXCEPTIONS });
        }
        self.exceptions.push(Exception { network, from_unit, to_unit, keeps_narrower: false });
        Ok(())
    }

    /// Takes a network out of entries that hold it, wherever they stand, but not out of narrower
    /// ones: as in tables where the longest match decides.
    pub(crate) fn except_by_longest_match(&mut self, network: Network) -> Result<(), ListError> {
        self.except(network, 0, usize::MAX)?;
        if let Some(exception) = self.exceptions.last_mut() {
            exception.keeps_narrower = true;
        }
        Ok(())
    }

    /// The number of bad lines or entries.
    #[must_use]
    pub fn bad_count(&self) -> usize {
        self.left_out.of(Reason::Bad)
    }

    /// The number of lines or entries with a network to be imported.
    #[must_use]
    pub fn imported(&self) -> usize {
        self.units - self.left_out.total()
    }
}
