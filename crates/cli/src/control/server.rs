use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh::secrets::path_words;
use mailmesh::{Cluster, Filter, Rule, Verdict};
use mailmesh_cli::protocol::{Answer, MAX_LINE, Request, json_words};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::bulk::{Import, list};
use super::clients::{Busy, Clients, WATCHERS, Watchers};
use super::{certificates, keys};
use crate::exit::Failure;

/// A client that asks nothing for this long is let go.
const IDLE: Duration = Duration::from_secs(60);
/// A request that has begun is whole by then: our clients send theirs at once.
const WHOLE: Duration = Duration::from_secs(10);
/// Where all clients are being answered, how often it is looked whether one is done.
const FULL: Duration = Duration::from_millis(100);

/// A control socket that listens.
pub(crate) struct Server {
    listener: UnixListener,
}

impl Server {
    /// Listens at `path`, for the owner only. A socket that a dead node left there
    /// is replaced.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        super::check_path(path, true)?;
        let failed = |error: std::io::Error| {
            Failure::failed(format!("control socket {}: {error}", path.display()))
        };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let path = path_words(path);
            // The variable names one socket for all that is started from a shell.
            let is_of_variable = std::env::var_os("MAILMESH_SOCKET").is_some();
            return Err(Failure::failed(if is_of_variable {
                format!(
                    "another node serves the control socket {path}, which `--socket` or \
                     MAILMESH_SOCKET names for this one, too; unset that variable, or give this \
                     node another --socket"
                )
            } else {
                format!(
                    "another node serves the control socket {path}: one of this name runs \
                     already; stop it, or give this one its own --name (and --socket, if you set \
                     that)"
                )
            }));
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(Failure::failed(format!(
                    "{} is there and is no socket; give another path with --socket",
                    path.display()
                )));
            }
            _ => {}
        }
        // Bound where nobody else can reach it, and moved when its mode is set:
        // at no moment is it open to others.
        let hidden = hidden_dir(path);
        let _leftover = std::fs::remove_dir_all(&hidden);
        std::fs::DirBuilder::new().mode(0o700).create(&hidden).map_err(failed)?;
        let bound = bind_in(&hidden, path);
        let _empty = std::fs::remove_dir_all(&hidden);
        bound.map(|listener| Self { listener }).map_err(failed)
    }

    /// Answers until the task is aborted.
    pub(crate) async fn serve(self, cluster: Cluster) {
        let mut clients = Clients::default();
        let watchers = Watchers::new();
        let mut is_failing = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    is_failing = false;
                    while !clients.make_room() {
                        tokio::time::sleep(FULL).await;
                    }
                    let (cluster, busy) = (cluster.clone(), Busy::new());
                    let (is_busy, watchers) = (busy.clone(), watchers.clone());
                    let task = tokio::spawn(async move {
                        // A client that goes away mid-answer is its own affair.
                        let _gone = converse(stream, &cluster, &is_busy, &watchers).await;
                    });
                    clients.add(busy, task.abort_handle());
                }
                Err(error) => {
                    // Once for each spell of it: out of descriptors, it goes on and on.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the control socket does not accept clients");
                    }
                    // Nothing tells when there are descriptors again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn hidden_dir(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Where a socket is before it is moved to its path.
pub(super) fn made_at(path: &Path) -> PathBuf {
    hidden_dir(path).join("s")
}

fn bind_in(hidden: &Path, path: &Path) -> std::io::Result<UnixListener> {
    let inside = hidden.join("s");
    let listener = UnixListener::bind(&inside)?;
    std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&inside, path)?;
    Ok(listener)
}

