//! The meaning of columns and keys, derived from their names.

mod hint;
mod role_names;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::ends::duration::unit_millis;
use crate::normal_name::{NormalName, normal_name};
pub(crate) use hint::{END_PARTS, Hint, hint_of_name, is_creation};
use role_names::{HOST, LENGTH_NAMES, NETWORK_NAMES, ROLES, SOURCE};

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

/// A role with the rank of the name that gave it, among the names of that role: where several
/// columns or keys have one role, the lowest rank wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleName {
    pub(crate) role: Role,
    pub(crate) rank: usize,
}

/// Added to the rank of a name that ends in `utc` or `gmt`: its moments are in UTC.
const UTC_RANK: usize = 1 << 16;

impl RoleName {
    /// The role under its first name.
    pub(crate) const fn first(role: Role) -> Self {
        Self { role, rank: 0 }
    }

    /// Whether the name says that its moments are in UTC.
    pub(crate) fn is_in_utc(self) -> bool {
        self.rank >= UTC_RANK
    }

    /// Whether the name is `source`: in a record without a network, `source` is the network.
    pub(crate) fn is_source(self) -> bool {
        static RANK: LazyLock<Option<RoleName>> = LazyLock::new(|| BY_NAME.get(SOURCE).copied());
        Some(self) == *RANK
    }

    /// Whether the name of a network is for one address family only.
    pub(crate) fn is_for_one_family(self) -> bool {
        self.network_name().is_some_and(|name| name.starts_with("ipv"))
    }

    /// Whether the name of a network means a host.
    pub(crate) fn is_host(self) -> bool {
        self.network_name() == Some(HOST)
    }

    /// Whether the name of a network may hold the prefix length beside an address.
    pub(crate) fn may_hold_length(self) -> bool {
        self.network_name().is_some_and(|name| LENGTH_NAMES.contains(&name))
    }

    /// Whether the name of a duration says that it is what is left, so that it counts from now.
    pub(crate) fn is_remaining(self) -> bool {
        if !matches!(self.role, Role::Lasts | Role::LastsIn(_)) {
            return false;
        }
        let durations = ROLES.iter().find(|of_role| of_role.role == Role::Lasts);
        let name = durations.and_then(|of_role| of_role.names.get(self.rank));
        name.is_some_and(|name| ["left", "remaining", "rest"].iter().any(|p| name.contains(p)))
    }

    /// The name, if the role is a network.
    fn network_name(self) -> Option<&'static str> {
        NETWORK_NAMES.get(self.rank).copied().filter(|_| self.role == Role::Network)
    }
}

static BY_NAME: LazyLock<HashMap<&str, RoleName>> = LazyLock::new(|| {
    let ranked = |of_role: role_names::NamesOfRole| {
        let role = of_role.role;
        of_role.names.iter().enumerate().map(move |(rank, name)| (*name, RoleName { role, rank }))
    };
    ROLES.into_iter().flat_map(ranked).collect()
});

/// All names of columns that hold ends.
pub(crate) fn names_of_ends() -> impl Iterator<Item = &'static str> {
    let of_ends = ROLES.into_iter().filter(|of_role| of_role.role.is_end());
    of_ends.flat_map(|of_role| of_role.names).copied()
}

/// The role of a name. Case, spaces, punctuation and accents do not matter.
pub(crate) fn role_of_name(name: &str) -> Option<RoleName> {
    let name = normal_name(name);
    if name.starts_with("dst") || name.starts_with("dest") {
        let is_address = !["port", "country", "host"].iter().any(|end| name.ends_with(end));
        return Some(RoleName { role: Role::Destination, rank: usize::from(!is_address) });
    }
    let known = |name: &str| BY_NAME.get(name).copied();
    known(&name).or_else(|| until_in_utc(&name)).or_else(|| duration_in_unit(&name))
}

/// The role of a moment's name that ends with the zone (`expires_utc`).
fn until_in_utc(name: &NormalName) -> Option<RoleName> {
    let without_zone = ["utc", "gmt"].into_iter().find_map(|zone| name.strip_suffix(zone))?;
    let known = BY_NAME.get(without_zone).filter(|known| known.role == Role::Until)?;
    Some(RoleName { rank: known.rank + UTC_RANK, ..*known })
}

/// The role of a duration's name that ends with a unit (`ttl_ms`, `Dauer in Stunden`).
fn duration_in_unit(name: &str) -> Option<RoleName> {
    // These stems take no one-letter unit: `bans` and `blocks` are other words.
    const BLOCKS: [&str; 6] = ["ban", "block", "banned", "blocked", "lock", "sperr"];
    let with_unit_at = |at: usize| {
        let (stem, word) = (name.get(..at)?, name.get(at..)?);
        let millis = unit_millis(word).filter(|millis| *millis > 0)?;
        let rank_of_lasting = |stem: &str| {
            let known = BY_NAME.get(stem).filter(|known| known.role == Role::Lasts);
            let is_block = word.len() > 1 && BLOCKS.contains(&stem);
            known.map(|known| known.rank).or_else(|| is_block.then_some(0))
        };
        let without = ["in", "en", "w"].into_iter().find_map(|word| stem.strip_suffix(word));
        let rank = rank_of_lasting(stem).or_else(|| rank_of_lasting(without?))?;
        Some(RoleName { role: Role::LastsIn(millis), rank })
    };
    // The longest unit is found first: `ms` before `s`.
    (1..name.len()).filter(|at| name.len() - at <= 12).find_map(with_unit_at)
}

/// Whether the type of a value says that it is the address that was connected to.
pub(crate) fn is_destination_type(kind: &str) -> bool {
    let kind = normal_name(kind);
    let known = ["ipdst", "dst", "destination", "targetip", "victim"];
    known.iter().any(|known| kind.starts_with(known))
}
