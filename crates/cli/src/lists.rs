//! Lists of networks in and out of a running node.

use std::collections::HashSet;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mailmesh::lists::{self, Ends, Entry, Format, Listed, OutputFormat};
use mailmesh::{Block, Network, Rule, UnixMillis};
use mailmesh_cli::protocol::{Imported, Request};
use serde_json::Value;

use crate::control::client::Client;
use crate::exit::Failure;
use crate::say::{self, note, say};

/// Networks in a line to the node.
const PART: usize = 2_000;
/// Bad lines that are shown.
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
    let failed =
        |error: lists::ListError| Failure::failed(format!("{}: {error}", options.file.display()));
    let mut list = lists::read(&text, format).map_err(failed)?;
    let mut bad: Vec<(usize, String)> = list.bad.drain(..).map(|bad| (bad.line, bad.why)).collect();
    let mut bad_count = list.bad_count;
    if !options.allow {
        let check =
            if options.force { Network::blockable_of_any_width } else { Network::blockable };
        list.entries.retain(|entry| match check(entry.network) {
            Ok(_) => true,
            Err(error) => {
                bad_count += 1;
                bad.push((entry.line, error.to_string()));
                false
            }
        });
    }
    // Of a network that is there twice the last counts.
    let mut seen = HashSet::new();
    let entries = std::mem::take(&mut list.entries).into_iter().rev();
    let mut last: Vec<_> = entries.filter(|entry| seen.insert(entry.network)).collect();
    last.reverse();
    list.entries = last;
    bad.sort();
    for (line, why) in bad.iter().take(SHOWN) {
        note!("{}:{line}: {why}", options.file.display());
    }
    if bad_count > SHOWN {
        note!("... and {} more", bad_count - SHOWN);
    }
    if bad_count > 0 && options.strict {
        return Err(Failure::failed(format!("{bad_count} bad lines; nothing was imported")));
    }
    let now = UnixMillis::from(std::time::SystemTime::now());
    let (count, replaced) = send(client, list.entries, now, &options).await?;
    say!(
        "imported {count} networks, {replaced} of them there before; {} other lines, {bad_count} bad",
        list.skipped
    );
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
        let list = lists::read(&text, Format::guess(&text));
        let list = list.map_err(|e| Failure::failed(format!("{}: {e}", file.display())))?;
        for bad in list.bad.iter().take(SHOWN) {
            note!("{}:{}: {}", file.display(), bad.line, bad.why);
        }
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
    Import { ttl, allow, force, .. }: &Import,
) -> Result<(u64, u64), Failure> {
    let bar = progress(entries.len() as u64 * 2);
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        let networks: Vec<Imported> =
            entries.by_ref().take(PART).map(|entry| imported(entry, now, *ttl)).collect();
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

fn imported(entry: Entry, now: UnixMillis, ttl: Option<Duration>) -> Imported {
    let ends = match (entry.ends, ttl) {
        (Ends::Never, Some(ttl)) => Ends::After(ttl),
        (ends, _) => ends,
    };
    let expires = ends.moment(now).map(|moment| moment.0);
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
    let now = std::time::SystemTime::now().into();
    lists::write(format, &listed, now, &mut out).map_err(|e| Failure::failed(e.to_string()))?;
    if std::io::stdout().is_terminal() && format != OutputFormat::JsonLines {
        say::lines(&out);
    } else {
        say::data(&out);
    }
    Ok(())
}

fn entry_of(entry: &Value) -> Option<(Network, Block)> {
    let block = &entry["block"];
    let network = entry["network"].as_str()?.parse().ok()?;
    let made = Block::new(block["reason"].as_str()?, UnixMillis(block["added"].as_u64()?)).ok()?;
    let mut made = made.from_origin(block["origin"].as_str()?).ok()?;
    made.expires = block["expires"].as_u64().map(UnixMillis);
    Some((network, made))
}

/// A list's text, refused before it is in memory if it is none.
fn read(file: &Path) -> Result<String, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", file.display()));
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
