//! Sections and blocks in plain lists: the name of a section decides for its lines, and nothing
//! marks its end.

use mailmesh_events::Rule;

use super::comment::is_comment;
use crate::ListError;
use crate::column::{Role, role_of_name};
use crate::exception::holds_exceptions;
use crate::network::{mentions_network, network};
use crate::secret_key::excerpt;
use crate::verdict::access_map::answered_rule;
use crate::verdict::list_name::is_for_other_rule;
use crate::verdict::{
    begins_with_other_verdict, denies_rule, is_harmless_word, is_verdict_name, says_opposite,
};
use crate::words::{clean, without_quotes};

/// Upper bound on the bytes of a heading.
const MAX_HEADING: usize = 160;
/// Upper bound on the words of a heading.
const MAX_WORDS: usize = 6;
/// Words of headings that do not say which rule is meant.
const NOUNS: [&str; 47] = [
    "list",
    "lists",
    "ip",
    "ips",
    "ipv4",
    "ipv6",
    "network",
    "networks",
    "net",
    "nets",
    "host",
    "hosts",
    "address",
    "addresses",
    "client",
    "clients",
    "server",
    "servers",
    "range",
    "ranges",
    "section",
    "begin",
    "start",
    "entry",
    "entries",
    "the",
    "our",
    "my",
    "own",
    "internal",
    "customer",
    "customers",
    "partner",
    "partners",
    "mail",
    "office",
    "of",
    "and",
    "follow",
    "follows",
    "following",
    "these",
    "this",
    "below",
    "are",
    "is",
    "all",
];

/// Refuses a list that has a section for the other rule.
pub(crate) fn refuse_section(number: usize, line: &str, rule: Rule) -> Result<(), ListError> {
    let in_brackets = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = in_brackets.filter(|name| network(name).is_err()).or_else(|| label(line));
    if name.is_some_and(|name| is_for_other_rule(name, rule)) {
        return refuse_heading(number, line);
    }
    if line.len() > MAX_HEADING {
        return Ok(());
    }
    let heading = text_of_heading(line);
    let count = heading.split_whitespace().count();
    let is_heading = (1..=MAX_WORDS).contains(&count) && !mentions_network(line);
    let is_other = is_for_other_rule(heading, rule) || begins_with_other_verdict(heading, rule);
    // A row of a table or map is not a heading.
    let behind: Vec<&str> = heading.split_whitespace().skip(1).take(2).collect();
    let is_row = answered_rule(&behind).is_some();
    if is_heading && is_other && !is_row && !line.contains([',', ';', '\t', '@', '.', '|']) {
        return refuse_heading(number, line);
    }
    Ok(())
}

/// Refuses a table in which a later row names the columns anew, and says otherwise of its rows.
pub(crate) fn refuse_second_header<'a>(
    number: usize,
    fields: impl Iterator<Item = &'a str> + Clone,
    rule: Rule,
) -> Result<(), ListError> {
    let is_network = |name: &str| role_of_name(name).is_some_and(|k| k.role == Role::Network);
    let is_other = |name: &&str| {
        !is_verdict_name(name) && (says_opposite(name, rule) || is_for_other_rule(name, rule))
    };
    match fields.clone().find(is_other) {
        Some(name) if fields.clone().any(is_network) => refuse_heading(number, name),
        _ => Ok(()),
    }
}

/// Refuses a list in which a comment is the heading of such a section, and nothing else.
pub(crate) fn refuse_in_comment(number: usize, line: &str, rule: Rule) -> Result<(), ListError> {
    if line.len() > MAX_HEADING || !is_comment(line) {
        return Ok(());
    }
    let words = line.split_whitespace().count();
    if words <= MAX_WORDS + 1 && denies_rule(line, rule) && !mentions_network(line) {
        return refuse_heading(number, line);
    }
    let mut is_other = false;
    for (at, word) in text_of_heading(line).split_whitespace().enumerate() {
        let word = word.to_lowercase();
        let is_verdict = begins_with_other_verdict(&word, rule)
            || holds_exceptions(&word)
            || (rule == Rule::Block && is_harmless_word(&word));
        let is_noun = NOUNS.contains(&&*word) || word.bytes().all(|b| !b.is_ascii_alphabetic());
        if at >= MAX_WORDS || (!is_verdict && !is_noun) {
            return Ok(());
        }
        is_other |= is_verdict;
    }
    if is_other { refuse_heading(number, line) } else { Ok(()) }
}

/// Refuses a list that is a part of another program's configuration.
pub(crate) fn refuse_brace(number: usize, line: &str) -> Result<(), ListError> {
    let code = line.split('#').next().unwrap_or_default();
    let is_end = code.trim_end_matches([';', ',', ' ']).trim() == "}";
    if !clean(code).ends_with('{') && !is_end {
        return Ok(());
    }
    Err(ListError::NotThis {
        format: "list",
        why: format!(
            "line {number}: `{}` is of the configuration of a program, which decides what its \
             addresses mean; give those to be taken as lines",
            excerpt(line)
        ),
    })
}

/// The text of a heading without the signs around it.
fn text_of_heading(line: &str) -> &str {
    line.trim_matches(|c: char| !c.is_alphanumeric())
}

fn refuse_heading(number: usize, line: &str) -> Result<(), ListError> {
    Err(ListError::NotThis {
        format: "list of one kind",
        why: format!(
            "line {number}: `{}` says otherwise of what follows; take these lines out",
            excerpt(line)
        ),
    })
}

/// Whether a line is the header of a one-column table, or metadata of the list
/// (`Generated: 2026-11-27`).
pub(crate) fn is_heading(line: &str) -> bool {
    let is_name =
        role_of_name(without_quotes(line)).is_some_and(|known| known.role == Role::Network);
    is_name || (label(line).is_some() && !mentions_network(line))
}

/// The words before the colon of a line that does not begin with an address.
fn label(line: &str) -> Option<&str> {
    let (label, _) = line.split_once(':')?;
    let is_word = |c: char| c.is_alphabetic() || matches!(c, ' ' | '-' | '_');
    (label.len() < 40 && label.contains(char::is_alphabetic) && label.chars().all(is_word))
        .then_some(label)
        .filter(|label| !is_hexadecimal(label))
}

/// Whether a word may be the first group of an IPv6 address.
fn is_hexadecimal(label: &str) -> bool {
    label.len() <= 4 && label.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of a section (`[blacklist]`), as in configuration files; `[true]` is JSON.
pub(crate) fn section_name(line: &str) -> Option<&str> {
    let name = clean(line.strip_prefix('[')?.strip_suffix(']')?);
    let is_of_name = |c: char| c.is_alphanumeric() || " _-.".contains(c);
    (name.starts_with(char::is_alphabetic) && name.chars().all(is_of_name))
        .then_some(name)
        .filter(|name| !matches!(*name, "true" | "false" | "null"))
}

/// Whether the name of a section says that its lines are blocked.
pub(crate) fn names_blocks(name: &str) -> bool {
    const BEGINS: [&str; 11] = [
        "black", "block", "ban", "deny", "denied", "drop", "reject", "sperr", "gesperrt", "spam",
        "abuse",
    ];
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| BEGINS.iter().any(|begin| word.starts_with(begin)))
}
