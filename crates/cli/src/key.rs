use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mailmesh::secrets::{io_words, path_words};
use mailmesh::{ClusterKey, Keyring, Secret};
use mailmesh_cli::protocol::{Hidden, Request};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::args::Key;
use crate::control::client::Client;
use crate::control::find;
use crate::exit::Failure;
use crate::say::{self, note, say};

/// Fewest digits that name a key.
const LEAST_DIGITS: usize = 4;
/// Digits of a whole fingerprint.
const KEY_ID_DIGITS: usize = 16;
/// Longest text of a key that is read.
const MAX_KEY_TEXT: u64 = 4096;

pub(crate) async fn run(options: Key, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    if let Key::Generate { out, cluster } = options {
        return generate(out.as_deref(), &cluster);
    }
    let mut client = Client::connect(&find(socket)?).await?;
    match options {
        Key::Generate { .. } => {}
        Key::List { json } => {
            let result = list(json, &mut client).await;
            warn_if_locked_out(&mut client).await;
            return result;
        }
        Key::Add { file, here, force } => {
            if force {
                warn_of_forgetful(&mut client, "keeps_new", "it").await?;
            }
            let keys = file.as_deref().map(read).transpose()?;
            // Of a key file the one that seals last, so that it is the last that is named.
            let keys = keys.map_or_else(|| vec![None], |keys| keys.into_iter().map(Some).collect());
            let mut added = String::new();
            for key in keys {
                let id = client.ask(&Request::KeyAdd { key, here, force }).await?;
                added = id.as_str().unwrap_or_default().to_owned();
                say!("{added}");
            }
            let short = added.get(..6).unwrap_or_default();
            let accepted = on(here, &mut client).await?;
            if here {
                note!(
                    "accepted{accepted}; if the others seal with it, so does this node within \
                     seconds: then `mailmesh key retire` those that they no longer have. Else, \
                     next: mailmesh key activate --here {short}"
                );
            } else {
                note!("accepted{accepted}; next: mailmesh key activate {short}");
            }
            if !here {
                name_the_away(&mut client, "do not get the key").await?;
                warn_if_locked_out(&mut client).await;
            }
        }
        Key::Activate { id, here } => {
            let id = whole(&id, &mut client).await?;
            client.ask(&Request::KeyActivate { id: Hidden(id.clone().into()), here }).await?;
            say!("{id} seals{}", on(here, &mut client).await?);
            note!("a node that is off now needs it in its key file before it starts");
            if !here {
                name_the_away(&mut client, "do not seal with it").await?;
            }
        }
        Key::Retire { id, here, force } => {
            let id = whole(&id, &mut client).await?;
            if force {
                warn_of_forgetful(&mut client, "keeps_active", "the key that seals").await?;
            }
            if !here {
                let without = "hear nobody if they come back without the key that seals";
                name_the_away(&mut client, without).await?;
            }
            client.ask(&Request::KeyRetire { id: Hidden(id.clone().into()), here, force }).await?;
            say!("{id} is accepted no more{}", on(here, &mut client).await?);
        }
        Key::Export { file, id } => export(&file, id.as_deref(), &mut client).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns if this node hears no other node, but messages of its cluster under another key. Gives
/// whether that is so.
pub(crate) async fn warn_if_locked_out(client: &mut Client) -> bool {
    let Ok(status) = client.ask(&Request::Status).await else { return false };
    let is_locked_out = status["locked_out"] == true;
    if is_locked_out {
        say::labelled(33, "warning", LOCKED_OUT);
    }
    is_locked_out
}

/// The warning of `members`, `status` and `key` on a node that hears only another key. Such a
/// message is not authentic, so its sender may be anybody on the network.
pub(crate) const LOCKED_OUT: &str = "this node hears no other node of its cluster, but a message \
     under a key that it does not have: a node of another key was heard, or a stranger that \
     imitates one. If the other nodes have another key, take the key file of one of them \
     (`mailmesh key export FILE` there), and give it to this node with \
     `mailmesh key add --here FILE`";

/// With `--force`: the nodes that keep a key nowhere, and what that comes to.
async fn warn_of_forgetful(client: &mut Client, field: &str, key: &str) -> Result<(), Failure> {
    let nodes = client.ask(&Request::KeyList).await?;
    let nodes = nodes.as_array().into_iter().flatten();
    let forgetful = nodes.filter(|node| node["answered"] == true && node[field] != true);
    let names: Vec<_> = forgetful.filter_map(|node| node["node"].as_str()).collect();
    if !names.is_empty() {
        let text = format!(
            "no file keeps {key} on {}: after a restart the node has \
             only the keys of its `mesh.key`, and hears nobody once these are retired. \
             `mailmesh key export FILE` writes the key for it",
            names.join(", ")
        );
        say::labelled(33, "warning", &text);
    }
    Ok(())
}

/// Names the nodes that a step does not reach though they were members a while ago.
async fn name_the_away(client: &mut Client, what: &str) -> Result<(), Failure> {
    let away = client.ask(&Request::Away).await?;
    let named = away.as_array().into_iter().flatten().filter_map(|node| {
        let minutes = node["left_ms_ago"].as_u64()? / 60_000;
        Some(format!("{} (left {minutes} min ago)", node["name"].as_str()?))
    });
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        let text = format!(
            "members of the last hour that are not here {what}: {}. Put the key that seals into \
             their key files (`mailmesh key export FILE`)",
            named.join(", ")
        );
        say::labelled(33, "warning", &text);
    }
    Ok(())
}

async fn export(path: &Path, id: Option<&str>, client: &mut Client) -> Result<(), Failure> {
    let id = match id {
        Some(begin) => Some(Hidden(whole(begin, client).await?.into())),
        None => None,
    };
    let Value::String(text) = client.ask(&Request::KeyExport { id }).await? else {
        return Err(Failure::failed("the node's answer is not a key"));
    };
    let key = ClusterKey::from_text(&Zeroizing::new(text));
    let key = key.map_err(|error| Failure::failed(error.to_string()))?;
    write_new(path, &key)?;
    note!("wrote {}; whoever reads it takes part in the cluster", path.display());
    Ok(())
}

fn generate(out: Option<&Path>, cluster: &str) -> Result<ExitCode, Failure> {
    let key = ClusterKey::generate().map_err(|error| Failure::failed(error.to_string()))?;
    match out {
        None => say!("{}", key.to_text().as_str()),
        Some(path) => {
            write_new(path, &key)?;
            note!(
                "wrote {}; copy it to every node, and set \"mesh\": {{\"key\": {{\"@type\": \"File\", \"filePath\": {:?}}}}}",
                path.display(),
                path.display().to_string()
            );
        }
    }
    note!(
        "fingerprint {} in the cluster `{cluster}`; in a cluster of another name it has another",
        Keyring::new(key).ids(cluster)[0]
    );
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, key: &ClusterKey) -> Result<(), Failure> {
    write_key(path, key).map_err(|error| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let why = match (error.kind(), dir) {
            (ErrorKind::NotFound, Some(dir)) => {
                format!("the directory {} does not exist; make it first", path_words(dir))
            }
            (ErrorKind::NotADirectory, Some(dir)) => {
                format!("{} is not a directory", path_words(dir))
            }
            (ErrorKind::AlreadyExists, _) => {
                format!("{error}; a key is never overwritten: give the path of a new file")
            }
            _ => io_words(&error),
        };
        Failure::failed(format!("{}: {why}", path_words(path)))
    })
}

