//! `key`: generates cluster keys and replaces the key of a running cluster.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mailmesh::secrets::{display_path, io_error_text};
use mailmesh::{ClusterKey, Keyring, Secret};
use mailmesh_cli::protocol::{Request, SecretText};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::args::KeyCommand;
use crate::control;
use crate::control::client::Client;
use crate::exit::Failure;
use crate::say::{self, note, say};

/// Minimum number of digits of a fingerprint prefix.
const MIN_ID_DIGITS: usize = 4;
/// Number of digits of a fingerprint.
const MAX_ID_DIGITS: usize = 16;
/// Maximum length of a key file, in bytes.
const MAX_KEY_TEXT_LEN: u64 = 4096;

pub(crate) async fn run(command: KeyCommand, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    if let KeyCommand::Generate { out, cluster } = command {
        return generate(out.as_deref(), &cluster);
    }
    let mut client = control::connect(socket).await?;
    match command {
        KeyCommand::Generate { .. } => {}
        KeyCommand::List { json } => {
            let result = list(json, &mut client).await;
            warn_if_locked_out(&mut client).await;
            return result;
        }
        KeyCommand::Add { file, here, force } => {
            if force {
                warn_if_not_kept(&mut client, "keeps_new", "the new key").await?;
            }
            let keys = file.as_deref().map(read_keys).transpose()?;
            // `read_keys` returns the sealing key last, so the hint below names it.
            let keys = keys.map_or_else(|| vec![None], |keys| keys.into_iter().map(Some).collect());
            let mut added = String::new();
            for key in keys {
                let id = client.ask(&Request::KeyAdd { key, here, force }).await?;
                added = id.as_str().unwrap_or_default().to_owned();
                say!("{added}");
            }
            let short = added.get(..6).unwrap_or_default();
            let accepted = done_on(here, &mut client).await?;
            if here {
                note!(
                    "accepted{accepted}; if the other nodes seal with it, this node does so within \
                     seconds: then run `mailmesh key retire` for the keys that they no longer \
                     have. Otherwise, next: mailmesh key activate --here {short}"
                );
            } else {
                note!("accepted{accepted}; next: mailmesh key activate {short}");
            }
            if !here {
                warn_about_absent(&mut client, "do not get the key").await?;
                warn_if_locked_out(&mut client).await;
            }
        }
        KeyCommand::Activate { id, here } => {
            let id = resolve_id(&id, &mut client).await?;
            client.ask(&Request::KeyActivate { id: SecretText(id.clone().into()), here }).await?;
            say!("{id} seals{}", done_on(here, &mut client).await?);
            note!("a node that is stopped now needs this key in its key file before it starts");
            if !here {
                warn_about_absent(&mut client, "do not seal with it").await?;
            }
        }
        KeyCommand::Retire { id, here, force } => {
            let id = resolve_id(&id, &mut client).await?;
            if force {
                warn_if_not_kept(&mut client, "keeps_active", "the sealing key").await?;
            }
            if !here {
                let effect = "are locked out if they come back without the sealing key";
                warn_about_absent(&mut client, effect).await?;
            }
            client
                .ask(&Request::KeyRetire { id: SecretText(id.clone().into()), here, force })
                .await?;
            say!("{id} is no longer accepted{}", done_on(here, &mut client).await?);
        }
        KeyCommand::Export { file, id } => export(&file, id.as_deref(), &mut client).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns and returns true if this node hears no other node, but messages of its cluster under
/// another key.
pub(crate) async fn warn_if_locked_out(client: &mut Client) -> bool {
    let Ok(status) = client.ask(&Request::Status).await else { return false };
    let is_locked_out = status["locked_out"] == true;
    if is_locked_out {
        say::labelled(33, "warning", LOCKED_OUT_WARNING);
    }
    is_locked_out
}

/// The warning of `members`, `status` and `key` on a node that hears only messages under another
/// key. Such a message is not authentic, so anyone on the network may have sent it.
pub(crate) const LOCKED_OUT_WARNING: &str = "this node hears no other node of its cluster, but \
     messages under a key that it does not have, from a node with another key or from a stranger \
     that imitates one. If the other nodes have another key, export it on one of them \
     (`mailmesh key export FILE`), and add it here with `mailmesh key add --here FILE`";

/// With `--force`: warns about the nodes that have a key in no file. `field` is the field of
/// [`Request::KeyList`] that says so; `key` names the key in the warning.
async fn warn_if_not_kept(client: &mut Client, field: &str, key: &str) -> Result<(), Failure> {
    let nodes = client.ask(&Request::KeyList).await?;
    let nodes = nodes.as_array().into_iter().flatten();
    let without_file = nodes.filter(|node| node["answered"] == true && node[field] != true);
    let names: Vec<_> = without_file.filter_map(|node| node["node"].as_str()).collect();
    if !names.is_empty() {
        let text = format!(
            "no file keeps {key} on {}: after a restart the node has only the keys of its \
             `mesh.key`, and is locked out once these are retired. `mailmesh key export FILE` \
             writes the key to a file",
            names.join(", ")
        );
        say::labelled(33, "warning", &text);
    }
    Ok(())
}

/// Warns about nodes that were members within the last hour and that this step does not reach.
/// `effect` says what that means for them.
async fn warn_about_absent(client: &mut Client, effect: &str) -> Result<(), Failure> {
    let away = client.ask(&Request::Away).await?;
    let named = away.as_array().into_iter().flatten().filter_map(|node| {
        let minutes = node["left_ms_ago"].as_u64()? / 60_000;
        Some(format!("{} (left {minutes} min ago)", node["name"].as_str()?))
    });
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        let text = format!(
            "members of the last hour that are absent {effect}: {}. Put the sealing key into their \
             key files (`mailmesh key export FILE`)",
            named.join(", ")
        );
        say::labelled(33, "warning", &text);
    }
    Ok(())
}

async fn export(path: &Path, id: Option<&str>, client: &mut Client) -> Result<(), Failure> {
    let id = match id {
        Some(prefix) => Some(SecretText(resolve_id(prefix, client).await?.into())),
        None => None,
    };
    let Value::String(text) = client.ask(&Request::KeyExport { id }).await? else {
        return Err(Failure::failed("the node's answer is not a key"));
    };
    let key = Zeroizing::new(text).parse::<ClusterKey>();
    let key = key.map_err(|error| Failure::failed(error.to_string()))?;
    save_key(path, &key)?;
    note!("wrote {}; anyone who reads it can join the cluster", path.display());
    Ok(())
}

fn generate(out: Option<&Path>, cluster: &str) -> Result<ExitCode, Failure> {
    let key = ClusterKey::generate().map_err(|error| Failure::failed(error.to_string()))?;
    match out {
        None => say!("{}", key.to_text().as_str()),
        Some(path) => {
            save_key(path, &key)?;
            note!(
                "wrote {}; copy it to every node, and set \"mesh\": {{\"key\": {{\"@type\": \
                 \"File\", \"filePath\": {:?}}}}}",
                path.display(),
                path.display().to_string()
            );
        }
    }
    note!(
        "fingerprint {} in the cluster `{cluster}`; it differs in a cluster with another name",
        Keyring::new(key).ids(cluster)[0]
    );
    Ok(ExitCode::SUCCESS)
}

fn save_key(path: &Path, key: &ClusterKey) -> Result<(), Failure> {
    create_key_file(path, key).map_err(|error| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let why = match (error.kind(), dir) {
            (ErrorKind::NotFound, Some(dir)) => {
                format!("the directory {} does not exist; create it first", display_path(dir))
            }
            (ErrorKind::NotADirectory, Some(dir)) => {
                format!("{} is not a directory", display_path(dir))
            }
            (ErrorKind::AlreadyExists, _) => {
                format!("{error}; no file is overwritten: choose the path of a new file")
            }
            _ => io_error_text(&error),
        };
        Failure::failed(format!("{}: {why}", display_path(path)))
    })
}

