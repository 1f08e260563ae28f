//! Commands for a running node: `publish`, `watch`, `block`, `members` and `status`.

use std::path::PathBuf;
use std::process::ExitCode;

use mailmesh::secrets::redact;
use mailmesh::{
    AccountId, AlertId, CacheInvalidation, CacheKind, CalendarAlert, CalendarEventId, ChangeId,
    Custom, DataTypes, EmailId, EmailPush, Event, MailboxId, ObjectId, ObjectType,
    PushSubscriptionChange, QueueSignal, RegistryChange, RegistryObject, StateChange,
    SubscriptionChange, SubscriptionId, UnixMillis,
};
use mailmesh_cli::protocol::Request;
use serde_json::Value;

use crate::args::{self, BlockCommand, PublishArgs, PublishEvent, WatchArgs};
use crate::control;
use crate::endpoints;
use crate::exit::{EXIT_BLOCKED, EXIT_LOCKED_OUT, Failure};
use crate::json::value_text;
use crate::lists;
use crate::say::{self, say};

pub(crate) async fn publish(
    options: PublishArgs,
    socket: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let mut event = parse_event(options.event).map_err(Failure::usage)?;
    check_last_change_id(&event, options.count)?;
    let mut client = control::connect(socket).await?;
    for _ in 0..options.count {
        client.ask(&Request::Publish { event: event.clone() }).await?;
        increment_change_id(&mut event);
    }
    Ok(ExitCode::SUCCESS)
}

fn increment_change_id(event: &mut Event) {
    match event {
        Event::StateChange(event) => event.change.0 = event.change.0.saturating_add(1),
        Event::EmailPush(event) => event.change.0 = event.change.0.saturating_add(1),
        _ => {}
    }
}

/// Checks that the change ids of all repetitions exist, so that they differ.
fn check_last_change_id(event: &Event, count: u32) -> Result<(), Failure> {
    let first = match event {
        Event::StateChange(event) => event.change.0,
        Event::EmailPush(event) => event.change.0,
        _ => 0,
    };
    match first.checked_add(u64::from(count) - 1) {
        Some(_) => Ok(()),
        None => Err(Failure::usage("the last change id would exceed the maximum of 64 bits")),
    }
}

fn parse_event(options: PublishEvent) -> Result<Event, String> {
    let text = |error: mailmesh::EventError| error.to_string();
    Ok(match options {
        PublishEvent::StateChange { account, change, types } => {
            let mut event = StateChange::new(AccountId(account), ChangeId(change));
            for name in types {
                let found = DataTypes::from_jmap_name(&name).ok_or_else(|| {
                    let names: Vec<_> = DataTypes::all().jmap_names().collect();
                    format!("`{name}` is not a JMAP data type; the types are {}", names.join(", "))
                })?;
                event = event.with(found);
            }
            event.into()
        }
        PublishEvent::EmailPush { account, email, change, received, size, mailboxes } => {
            EmailPush::new(AccountId(account), EmailId(email), ChangeId(change))
                .with_received(UnixMillis(received))
                .with_size(size)
                .with_mailboxes(mailboxes.into_iter().map(MailboxId).collect())
                .map_err(text)?
                .into()
        }
        PublishEvent::CalendarAlert { account, event, alert, due } => CalendarAlert::new(
            AccountId(account),
            CalendarEventId(event),
            AlertId(alert),
            UnixMillis(due),
        )
        .into(),
        PublishEvent::PushSubscription { account, subscription, change } => {
            PushSubscriptionChange::new(
                AccountId(account),
                SubscriptionId(subscription),
                match change {
                    args::SubscriptionArg::Created => SubscriptionChange::Created,
                    args::SubscriptionArg::Updated => SubscriptionChange::Updated,
                    args::SubscriptionArg::Removed => SubscriptionChange::Removed,
                },
            )
            .into()
        }
        PublishEvent::Cache { cache, ids, negative, all } => {
            let cache = parse_cache_kind(&cache)?;
            match (ids.is_empty(), negative, all) {
                (false, _, _) => {
                    let ids = ids.into_iter().map(ObjectId).collect();
                    CacheInvalidation::ids(cache, ids).map_err(text)?.into()
                }
                (true, true, _) => CacheInvalidation::negative(cache).into(),
                (true, false, true) => CacheInvalidation::all(cache).into(),
                (true, false, false) => {
                    return Err("choose the entries: --id ID, --negative or --all".into());
                }
            }
        }
        PublishEvent::Registry(change) => match change {
            args::RegistryArg::Insert { object_type, id } => {
                RegistryChange::Insert(RegistryObject::new(ObjectType(object_type), ObjectId(id)))
            }
            args::RegistryArg::Delete { object_type, id } => {
                RegistryChange::Delete(RegistryObject::new(ObjectType(object_type), ObjectId(id)))
            }
            args::RegistryArg::Reload { object_type } => {
                RegistryChange::Reload(object_type.map(ObjectType))
            }
        }
        .into(),
        PublishEvent::Queue { signal } => match signal {
            args::QueueArg::Refresh => QueueSignal::Refresh,
            args::QueueArg::Paused => QueueSignal::Paused,
            args::QueueArg::Resumed => QueueSignal::Resumed,
        }
        .into(),
        PublishEvent::Custom { kind, payload } => Custom::new(kind, payload).map_err(text)?.into(),
        PublishEvent::Json { event } => {
            let bad =
                |error: serde_json::Error| format!("not an event: {}", redact(&error.to_string()));
            let mut value: Value = serde_json::from_str(&event).map_err(bad)?;
            if let Some(data) = value.get_mut("data") {
                value = data.take();
            }
            serde_json::from_value(value).map_err(bad)?
        }
    })
}