/// A new file that only its owner may read. The name may not be there, as a link neither.
pub(crate) fn write_key(path: &Path, key: &ClusterKey) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{}", key.to_text().as_str()).and_then(|()| file.sync_all());
    if written.is_err() {
        // A file that holds a part of a key looks like one.
        let _there_is_none = std::fs::remove_file(path);
    }
    written
}

/// Where something was done, and a warning of who will not have it after a restart.
async fn on(here: bool, client: &mut Client) -> Result<String, Failure> {
    if here {
        return Ok(" on this node".to_owned());
    }
    let nodes = client.ask(&Request::KeyList).await?;
    let named = |is_it: &dyn Fn(&Value) -> bool| {
        let nodes = nodes.as_array().into_iter().flatten().filter(|node| is_it(node));
        nodes.filter_map(|node| node["node"].as_str()).collect::<Vec<_>>().join(", ")
    };
    let forgetful = named(&|node| node["answered"] == true && node["kept"] != true);
    if !forgetful.is_empty() {
        note!("not kept in a file by {forgetful}: put it where `mesh.key` has it before a restart");
    }
    Ok(format!(" on {}", named(&|node| node["answered"] == true)))
}

/// The texts of keys, which are checked before they go anywhere; the one that seals last.
fn read(path: &Path) -> Result<Vec<Hidden>, Failure> {
    let failed = |why: String| Failure::failed(format!("{}: {why}", path_words(path)));
    // With room for all of it: a buffer that grows leaves its bytes where it was.
    let room = usize::try_from(MAX_KEY_TEXT).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        // As checked as that of a configuration.
        let secret = Secret::File(path.to_owned());
        Box::new(std::io::Cursor::new(secret.resolve().map_err(|error| failed(error.to_string()))?))
    };
    let read = from.take(MAX_KEY_TEXT).read_to_string(&mut text);
    read.map_err(|error| failed(io_words(&error)))?;
    let keys = Keyring::from_text(&text).map_err(|error| failed(error.to_string()))?;
    Ok(keys.keys().iter().rev().map(|key| Hidden(key.to_text())).collect())
}

