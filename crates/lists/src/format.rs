use std::str::FromStr;

use crate::csv_list::separator;
use crate::network::network;
use crate::plain::section;
use crate::words::clean;
use crate::{ListError, MAX_LINE, fail2ban, hosts_deny, json, mikrotik, nginx, p2p, with_newlines};

/// The input formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Addresses, prefixes or ranges on lines; the text behind `;` or `#` is the reason. Also a
    /// Postfix `cidr:` table, and a score or a name behind a tab.
    Plain,
    /// A table of network, reason and end, separated by commas, semicolons, tabs or vertical bars.
    /// A first line may name the columns.
    Csv,
    /// One JSON object a line with `cidr` or `network` in it, as Spamhaus publishes DROP.
    JsonLines,
    /// One JSON value: decisions of CrowdSec (`cscli decisions list -o json`, its local API), a
    /// list of networks or objects, or sets of nftables (`nft -j`).
    CrowdSec,
    /// The output of `fail2ban-client`: `banned`, `get JAIL banned`, `status JAIL`,
    /// `get JAIL banip --with-time`.
    Fail2ban,
    /// Sets as `ipset save` or `ipset list` prints them.
    Ipset,
    /// Sets as `nft list set` or `nft list ruleset` prints them.
    Nft,
    /// Ranges with names, as PeerGuardian and eMule use them.
    P2p,
    /// `/etc/hosts.deny`.
    HostsDeny,
    /// `deny` and `allow` directives of nginx.
    Nginx,
    /// Address lists of RouterOS, as `export` prints them.
    RouterOs,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 11] = [
        ("plain", Self::Plain),
        ("csv", Self::Csv),
        ("jsonl", Self::JsonLines),
        ("crowdsec", Self::CrowdSec),
        ("fail2ban", Self::Fail2ban),
        ("ipset", Self::Ipset),
        ("nft", Self::Nft),
        ("p2p", Self::P2p),
        ("hosts.deny", Self::HostsDeny),
        ("nginx", Self::Nginx),
        ("routeros", Self::RouterOs),
    ];

    /// Guesses the format of a text, mostly from its first line that is not empty or a comment.
    #[must_use]
    pub fn guess(text: &str) -> Self {
        let text = &*with_newlines(clean(text));
        let lines = text.lines().map(clean);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        let all = lines.clone();
        let first = lines.next().unwrap_or_default();
        let is_json = first.starts_with(['{', '[']) && !is_in_brackets(first);
        if is_json && section(first).is_none() {
            return json_or_python(
                &text[first.as_ptr() as usize - text.as_ptr() as usize..],
                first,
            );
        }
        if mikrotik::is_one(first) {
            return Self::RouterOs;
        }
        if nginx::is_one(first) {
            return Self::Nginx;
        }
        // Shell scripts have the program's name in front.
        let command = ["nft ", "ipset "].into_iter().find_map(|name| first.strip_prefix(name));
        let first = command.map_or(first, clean);
        let first_word = first.split_whitespace().next().unwrap_or_default();
        let is_script = |begin: &str| first.starts_with(begin);
        if fail2ban::is_one(first) {
            return Self::Fail2ban;
        }
        if [
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
        ]
        .into_iter()
        .any(is_script)
        {
            return Self::Nft;
        }
        if matches!(first_word, "create" | "add" | "-N" | "-A" | "-!" | "-exist" | "Name:") {
            return Self::Ipset;
        }
        if p2p::is_one(first) {
            return Self::P2p;
        }
        if separator(text).is_some() {
            return Self::Csv;
        }
        if hosts_deny::is_it(all) { Self::HostsDeny } else { Self::Plain }
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
    // JSON has no apostrophe outside of strings; Python quotes with apostrophes.
    let mut is_string = false;
    let is_python = text.bytes().take(MAX_LINE).any(|byte| {
        is_string ^= byte == b'"';
        byte == b'\'' && !is_string
    });
    if is_python || text == "[]" {
        return Format::Fail2ban;
    }
    if first.starts_with('[') {
        return Format::CrowdSec;
    }
    if json::is_lines(text) { Format::JsonLines } else { Format::CrowdSec }
}

impl FromStr for Format {
    type Err = ListError;

    fn from_str(name: &str) -> Result<Self, ListError> {
        by_name(name, &Self::ALL)
    }
}

/// The output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// One network a line.
    Plain,
    /// The columns network, reason, origin and expires; [`Format::Csv`] reads them back.
    Csv,
    /// One JSON object a line; [`Format::JsonLines`] reads them back.
    JsonLines,
    /// A script for `nft -f`: a table with a set for each address family.
    Nftables,
    /// A `cidr:` table for Postfix.
    Postfix,
}

impl OutputFormat {
    /// Every format with its name.
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
