//! The sets of nftables in JSON (`nft -j list set`, libnftables-json(5)).

use mailmesh_events::Rule;

use super::Walk;
use super::spans::{items, members, text_of};
use crate::network::length::networks_between;
use crate::network::{network, networks};
use crate::readers::nft::{Element, ElementForm, Set, is_address_type};
use crate::readers::set_rules::SetRules;
use crate::{List, ListError, Reason};

pub(super) fn read<'a>(walk: &mut Walk<'a>, objects: &'a str) -> Result<(), ListError> {
    let mut rules = SetRules::default();
    for object in items(objects).filter(|object| object.contains("\"@")) {
        rules.add_json(object);
    }
    let rules = &rules;
    for object in items(objects) {
        walk.locate(object);
        let mut members = members(object);
        match members.next().map(|(key, value)| (text_of(key).unwrap_or_default(), value)) {
            Some((kind, value)) if kind == "set" => read_set(walk, value, rules)?,
            Some((kind, value)) if kind == "add" && value.starts_with('{') => {
                // `add` wraps an object that names its kind, such as `set`.
                for (kind, value) in super::members(value) {
                    if text_of(kind).is_ok_and(|kind| kind == "set") {
                        read_set(walk, value, rules)?;
                    }
                }
            }
            Some((_, value)) if value.contains("addr\"") && !value.contains("\"@") => {
                walk.list.leave_out_unit(Reason::Rule);
                if lets_sources_in(value, walk.list.rule()) {
                    except_networks(walk.list, value)?;
                }
            }
            _ => walk.list.leave_out_unit(Reason::Frame),
        }
    }
    Ok(())
}

/// Whether a rule has the verdict that is not the list's, for source addresses.
fn lets_sources_in(rule: &str, read_for: Rule) -> bool {
    let has = |key: &str| rule.contains(&format!("\"{key}\""));
    let is_other = match read_for {
        Rule::Block => has("accept") || has("return"),
        Rule::Allow => has("drop") || has("reject"),
    };
    is_other && has("saddr") && !has("daddr") && !has("!=")
}

/// Cuts the networks in a value out of the list; the caller has bounded the depth.
fn except_networks(list: &mut List, value: &str) -> Result<(), ListError> {
    let first = members(value).next().and_then(|(key, _)| text_of(key).ok());
    let is_network = value.starts_with('"') || matches!(first.as_deref(), Some("prefix" | "range"));
    if is_network {
        let networks = parse(value).map(|element| element.networks).unwrap_or_default();
        return networks.iter().try_for_each(|parsed| list.except_everywhere(parsed.network));
    }
    items(value).try_for_each(|item| except_networks(list, item))?;
    members(value).try_for_each(|(_, inner)| except_networks(list, inner))
}

fn read_set<'a>(walk: &mut Walk<'a>, value: &'a str, rules: &SetRules) -> Result<(), ListError> {
    let (mut set, mut elements) = (Set::default(), "");
    for (key, value) in members(value) {
        match text_of(key).unwrap_or_default().as_str() {
            "name" => set.name = text_of(value).unwrap_or_default(),
            // Newer versions may describe the type by an expression (`typeof`).
            "type" if value.starts_with('{') => {
                let is_address = value.contains("\"saddr\"") && !value.contains("\"daddr\"");
                set.is_addresses = is_address && !value.contains("\"concat\"");
            }
            "type" => set.is_addresses = text_of(value).is_ok_and(|kind| is_address_type(&kind)),
            "timeout" => set.timeout = value.parse().ok(),
            "elem" => elements = value,
            _ => {}
        }
    }
    for element in items(elements) {
        walk.locate(element);
        walk.list.begin_unit();
        let form = if is_counter(element) { ElementForm::Counter } else { ElementForm::Address };
        let content = match parse(element) {
            Ok(content) => Ok(Element { seconds: content.seconds.or(set.timeout), ..content }),
            Err(why) => Err(walk.fault(&why)),
        };
        set.add_element(walk.list, rules, walk.line, form, content)?;
        walk.list.end_unit();
    }
    Ok(())
}

/// Whether an element counts or limits the traffic of an address.
fn is_counter(element: &str) -> bool {
    let inner = members(element).next().map_or("", |(_, inner)| inner);
    let is_limit =
        |key: &str| text_of(key).is_ok_and(|k| matches!(&*k, "limit" | "quota" | "ct count"));
    inner.starts_with('{') && members(inner).any(|(key, _)| is_limit(key))
}

/// The content of an element, without the timeout of its set.
fn parse(element: &str) -> Result<Element, String> {
    if element.len() > super::MAX_RECORD {
        return Err("it is too long".to_owned());
    }
    if element.starts_with('"') {
        let text = text_of(element).unwrap_or_default();
        return Ok(Element { networks: networks(&text)?, ..Element::default() });
    }
    let Some((kind, value)) = members(element).next() else {
        return Err("it is no element of a set of addresses".to_owned());
    };
    let bare = |networks| Element { networks, ..Element::default() };
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
            Ok(bare(vec![network(&format!("{address}/{len}"))?]))
        }
        "range" => {
            let ends: Vec<String> = items(value).take(3).filter_map(|v| text_of(v).ok()).collect();
            let [first, last] = ends.as_slice() else {
                return Err("its range has no two ends".to_owned());
            };
            Ok(bare(networks_between(first, last, "")?))
        }
        "elem" => {
            let (mut read, mut comment, mut seconds, mut left) = (None, String::new(), None, None);
            for (key, value) in members(value) {
                match text_of(key).unwrap_or_default().as_str() {
                    // Only one level: elements do not nest.
                    "val" if !value.contains("\"elem\"") => read = Some(parse(value)?.networks),
                    "comment" => comment = text_of(value).unwrap_or_default(),
                    "timeout" => seconds = value.parse().ok(),
                    "expires" => left = value.parse().ok(),
                    _ => {}
                }
            }
            let networks = read.ok_or_else(|| "it has no value".to_owned())?;
            Ok(Element { networks, comment, seconds: left.or(seconds) })
        }
        _ => Err("it is no element of a set of addresses".to_owned()),
    }
}
