//! A row of a table, an object of JSON or a decision as a record by the names of its columns or
//! keys, and its way into the list.

use std::net::IpAddr;

use mailmesh_events::Rule;

use crate::field::{
    Bare, Parsed, bounded, clean, ends, is_addresses, network, networks, range, shown,
};
use crate::verdict::{Said, is_allowance, is_ban, is_false, is_remediation, is_true, name_of};
use crate::{Ends, Entry, List, ListError, Reason};

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
    Scope,
    /// The action: a ban, a captcha.
    Action,
    /// The kind of a decision: an action if there is a scope or a duration beside it.
    Kind,
    Simulated,
    /// Whether the network is trusted.
    Trusted,
    /// Whether it is in force.
    Active,
    /// An address that was attacked: no banned network.
    Destination,
}

/// The rank of `source` among the names of an origin: the network, in a table without another.
pub(crate) const SOURCE_RANK: usize = 1;

impl Role {
    /// Every role, at its index.
    pub(crate) const ALL: [Self; 15] = [
        Self::Network,
        Self::First,
        Self::Last,
        Self::Mask,
        Self::Reason,
        Self::Origin,
        Self::Until,
        Self::Lasts,
        Self::Scope,
        Self::Action,
        Self::Kind,
        Self::Simulated,
        Self::Trusted,
        Self::Active,
        Self::Destination,
    ];
}

pub(crate) const ROLES: usize = Role::ALL.len();

/// The names of each role, those that count most first.
const NAMES: [(Role, &[&str]); ROLES] = [
    (
        Role::Network,
        &[
            // One address before the network that it lies in: a table may have both.
            "value",
            "ip",
            "ipaddress",
            "ipaddr",
            "ipv4",
            "ipv6",
            "srcip",
            "sourceip",
            "src",
            "srcaddr",
            "srcaddress",
            "sourceaddress",
            "saddr",
            "clientip",
            "remoteip",
            "attackerip",
            "ipcidr",
            "cidr",
            "network",
            "address",
            "addr",
            "prefix",
            "ipprefix",
            "ipv4prefix",
            "ipv6prefix",
            "subnet",
            "net",
            "netblock",
            "netz",
            "netzwerk",
            "adresse",
            "ipadresse",
            "adresseip",
            "range",
            "iprange",
            "host",
        ],
    ),
    (
        Role::First,
        &["start", "startip", "ipstart", "startaddress", "rangestart", "firstip", "from"],
    ),
    (Role::Last, &["end", "endip", "ipend", "endaddress", "rangeend", "lastip", "to"]),
    (Role::Mask, &["netmask", "mask", "prefixlength", "prefixlen", "masklength", "bits"]),
    (
        Role::Reason,
        &[
            "reason",
            "comment",
            "comments",
            "description",
            "scenario",
            "note",
            "notes",
            "sblid",
            "grund",
            "raison",
            "motif",
            "motivo",
            "category",
            "malware",
            "threat",
            "name",
            "tag",
            "tags",
            "message",
        ],
    ),
    (Role::Origin, &["origin", "source", "feed", "list", "reporter"]),
    (
        Role::Until,
        &[
            "expires",
            "expiry",
            "until",
            "expiration",
            "expiresat",
            "bis",
            "ablauf",
            "gültigbis",
            "expirydate",
            "validuntil",
            "ends",
        ],
    ),
    (Role::Lasts, &["duration", "ttl", "timeout", "bantime", "lifetime", "dauer", "durée"]),
    (Role::Scope, &["scope"]),
    (Role::Action, &["action", "remediation", "verdict"]),
    (Role::Kind, &["type"]),
    (Role::Simulated, &["simulated"]),
    (Role::Trusted, &["iswhitelisted", "whitelisted", "whitelist"]),
    (Role::Active, &["active", "enabled", "isactive", "isenabled"]),
    (Role::Destination, &[]),
];

/// The role of a name, and its rank among those of that role: the least counts. Case, spaces and
/// signs do not matter.
pub(crate) fn role(name: &str) -> Option<(Role, usize)> {
    let name = name_of(name);
    if name.starts_with("dst") || name.starts_with("dest") {
        let is_address = !["port", "country", "host"].iter().any(|end| name.ends_with(end));
        return Some((Role::Destination, usize::from(!is_address)));
    }
    NAMES.iter().find_map(|(role, names)| {
        names.iter().position(|known| *known == name).map(|rank| (*role, rank))
    })
}

/// The texts of a record, by role.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    texts: [Option<&'a str>; ROLES],
    /// The statements of its columns or keys on whether it is blocked.
    said: Vec<Said>,
}

impl<'a> Record<'a> {
    pub(crate) fn set(&mut self, role: Role, text: &'a str) {
        self.texts[role as usize] = Some(text);
    }

    /// Adds the statement of a column or key on whether the network is blocked.
    pub(crate) fn add(&mut self, said: Option<Said>) {
        self.said.extend(said.filter(|said| !self.said.contains(said)));
    }

