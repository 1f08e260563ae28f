//! The meaning of columns and keys, derived from their names.

mod hint;
mod role_names;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::ends::duration::unit_millis;
use crate::normal_name::normal_name;
pub(crate) use hint::{Hint, PARTS_OF_ENDS, hint_of_name};
use role_names::{HOST, NAMES};

/// The meaning of a column or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Network,
    /// The first address of a range, or the address of a network with a mask.
    First,
    Last,
    /// A prefix length or a netmask.
    Mask,
    Reason,
    Origin,
    /// A moment or a duration.
    Until,
    /// A duration.
    Lasts,
    /// A duration; the field is its unit in milliseconds.
    LastsIn(u64),
    Scope,
    /// The action, such as a ban or a captcha.
    Action,
    /// The kind of a decision: an action if the record also has a scope or a duration.
    Kind,
    Simulated,
    /// The target of traffic, such as a victim: not a ban, except in tables of malware servers.
    Destination,
    /// `from` and `to` may be the bounds of a range, a source and a destination, or moments.
    From,
    To,
}

impl Role {
    /// Whether this column or key says when the entry ends.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Until | Self::Lasts | Self::LastsIn(_))
    }
}

/// The rank of `source` among the names of an origin. In a record without a network, `source` is
/// the network.
pub(crate) const SOURCE_RANK: usize = 1;

/// Roles and ranks by name.
static BY_NAME: LazyLock<HashMap<&str, (Role, usize)>> = LazyLock::new(|| {
    let ranked = |(role, names): (Role, &'static [&str])| {
        names.iter().enumerate().map(move |(rank, name)| (*name, (role, rank)))
    };
    NAMES.into_iter().flat_map(ranked).collect()
});

/// Added to the rank of a name that ends in `utc` or `gmt`: its moments are in UTC.
const UTC_RANK: usize = 1 << 16;

/// Whether the name of this rank says that its moments are in UTC.
pub(crate) fn is_in_utc(rank: usize) -> bool {
    rank >= UTC_RANK
}

/// All names of columns that hold ends.
pub(crate) fn names_of_ends() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().filter(|(role, _)| role.is_end()).flat_map(|(_, names)| names).copied()
}

/// The role of a name, and its rank among the names of that role: the lowest rank wins. Case,
/// spaces, punctuation and accents do not matter.
pub(crate) fn role_of_name(name: &str) -> Option<(Role, usize)> {
    let name = normal_name(name);
    if name.starts_with("dst") || name.starts_with("dest") {
        let is_address = !["port", "country", "host"].iter().any(|end| name.ends_with(end));
        return Some((Role::Destination, usize::from(!is_address)));
    }
    let without_zone = ["utc", "gmt"].into_iter().find_map(|zone| name.strip_suffix(zone));
    let of = |name: &str| BY_NAME.get(name).copied();
    of(&name)
        .or_else(|| {
            let (role, rank) = of(without_zone?).filter(|(role, _)| *role == Role::Until)?;
            Some((role, rank + UTC_RANK))
        })
        .or_else(|| lasts_in(&name))
}

/// The role of a duration's name that ends with a unit (`ttl_ms`, `Dauer in Stunden`).
fn lasts_in(name: &str) -> Option<(Role, usize)> {
    // These stems take no one-letter unit: `bans` and `blocks` are other words.
    const BLOCKS: [&str; 6] = ["ban", "block", "banned", "blocked", "lock", "sperr"];
    let of_unit = |at: usize| {
        let (stem, word) = (name.get(..at)?, name.get(at..)?);
        let millis = unit_millis(word).filter(|millis| *millis > 0)?;
        let is_lasting = |stem: &str| {
            BY_NAME.get(stem).is_some_and(|(role, _)| *role == Role::Lasts)
                || (word.len() > 1 && BLOCKS.contains(&stem))
        };
        let without = ["in", "en", "w"].into_iter().find_map(|word| stem.strip_suffix(word));
        (is_lasting(stem) || without.is_some_and(is_lasting)).then_some((Role::LastsIn(millis), 0))
    };
    // The longest unit is found first: `ms` before `s`.
    (1..name.len()).filter(|at| name.len() - at <= 12).find_map(of_unit)
}

/// Whether the type of a value says that it is the address that was connected to.
pub(crate) fn is_destination_type(kind: &str) -> bool {
    let kind = normal_name(kind);
    let known = ["ipdst", "dst", "destination", "targetip", "victim"];
    known.iter().any(|known| kind.starts_with(known))
}

/// Whether the network name of this rank is for one address family only.
pub(crate) fn is_of_family(rank: usize) -> bool {
    network_name(rank).is_some_and(|name| name.starts_with("ipv"))
}

/// Whether the network name of this rank means a host.
pub(crate) fn is_host(rank: usize) -> bool {
    network_name(rank) == Some(HOST)
}

/// Whether a network name of this rank may hold the prefix length beside an address.
pub(crate) fn may_be_length(rank: usize) -> bool {
    const NAMES: [&str; 11] = [
        "cidr",
        "prefix",
        "ipprefix",
        "ipv4prefix",
        "ipv6prefix",
        "subnet",
        "net",
        "netblock",
        "network",
        "netz",
        "netzwerk",
    ];
    network_name(rank).is_some_and(|name| NAMES.contains(&name))
}

fn network_name(rank: usize) -> Option<&'static str> {
    NAMES[0].1.get(rank).copied()
}
