use std::str::FromStr;

use crate::ListError;

/// What a list is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An address, prefix or range a line; what follows `;` or `#` is the reason.
    Plain,
    /// Comma-separated values: network, reason, end. A first line may name the columns.
    Csv,
    /// An object a line with `cidr` or `network` in it, as Spamhaus DROP is published.
    JsonLines,
    /// Decisions of CrowdSec: `cscli decisions list -o json`, or of its local API.
    CrowdSec,
    /// What `fail2ban-client banned` prints.
    Fail2ban,
}

impl Format {
    /// Every format, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("plain", Self::Plain),
        ("csv", Self::Csv),
        ("jsonl", Self::JsonLines),
        ("crowdsec", Self::CrowdSec),
        ("fail2ban", Self::Fail2ban),
    ];

    /// The format that a text looks like: by its first line that says something.
    #[must_use]
    pub fn guess(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        let first = lines.next().unwrap_or_default();
        if first.starts_with('{') && !first.starts_with("{\"decisions\"") {
            return Self::JsonLines;
        }
        if first.starts_with('[') || first.starts_with('{') {
            // Python quotes with one apostrophe, and keys are jails.
            let start: String = text.chars().filter(|c| !c.is_whitespace()).take(3).collect();
            let is_python = start.starts_with("[{'") || (start == "[]" && !text.contains('"'));
            return if is_python { Self::Fail2ban } else { Self::CrowdSec };
        }
        let before_comment = first.split([';', '#']).next().unwrap_or_default();
        if before_comment.contains(',') || before_comment.starts_with('"') {
            Self::Csv
        } else {
            Self::Plain
        }
    }
}

impl FromStr for Format {
    type Err = ListError;

    fn from_str(name: &str) -> Result<Self, ListError> {
        by_name(name, &Self::ALL)
    }
}

/// What a list is to be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// A network a line.
    Plain,
    /// Columns network, reason, origin, expires; as [`Format::Csv`] reads it.
    Csv,
    /// An object a line; as [`Format::JsonLines`] reads it.
    JsonLines,
    /// A script for `nft -f`: a table with a set for each family.
    Nftables,
    /// A table for Postfix, `cidr:`.
    Postfix,
}

impl OutputFormat {
    /// Every format, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("plain", Self::Plain),
        ("csv", Self::Csv),
        ("jsonl", Self::JsonLines),
        ("nftables", Self::Nftables),
        ("postfix", Self::Postfix),
    ];
}

impl FromStr for OutputFormat {
    type Err = ListError;

    fn from_str(name: &str) -> Result<Self, ListError> {
        by_name(name, &Self::ALL)
    }
}

fn by_name<T: Copy>(name: &str, all: &[(&'static str, T)]) -> Result<T, ListError> {
    let found = all.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
    found.ok_or_else(|| ListError::UnknownFormat {
        name: name.chars().take(40).collect(),
        known: all.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
    })
}