    fn get(&self, role: Role) -> &'a str {
        self.texts[role as usize].map_or("", clean)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.texts[role as usize].is_some()
    }

    /// Whether the record names a network.
    pub(crate) fn names_network(&self) -> bool {
        self.has(Role::Network) || self.has(Role::First)
    }

    /// Takes the record into the list.
    pub(crate) fn take(&self, list: &mut List, line: usize) -> Result<(), ListError> {
        if !self.names_network() && self.has(Role::Destination) {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if let Some(reason) = self.left_out(list.rule.0) {
            list.leave_out(reason);
            return Ok(());
        }
        if is_addresses(self.get(Role::Reason)) {
            list.refuse(line, "the reason is an address: are there two on the line?");
            return Ok(());
        }
        match self.read() {
            Ok((networks, ends)) => self.push(list, line, &networks, ends),
            Err(why) => {
                list.refuse(line, why);
                Ok(())
            }
        }
    }

    /// The reason to leave the record out, if its source means no entry for this rule by it.
    fn left_out(&self, rule: Rule) -> Option<Reason> {
        let scope = self.get(Role::Scope);
        let is_ours = ["", "ip", "range"].iter().any(|known| scope.eq_ignore_ascii_case(known));
        let value = self.get(Role::Network);
        let is_scoped = value.split_once(':').is_some_and(|(scope, _)| {
            ["country", "as", "username", "user", "session"]
                .iter()
                .any(|known| scope.eq_ignore_ascii_case(known))
        });
        if !is_ours || (is_scoped && network(value).is_err()) {
            return Some(Reason::OtherScope);
        }
        if is_true(self.get(Role::Simulated)) {
            return Some(Reason::Simulated);
        }
        let kind = self.get(Role::Kind);
        let is_decision = self.has(Role::Scope) || self.has(Role::Lasts);
        let is_decided = is_decision && is_remediation(kind, self.has(Role::Scope));
        let decided = if is_decided { kind } else { "" };
        let action = self.get(Role::Action);
        let is_other = |said: &str| !said.is_empty() && !is_ban(said);
        let is_trusted = is_true(self.get(Role::Trusted));
        let is_inactive = self.has(Role::Active) && is_false(self.get(Role::Active));
        let is_no_ban = if rule == Rule::Allow {
            let is_blocked = self.said.contains(&Said::Blocked);
            is_ban(decided) || is_ban(action) || is_inactive || is_blocked
        } else {
            let is_other = is_other(decided) || is_other(action) || is_allowance(kind);
            let is_not = self.said.iter().any(|said| *said != Said::Blocked);
            is_other || is_trusted || is_inactive || is_not
        };
        is_no_ban.then_some(Reason::NotABan)
    }

    fn read(&self) -> Result<(Vec<Parsed>, Ends), String> {
        let networks = self.networks()?;
        let mut until = ends(self.get(Role::Until), Bare::Moment)?;
        let last = self.get(Role::Last);
        // Beside a network, `end` is when, unless it is an address.
        if self.has(Role::Network) && until == Ends::Never && last.parse::<IpAddr>().is_err() {
            until = ends(last, Bare::Moment)?;
        }
        let lasts = ends(self.get(Role::Lasts), Bare::Seconds)?;
        let ends = if until == Ends::Never { lasts } else { until };
        Ok((networks, ends))
    }

    fn networks(&self) -> Result<Vec<Parsed>, String> {
        let text = self.get(Role::Network);
        let (first, last, mask) =
            (self.get(Role::First), self.get(Role::Last), self.get(Role::Mask));
        if text.is_empty() && !first.is_empty() {
            return spanned(first, last, mask);
        }
        if !mask.is_empty() && !text.contains(['/', '-']) {
            return spanned(text, "", mask);
        }
        networks(text)
    }

    fn push(
        &self,
        list: &mut List,
        line: usize,
        networks: &[Parsed],
        ends: Ends,
    ) -> Result<(), ListError> {
        let reason = match self.get(Role::Reason) {
            "" if !self.has(Role::Scope) => self.get(Role::Kind),
            reason => reason,
        };
        push(list, line, networks, reason, self.get(Role::Origin), ends)
    }
}

/// Takes networks into the list, with a note for host bits. Addresses are no reason.
pub(crate) fn push(
    list: &mut List,
    line: usize,
    networks: &[Parsed],
    reason: &str,
    origin: &str,
    ends: Ends,
) -> Result<(), ListError> {
    let reason = if is_addresses(reason) { "" } else { reason };
    let (reason, origin) = (bounded(reason), bounded(origin));
    for Parsed { network, has_host_bits } in networks {
        if *has_host_bits {
            list.note(line, format_args!("host bits are set: read as {network}"));
        }
        let (reason, origin) = (reason.clone(), origin.clone());
        list.push(Entry { line, network: *network, reason, origin, ends, unit: 0 })?;
    }
    Ok(())
}

/// The networks between two addresses, or of an address and a mask; of all three if they agree.
pub(crate) fn spanned(first: &str, last: &str, mask: &str) -> Result<Vec<Parsed>, String> {
    let with_mask = if mask.is_empty() {
        None
    } else {
        let prefix = format!("{first}/{mask}");
        Some(network(&prefix)?)
    };
    if last.is_empty() {
        return match with_mask {
            Some(parsed) => Ok(vec![parsed]),
            None => Ok(vec![network(first)?]),
        };
    }
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", shown(text)))
    };
    let networks = range(address(first)?, address(last)?)?;
    match with_mask {
        Some(parsed) if networks != [Parsed { has_host_bits: false, ..parsed }] => {
            Err(format!("{first} to {last} is not {}", parsed.network))
        }
        _ => Ok(networks),
    }
}