/// Writes a key to a new file that only its owner can read. Fails if the path exists, also as a
/// symbolic link.
pub(crate) fn create_key_file(path: &Path, key: &ClusterKey) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{}", key.to_text().as_str()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Do not leave a truncated key file.
        let _may_be_gone = std::fs::remove_file(path);
    }
    written
}

/// The nodes that a step reached, as " on a, b". Also notes which of them will not have the keys
/// after a restart.
async fn done_on(here: bool, client: &mut Client) -> Result<String, Failure> {
    if here {
        return Ok(" on this node".to_owned());
    }
    let nodes = client.ask(&Request::KeyList).await?;
    let named = |condition: &dyn Fn(&Value) -> bool| {
        let nodes = nodes.as_array().into_iter().flatten().filter(|node| condition(node));
        nodes.filter_map(|node| node["node"].as_str()).collect::<Vec<_>>().join(", ")
    };
    let without_file = named(&|node| node["answered"] == true && node["kept"] != true);
    if !without_file.is_empty() {
        note!(
            "not saved to a file on {without_file}: put it where `mesh.key` points before a restart"
        );
    }
    Ok(format!(" on {}", named(&|node| node["answered"] == true)))
}

/// Reads a key file and checks it before anything is sent. The sealing key comes last.
fn read_keys(path: &Path) -> Result<Vec<SecretText>, Failure> {
    let failed = |why: String| Failure::failed(format!("{}: {why}", display_path(path)));
    // Full capacity from the start: a buffer that grows leaves copies of the key in memory.
    let room = usize::try_from(MAX_KEY_TEXT_LEN).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        // The same checks of owner and mode as for a configuration.
        let secret = Secret::File(path.to_owned());
        Box::new(std::io::Cursor::new(secret.resolve().map_err(|error| failed(error.to_string()))?))
    };
    let read = from.take(MAX_KEY_TEXT_LEN).read_to_string(&mut text);
    read.map_err(|error| failed(io_error_text(&error)))?;
    let keys = text.parse::<Keyring>().map_err(|error| failed(error.to_string()))?;
    Ok(keys.keys().iter().rev().map(|key| SecretText(key.to_text())).collect())
}

