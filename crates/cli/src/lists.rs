//! Lists of networks in and out of a running node.

mod report;
mod zone;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mailmesh::lists::{self, Entry, Format, LeftOutNetworks, Listed, OutputFormat, Terms};
use mailmesh::secrets::{path_words, redact};
use mailmesh::{Block, Network, Rule, UnixMillis};
use mailmesh_cli::protocol::{Imported, Request};
use serde_json::Value;

use crate::control::client::Client;
use crate::exit::Failure;
use crate::say::{self, note, say};

pub(crate) use zone::{Zone, zone};

/// Networks in a line to the node.
const PART: usize = 2_000;
/// Lines of each kind that are shown.
const SHOWN: usize = 20;
/// Bytes of a list that are read at a time.
const READ: usize = 64 << 10;

pub(crate) struct Import {
    pub(crate) file: PathBuf,
    pub(crate) format: Option<Format>,
    pub(crate) strict: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) allow: bool,
    pub(crate) force: bool,
    pub(crate) time_zone: Option<Zone>,
    pub(crate) include_private: bool,
}

/// Every network of a rule, as the node tells them.
pub(crate) async fn fetch(client: &mut Client, allow: bool) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut answer = client.ask(&Request::BlockList { allow }).await?;
    while let Value::Array(part) = answer {
        entries.extend(part);
        let next = client.next().await?;
        answer = next.ok_or_else(|| Failure::no_node("the node went away within its answer"))?;
    }
    Ok(entries)
}

pub(crate) async fn import(options: Import, client: &mut Client) -> Result<(), Failure> {
    let text = read(&options.file)?;
    let format = options.format.unwrap_or_else(|| Format::guess(&text));
    let rule = if options.allow { Rule::Allow } else { Rule::Block };
    let failed = |error: lists::ListError| unreadable(&options.file, &error);
    let mut list = lists::read_for(rule, &text, format).map_err(failed)?;
    drop(text);
    zone::settle(&options, &mut list);
    let now = client.cluster_now().await?;
    let left_out_networks = list.select_for_import(&Terms {
        rule,
        now,
        ttl: options.ttl,
        any_width: options.force,
        include_private: options.include_private,
    });
    report::details(&options.file, &list, &left_out_networks);
    report::warn_of_no_ends(&options.file, &list);
    let bad_count = list.bad_count();
    if bad_count > 0 && options.strict {
        let account = report::account(&list);
        let message = format!("{bad_count} bad {}; nothing was imported", report::units(&list));
        return Err(Failure::failed(message).with_details(account));
    }
    let account = report::account(&list);
    let sent = list.entries.len() as u64;
    let (count, replaced) = send(client, list.entries, now, &options).await?;
    let over = match sent.saturating_sub(count) {
        0 => String::new(),
        over => format!(", {over} ended meanwhile"),
    };
    say!("imported {count} networks, {replaced} of them there before{over}");
    say!("{account}");
    if count == 0 && bad_count > 0 {
        return Err(Failure::failed("nothing was imported: no line has a network to take"));
    }
    Ok(())
}

/// Takes networks off, those named and those of a list; those that are not there are told.
pub(crate) async fn remove(
    mut networks: Vec<Network>,
    file: Option<&Path>,
    allow: bool,
    client: &mut Client,
) -> Result<(), Failure> {
    if let Some(file) = file {
        let text = read(file)?;
        let rule = if allow { Rule::Allow } else { Rule::Block };
        let list = lists::read_for(rule, &text, Format::guess(&text));
        let list = list.map_err(|error| unreadable(file, &error))?;
        report::details(file, &list, &LeftOutNetworks::default());
        networks.extend(list.entries.iter().map(|entry| entry.network));
    }
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
        absent.iter().take(SHOWN).for_each(|why| note!("{why}"));
        say!("{removed} of {count} are no longer {what}");
    }
    if removed == 0 { Err(Failure::failed("nothing was removed")) } else { Ok(()) }
}

