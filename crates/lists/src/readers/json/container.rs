//! An outermost object: a container of lists of networks or records, or a single record.

use super::addresses::{mentions_network_within, names_networks};
use super::enclosing::Enclosing;
use super::spans::{items, members, text_of};
use super::{AlertContext, Walk, decisions, nft};
use mailmesh_events::Rule;

use crate::column::{Role, role_of_name};
use crate::exception::holds_exceptions;
use crate::network::networks;
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::verdict::list_name::is_for_other_rule;
use crate::{ListError, MAX_NAMES_IN_NOTE, Reason};

/// The kind of a member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// The objects of `nft -j`.
    Nftables,
    /// Networks, records, decisions or alerts.
    Entries,
    /// Networks that are not blocked, or no longer blocked.
    NotBans,
    /// An object that may hold such lists.
    Container,
    /// Networks under a key that does not say whether they are banned.
    Unknown,
    /// A list or object without networks.
    NoNetworks,
    /// A text or number.
    Plain,
}

/// Keys of lists of banned networks.
const ENTRIES: [&str; 36] = [
    "decisions",
    "new",
    "data",
    "alerts",
    "results",
    "result",
    "items",
    "entries",
    "records",
    "rows",
    "prefixes",
    "ipv4prefixes",
    "ipv6prefixes",
    "ips",
    "ip",
    "ipv4",
    "ipv6",
    "addresses",
    "ipv4addresses",
    "ipv6addresses",
    "ipaddresses",
    "networks",
    "cidrs",
    "ipv4cidrs",
    "ipv6cidrs",
    "subnets",
    "ranges",
    "blocklist",
    "blacklist",
    "denylist",
    "droplist",
    "banned",
    "blocked",
    "bans",
    "list",
    "network",
];
/// Keys of lists of networks that are no longer banned, or are exceptions. The stream of CrowdSec's
/// local API has `deleted`.
const REMOVED_OR_EXCEPTED: [&str; 10] = [
    "deleted",
    "removed",
    "expired",
    "revoked",
    "unbanned",
    "unblocked",
    "inactive",
    "disabled",
    "falsepositives",
    "exceptions",
];

impl<'a> Walk<'a> {
    pub(super) fn outermost_object(&mut self, value: &'a str) -> Result<(), ListError> {
        let is_stream = members(value).any(|(key, _)| matches!(key, "\"new\"" | "\"deleted\""));
        if decisions(value).is_some() && !is_stream {
            // A single alert.
            return self.entry(value, AlertContext::default());
        }
        self.container(value)
    }

    fn container(&mut self, value: &'a str) -> Result<(), ListError> {
        let before = self.enclosing.clone();
        self.enclosing.add(value, self.list.rule());
        let result = self.members_of_container(value, &before);
        self.enclosing = before;
        result
    }

    fn members_of_container(
        &mut self,
        value: &'a str,
        before: &Enclosing,
    ) -> Result<(), ListError> {
        let kinds: Vec<Member> =
            members(value).map(|(key, inner)| self.kind_of(key, inner)).collect();
        let has = |kind: Member| kinds.contains(&kind);
        let own = members(value).find(|(key, inner)| {
            let role = text_of(key).ok().and_then(|key| role_of_name(&key));
            inner.starts_with('"') && role.is_some_and(|known| known.role == Role::Network)
        });
        let is_record = own.is_some() || !has(Member::Unknown);
        let is_container = has(Member::Nftables)
            || has(Member::Entries)
            || has(Member::NotBans)
            || has(Member::Container);
        if is_record && !is_container {
            // The keys of a record apply to the record alone.
            self.enclosing = before.clone();
            return self.entry(value, AlertContext::default());
        }
        if let Some((key, _)) = own {
            let key = excerpt(&text_of(key).unwrap_or_default());
            self.unknown(value, &format!("an object has a network (`{key}`) and lists besides"));
        }
        let mut unused = Vec::new();
        for ((key, inner), kind) in members(value).zip(kinds) {
            let key = excerpt(&text_of(key).unwrap_or_default());
            match kind {
                Member::Nftables => nft::read(self, inner)?,
                Member::Entries => {
                    items(inner).try_for_each(|item| self.entry(item, AlertContext::default()))?
                }
                Member::NotBans => self.not_bans(&key, inner)?,
                Member::Container => self.container(inner)?,
                Member::Unknown => self.unknown_member(&key, inner)?,
                Member::NoNetworks
                    if unused.len() < MAX_NAMES_IN_NOTE && items(inner).next().is_some() =>
                {
                    unused.push(key);
                }
                Member::NoNetworks | Member::Plain => {}
            }
        }
        if !unused.is_empty() {
            let line = self.line;
            self.list.note(line, format_args!("keys that are not used: {}", unused.join(", ")));
        }
        Ok(())
    }

