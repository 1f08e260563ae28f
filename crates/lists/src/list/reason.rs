//! Why lines or entries are not imported, and how many for each reason.

use mailmesh_events::Rule;

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
    /// The source states another action than the rule that the list is read for: in a list of
    /// blocks a captcha or a permission, in a list of networks to allow a ban.
    OtherAction,
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
        Self::OtherAction,
        Self::Simulated,
        Self::OtherScope,
        Self::Rule,
        Self::Ended,
        Self::Private,
        Self::Duplicate,
        Self::Bad,
    ];

    /// The words for this reason in the report of a list that is read for `rule`. They follow a
    /// number.
    #[must_use]
    pub fn name(self, rule: Rule) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Comment => "comment",
            Self::Frame => "heading or frame of the format",
            Self::Continued => "continued from the line before",
            Self::OtherAction if rule == Rule::Allow => "not let in",
            Self::OtherAction => "not a ban",
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
