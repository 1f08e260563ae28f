//! A list that was read, and the count of its lines.

use std::fmt;
use std::time::Duration;

use mailmesh_events::{Network, Printable, Rule, UnixMillis};

use crate::column::{Hint, hint_of_name};
use crate::ends::date::{earliest_moment, is_date, latest_moment};
use crate::ends::number::moment_of_number;
use crate::secret_key::mask_keys;
use crate::words::clean;
use crate::{Ends, Entry, ListError, MAX_BAD, MAX_ENTRIES, check_line};

/// The reason why a line, or an entry of JSON, is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The line is empty.
    Blank,
    /// The line is a comment.
    Comment,
    /// The line belongs to the format: column names, braces, metadata, the heading of a status.
    Frame,
    /// The line continues the record of the line before.
    Continued,
    /// The source means another action than a block, such as a captcha. In a list of networks to
    /// allow: another action than letting in.
    NotABan,
    /// The source only simulates the block.
    Simulated,
    /// The entry is a country, user, port or destination, which the mirror does not hold.
    OtherScope,
    /// The line is a firewall rule that names addresses; only sets are read.
    Rule,
    /// The end of the entry is in the past.
    Ended,
    /// The network is private or reserved.
    Private,
    /// The same network is imported from another line.
    Duplicate,
    /// The line or entry cannot be read.
    Bad,
}

impl Reason {
    /// Every reason, in the order of a report.
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

    /// The words for this reason in a report, to follow a number.
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

/// The number of lines, or entries of JSON, left out for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut([usize; Reason::ALL.len()]);

impl LeftOut {
    /// The number left out for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> usize {
        self.0[reason as usize]
    }

    /// The number left out for all reasons together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// The reasons that occur, each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, usize)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|(_, n)| *n > 0)
    }

    pub(crate) fn add(&mut self, reason: Reason, count: usize) {
        self.0[reason as usize] += count;
    }
}

/// The unit in which a list is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Lines of the file.
    #[default]
    Line,
    /// Entries of a JSON or Python value: one line may hold many.
    Entry,
}

/// A line, or an entry of JSON, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line in the file, from 1.
    pub line: usize,
    /// The fault on one printable line, at most 300 characters.
    pub why: String,
}

/// A remark for the operator on a line that is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line in the file, from 1.
    pub line: usize,
    /// The remark on one printable line, at most 300 characters.
    pub what: String,
}

/// A network that a list excludes from its other entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exception {
    pub(crate) network: Network,
    /// The first unit (line or entry) that the exception applies to.
    pub(crate) from_unit: usize,
    /// The exception applies to units below this one.
    pub(crate) to_unit: usize,
    /// Narrower entries inside the network stay: the longest match decides.
    pub(crate) keeps_narrower: bool,
}

/// A moment beside an entry that makes the entry bad if the moment is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) moment: UnixMillis,
    pub(crate) kind: DoubtKind,
}

/// The kind of a doubted moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoubtKind {
    /// A moment that may be the end of the entry.
    End,
    /// The time of a sighting, a report or the like; the source's clock may be ahead.
    Sight,
    /// The entry holds from this moment on.
    Begin,
    /// As `Begin`, in an unknown time zone.
    LocalBegin,
}