fn parse_cache_kind(name: &str) -> Result<CacheKind, String> {
    if let Ok(number) = name.parse() {
        return Ok(CacheKind::Other(number));
    }
    serde_json::from_value(Value::String(name.into())).map_err(|_| {
        format!(
            "unknown cache `{name}`; use access-token, account, domain, tenant, role, \
             mailing-list, messages, dav-resources, dkim-key, dns, o-auth or a number"
        )
    })
}

pub(crate) async fn watch(
    options: WatchArgs,
    socket: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let mut client = control::connect(socket).await?;
    client.ask(&Request::Watch { kinds: options.kinds }).await?;
    let mut left = options.count;
    while left != Some(0) {
        let Some(entry) = client.next_answer().await? else {
            return Err(Failure::no_node("the node has stopped, so its entries end here"));
        };
        if options.json {
            say::json(&entry["entry"]);
        } else {
            say!("{}", entry["text"].as_str().unwrap_or_default());
        }
        left = left.map(|left| left - 1);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn block(
    command: BlockCommand,
    socket: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    match command {
        BlockCommand::Add { network, reason, ttl, allow, force } => {
            let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            let mut client = control::connect(socket).await?;
            client.ask(&Request::BlockAdd { network, reason, ttl_ms, allow, force }).await?;
            say!("{network} is {}", if allow { "allowed" } else { "blocked" });
        }
        BlockCommand::List { allow, json } => {
            let mut client = control::connect(socket).await?;
            let list = Value::from(lists::fetch_networks(&mut client, allow).await?);
            print_list(&list, json, |entry| {
                let block = &entry["block"];
                let until = block["expires"].as_u64().map(|at| UnixMillis(at).to_string());
                format!(
                    "{:<24} {:<21} {} ({})",
                    value_text(&entry["network"]),
                    until.unwrap_or_else(|| "until removed".into()),
                    value_text(&block["reason"]),
                    value_text(&block["origin"]),
                )
            });
        }
        BlockCommand::Remove { networks, file, allow } => {
            lists::remove(networks, file.as_deref(), allow, socket).await?;
        }
        BlockCommand::Import(args) => lists::import(args, socket).await?,
        BlockCommand::Export { format, allow } => lists::export(format, allow, socket).await?,
        BlockCommand::Check { address, json } => {
            let mut client = control::connect(socket).await?;
            let verdict = client.ask(&Request::BlockCheck { address }).await?;
            if json {
                say::json(&verdict);
            } else {
                say!("{address} is {}", value_text(&verdict["text"]));
            }
            if verdict["blocked"] == true {
                return Ok(ExitCode::from(EXIT_BLOCKED));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn members(json: bool, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let mut client = control::connect(socket).await?;
    let members = client.ask(&Request::Members).await?;
    let is_alone = members.as_array().is_some_and(Vec::is_empty);
    if is_alone && !json {
        say!("no other node is heard");
    }
    print_list(&members, json, |member| {
        let started = UnixMillis(member["started"].as_u64().unwrap_or(0));
        format!(
            "{:<20} started {started}  heard {} ms ago  incarnation {}{}{}",
            value_text(&member["name"]),
            member["heard_ms_ago"],
            value_text(&member["incarnation"]).chars().take(8).collect::<String>(),
            clock_columns(member),
            match member["relayed_via"].as_str() {
                Some(via) => format!("  relayed by {via}: not heard directly"),
                None => String::new(),
            },
        ) + &endpoints::member_suffix(member)
    });
    if !json {
        let status = client.ask(&Request::Status).await?;
        endpoints::endpoint_lines(&status["endpoints"], false)
            .iter()
            .for_each(|line| say!("{line}"));
    }
    if is_alone && crate::key::warn_if_locked_out(&mut client).await {
        return Ok(ExitCode::from(EXIT_LOCKED_OUT));
    }
    Ok(ExitCode::SUCCESS)
}

/// Round-trip time to a member, and the offset of its clock; empty if either is unknown.
fn clock_columns(member: &Value) -> String {
    let (round_trip, ahead) = (member["round_trip_us"].as_u64(), member["clock_ahead_ms"].as_i64());
    let (Some(round_trip), Some(ahead)) = (round_trip, ahead) else { return String::new() };
    let side = if ahead < 0 { "behind" } else { "ahead" };
    format!("  round trip {:.1} ms  clock {} ms {side}", round_trip as f64 / 1e3, ahead.abs())
}

pub(crate) async fn status(json: bool, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let status = control::connect(socket).await?.ask(&Request::Status).await?;
    if json {
        say::json(&status);
        return Ok(ExitCode::SUCCESS);
    }
    let object = status.as_object().cloned().unwrap_or_default();
    for (key, value) in object {
        let shown = match (key.as_str(), &value) {
            ("endpoints", all) => {
                endpoints::endpoint_lines(all, true).iter().for_each(|line| say!("{line}"));
                continue;
            }
            ("listens", all) => endpoints::listens_text(all),
            ("started", value) => UnixMillis(value.as_u64().unwrap_or(0)).to_string(),
            ("key_id", Value::Null) => "none (open mesh)".into(),
            (_, Value::Null) => "none".into(),
            (_, Value::Object(map)) => {
                let parts: Vec<_> = map.iter().map(|(k, v)| format!("{k} {v}")).collect();
                parts.join(", ")
            }
            (_, value) => value_text(value),
        };
        say!("{:<19} {shown}", key.replace('_', " "));
    }
    if status["locked_out"] == true {
        say::labelled(33, "warning", crate::key::LOCKED_OUT_WARNING);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_list(list: &Value, json: bool, line: impl Fn(&Value) -> String) {
    if json {
        say::json(list);
        return;
    }
    for item in list.as_array().into_iter().flatten() {
        say!("{}", line(item));
    }
}
