//! Settings of Zenoh that drop mailmesh's own messages: nodes are linked, but do not hear each
//! other, and Zenoh reports nothing.

use serde_json::Value;
use zenoh::key_expr::KeyExpr;

use super::Warning;
use super::mesh::MeshSettings;
use super::zenoh_settings::ZenohSettings;
use crate::KeySpace;

/// Name of a cluster for which `mesh.cluster` is not set.
pub(super) const DEFAULT_CLUSTER: &str = "mail";
/// Length of mailmesh's largest frame in bytes.
const MAX_FRAME_LEN: u64 = 260 << 10;
/// The messages of Zenoh without which a node hears no other.
const NEEDED_MESSAGES: [&str; 2] = ["put", "declare_subscriber"];
const FLOWS: [&str; 2] = ["egress", "ingress"];
/// Restrictions of a subject of access control.
const RESTRICTIONS: [&str; 5] =
    ["interfaces", "cert_common_names", "usernames", "link_protocols", "zids"];

/// Warns of each setting by which Zenoh drops frames between nodes.
pub(super) fn warnings(settings: &ZenohSettings, mesh: &MeshSettings) -> Vec<Warning> {
    let cluster = mesh.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER);
    // Both names were checked, so neither conversion fails.
    let Ok(keys) = KeySpace::new(cluster) else { return Vec::new() };
    let namespace = settings.value().get("namespace").and_then(Value::as_str);
    let frames = match namespace {
        Some(namespace) => format!("{namespace}/{}", keys.all()),
        None => keys.all(),
    };
    let Ok(frames) = KeyExpr::try_from(frames) else { return Vec::new() };
    let config = settings.value();
    let mut warnings: Vec<String> = access_control(config, &frames).into_iter().collect();
    warnings.extend(low_pass_filters(config, &frames));
    warnings.extend(downsampling(config, &frames));
    warnings.extend(local_publications(config, &frames));
    warnings.into_iter().map(Warning::new).collect()
}

/// A kind of message, and its direction.
type Access<'a> = (&'a str, &'a str);

fn access_control(config: &Value, frames: &KeyExpr<'_>) -> Option<String> {
    let access = config.get("access_control")?;
    if access.get("enabled").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    // Zenoh's own default.
    let denies = access.get("default_permission").and_then(Value::as_str) != Some("allow");
    let needed = NEEDED_MESSAGES.iter().flat_map(|message| FLOWS.map(|flow| (*message, flow)));
    let dropped: Vec<String> = needed
        .filter(|needed| {
            let is_denied = has_rule(access, "deny", *needed, frames);
            is_denied || (denies && !has_rule(access, "allow", *needed, frames))
        })
        .map(|(message, flow)| format!("{message} ({flow})"))
        .collect();
    (!dropped.is_empty()).then(|| {
        format!(
            "`access_control`: it denies {} on `{frames}`, so this node and the others do not \
             hear each other: add a rule with `permission: \"allow\"`, `key_exprs: \
             [\"mailmesh/**\"]`, `messages: [\"put\", \"declare_subscriber\", \
             \"liveliness_token\", \"declare_liveliness_subscriber\", \"liveliness_query\"]` and \
             both flows, and a policy for it, or take out the rule that denies",
            dropped.join(", ")
        )
    })
}

/// Whether a policy applies a rule of this permission to the frames. A rule that denies counts only
/// for a subject without restrictions: it then holds for every link.
fn has_rule(access: &Value, permission: &str, needed: Access<'_>, frames: &KeyExpr<'_>) -> bool {
    let (message, flow) = needed;
    let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    let names = |policy: &Value, list: &str, id: &Option<String>| {
        id.as_deref().is_some_and(|id| texts(policy, list).any(|named| named == id))
    };
    let is_unrestricted =
        |subject: &&Value| RESTRICTIONS.iter().all(|name| texts(subject, name).next().is_none());
    let rules = items(access, "rules").filter(|rule| {
        rule.get("permission").and_then(Value::as_str) == Some(permission)
            && texts(rule, "messages").any(|named| named == message)
            && has_flow(rule, flow)
            && covers(rule, frames)
    });
    let rules: Vec<_> = rules.map(id).collect();
    let subjects = items(access, "subjects");
    let subjects: Vec<_> = match permission {
        "deny" => subjects.filter(is_unrestricted).map(id).collect(),
        _ => subjects.map(id).collect(),
    };
    items(access, "policies").any(|policy| {
        rules.iter().any(|rule| names(policy, "rules", rule))
            && subjects.iter().any(|subject| names(policy, "subjects", subject))
    })
}

fn low_pass_filters(config: &Value, frames: &KeyExpr<'_>) -> Vec<String> {
    let filters = items(config, "low_pass_filter").enumerate();
    let dropping = filters.filter_map(|(number, filter)| {
        let limit = filter.get("size_limit").and_then(Value::as_u64)?;
        let is_dropping = limit < MAX_FRAME_LEN && has_puts(filter) && covers(filter, frames);
        is_dropping.then(|| {
            format!(
                "`low_pass_filter.{number}`: it drops frames of mailmesh of more than {limit} \
                 bytes, and others never hear them: set `size_limit` to {MAX_FRAME_LEN} or more, \
                 or leave `{frames}` out of `key_exprs`"
            )
        })
    });
    dropping.collect()
}

fn downsampling(config: &Value, frames: &KeyExpr<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (number, item) in items(config, "downsampling").enumerate().filter(|(_, i)| has_puts(i)) {
        for (index, rule) in items(item, "rules").enumerate() {
            let expression = rule.get("key_expr").and_then(Value::as_str).map(KeyExpr::try_from);
            if matches!(expression, Some(Ok(expression)) if expression.intersects(frames)) {
                warnings.push(format!(
                    "`downsampling.{number}.rules.{index}`: it drops frames of mailmesh that \
                     follow each other fast: leave `{frames}` out of `key_expr`"
                ));
            }
        }
    }
    warnings
}

/// Publications that Zenoh keeps in the process.
fn local_publications(config: &Value, frames: &KeyExpr<'_>) -> Vec<String> {
    let Some(qos) = config.get("qos") else { return Vec::new() };
    let items = items(qos, "publication").enumerate();
    let local = items.filter(|(_, item)| {
        let destination = item.pointer("/config/allowed_destination").and_then(Value::as_str);
        destination == Some("session_local") && covers(item, frames)
    });
    local
        .map(|(number, _)| {
            format!(
                "`qos.publication.{number}.config.allowed_destination`: with \"session_local\" no \
                 frame of mailmesh leaves this node: leave `{frames}` out of `key_exprs`"
            )
        })
        .collect()
}

/// Whether one of the `key_exprs` of an item includes the frames, as Zenoh looks rules up.
fn covers(item: &Value, frames: &KeyExpr<'_>) -> bool {
    texts(item, "key_exprs")
        .filter_map(|text| KeyExpr::try_from(text).ok())
        .any(|expression| expression.includes(frames))
}

fn has_puts(item: &Value) -> bool {
    texts(item, "messages").any(|message| message == "put")
}

/// Whether an item holds for a direction; without `flows` it holds for both.
fn has_flow(item: &Value, flow: &str) -> bool {
    item.get("flows").is_none_or(Value::is_null) || texts(item, "flows").any(|named| named == flow)
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    items(value, list).filter_map(Value::as_str)
}
