//! `block import`, `export`, `list` and `remove`: lists of networks to and from a running node.

mod report;
mod time_zone;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mailmesh::lists::{self, Entry, Format, LeftOutNetworks, Listed, OutputFormat, Terms};
use mailmesh::secrets::{display_path, redact};
use mailmesh::{Network, Rule, RuleDetails, UnixMillis};
use mailmesh_cli::protocol::{ImportEntry, Request};
use serde_json::Value;

use crate::args::ImportArgs;
use crate::control::{self, client::Client};
use crate::exit::Failure;
use crate::say::{self, note, say};

pub(crate) use time_zone::{Zone, parse_zone};

/// Entries per request to the node.
const ENTRIES_PER_PART: usize = 2_000;
/// Bytes per read of a list.
const READ_BUFFER_LEN: usize = 64 << 10;

/// Fetches all blocks, or with `allow` all exceptions, in the JSON form of the node.
pub(crate) async fn fetch_networks(
    client: &mut Client,
    allow: bool,
) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut answer = client.ask(&Request::BlockList { allow }).await?;
    while let Value::Array(part) = answer {
        entries.extend(part);
        let next = client.next_answer().await?;
        answer = next
            .ok_or_else(|| Failure::no_node("the node closed the connection within its answer"))?;
    }
    Ok(entries)
}

/// Imports a list. Connects to the node once the list is read: it may come slowly through a pipe,
/// and the node closes idle connections.
pub(crate) async fn import(args: ImportArgs, socket: Option<PathBuf>) -> Result<(), Failure> {
    let text = read_list(&args.file)?;
    let format = args.format.unwrap_or_else(|| Format::guess(&text));
    let rule = if args.allow { Rule::Allow } else { Rule::Block };
    let failed = |error: lists::ListError| refused(&args.file, error);
    let mut list = lists::read_for(rule, &text, format).map_err(failed)?;
    drop(text);
    time_zone::resolve_local_ends(&args.file, args.time_zone.as_ref(), &mut list);
    let mut client = control::connect(socket).await?;
    let now = client.cluster_now().await?;
    let left_out_networks = list.select_for_import(&Terms {
        rule,
        now,
        ttl: args.ttl,
        any_width: args.force,
        include_private: args.include_private,
    });
    report::print_details(&args.file, &list, &left_out_networks);
    report::print_missing_ends(&args.file, &list);
    let bad_count = list.bad_count();
    if bad_count > 0 && args.strict {
        let summary = report::summary(&list);
        let message = format!("{bad_count} bad {}; nothing was imported", report::unit_name(&list));
        return Err(Failure::failed(message).with_details(summary));
    }
    let summary = report::summary(&list);
    let sent = list.entries.len() as u64;
    let (count, replaced) = send_entries(&mut client, list.entries, now, &args).await?;
    let expired = match sent.saturating_sub(count) {
        0 => String::new(),
        expired => format!(", {expired} expired meanwhile"),
    };
    say!("imported {count} networks, {replaced} of them replaced{expired}");
    say!("{summary}");
    if count == 0 && bad_count > 0 {
        return Err(Failure::failed("nothing was imported: no line has a usable network"));
    }
    Ok(())
}

/// Removes the given networks and those of a list. Reports the networks that have no entry.
/// Connects to the node once the list is read.
pub(crate) async fn remove(
    mut networks: Vec<Network>,
    file: Option<&Path>,
    allow: bool,
    socket: Option<PathBuf>,
) -> Result<(), Failure> {
    if let Some(file) = file {
        let text = read_list(file)?;
        let rule = if allow { Rule::Allow } else { Rule::Block };
        let list = lists::read_for(rule, &text, Format::guess(&text));
        let list = list.map_err(|error| unreadable(file, &error))?;
        report::print_details(file, &list, &LeftOutNetworks::default());
        networks.extend(list.entries.iter().map(|entry| entry.network));
    }
    let mut client = control::connect(socket).await?;
    let what = if allow { "allowed" } else { "blocked" };
    let (mut removed, mut absent) = (0, Vec::new());
    let count = networks.len();
    for network in networks {
        match client.ask(&Request::BlockRemove { network, allow }).await {
            Ok(_) if count == 1 => {
                say!("{network} is no longer {what}");
                removed += 1;
            }
            Ok(_) => removed += 1,
            Err(error) if error.is_no_node() || count == 1 => return Err(error),
            Err(error) => absent.push(error.message().to_owned()),
        }
    }
    if count != 1 {
        absent.iter().take(report::MAX_SHOWN).for_each(|why| note!("{why}"));
        say!("{removed} of {count} are no longer {what}");
    }
    if removed == 0 { Err(Failure::failed("nothing was removed")) } else { Ok(()) }
}

