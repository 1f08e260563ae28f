//! Words and columns that say whether a network is blocked.

use crate::field::shown;
use crate::role::{Role, role};

/// The statement of a source on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is blocked.
    Blocked,
    /// It is let in.
    Allowed,
    /// The entry is not in force.
    Off,
}

/// The statement of a column or key, by its name and value; `None` if it says nothing on this.
pub(crate) fn said(name: &str, value: &str) -> Option<Said> {
    match name_of(name).as_str() {
        "blocked" | "isblocked" | "banned" | "isbanned" | "block" | "ban" | "denied"
        | "isdenied" | "listed" | "islisted" | "malicious" | "ismalicious" => match value {
            _ if is_false(value) => Some(Said::Off),
            _ if is_true(value) => Some(Said::Blocked),
            _ => of_word(value),
        },
        "allowed" | "isallowed" | "allow" | "trusted" | "istrusted" | "benign" | "isbenign"
        | "exempt" | "falsepositive" | "isfalsepositive" | "safe" | "issafe" => {
            is_true(value).then_some(Said::Allowed)
        }
        "deleted" | "isdeleted" | "removed" | "isremoved" | "disabled" | "isdisabled"
        | "inactive" | "isinactive" | "expired" | "isexpired" | "revoked" | "isrevoked"
        | "unbanned" | "unblocked" => is_true(value).then_some(Said::Off),
        // Oklahoma, beside a country.
        "state" if value.eq_ignore_ascii_case("ok") => None,
        "status" | "state" | "policy" | "mode" | "disposition" | "classification" | "decision"
        | "result" | "access" | "listtype" | "active" | "enabled" | "isactive" | "isenabled" => {
            if is_false(value) {
                Some(Said::Off)
            } else {
                of_word(value)
            }
        }
        "type" | "kind" | "list" => of_word(value).filter(|said| *said == Said::Allowed),
        _ if is_score(name) => {
            value.parse::<f64>().is_ok_and(|score| score <= 0.0).then_some(Said::Off)
        }
        _ if role(name).is_some_and(|(role, _)| role == Role::Reason) => {
            is_one_of(value, &ALLOWANCES).then_some(Said::Allowed)
        }
        _ => None,
    }
}

/// Whether a column or key has a score of which 0 says that the network is not blocked.
pub(crate) fn is_score(name: &str) -> bool {
    const SCORES: [&str; 3] = ["abuseconfidencescore", "abuseconfidence", "confidencescore"];
    SCORES.contains(&name_of(name).as_str())
}

/// The note on a column or key with a score.
pub(crate) fn of_score(name: &str) -> String {
    format!("{}: only 0 is looked at; entries of any score are blocked", shown(name))
}

/// Whether a column or key of this name may say something.
pub(crate) fn speaks(name: &str) -> bool {
    ["true", "false", "0", "whitelist"].iter().any(|value| said(name, value).is_some())
}

/// A name of a column: case, spaces, signs and the usual accents do not matter.
pub(crate) fn name_of(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric()).take(40);
    letters.flat_map(char::to_lowercase).map(without_accent).collect()
}

fn without_accent(c: char) -> char {
    match c {
        'à'..='å' | 'ą' => 'a',
        'ç' | 'ć' => 'c',
        'è'..='ë' | 'ę' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        'ź' | 'ż' | 'ž' => 'z',
        c => c,
    }
}

fn of_word(value: &str) -> Option<Said> {
    const BEGINS: [&str; 6] = ["allow", "whitelist", "permit", "trusted", "unban", "unblock"];
    const OFF: [&str; 18] = [
        "inactive", "expired", "disabled", "removed", "deleted", "revoked", "released", "lifted",
        "off", "benign", "clean", "harmless", "good", "ham", "safe", "closed", "ended", "white",
    ];
    let small = value.to_lowercase();
    let mut words = small.split(|c: char| !c.is_alphanumeric());
    if is_one_of(value, &ALLOWANCES) || words.any(|w| BEGINS.iter().any(|b| w.starts_with(b))) {
        return Some(Said::Allowed);
    }
    is_one_of(value, &OFF).then_some(Said::Off)
}

/// Whether a value behind an address says that it is not blocked (nginx, HAProxy, Postfix).
pub(crate) fn is_denial(value: &str) -> bool {
    const NO: [&str; 14] = [
        "0",
        "no",
        "false",
        "off",
        "good",
        "white",
        "ham",
        "safe",
        "none",
        "benign",
        "noblock",
        "no-block",
        "no_block",
        "notblocked",
    ];
    let is_permit = value.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("permit"));
    is_one_of(value, &NO) || is_allowance(value) || is_permit
}

/// Whether a value behind an address says that it is blocked, and is no reason beside that.
pub(crate) fn is_assent(value: &str) -> bool {
    is_one_of(value, &["yes", "true", "on", "bad", "black", "blacklist", "blacklisted"])
        || is_ban(value)
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

pub(crate) fn is_true(text: &str) -> bool {
    is_one_of(text, &["true", "1", "yes", "t", "y"])
}

pub(crate) fn is_false(text: &str) -> bool {
    is_one_of(text, &["false", "0", "no", "f", "n"])
}

/// Whether an action is a block. One that is not known is not: CrowdSec has captchas, throttles
/// and remediations that an operator made up.
pub(crate) fn is_ban(text: &str) -> bool {
    is_one_of(
        text,
        &["ban", "banned", "block", "blocked", "deny", "denied", "drop", "reject", "refuse"],
    )
}

const ALLOWANCES: [&str; 17] = [
    "ok",
    "allow",
    "allowed",
    "accept",
    "accepted",
    "permit",
    "permitted",
    "pass",
    "whitelist",
    "whitelisted",
    "allowlist",
    "allowlisted",
    "trusted",
    "dunno",
    "bypass",
    "captcha",
    "unban",
];

/// Whether a text says that an address is let in, or at least not blocked.
pub(crate) fn is_allowance(text: &str) -> bool {
    is_one_of(text, &ALLOWANCES)
}

/// Whether a type beside a scope or an end is a remediation, rather than a kind of attack or of
/// address: with a scope, any single word but those may be one that an operator made up.
pub(crate) fn is_remediation(kind: &str, has_scope: bool) -> bool {
    const KNOWN: [&str; 7] = ["throttle", "challenge", "mfa", "log", "monitor", "simulate", "slow"];
    const KINDS: [&str; 8] = ["ip", "ipv4", "ipv6", "range", "cidr", "network", "host", "address"];
    let is_word = kind.chars().all(|c| c.is_ascii_alphanumeric());
    is_ban(kind)
        || is_allowance(kind)
        || is_one_of(kind, &KNOWN)
        || (has_scope && is_word && !is_one_of(kind, &KINDS))
}
