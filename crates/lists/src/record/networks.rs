//! The networks of a record: one address or range, with masks and lengths beside it.

use super::{Record, RoleText};
use crate::column::Role;
use crate::network::length::{networks_between, networks_with_length, read_with_lengths};
use crate::network::{ParsedNetwork, is_length, is_netmask, is_within, networks};
use crate::secret_key::excerpt;

impl<'a> Record<'a> {
    /// Refuses a record whose addresses are named `from` and `to`.
    pub(super) fn refuse_from_and_to(&self) -> Result<(), String> {
        if self.names_network() || !(self.has(Role::From) || self.has(Role::To)) {
            return Ok(());
        }
        Err("`from` and `to` may be a range, or source and destination: name them `start` and \
             `end`, or `src` and `dst`"
            .to_owned())
    }

    pub(super) fn networks(&self) -> Result<Vec<ParsedNetwork>, String> {
        let first = self.get(Role::First);
        let (lengths, addresses): (Vec<_>, Vec<_>) =
            self.all(Role::Network).partition(RoleText::is_length);
        let mut addresses =
            addresses.into_iter().filter(|text| networks(text.text).is_ok()).peekable();
        let has_address = addresses.peek().is_some() || !first.is_empty();
        let has_length = has_address && !lengths.is_empty();
        let lengths = lengths.into_iter().filter(|_| has_length);
        let masks = self.all(Role::Mask).chain(lengths).map(|mask| mask.text);
        let masks: Vec<&str> = masks.map(|mask| mask.strip_prefix('/').unwrap_or(mask)).collect();
        let Some(address) = addresses.next() else {
            let text = self.get(Role::Network);
            return if first.is_empty() || !text.is_empty() {
                networks(text)
            } else {
                let last = self.get(Role::Last);
                read_with_lengths(&masks, |mask| networks_between(first, last, mask))
            };
        };
        let text = address.text;
        let mut read = read_with_lengths(&masks, |mask| networks_with_length(text, mask))?;
        if has_length && !text.contains('/') && read.iter().any(|parsed| parsed.has_host_bits) {
            return Err(format!(
                "`{}` is no network of length `{}`: is the address meant, or the network?",
                excerpt(text),
                excerpt(masks[0])
            ));
        }
        for other in addresses {
            address.add_other(other, &mut read)?;
        }
        Ok(read)
    }
}

impl RoleText<'_> {
    /// Whether a text under the name of a network is a length beside the address.
    fn is_length(&self) -> bool {
        let text = self.text;
        let is_bare = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_length(text) || is_netmask(text) || (is_bare && self.name.may_hold_length())
    }

    /// Adds another address of the record to those that were read from this one.
    fn add_other(&self, other: RoleText<'_>, read: &mut Vec<ParsedNetwork>) -> Result<(), String> {
        // A street or host name is not an address; a host beside a network does not count.
        let Ok(others) = networks(other.text) else { return Ok(()) };
        let is_covered = |parsed: &ParsedNetwork| {
            others.iter().any(|other| is_within(parsed.network, other.network))
        };
        if other.name.is_host() || read.iter().all(is_covered) {
            return Ok(());
        }
        if !self.name.is_for_one_family() || !other.name.is_for_one_family() {
            return Err(format!(
                "it has two addresses, `{}` and `{}`: which one is meant?",
                excerpt(self.text),
                excerpt(other.text)
            ));
        }
        read.extend(others);
        Ok(())
    }
}