/// Brings the entries to the node, and has it take them in; how many it took, and how many
/// of them it had.
async fn send(
    client: &mut Client,
    entries: Vec<Entry>,
    now: UnixMillis,
    Import { allow, force, .. }: &Import,
) -> Result<(u64, u64), Failure> {
    let bar = progress(entries.len() as u64 * 2);
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        let networks: Vec<Imported> =
            entries.by_ref().take(PART).map(|entry| imported(entry, now)).collect();
        let count = networks.len() as u64;
        client.ask(&Request::ImportPart { networks }).await?;
        bar.inc(count);
    }
    let brought = bar.position();
    let mut answer = client.ask(&Request::ImportCommit { allow: *allow, force: *force }).await?;
    while let Some(done) = answer.as_u64() {
        bar.set_position(brought + done);
        let next = client.next().await?;
        answer = next.ok_or_else(|| Failure::no_node("the node went away within its answer"))?;
    }
    bar.finish_and_clear();
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    Ok((number("imported"), number("replaced")))
}

fn imported(entry: Entry, now: UnixMillis) -> Imported {
    let expires = entry.ends.moment(now).map(|moment| moment.0);
    (entry.network, entry.reason.into(), entry.origin.into(), expires)
}

/// Half for the way to the node, half for that to the others.
fn progress(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent} %  {eta} left");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) async fn export(
    format: OutputFormat,
    allow: bool,
    client: &mut Client,
) -> Result<(), Failure> {
    let both = matches!(format, OutputFormat::Nftables | OutputFormat::Postfix);
    let mut entries = Vec::new();
    for (rule, is_allowed) in [(Rule::Block, false), (Rule::Allow, true)] {
        if both || is_allowed == allow {
            for entry in fetch(client, is_allowed).await? {
                let (network, block) = entry_of(&entry).ok_or_else(|| {
                    Failure::failed(format!("the node's answer is not one: {entry}"))
                })?;
                entries.push((rule, network, block));
            }
        }
    }
    let listed: Vec<Listed<'_>> = entries
        .iter()
        .map(|(rule, network, block)| Listed { rule: *rule, network: *network, block })
        .collect();
    let mut out = String::new();
    let now = client.cluster_now().await?;
    lists::write(format, &listed, now, &mut out).map_err(|e| Failure::failed(e.to_string()))?;
    if let Some(first) = lists::stale_at(format, &listed, now) {
        note!(
            "a Postfix table cannot expire entries: export it again by {first} (in {}), when the \
             first verdict changes, and more often to include new blocks",
            time_words(first.since(now))
        );
    }
    if std::io::stdout().is_terminal() && format != OutputFormat::JsonLines {
        say::lines(&out);
    } else {
        say::data(&out);
    }
    Ok(())
}

/// A time in its two largest units.
fn time_words(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = time.as_secs();
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[largest];
    let mut words = format!("{} {name}", seconds / unit);
    if let Some((next, name)) = UNITS.get(largest + 1)
        && seconds % unit >= *next
    {
        words += &format!(" {} {name}", seconds % unit / next);
    }
    words
}

fn entry_of(entry: &Value) -> Option<(Network, Block)> {
    let block = &entry["block"];
    let network = entry["network"].as_str()?.parse().ok()?;
    let made = Block::new(block["reason"].as_str()?, UnixMillis(block["added"].as_u64()?)).ok()?;
    let mut made = made.from_origin(block["origin"].as_str()?).ok()?;
    made.expires = block["expires"].as_u64().map(UnixMillis);
    Some((network, made))
}

/// The failure of reading a list. A file that is no list may hold a key.
fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {}", path_words(file), redact(&error.to_string())))
}

/// A list's text, refused before it is in memory if it is none.
fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| unreadable(file, error);
    let mut from: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(&error))?)
    };
    let (mut text, mut part) = (lists::Text::default(), vec![0; READ]);
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
    fn times_are_in_units_that_are_read_at_a_glance() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (81_981, "22 h 46 min"),
            (86_400 * 40 + 5, "40 d"),
        ] {
            assert_eq!(time_words(Duration::from_secs(seconds)), words);
        }
    }
}