async fn list(json: bool, client: &mut Client) -> Result<ExitCode, Failure> {
    let nodes = client.ask(&Request::KeyList).await?;
    if json {
        say::json(&nodes);
        return Ok(ExitCode::SUCCESS);
    }
    for node in nodes.as_array().into_iter().flatten() {
        let name = node["node"].as_str().unwrap_or_default();
        let keys = fingerprints(node);
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
                "{name:<24} seals {sealing}{accepts}  not saved: after a restart it has the keys \
                 of `mesh.key`"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn fingerprints(node: &Value) -> Vec<&str> {
    node["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The whole fingerprint of the key that a prefix names.
///
/// # Errors
/// If the prefix is malformed, or no key or several keys of the cluster begin with it.
async fn resolve_id(prefix: &str, client: &mut Client) -> Result<String, Failure> {
    if prefix.len() > MAX_ID_DIGITS || !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "not a fingerprint: a fingerprint has up to {MAX_ID_DIGITS} hexadecimal digits, as \
             `mailmesh key list` shows them"
        )));
    }
    if prefix.len() < MIN_ID_DIGITS {
        return Err(Failure::usage(format!(
            "give at least {MIN_ID_DIGITS} digits of the fingerprint"
        )));
    }
    let nodes = client.ask(&Request::KeyList).await?;
    let all: BTreeSet<&str> =
        nodes.as_array().into_iter().flatten().flat_map(fingerprints).collect();
    let mut found = all.into_iter().filter(|id| id.starts_with(&prefix.to_ascii_lowercase()));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("several keys begin with {prefix}; give more digits")))
        }
        (None, _) => Err(Failure::failed(format!(
            "no node has a key {prefix}; `mailmesh key list` shows all keys"
        ))),
    }
}
