//! The meaning of columns and keys, by their names.

mod hint;
mod names;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::free_text::unit;
use crate::verdict::name_of;
pub(crate) use hint::{Hint, PARTS_OF_ENDS, hint};
use names::{HOST, NAMES};

/// The meaning of a column or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Network,
    /// The first address of a range, or of a network with a mask.
    First,
    Last,
    /// A length of prefix, or a netmask.
    Mask,
    Reason,
    Origin,
    /// A moment, or a duration.
    Until,
    /// A duration.
    Lasts,
    /// A duration in this unit, in milliseconds.
    LastsIn(u64),
    Scope,
    /// The action: a ban, a captcha.
    Action,
    /// The kind of a decision: an action if there is a scope or a duration beside it.
    Kind,
    Simulated,
    /// An address that was attacked: no banned network.
    Destination,
    /// `from` and `to`: the bounds of a range, a source and a destination, or moments.
    From,
    To,
}

impl Role {
    /// Whether it says when the entry ends.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Until | Self::Lasts | Self::LastsIn(_))
    }
}

/// The rank of `source` among the names of an origin: the network, in a table without another.
pub(crate) const SOURCE_RANK: usize = 1;

/// Roles and ranks by name.
static BY_NAME: LazyLock<HashMap<&str, (Role, usize)>> = LazyLock::new(|| {
    let ranked = |(role, names): (Role, &'static [&str])| {
        names.iter().enumerate().map(move |(rank, name)| (*name, (role, rank)))
    };
    NAMES.into_iter().flat_map(ranked).collect()
});

/// Added to the rank of a name that says that its moments are of UTC.
const UTC_RANK: usize = 1 << 16;

/// Whether the rank of a name is that of one that says that its moments are of UTC.
pub(crate) fn is_in_utc(rank: usize) -> bool {
    rank >= UTC_RANK
}

/// The names of ends.
pub(crate) fn names_of_ends() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().filter(|(role, _)| role.is_end()).flat_map(|(_, names)| names).copied()
}

/// The role of a name, and its rank among those of that role: the least counts. Case, spaces,
/// signs and accents do not matter.
pub(crate) fn role(name: &str) -> Option<(Role, usize)> {
    let name = name_of(name);
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

/// The role of a name of durations with their unit behind it (`ttl_ms`, `Dauer in Stunden`).
fn lasts_in(name: &str) -> Option<(Role, usize)> {
    // A single letter behind these would be another word.
    const BLOCKS: [&str; 6] = ["ban", "block", "banned", "blocked", "lock", "sperr"];
    let of_unit = |at: usize| {
        let (stem, word) = (name.get(..at)?, name.get(at..)?);
        let millis = unit(word).filter(|millis| *millis > 0)?;
        let is_lasting = |stem: &str| {
            BY_NAME.get(stem).is_some_and(|(role, _)| *role == Role::Lasts)
                || (word.len() > 1 && BLOCKS.contains(&stem))
        };
        let without = ["in", "en", "w"].into_iter().find_map(|word| stem.strip_suffix(word));
        (is_lasting(stem) || without.is_some_and(is_lasting)).then_some((Role::LastsIn(millis), 0))
    };
    // The longest unit: `ms` before `s`.
    (1..name.len()).filter(|at| name.len() - at <= 12).find_map(of_unit)
}

/// Whether the type of a value says that it is an address that is connected to.
pub(crate) fn is_destination(kind: &str) -> bool {
    let kind = name_of(kind);
    let known = ["ipdst", "dst", "destination", "targetip", "victim"];
    known.iter().any(|known| kind.starts_with(known))
}

/// Whether the rank of a network is that of a name of one family of addresses.
pub(crate) fn is_of_family(rank: usize) -> bool {
    network_name(rank).is_some_and(|name| name.starts_with("ipv"))
}

/// Whether the rank of a network is that of a host.
pub(crate) fn is_host(rank: usize) -> bool {
    network_name(rank) == Some(HOST)
}

/// Whether the name of a network of this rank may stand for its length beside an address.
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