async fn list(json: bool, client: &mut Client) -> Result<ExitCode, Failure> {
    let nodes = client.ask(&Request::KeyList).await?;
    if json {
        say::json(&nodes);
        return Ok(ExitCode::SUCCESS);
    }
    for node in nodes.as_array().into_iter().flatten() {
        let name = node["node"].as_str().unwrap_or_default();
        let keys = ids(node);
        let (sealing, others) = keys.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
        let accepts = if others.is_empty() {
            String::new()
        } else {
            format!("  accepts {}", others.join(" "))
        };
        if node["answered"] != true {
            say!("{name:<24} did not answer");
        } else if node["kept"] == true {
            say!("{name:<24} seals {sealing}{accepts}");
        } else {
            say!(
                "{name:<24} seals {sealing}{accepts}  not kept in a file: a restart brings back what `mesh.key` says"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ids(node: &Value) -> Vec<&str> {
    node["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The fingerprint that begins so.
async fn whole(begin: &str, client: &mut Client) -> Result<String, Failure> {
    if begin.len() > KEY_ID_DIGITS || !begin.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "not the fingerprint of a key: up to {KEY_ID_DIGITS} hexadecimal digits, as `mailmesh \
             key list` shows them"
        )));
    }
    if begin.len() < LEAST_DIGITS {
        return Err(Failure::usage(format!(
            "give {LEAST_DIGITS} digits of the fingerprint at least"
        )));
    }
    let nodes = client.ask(&Request::KeyList).await?;
    let all: BTreeSet<&str> = nodes.as_array().into_iter().flatten().flat_map(ids).collect();
    let mut found = all.into_iter().filter(|id| id.starts_with(&begin.to_ascii_lowercase()));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (Some(_), Some(_)) => Err(Failure::usage(format!("more than one key begins with {begin}"))),
        (None, _) => Err(Failure::failed(format!(
            "no node has a key {begin}; `mailmesh key list` shows those that there are"
        ))),
    }
}
