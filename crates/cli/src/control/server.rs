//! The server of a control socket.

use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use mailmesh::secrets::display_path;
use mailmesh::{Node, Rule, Verdict};
use mailmesh_cli::protocol::{Answer, MAX_LINE_LEN, Request, json_error_text};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::answer::send_answer;
use super::bulk::{PendingImport, send_networks};
use super::connections::{Activity, Connections, MAX_WATCHERS, WatcherSlots};
use super::socket_path::{SocketUse, check_path, staging_dir, staging_path};
use super::watch::Watcher;
use super::{certificate_requests, key_requests};
use crate::exit::Failure;

/// A client that sends nothing for this long is disconnected.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit for the rest of a request after its first byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between searches for a free slot while all clients are being answered.
const FULL_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A listening control socket.
pub(crate) struct Server {
    listener: UnixListener,
}

impl Server {
    /// Listens at `path`, for the owner only. A socket that no process serves is replaced.
    ///
    /// # Errors
    /// If the path is too long, is not a socket, or is served by another node.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        check_path(path, SocketUse::Serve)?;
        let failed = |error: std::io::Error| {
            Failure::failed(format!("control socket {}: {error}", path.display()))
        };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let path = display_path(path);
            // The variable applies to all nodes that are started from one shell.
            let is_of_variable = std::env::var_os("MAILMESH_SOCKET").is_some();
            return Err(Failure::failed(if is_of_variable {
                format!(
                    "another node serves the control socket {path}, which `--socket` or \
                     MAILMESH_SOCKET also names for this node; unset that variable, or choose \
                     another --socket"
                )
            } else {
                format!(
                    "another node serves the control socket {path}: a node with this name runs \
                     already; stop it, or choose another --name (and another --socket, if you set \
                     one)"
                )
            }));
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(Failure::failed(format!(
                    "{} exists and is not a socket; choose another path with --socket",
                    path.display()
                )));
            }
            _ => {}
        }
        // The socket is bound in a private directory and moved after its mode is set, so other
        // users can never connect.
        let staging = staging_dir(path);
        let _leftover = std::fs::remove_dir_all(&staging);
        std::fs::DirBuilder::new().mode(0o700).create(&staging).map_err(failed)?;
        let bound = bind_staged(path);
        let _empty = std::fs::remove_dir_all(&staging);
        bound.map(|listener| Self { listener }).map_err(failed)
    }

    /// Serves clients until the task is aborted.
    pub(crate) async fn serve(self, cluster: Node) {
        let mut clients = Connections::default();
        let watchers = WatcherSlots::new();
        let mut is_failing = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    is_failing = false;
                    while !clients.make_room() {
                        tokio::time::sleep(FULL_RETRY_INTERVAL).await;
                    }
                    let (cluster, activity) = (cluster.clone(), Activity::new());
                    let (shared, watchers) = (activity.clone(), watchers.clone());
                    let task = tokio::spawn(async move {
                        // A client that disconnects during an answer is no error of the node.
                        let _gone = serve_client(stream, &cluster, &shared, &watchers).await;
                    });
                    clients.add(activity, task.abort_handle());
                }
                Err(error) => {
                    // One warning per series of failures: without free descriptors they repeat.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the control socket cannot accept connections");
                    }
                    // No event reports that descriptors are free again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn bind_staged(path: &Path) -> std::io::Result<UnixListener> {
    let inside = staging_path(path);
    let listener = UnixListener::bind(&inside)?;
    std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&inside, path)?;
    Ok(listener)
}