impl Doubt {
    /// Why an entry beside this moment is bad; `None` if the moment has passed.
    pub(crate) fn fault(self, now: UnixMillis) -> Option<String> {
        const HOUR: Duration = Duration::from_secs(3_600);
        let hours = match self.kind {
            DoubtKind::End | DoubtKind::Begin => 0,
            DoubtKind::LocalBegin => 14,
            DoubtKind::Sight => 48,
        };
        let moment = self.moment;
        // Without a clock (`now` is 0) only possible ends count.
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

/// The entries of a list, and the count of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct List {
    /// The entries in the order of the list. After [`select_for_import`](Self::select_for_import),
    /// only the entries to be imported.
    pub entries: Vec<Entry>,
    /// The first [`MAX_BAD`] lines or entries that could not be read.
    pub bad: Vec<BadLine>,
    /// The number of lines or entries left out, by reason.
    pub left_out: LeftOut,
    /// The unit of the counts.
    pub unit: Unit,
    /// Lines of the file, or entries of the value. Each is imported or counted in `left_out`.
    pub units: usize,
    /// The first [`MAX_BAD`] notes.
    pub notes: Vec<Note>,
    /// The number of all notes, including those not kept.
    pub note_count: usize,
    /// Ends without a time zone are in the zone of the host that wrote the list, as fail2ban prints
    /// them. If false, the list does not say in which zone they are.
    pub has_host_time: bool,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) rule: ReadFor,
    /// Whether [`note_once`](Self::note_once) has made its note.
    pub(crate) has_noted_unused: bool,
    /// Moments beside entries, with their units: they may be ends.
    pub(crate) doubts: Vec<(usize, Doubt)>,
    /// Unused keys, and the line of the first record with one.
    unused: (usize, Vec<String>),
    /// The set that the latest note on sets names.
    noted_set: String,
    open: Open,
}

/// The rule that a list is read for; entries for the other rule are left out.
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
    /// The number of entries before this line or entry.
    before: usize,
    reason: Option<Reason>,
}

/// 2025-01-01 in milliseconds: no list is imported earlier, so older moments have passed.
const DOUBTED_FROM: u64 = 1_735_689_600_000;
/// Upper bound on the keys that a note names.
const MOST_NAMED: usize = 20;
/// Upper bound on the exceptions of a list.
const MAX_EXCEPTIONS: usize = 100_000;
/// Upper bound on the fault of a bad line, in characters.
const MAX_WHY: usize = 300;

