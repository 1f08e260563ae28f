//! Guesses the format of a text.

use super::csv::separator;
use super::section::section_name;
use super::{fail2ban, hosts_deny, json, nginx, p2p, routeros};
use crate::network::network;
use crate::words::clean;
use crate::{Format, with_newlines};

/// The beginnings of lines of `nft`.
const NFT_BEGINS: [&str; 12] = [
    "table ",
    "add table",
    "add set ",
    "add element ",
    "flush set ",
    "set ",
    "elements",
    "delete table",
    "destroy table",
    "flush table",
    "flush ruleset",
    "delete set",
];

impl Format {
    /// Guesses the format of a text, mostly from its first line that is not empty or a comment.
    #[must_use]
    pub fn guess(text: &str) -> Self {
        let text = &*with_newlines(clean(text));
        let lines = text.lines().map(clean);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        let all = lines.clone();
        let first = lines.next().unwrap_or_default();
        let is_json = first.starts_with(['{', '[']) && !is_in_brackets(first);
        if is_json && section_name(first).is_none() {
            return json_or_python(
                &text[first.as_ptr() as usize - text.as_ptr() as usize..],
                first,
            );
        }
        if routeros::is_script_line(first) {
            return Self::RouterOs;
        }
        if nginx::is_directive(first) {
            return Self::Nginx;
        }
        // Shell scripts have the program's name in front.
        let command = ["nft ", "ipset "].into_iter().find_map(|name| first.strip_prefix(name));
        let first = command.map_or(first, clean);
        let first_word = first.split_whitespace().next().unwrap_or_default();
        if fail2ban::is_output_line(first) {
            return Self::Fail2ban;
        }
        if NFT_BEGINS.iter().any(|begin| first.starts_with(begin)) {
            return Self::Nft;
        }
        if matches!(first_word, "create" | "add" | "-N" | "-A" | "-!" | "-exist" | "Name:") {
            return Self::Ipset;
        }
        if p2p::is_range_line(first) {
            return Self::P2p;
        }
        // A line of hosts.deny that goes on behind a backslash may look like a row.
        if hosts_deny::is_hosts_deny(all) {
            return Self::HostsDeny;
        }
        if separator(text).is_some() { Self::Csv } else { Self::Plain }
    }
}

/// Whether a line begins with an address in brackets.
fn is_in_brackets(line: &str) -> bool {
    let inner = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    // In a JSON list a colon follows a quoted text or a nested value.
    let is_address = |inner: &str| {
        network(inner).is_ok() || (inner.contains(':') && !inner.contains(['"', '\'', '{', '[']))
    };
    inner.is_some_and(|(inner, _)| is_address(inner))
}

/// The format of a text that begins with a brace or bracket.
fn json_or_python(text: &str, first: &str) -> Format {
    if json::has_apostrophe_outside_of_strings(text) || text == "[]" {
        return Format::Fail2ban;
    }
    if first.starts_with('[') {
        return Format::CrowdSec;
    }
    if json::has_object_a_line(text) { Format::JsonLines } else { Format::CrowdSec }
}