async fn serve_client(
    stream: UnixStream,
    cluster: &Node,
    activity: &Activity,
    watchers: &WatcherSlots,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut import = PendingImport::default();
    loop {
        activity.set_busy(false);
        let mut line = String::new();
        // Clients that are idle, slow or gone, and overlong requests, free their slot.
        if !matches!(timeout(IDLE_TIMEOUT, reader.fill_buf()).await, Ok(Ok(_))) {
            return Ok(());
        }
        let read =
            timeout(REQUEST_TIMEOUT, (&mut reader).take(MAX_LINE_LEN).read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) || !line.ends_with('\n') {
            return Ok(());
        }
        activity.set_busy(true);
        let answer = match Request::from_line(&line) {
            Ok(Request::Watch { kinds }) => {
                let Some(_slot) = watchers.try_acquire() else {
                    let why = format!(
                        "{MAX_WATCHERS} clients watch already, the maximum; stop one of them"
                    );
                    send_answer(&mut writer, &Answer::Error(why)).await?;
                    continue;
                };
                let mut watcher = match Watcher::new(cluster, kinds) {
                    Ok(watcher) => watcher,
                    Err(error) => {
                        send_answer(&mut writer, &Answer::Error(error.to_string())).await?;
                        continue;
                    }
                };
                send_answer(&mut writer, &Answer::Ok(Value::Null)).await?;
                loop {
                    let entry = tokio::select! {
                        entry = watcher.next() => entry,
                        // A watcher sends nothing, so the read returns when it disconnects.
                        _ = reader.read_u8() => return Ok(()),
                    };
                    let Some(entry) = entry else {
                        return Ok(());
                    };
                    send_answer(&mut writer, &Answer::Ok(entry)).await?;
                }
            }
            Ok(Request::BlockList { allow }) => {
                send_networks(cluster, rule(allow), &mut writer).await?;
                Answer::Ok(Value::Null)
            }
            Ok(Request::ImportPart { networks }) => import.add(networks),
            Ok(Request::ImportCommit { allow, force }) => {
                import.commit(cluster, (rule(allow), force), &mut writer).await?
            }
            Ok(request) => answer(request, cluster).await.unwrap_or_else(Answer::Error),
            Err(error) => Answer::Error(format!("not a request: {}", json_error_text(&error))),
        };
        send_answer(&mut writer, &answer).await?;
    }
}

fn rule(allow: bool) -> Rule {
    if allow { Rule::Allow } else { Rule::Block }
}

async fn answer(request: Request, cluster: &Node) -> Result<Answer, String> {
    let blocks = cluster.blocks();
    Ok(Answer::Ok(match request {
        Request::Publish { event } => {
            cluster.publish(event).await.map_err(|error| error.to_string())?;
            Value::Null
        }
        Request::Watch { .. }
        | Request::BlockList { .. }
        | Request::ImportPart { .. }
        | Request::ImportCommit { .. } => Value::Null,
        Request::BlockAdd { network, reason, ttl_ms, allow, force } => {
            let add = if allow { blocks.allow(network) } else { blocks.add(network) };
            let add = if force { add.any_width() } else { add };
            add.reason(reason)
                .ttl(ttl_ms.map(Duration::from_millis))
                .await
                .map_err(|error| error.to_string())?;
            Value::Null
        }
        Request::BlockRemove { network, allow } => {
            blocks.remove(rule(allow), network).await.map_err(|error| error.to_string())?;
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
            let block = entry.as_ref().map(|entry| json!(&entry.details));
            json!({
                "address": address, "blocked": blocked, "rule": rule, "network": network,
                "block": block, "text": text,
            })
        }
        Request::CertAdd { chain_pem, key_pem, force } => {
            certificate_requests::add(cluster, &chain_pem.0, &key_pem.0, force).await?
        }
        Request::CertList => certificate_requests::list(&cluster.certs()),
        Request::CertRemove { names } => certificate_requests::remove(cluster, &names).await?,
        Request::KeyList => key_requests::list(&cluster.keys()).await?,
        Request::KeyAdd { key, here, force } => {
            key_requests::add(&cluster.keys(), key, here, force).await?
        }
        Request::KeyActivate { id, here } => {
            key_requests::activate(&cluster.keys(), &id.0, here).await?
        }
        Request::KeyRetire { id, here, force } => {
            key_requests::retire(&cluster.keys(), &id.0, here, force).await?
        }
        Request::KeyExport { id } => {
            key_requests::export(&cluster.keys(), id.as_ref().map(|id| id.0.as_str()))?
        }
        Request::Away => json!(cluster.former_members()),
        Request::Members => json!(cluster.members()),
        Request::Status => json!(cluster.status()),
    }))
}