fn excerpt(text: impl fmt::Display) -> String {
    mask_keys(&Printable(text).to_string()).chars().take(MAX_WHY).collect()
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

    /// Ends the line or entry. If a part of it is bad, none of its networks is taken.
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

    /// Begins and ends a line or entry of which nothing is taken.
    pub(crate) fn pass(&mut self, reason: Reason) {
        self.begin();
        self.leave_out(reason);
        self.end();
    }

    /// Begins and ends a bad line or entry.
    pub(crate) fn pass_bad(&mut self, line: usize, why: impl fmt::Display) {
        self.begin();
        self.refuse(line, why);
        self.end();
    }

    /// Counts lines that continue the line before.
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

    /// Leaves out the line or entry that is being read, or a part of it; the first reason counts.
    pub(crate) fn leave_out(&mut self, reason: Reason) {
        self.open.reason.get_or_insert(reason);
    }

    /// Counts a line that is blank, a comment or too long. Gives whether the line is one of these.
    pub(crate) fn passes_over(&mut self, number: usize, line: &str, signs: &[&str]) -> bool {
        if self.passes_over_comment(line, signs) {
            return true;
        }
        let why = check_line(line).err();
        why.map(|why| self.refuse(number, why)).is_some()
    }

    /// Counts a line that is blank or begins with a comment sign. Gives whether the line is either.
    pub(crate) fn passes_over_comment(&mut self, line: &str, signs: &[&str]) -> bool {
        let is_comment = signs.iter().any(|sign| line.starts_with(sign));
        if line.is_empty() || is_comment {
            self.leave_out(if is_comment { Reason::Comment } else { Reason::Blank });
        }
        line.is_empty() || is_comment
    }

    /// Counts the line or entry that is being read as bad; the first fault is kept.
    pub(crate) fn refuse(&mut self, line: usize, why: impl fmt::Display) {
        if self.open.reason != Some(Reason::Bad) {
            self.keep_bad(line, why);
        }
        self.open.reason = Some(Reason::Bad);
    }

    /// Keeps the fault of a bad line if there is room; the caller counts the line.
    pub(crate) fn keep_bad(&mut self, line: usize, why: impl fmt::Display) {
        if self.bad.len() < MAX_BAD {
            self.bad.push(BadLine { line, why: excerpt(why) });
        }
    }

    /// Converts ends without a time zone ([`Ends::Local`]) with `to_utc`, which gets the moment as
    /// if it were in UTC. Returns how many were converted. Call it before
    /// [`select_for_import`](Self::select_for_import), which takes the others as UTC.
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
            self.notes.push(Note { line, what: excerpt(what) });
        }
    }

    /// Records a moment beside an entry without an end: if it is still to come, it may be the end.
    pub(crate) fn doubt(&mut self, text: &str) {
        let number = text.parse().ok().and_then(moment_of_number);
        if let Some(moment) =
            number.or_else(|| is_date(text).then(|| latest_moment(text)).flatten())
        {
            self.doubt_moment(DoubtKind::End, moment);
        }
    }

    /// As [`doubt`](Self::doubt), for the moment of a begin or a sighting.
    pub(crate) fn doubt_as(&mut self, kind: DoubtKind, text: &str) {
        let number = text.parse().ok().and_then(moment_of_number).map(|moment| (moment, true));
        let moment = number.or_else(|| is_date(text).then(|| earliest_moment(text)).flatten());
        let Some((moment, is_sure)) = moment else { return };
        let is_local = kind == DoubtKind::Begin && !is_sure;
        self.doubt_moment(if is_local { DoubtKind::LocalBegin } else { kind }, moment);
    }

    fn doubt_moment(&mut self, kind: DoubtKind, moment: UnixMillis) {
        // Most sightings and begins passed long ago: they need no memory.
        if kind == DoubtKind::End || moment.0 > DOUBTED_FROM {
            self.doubts.push((self.units, Doubt { moment, kind }));
        }
    }

    /// As [`doubt`](Self::doubt), for free text: the whole text, its parts, and the dates in it.
    pub(crate) fn doubt_in(&mut self, text: &str) {
        self.doubt(text);
        text.split([',', ';', '|'])
            .skip(usize::from(!text.contains([',', ';', '|'])))
            .map(clean)
            .for_each(|part| self.doubt(part));
        // A day still to come is most likely an end, unless the word before it says otherwise.
        let mut before = "";
        for word in text.split([' ', '\t', ',', ';', '(', ')']).filter(|word| !word.is_empty()) {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            if is_number && is_date(word) && hint_of_name(before) != Hint::Past {
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

    /// Records a key of a record that is not used.
    pub(crate) fn add_unused(&mut self, line: usize, key: &str) {
        let (first, keys) = &mut self.unused;
        if keys.len() < MOST_NAMED && !keys.iter().any(|known| known == key) {
            if keys.is_empty() {
                *first = line;
            }
            keys.push(excerpt(key));
        }
    }

    /// Notes the recorded keys that are not used, in one note for all records.
    pub(crate) fn note_unused(&mut self) {
        let (line, keys) = std::mem::take(&mut self.unused);
        if !keys.is_empty() {
            self.note(line, format_args!("keys that are not used: {}", keys.join(", ")));
        }
    }

    /// Makes a note, unless this function made one before: one note covers all rows.
    pub(crate) fn note_once(&mut self, line: usize, what: &str) {
        if !self.has_noted_unused {
            self.has_noted_unused = true;
            self.note(line, what);
        }
    }

    /// Notes why the elements of a set are not bans, once for consecutive elements of the set.
    pub(crate) fn note_set(&mut self, line: usize, name: &str, why: &str) {
        if self.noted_set != name {
            name.clone_into(&mut self.noted_set);
            self.note(line, format_args!("the set `{name}` is not read as bans: {why}"));
        }
    }

    /// Cuts a network out of the entries with units in `from_unit..to_unit`.
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

    /// Cuts a network out of all wider or equal entries, but keeps narrower ones: for tables where
    /// the longest match decides.
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
