//! Exceptions in lines and reasons that are otherwise not read: a network that a list means to let
//! in must not stay blocked by a wider entry.

use mailmesh_events::{Network, Rule};

use crate::network::network;
use crate::normal_name::normal_name;
use crate::verdict::begins_with_other_verdict;
use crate::words::{is_one_of, words};

/// Upper bound on the words that are examined.
const MAX_WORDS: usize = 4_096;
/// Words before or behind an exception.
const MARKERS: [&str; 15] = [
    "!",
    "~",
    "-",
    "not",
    "except",
    "excepting",
    "excluding",
    "exclude",
    "without",
    "but",
    "ausser",
    "außer",
    "sauf",
    "excepto",
    "tranne",
];

/// Words that mark an exception in prose, if an address follows at once.
const IN_REASON: [&str; 9] =
    ["not", "without", "nicht", "ohne", "ausser", "außer", "sauf", "excepto", "tranne"];
/// Signs around the words of a text.
const AROUND: [char; 11] = [';', ':', '"', '\'', '(', ')', '{', '}', '[', ']', '.'];

/// The networks that a text excludes: those behind the sign or word of an exception, or else those
/// before it (`192.0.2.7/32 except;`).
pub(crate) fn excepted(text: &str) -> Vec<Network> {
    networks_beside(text, &MARKERS)
}

/// As [`excepted`], for the prose of a reason, where a hyphen or `not` is common.
pub(crate) fn excepted_in_reason(reason: &str) -> Vec<Network> {
    let excepted = networks_beside(reason, &["!", "except", "excluding", "but"]);
    if !excepted.is_empty() {
        return excepted;
    }
    // Right before an address, other words mark an exception, too.
    let words: Vec<&str> = words(reason).take(MAX_WORDS).collect();
    let is_marked = |pair: &[&str]| {
        is_one_of(pair[0], &IN_REASON) && network(pair[1].trim_matches(AROUND)).is_ok()
    };
    if words.windows(2).any(is_marked) { networks_beside(reason, &IN_REASON) } else { Vec::new() }
}

/// As [`excepted`], for a line that cannot be read. Also gives the networks of a line that begins
/// with a verdict against `rule` (`permit 192.0.2.7`).
pub(crate) fn excepted_in_line(line: &str, rule: Rule) -> Vec<Network> {
    if begins_with_other_verdict(line, rule) {
        let networks = words(line).take(MAX_WORDS).filter_map(|word| network(word).ok());
        return networks.map(|parsed| parsed.network).collect();
    }
    excepted(line)
}

/// Whether a column or key holds exclusions from the network beside it, or from its list.
pub(crate) fn holds_exceptions(name: &str) -> bool {
    let name = normal_name(name);
    ["except", "exclu", "exempt", "ausnahm", "excep", "falsepositive"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// The networks behind the markers of a text, or else those before them; none without a marker.
fn networks_beside(text: &str, markers: &[&str]) -> Vec<Network> {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    let mut is_behind = false;
    let mut is_behind_network = false;
    for word in words(text).take(MAX_WORDS) {
        let word = word.trim_matches(AROUND);
        // A hyphen behind a network makes a range, not an exception.
        let is_range = word == "-" && is_behind_network;
        is_behind_network = network(word).is_ok();
        if is_range {
            continue;
        }
        if is_one_of(word, markers) {
            is_behind = true;
            continue;
        }
        let signed = ['!', '~', '-'].into_iter().find_map(|sign| {
            let rest = word.strip_prefix(sign)?;
            markers.contains(&&*sign.to_string()).then_some(rest)
        });
        if let Ok(parsed) = network(signed.unwrap_or(word)) {
            is_behind |= signed.is_some();
            let networks = if is_behind { &mut behind } else { &mut before };
            networks.push(parsed.network);
        }
    }
    match (is_behind, behind.is_empty()) {
        (true, false) => behind,
        (true, true) => before,
        (false, _) => Vec::new(),
    }
}