    /// Leaves out the networks of a list that are not banned, or no longer.
    fn not_bans(&mut self, key: &str, value: &'a str) -> Result<(), ListError> {
        let is_let_in = !holds_removed(key);
        for item in items(value) {
            self.locate(item);
            self.list.leave_out_unit(Reason::OtherAction);
            if is_let_in {
                self.except_networks_in(item)?;
            }
        }
        Ok(())
    }

    /// Counts the networks under a key that does not say whether they are banned.
    fn unknown_member(&mut self, key: &str, value: &'a str) -> Result<(), ListError> {
        if holds_exceptions(key) || is_for_other_rule(key, self.list.rule()) {
            self.except_networks_in(value)?;
        }
        let why = format!(
            "it is in `{key}`, a key that is not known; write it as a list of its own, if it is \
             to be read"
        );
        if value.starts_with('[') {
            items(value).for_each(|item| self.unknown(item, &why));
        } else {
            self.unknown(value, &why);
        }
        Ok(())
    }

    fn kind_of(&self, key: &str, inner: &str) -> Member {
        let key = text_of(key).unwrap_or_default();
        let (name, rule) = (normal_name(&key), self.list.rule());
        let is_list = inner.starts_with('[');
        let is_object = inner.starts_with('{');
        if is_list && name == "nftables" {
            Member::Nftables
        } else if is_list
            && (REMOVED_OR_EXCEPTED.contains(&&*name) || is_for_other_rule(&key, rule))
        {
            Member::NotBans
        } else if (is_list || inner == "null")
            && (ENTRIES.contains(&&*name)
                || (rule == Rule::Allow && is_for_other_rule(&key, Rule::Block)))
        {
            Member::Entries
        } else if is_object
            && (ENTRIES.contains(&&*name) || name == "response")
            && members(inner).any(|(key, inner)| self.kind_of(key, inner) == Member::Entries)
        {
            Member::Container
        } else if !is_list && !is_object {
            Member::Plain
        } else if names_networks(inner) {
            Member::Unknown
        } else {
            Member::NoNetworks
        }
    }

    /// Excludes the networks inside a value from wider entries of the list.
    fn except_networks_in(&mut self, value: &str) -> Result<(), ListError> {
        let text = text_of(value).ok().filter(|_| value.starts_with('"'));
        let networks = text.and_then(|text| networks(&text).ok()).unwrap_or_default();
        self.list.except_all_by_longest_match(&networks)?;
        items(value).try_for_each(|item| self.except_networks_in(item))?;
        members(value).try_for_each(|(_, inner)| self.except_networks_in(inner))
    }

    /// Counts a value whose key does not say that its networks are banned.
    fn unknown(&mut self, item: &'a str, why: &str) {
        self.locate(item);
        self.list.begin_unit();
        if names_networks(item) {
            self.refuse(why);
        } else if mentions_network_within(item) {
            self.refuse("an address is within a text of it, as in a pattern of STIX: give it bare");
        } else {
            self.list.leave_out(Reason::Frame);
        }
        self.list.end_unit();
    }
}

/// Whether the entries of a key were removed, rather than allowed.
fn holds_removed(key: &str) -> bool {
    let name = normal_name(key);
    REMOVED_OR_EXCEPTED.contains(&&*name) && !holds_exceptions(key)
}
