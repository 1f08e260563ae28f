//! Whether there are addresses in a JSON value.

use super::spans::{items, members, text_of};
use crate::network::{mentions_network, networks};

/// Whether a value contains a network at any depth.
pub(super) fn names_networks(value: &str) -> bool {
    match value.as_bytes().first() {
        Some(b'"') => text_of(value).is_ok_and(|text| networks(&text).is_ok()),
        Some(b'[') => items(value).any(names_networks),
        Some(b'{') => {
            members(value).any(|(key, inner)| names_networks(key) || names_networks(inner))
        }
        _ => false,
    }
}

/// Whether a text at any depth of a value contains an address, as in a pattern of a STIX indicator.
pub(super) fn mentions_network_within(value: &str) -> bool {
    match value.as_bytes().first() {
        Some(b'"') => text_of(value).is_ok_and(|text| mentions_network(&text)),
        Some(b'[') => items(value).any(mentions_network_within),
        Some(b'{') => members(value).any(|(_, inner)| mentions_network_within(inner)),
        _ => false,
    }
}