async fn converse(
    stream: UnixStream,
    cluster: &Cluster,
    busy: &Busy,
    watchers: &Watchers,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut import = Import::default();
    loop {
        busy.set(false);
        let mut line = String::new();
        // Idle for long, gone, slow, or longer than any request: the place is for others.
        if !matches!(timeout(IDLE, reader.fill_buf()).await, Ok(Ok(_))) {
            return Ok(());
        }
        let read = timeout(WHOLE, (&mut reader).take(MAX_LINE).read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) || !line.ends_with('\n') {
            return Ok(());
        }
        busy.set(true);
        let answer = match Request::from_line(&line) {
            Ok(Request::Watch { kinds }) => {
                let Some(_place) = watchers.take_place() else {
                    let why = format!("{WATCHERS} clients watch already; end one of them");
                    send(&mut writer, &Answer::Error(why)).await?;
                    continue;
                };
                let filter = if kinds.is_empty() { Filter::all() } else { Filter::kinds(kinds) };
                let mut inbox = cluster.inbox(filter);
                send(&mut writer, &Answer::Ok(Value::Null)).await?;
                loop {
                    let incoming = tokio::select! {
                        incoming = inbox.recv() => incoming,
                        // A watcher says nothing more: this is its end.
                        _ = reader.read_u8() => return Ok(()),
                    };
                    let Some(incoming) = incoming else {
                        return Ok(());
                    };
                    let value = json!({"text": incoming.to_string(), "entry": incoming});
                    send(&mut writer, &Answer::Ok(value)).await?;
                }
            }
            Ok(Request::BlockList { allow }) => {
                list(cluster, rule(allow), &mut writer).await?;
                Answer::Ok(Value::Null)
            }
            Ok(Request::ImportPart { networks }) => import.add(networks),
            Ok(Request::ImportCommit { allow, force }) => {
                import.commit(cluster, (rule(allow), force), &mut writer).await?
            }
            Ok(request) => answer(request, cluster).await.unwrap_or_else(Answer::Error),
            Err(error) => Answer::Error(format!("not a request: {}", json_words(&error))),
        };
        send(&mut writer, &answer).await?;
    }
}

fn rule(allow: bool) -> Rule {
    if allow { Rule::Allow } else { Rule::Block }
}

pub(super) async fn send(
    writer: &mut (impl AsyncWriteExt + Unpin),
    answer: &Answer,
) -> std::io::Result<()> {
    writer.write_all(answer.to_line()?.as_bytes()).await
}

async fn answer(request: Request, cluster: &Cluster) -> Result<Answer, String> {
    let blocks = cluster.blocks();
    let text = |error: mailmesh::Error| error.to_string();
    Ok(Answer::Ok(match request {
        Request::Publish { event } => {
            cluster.publish(event).await.map_err(text)?;
            Value::Null
        }
        Request::Watch { .. }
        | Request::BlockList { .. }
        | Request::ImportPart { .. }
        | Request::ImportCommit { .. } => Value::Null,
        Request::BlockAdd { network, reason, ttl_ms, allow, force } => {
            let ttl = ttl_ms.map(Duration::from_millis);
            let added = match (allow, force) {
                (true, _) => blocks.allow(network, &reason, ttl).await,
                (false, true) => blocks.add_of_any_width(network, &reason, ttl).await,
                (false, false) => blocks.add(network, &reason, ttl).await,
            };
            added.map_err(text)?;
            Value::Null
        }
        Request::BlockRemove { network, allow } => {
            blocks.remove(rule(allow), network).await.map_err(text)?;
            Value::Null
        }
        Request::BlockCheck { address } => {
            let verdict = blocks.lookup(address);
            let text = verdict.to_string();
            let (blocked, rule, entry) = match verdict {
                Verdict::Clear => (false, None, None),
                Verdict::Allowed(entry) => (false, Some(Rule::Allow), Some(entry)),
                Verdict::Blocked(entry) => (true, Some(Rule::Block), Some(entry)),
            };
            let network = entry.as_ref().map(|entry| entry.network);
            let block = entry.as_ref().map(|entry| json!(&entry.block));
            json!({
                "address": address, "blocked": blocked, "rule": rule, "network": network,
                "block": block, "text": text,
            })
        }
        Request::CertAdd { chain_pem, key_pem, force } => {
            certificates::add(cluster, &chain_pem.0, &key_pem.0, force).await?
        }
        Request::CertList => certificates::list(&cluster.certs()),
        Request::CertRemove { names } => certificates::remove(cluster, &names).await?,
        Request::KeyList => json!(cluster.keys().list().await.map_err(text)?),
        Request::KeyAdd { key, here, force } => {
            keys::add(&cluster.keys(), key, here, force).await?
        }
        Request::KeyActivate { id, here } => keys::activate(&cluster.keys(), &id.0, here).await?,
        Request::KeyRetire { id, here, force } => {
            keys::retire(&cluster.keys(), &id.0, here, force).await?
        }
        Request::KeyExport { id } => {
            keys::export(&cluster.keys(), id.as_ref().map(|id| id.0.as_str()))?
        }
        Request::Away => json!(cluster.away()),
        Request::Members => json!(cluster.members()),
        Request::Status => json!(cluster.status()),
    }))
}
