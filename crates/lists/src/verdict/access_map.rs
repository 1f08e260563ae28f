//! Answers of access maps: those of Postfix and Sendmail to a client's address (access(5),
//! cidr_table(5), Sendmail's `cf/README`).

use mailmesh_events::Rule;

use crate::words::is_number;

/// The maps in which an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    /// A table of Postfix, or any list with an answer behind its network.
    Postfix,
    /// The access map of Sendmail, whose keys have tags.
    Sendmail,
}

/// An answer that names an action.
struct Answer {
    word: &'static str,
    rule: Rule,
    maps: &'static [Map],
    /// No other list has this word behind a number, so the key may be the first number of an
    /// address.
    is_distinctive: bool,
}

const BOTH: &[Map] = &[Map::Postfix, Map::Sendmail];
const POSTFIX: &[Map] = &[Map::Postfix];
const SENDMAIL: &[Map] = &[Map::Sendmail];

const fn blocks(word: &'static str, maps: &'static [Map]) -> Answer {
    Answer { word, rule: Rule::Block, maps, is_distinctive: false }
}

const fn lets_in(word: &'static str, maps: &'static [Map]) -> Answer {
    Answer { word, rule: Rule::Allow, maps, is_distinctive: false }
}

const fn distinctive(answer: Answer) -> Answer {
    Answer { is_distinctive: true, ..answer }
}

/// Answers that do not refuse a client count as letting it in: a warning, a filter, a copy.
const ANSWERS: [Answer; 23] = [
    distinctive(blocks("REJECT", BOTH)),
    distinctive(blocks("DISCARD", BOTH)),
    distinctive(blocks("DEFER", POSTFIX)),
    distinctive(blocks("DEFER_IF_PERMIT", POSTFIX)),
    distinctive(blocks("DEFER_IF_REJECT", POSTFIX)),
    blocks("DROP", POSTFIX),
    blocks("ERROR", SENDMAIL),
    blocks("QUARANTINE", SENDMAIL),
    distinctive(lets_in("OK", BOTH)),
    distinctive(lets_in("RELAY", BOTH)),
    distinctive(lets_in("DUNNO", POSTFIX)),
    lets_in("SKIP", SENDMAIL),
    lets_in("PERMIT", POSTFIX),
    lets_in("ALLOW", POSTFIX),
    lets_in("ACCEPT", POSTFIX),
    lets_in("PASS", POSTFIX),
    lets_in("WHITELIST", POSTFIX),
    lets_in("WARN", POSTFIX),
    lets_in("INFO", POSTFIX),
    lets_in("HOLD", POSTFIX),
    lets_in("FILTER", POSTFIX),
    lets_in("PREPEND", POSTFIX),
    lets_in("BCC", POSTFIX),
];

fn answer_named(word: &str, map: Map) -> Option<&'static Answer> {
    ANSWERS
        .iter()
        .find(|answer| answer.word.eq_ignore_ascii_case(word) && answer.maps.contains(&map))
}

/// Whether a word is a reply code that refuses a client (RFC 5321: 4yz and 5yz).
fn is_refusing_code(word: &str) -> bool {
    word.len() == 3
        && word.starts_with(['4', '5'])
        && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rule that the words behind a network mean as the answer of a mail server; `None` if they
/// are not an answer.
pub(crate) fn answered_rule(rest: &[&str]) -> Option<Rule> {
    let word = rest.first()?;
    let begins = |known: &str| {
        word.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known))
    };
    // A code has a text behind it: numbers alone are columns of another list.
    let is_code =
        is_refusing_code(word) && rest.len() > 1 && !rest.iter().all(|word| is_number(word));
    if let Some(answer) = answer_named(word, Map::Postfix) {
        Some(answer.rule)
    } else if is_code || begins("error:") {
        // `ERROR:5.7.1:550 ...` is an answer of Sendmail.
        Some(Rule::Block)
    } else {
        begins("permit_").then_some(Rule::Allow)
    }
}

/// Whether the first word behind a key proves that the key belongs to a mail server's table.
pub(crate) fn is_distinctive_answer(rest: &[&str]) -> bool {
    let answer = rest.first().and_then(|word| answer_named(word, Map::Postfix));
    answer.is_some_and(|answer| answer.is_distinctive)
}

/// The rule that an answer of Sendmail's access map means; `None` for an unknown answer.
pub(crate) fn sendmail_rule(answer: &str) -> Option<Rule> {
    let word = answer.split([' ', '\t', ':']).next().unwrap_or_default();
    if is_refusing_code(word) {
        return Some(Rule::Block);
    }
    answer_named(word, Map::Sendmail).map(|answer| answer.rule)
}
