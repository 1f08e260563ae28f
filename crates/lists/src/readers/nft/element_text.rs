//! The text of an element, collected over the lines on which it stands.

use super::element::{Element, ElementForm, Set};
use crate::network::networks;
use crate::readers::set_rules::{SetRules, without_quoted};
use crate::words::clean;
use crate::{List, ListError, MAX_LINE};

/// Words of an element that counts or limits the traffic of an address (`ct count`, `limit rate`).
const COUNTERS: [&str; 3] = ["limit", "quota", "ct"];

/// An element; it may continue over several lines.
#[derive(Debug, Default)]
pub(super) struct ElementText {
    text: String,
    /// The line where the element begins; 0 before it begins.
    begins_at: usize,
    is_quoted: bool,
    is_too_long: bool,
}

impl ElementText {
    /// The offset in a text where the element ends: a comma or closing brace outside of quotes.
    pub(super) fn end_in(&self, text: &str) -> Option<usize> {
        let mut is_quoted = self.is_quoted;
        text.bytes().position(|byte| {
            is_quoted ^= byte == b'"';
            !is_quoted && matches!(byte, b',' | b'}')
        })
    }

    pub(super) fn add(&mut self, part: &str, line: usize) {
        if self.begins_at == 0 && !clean(part).is_empty() {
            self.begins_at = line;
        }
        self.is_quoted ^= part.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        self.is_too_long |= self.text.len() + part.len() > MAX_LINE;
        if !self.is_too_long {
            self.text.push_str(part);
            self.text.push(' ');
        }
    }

    /// Adds the element to the list, and resets this value for the next element.
    pub(super) fn add_to(
        &mut self,
        list: &mut List,
        set: &Set,
        rules: &SetRules,
    ) -> Result<(), ListError> {
        let Self { text, begins_at, is_too_long, .. } = std::mem::take(self);
        if is_too_long {
            let why = format_args!("the element has more than {MAX_LINE} bytes, the limit");
            list.refuse(begins_at, why);
            return Ok(());
        }
        let text = clean(&text);
        if text.is_empty() {
            return Ok(());
        }
        set.add_element(list, rules, begins_at, form_of(text), parse_element(text, set))
    }
}

fn form_of(text: &str) -> ElementForm {
    let bare = without_quoted(text);
    if bare.contains(" . ") || bare.contains(" : ") {
        ElementForm::Compound
    } else if bare.split_whitespace().any(|word| COUNTERS.contains(&word)) {
        ElementForm::Counter
    } else {
        ElementForm::Address
    }
}

fn parse_element(text: &str, set: &Set) -> Result<Element, String> {
    let (before_comment, comment) = match text.split_once(" comment \"") {
        Some((before, comment)) => (before, comment.split('"').next().unwrap_or_default()),
        None => (text, ""),
    };
    let mut words = before_comment.split_whitespace();
    let networks = networks(words.next().unwrap_or_default())?;
    let (mut timeout, mut left) = (set.timeout, None);
    while let Some(word) = words.next() {
        match word {
            "timeout" => timeout = words.next().and_then(parse_seconds),
            "expires" => left = words.next().and_then(parse_seconds),
            _ => {}
        }
    }
    Ok(Element { networks, comment: comment.to_owned(), seconds: left.or(timeout) })
}

/// A time of nft (`1d2h3m4s5ms`) in seconds, rounded up.
pub(super) fn parse_seconds(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(';');
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let duration = humantime::parse_duration(text).ok()?;
    Some(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}
