//! Ends that a comment above networks states: they hold for the networks below it, up to the next
//! blank line or comment.

use super::{List, Reason};
use crate::Ends;
use crate::end_in_comment::end_in;
use crate::ends::date::is_date;
use crate::ends::duration::is_duration;
use crate::ends::likely::is_likely_moment;
use crate::ends::{BareNumber, parse_end};
use crate::network::mentions_network;
use crate::normal_name::normal_name;

/// Upper bound on the words of a date or duration.
const MAX_WORDS_OF_END: usize = 4;
/// Upper bound on the bytes of a comment that is examined.
const MAX_COMMENT: usize = 256;

/// The comments above the lines that are being read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Heading {
    end: Option<StatedEnd>,
    /// A line with content follows the comments: the next comment begins another heading.
    is_complete: bool,
    /// The comments are the head of a list of Spamhaus: their `Expires` says when to fetch it
    /// again.
    is_of_spamhaus: bool,
}

/// An end that a heading states.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StatedEnd {
    Clear(Ends),
    /// The text that may state an end.
    Unclear(String),
}

impl List {
    /// Reads a comment, or another heading, above networks.
    pub(crate) fn read_heading(&mut self, comment: &str) {
        if self.heading.is_complete {
            self.heading = Heading::default();
        }
        let comment = &comment[..comment.floor_char_boundary(MAX_COMMENT)];
        let text = comment.trim_matches(|c: char| !c.is_alphanumeric() && c != '+');
        let name = normal_name(text.split_once(':').map_or("", |(name, _)| name));
        let is_of_spamhaus = name == "lastmodified" || text.starts_with("Spamhaus");
        self.heading.is_of_spamhaus |= is_of_spamhaus;
        // A network in a comment is an entry that is commented out, with its own end.
        if (self.heading.is_of_spamhaus && name == "expires") || mentions_network(text) {
            return;
        }
        let Some(stated) = stated_end(text) else { return };
        self.heading.end = Some(match self.heading.end.take() {
            Some(other) if other != stated => StatedEnd::Unclear(text.to_owned()),
            _ => stated,
        });
    }

    /// Gives the entries of the line that was read the end that the heading above it states.
    pub(super) fn apply_heading(&mut self) {
        match self.open.reason {
            Some(Reason::Comment) => return,
            Some(Reason::Blank) => {
                if self.heading.is_complete {
                    self.heading = Heading::default();
                }
                return;
            }
            Some(Reason::Frame) if self.entries.len() == self.open.before => return,
            _ => self.heading.is_complete = true,
        }
        let entries = &mut self.entries[self.open.before..];
        let mut endless = entries.iter_mut().filter(|entry| entry.ends == Ends::Never).peekable();
        let Some(line) = endless.peek().map(|entry| entry.line) else { return };
        match &self.heading.end {
            None => {}
            Some(StatedEnd::Clear(ends)) => endless.for_each(|entry| entry.ends = *ends),
            Some(StatedEnd::Unclear(text)) => {
                let why = format!(
                    "the comment above it (`{text}`) may state its end: write it in a column \
                     `expires` or `ttl`"
                );
                self.refuse(line, why);
            }
        }
    }
}

/// The end that a heading states.
fn stated_end(text: &str) -> Option<StatedEnd> {
    end_in(text)?;
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == '=')
        .map(without_label)
        .filter(|word| !word.is_empty())
        .collect();
    let (mut ends, mut at, mut is_window) = (Vec::new(), 0, false);
    while at < words.len() {
        let spans = (1..=MAX_WORDS_OF_END.min(words.len() - at)).rev();
        let found = spans.map(|len| (len, words[at..at + len].join(" "))).find(|(_, span)| {
            let span = without_punctuation(span);
            is_date(span) || is_duration(span) || is_likely_moment(span)
        });
        let Some((len, span)) = found else {
            at += 1;
            continue;
        };
        // `blocked in the last 24h` is when it was seen.
        if at > 0 && is_duration(without_punctuation(&span)) && is_of_window(words[at - 1]) {
            is_window = true;
        } else {
            ends.push(parse_end(without_punctuation(&span), BareNumber::Moment));
        }
        at += len;
    }
    match &ends[..] {
        [] if is_window => None,
        [Ok(ends)] if *ends != Ends::Never => Some(StatedEnd::Clear(*ends)),
        _ => Some(StatedEnd::Unclear(text.to_owned())),
    }
}

/// A word without a label in front (`until:2026-12-31`).
fn without_label(word: &str) -> &str {
    let labelled = word.split_once(':').filter(|(label, value)| {
        !value.is_empty() && !label.is_empty() && label.chars().all(char::is_alphabetic)
    });
    labelled.map_or(word, |(_, value)| value)
}

fn without_punctuation(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric() && c != '+')
}

/// Whether a word before a duration says that it is past, or repeats.
fn is_of_window(word: &str) -> bool {
    const WORDS: [&str; 16] = [
        "last",
        "past",
        "previous",
        "within",
        "every",
        "each",
        "letzten",
        "letzte",
        "alle",
        "jede",
        "derniers",
        "dernieres",
        "chaque",
        "ultimos",
        "ultimas",
        "cada",
    ];
    WORDS.contains(&normal_name(word).as_str())
}
