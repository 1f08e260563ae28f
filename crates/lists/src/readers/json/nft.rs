//! The sets of nftables in JSON (`nft -j list set`, libnftables-json(5)).

use super::Walk;
use super::spans::{items, members, text_of};
use crate::network::length::networks_between;
use crate::network::{ParsedNetwork, network, networks};
use crate::readers::nft::{Set, is_address_type};
use crate::readers::set_rules::SetRules;
use crate::record::push;
use crate::{Ends, ListError, Reason};

pub(super) fn read<'a>(walk: &mut Walk<'a>, objects: &'a str) -> Result<(), ListError> {
    let mut uses = SetRules::default();
    for object in items(objects).filter(|object| object.contains("\"@")) {
        uses.add_json(object);
    }
    let uses = &uses;
    for object in items(objects) {
        walk.locate(object);
        let mut members = members(object);
        match members.next().map(|(key, value)| (text_of(key).unwrap_or_default(), value)) {
            Some((kind, value)) if kind == "set" => set(walk, value, uses)?,
            Some((kind, value)) if kind == "add" && value.starts_with('{') => {
                // `add` wraps an object that names its kind, such as `set`.
                for (kind, value) in super::members(value) {
                    if text_of(kind).is_ok_and(|kind| kind == "set") {
                        set(walk, value, uses)?;
                    }
                }
            }
            Some((_, value)) if value.contains("addr\"") && !value.contains("\"@") => {
                walk.list.leave_out_unit(Reason::Rule);
            }
            _ => walk.list.leave_out_unit(Reason::Frame),
        }
    }
    Ok(())
}

fn set<'a>(walk: &mut Walk<'a>, value: &'a str, uses: &SetRules) -> Result<(), ListError> {
    let (mut found, mut elements) = (Set::default(), "");
    for (key, value) in members(value) {
        match text_of(key).unwrap_or_default().as_str() {
            "name" => found.name = text_of(value).unwrap_or_default(),
            // Newer versions may describe the type by an expression (`typeof`).
            "type" if value.starts_with('{') => {
                let is_address = value.contains("\"saddr\"") && !value.contains("\"daddr\"");
                found.is_addresses = is_address && !value.contains("\"concat\"");
            }
            "type" => found.is_addresses = text_of(value).is_ok_and(|kind| is_address_type(&kind)),
            "timeout" => found.timeout = value.parse().ok(),
            "elem" => elements = value,
            _ => {}
        }
    }
    for element in items(elements) {
        walk.locate(element);
        walk.list.begin_unit();
        if !found.is_addresses {
            walk.list.leave_out(Reason::OtherScope);
        } else if uses.is_other(&found.name, walk.list.rule()) {
            if uses.has(&found.name) {
                walk.list.note_set_of_no_bans(
                    walk.line,
                    &found.name,
                    "a rule of the text lets it in",
                );
            }
            walk.list.leave_out(Reason::NotABan);
        } else if is_counter(element) {
            walk.list.note_set_of_no_bans(walk.line, &found.name, "its elements count or limit");
            walk.list.leave_out(Reason::NotABan);
        } else {
            match parse(element) {
                Ok((networks, comment, seconds)) => {
                    let seconds = seconds.or(found.timeout);
                    let ends = seconds
                        .map_or(Ends::Never, |s| Ends::After(std::time::Duration::from_secs(s)));
                    let (line, name) = (walk.line, &found.name);
                    let reason = if comment.is_empty() { name } else { &comment };
                    push(walk.list, line, &networks, reason, "nftables", ends)?;
                }
                Err(why) => walk.refuse(&why),
            }
        }
        walk.list.end_unit();
    }
    Ok(())
}

/// Whether an element counts or limits the traffic of an address.
fn is_counter(element: &str) -> bool {
    let inner = members(element).next().map_or("", |(_, inner)| inner);
    let is_one =
        |key: &str| text_of(key).is_ok_and(|k| matches!(&*k, "limit" | "quota" | "ct count"));
    inner.starts_with('{') && members(inner).any(|(key, _)| is_one(key))
}

/// Networks, comment, and the seconds left until the element expires.
type Element = (Vec<ParsedNetwork>, String, Option<u64>);

fn parse(element: &str) -> Result<Element, String> {
    if element.len() > super::MAX_ENTRY {
        return Err("it is too long".to_owned());
    }
    if element.starts_with('"') {
        let text = text_of(element).unwrap_or_default();
        return Ok((networks(&text)?, String::new(), None));
    }
    let Some((kind, value)) = members(element).next() else {
        return Err("it is no element of a set of addresses".to_owned());
    };
    match text_of(kind).unwrap_or_default().as_str() {
        "prefix" => {
            let (mut address, mut len) = (String::new(), "");
            for (key, value) in members(value) {
                match text_of(key).unwrap_or_default().as_str() {
                    "addr" => address = text_of(value).unwrap_or_default(),
                    "len" => len = value,
                    _ => {}
                }
            }
            Ok((vec![network(&format!("{address}/{len}"))?], String::new(), None))
        }
        "range" => {
            let ends: Vec<String> = items(value).take(3).filter_map(|v| text_of(v).ok()).collect();
            let [first, last] = ends.as_slice() else {
                return Err("its range has no two ends".to_owned());
            };
            Ok((networks_between(first, last, "")?, String::new(), None))
        }
        "elem" => {
            let (mut read, mut comment, mut seconds, mut left) = (None, String::new(), None, None);
            for (key, value) in members(value) {
                match text_of(key).unwrap_or_default().as_str() {
                    // Only one level: elements do not nest.
                    "val" if !value.contains("\"elem\"") => read = Some(parse(value)?.0),
                    "comment" => comment = text_of(value).unwrap_or_default(),
                    "timeout" => seconds = value.parse().ok(),
                    "expires" => left = value.parse().ok(),
                    _ => {}
                }
            }
            let networks = read.ok_or_else(|| "it has no value".to_owned())?;
            Ok((networks, comment, left.or(seconds)))
        }
        _ => Err("it is no element of a set of addresses".to_owned()),
    }
}
