//! The keys of a JSON object, by what they say about its entry.

use super::nested_end::end_within;
use super::nested_verdict::other_verdict_within;
use super::spans::{items, members, text_of};
use crate::List;
use crate::column::{Hint, Role, RoleName, hint_of_name, role_of_name};
use crate::exception::holds_exceptions;
use crate::network::network;
use crate::record::Record;
use crate::secret_key::excerpt;
use crate::verdict::{is_score, is_verdict_name, score_note};
use crate::words::clean;

/// The advice for an end inside an object or list.
const BESIDE: &str = "put it beside the network, as `expires` or `ttl`";

/// The advice for a verdict inside an object or list.
const BESIDE_NETWORK: &str = "put it beside the network, or take it out";

/// The keys of an object and their texts.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// In the order of the ranks.
    roles: Vec<RoleKey>,
    verdicts: Vec<VerdictKey>,
    others: Vec<OtherKey>,
    /// Keys that say nothing about the entry.
    pub(super) unused: Vec<String>,
    /// Notes on keys that hold a score.
    pub(super) score_notes: Vec<String>,
    /// The object describes the list.
    pub(super) is_metadata: bool,
    /// Why a verdict in an inner object makes it unclear whether the entry is meant.
    unclear: Option<String>,
    /// The object is of an autonomous system.
    pub(super) is_autonomous_system: bool,
}

#[derive(Debug)]
struct RoleKey {
    name: RoleName,
    text: String,
}

#[derive(Debug)]
struct VerdictKey {
    key: String,
    text: String,
}

/// A key without a role; it may hold an end.
#[derive(Debug)]
struct OtherKey {
    key: String,
    hint: Hint,
    text: String,
}

impl Keys {
    /// The keys of an object, or its fault. Moments in inner objects are recorded in the list.
    pub(super) fn of(object: &str, list: &mut List) -> Result<Self, String> {
        let mut keys = Self::default();
        for (key, value) in members(object) {
            keys.add(text_of(key).unwrap_or_default(), value, list)?;
        }
        keys.roles.sort_by_key(|known| known.name.rank);
        let has = |role: Role| keys.roles.iter().any(|known| known.name.role == role);
        if !has(Role::Network) && !has(Role::First) {
            let is_network =
                |known: &&mut RoleKey| known.name.is_source() && network(&known.text).is_ok();
            if let Some(source) = keys.roles.iter_mut().find(is_network) {
                source.name.role = Role::Network;
            }
        }
        Ok(keys)
    }

    fn add(&mut self, key: String, value: &str, list: &mut List) -> Result<(), String> {
        self.is_autonomous_system |= key.eq_ignore_ascii_case("asn");
        if is_verdict_name(&key) {
            self.add_verdict(&key, value);
        }
        if value.starts_with(['{', '['])
            && let Some(end) = end_within(list, &key, value)
        {
            let key = excerpt(&key);
            return Err(format!("`{key}` may have its end in it (`{end}`): {BESIDE}"));
        }
        if value.starts_with(['{', '[']) && self.unclear.is_none() && !is_verdict_name(&key) {
            let verdict = other_verdict_within(&key, value, list.rule());
            self.unclear = verdict.map(|verdict| {
                let key = excerpt(&key);
                format!("`{verdict}` in `{key}` may say that it is not meant: {BESIDE_NETWORK}")
            });
        }
        let Some(name) = role_of_name(&key) else {
            self.add_other(key, value);
            return Ok(());
        };
        if let Some(text) = text_for(name, &key, value)? {
            self.is_metadata |= name.role == Role::Kind && text == "metadata";
            self.roles.push(RoleKey { name, text });
        }
        Ok(())
    }

    /// Adds a key that may say whether the network is blocked; its value may be a list of texts.
    fn add_verdict(&mut self, key: &str, value: &str) {
        let mut texts: Vec<String> = items(value).map(decoded).collect();
        if texts.is_empty() {
            // A value that is not there is blank.
            let is_nothing = value == "null" || clean(value).starts_with('[');
            texts.push(if is_nothing { String::new() } else { decoded(value) });
        }
        let verdicts = texts.into_iter().map(|text| VerdictKey { key: key.to_owned(), text });
        self.verdicts.extend(verdicts);
        self.score_notes.extend(is_score(key).then(|| score_note(key)));
    }

    fn add_other(&mut self, key: String, value: &str) {
        if !is_verdict_name(&key) {
            self.unused.push(key.clone());
        }
        let is_exceptions = value.starts_with('[') && holds_exceptions(&key);
        if (is_exceptions || !value.starts_with(['{', '['])) && value != "null" {
            let hint = hint_of_name(&key);
            self.others.push(OtherKey { key, hint, text: decoded(value) });
        }
    }

    /// Adds the keys to a record.
    pub(super) fn add_to<'a>(&'a self, record: &mut Record<'a>) {
        if let Some(why) = &self.unclear {
            record.set_unclear(why);
        }
        for RoleKey { name, text } in &self.roles {
            record.set(*name, text);
        }
        for OtherKey { key, hint, text } in &self.others {
            record.add_other(key, *hint, text);
        }
        for VerdictKey { key, text } in &self.verdicts {
            record.add_verdict(key, text);
        }
    }
}

/// The text of a key with a role; `None` if the value says nothing for this role.
fn text_for(name: RoleName, key: &str, value: &str) -> Result<Option<String>, String> {
    match value.as_bytes().first() {
        Some(b'"') => Ok(Some(text_of(value).unwrap_or_default())),
        Some(b'{' | b'[') if matches!(name.role, Role::Reason | Role::Origin | Role::Kind) => {
            Ok(None)
        }
        // Skipping an object or list here would lose what it says about the network.
        Some(b'{' | b'[') => Err(format!("`{}` is no text", excerpt(key))),
        None => Ok(None),
        _ if value == "null" => Ok(None),
        _ if name.role == Role::Network && !name.may_hold_length() => {
            Err(format!("`{key}` is no text"))
        }
        _ => Ok(Some(value.to_owned())),
    }
}

/// The text of a string, or any other value as written.
fn decoded(value: &str) -> String {
    text_of(value).unwrap_or_else(|_| value.to_owned())
}