/// Sends the entries to the node and commits them in one step. Returns how many were imported, and
/// how many of those replaced an entry.
async fn send_entries(
    client: &mut Client,
    entries: Vec<Entry>,
    now: UnixMillis,
    ImportArgs { allow, force, .. }: &ImportArgs,
) -> Result<(u64, u64), Failure> {
    let bar = progress_bar(entries.len() as u64 * 2);
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        let networks: Vec<ImportEntry> =
            entries.by_ref().take(ENTRIES_PER_PART).map(|entry| import_entry(entry, now)).collect();
        let count = networks.len() as u64;
        client.ask(&Request::ImportPart { networks }).await?;
        bar.inc(count);
    }
    let sent = bar.position();
    let mut answer = client.ask(&Request::ImportCommit { allow: *allow, force: *force }).await?;
    while let Some(done) = answer.as_u64() {
        bar.set_position(sent + done);
        let next = client.next_answer().await?;
        answer = next
            .ok_or_else(|| Failure::no_node("the node closed the connection within its answer"))?;
    }
    bar.finish_and_clear();
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    Ok((number("imported"), number("replaced")))
}

fn import_entry(entry: Entry, now: UnixMillis) -> ImportEntry {
    let expires = entry.ends.moment(now).map(|moment| moment.0);
    (entry.network, entry.reason.into(), entry.origin.into(), expires)
}

/// Half of the steps are for sending to this node, half for its sending to the others.
fn progress_bar(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent} %  {eta} left");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) async fn export(
    format: OutputFormat,
    allow: bool,
    socket: Option<PathBuf>,
) -> Result<(), Failure> {
    let mut client = control::connect(socket).await?;
    let both = matches!(format, OutputFormat::Nftables | OutputFormat::Postfix);
    let mut entries = Vec::new();
    for (rule, is_allowed) in [(Rule::Block, false), (Rule::Allow, true)] {
        if both || is_allowed == allow {
            for entry in fetch_networks(&mut client, is_allowed).await? {
                let (network, block) = parse_entry(&entry).ok_or_else(|| {
                    Failure::failed(format!("the node sent an invalid entry: {entry}"))
                })?;
                entries.push((rule, network, block));
            }
        }
    }
    let listed: Vec<Listed<'_>> = entries
        .iter()
        .map(|(rule, network, block)| Listed { rule: *rule, network: *network, details: block })
        .collect();
    let mut out = String::new();
    let now = client.cluster_now().await?;
    lists::write(format, &listed, now, &mut out).map_err(|e| Failure::failed(e.to_string()))?;
    if format == OutputFormat::Postfix
        && let Some(first) = lists::postfix_stale_at(&listed, now)
    {
        note!(
            "entries of a Postfix table cannot expire: export it again by {first} (in {}), when \
             the first verdict changes, and more often to include new blocks",
            duration_text(first.since(now))
        );
    }
    let with_end = listed.iter().filter(|listed| listed.details.expires.is_some()).count();
    if format == OutputFormat::Plain && with_end > 0 {
        note!(
            "a plain list has no ends, and {with_end} of {} entries have one: imported again, they \
             stay until removed; `--format csv` or `--format jsonl` keeps the ends",
            listed.len()
        );
    }
    if std::io::stdout().is_terminal() && format != OutputFormat::JsonLines {
        say::lines(&out);
    } else {
        say::data(&out);
    }
    Ok(())
}

/// A duration in its two largest units.
fn duration_text(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = time.as_secs();
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[largest];
    let mut text = format!("{} {name}", seconds / unit);
    if let Some((next, name)) = UNITS.get(largest + 1)
        && seconds % unit >= *next
    {
        text += &format!(" {} {name}", seconds % unit / next);
    }
    text
}

fn parse_entry(entry: &Value) -> Option<(Network, RuleDetails)> {
    let block = &entry["block"];
    let network = entry["network"].as_str()?.parse().ok()?;
    let made =
        RuleDetails::new(block["reason"].as_str()?, UnixMillis(block["added"].as_u64()?)).ok()?;
    let mut made = made.with_origin(block["origin"].as_str()?).ok()?;
    made.expires = block["expires"].as_u64().map(UnixMillis);
    Some((network, made))
}

/// The failure of a text that is no list. What it quotes may contain a key.
fn refused(file: &Path, error: lists::ListError) -> Failure {
    Failure::failed(format!("{}: {}", display_path(file), error.show_quotes(redact)))
}

/// The failure of reading a file, which may contain a key if it is not a list.
fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {}", display_path(file), redact(&error.to_string())))
}

/// Reads a list. Text that is no list, or too long, is refused before all of it is in memory.
fn read_list(file: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| unreadable(file, error);
    let mut from: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(&error))?)
    };
    let (mut text, mut part) = (lists::Text::default(), vec![0; READ_BUFFER_LEN]);
    loop {
        match from.read(&mut part) {
            Ok(0) => return text.finish().map_err(|error| failed(&error)),
            Ok(n) => text.push(&part[..n]).map_err(|error| failed(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_in_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (81_981, "22 h 46 min"),
            (86_400 * 40 + 5, "40 d"),
        ] {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
    }
}
