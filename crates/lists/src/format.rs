//! The input and output formats, by name.

use std::str::FromStr;

use crate::ListError;

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
    /// One JSON value of any of these layouts: decisions of CrowdSec (`cscli decisions list -o
    /// json`, its local API), a list of networks or objects, or sets of nftables (`nft -j`). The
    /// format has the name of the first program whose values it read.
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
    /// The columns network, reason, origin, expires and rule; [`Format::Csv`] reads them back.
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
}
