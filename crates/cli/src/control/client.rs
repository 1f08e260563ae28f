use std::path::Path;
use std::time::Duration;

use mailmesh::UnixMillis;
use mailmesh_cli::protocol::{Answer, MAX_LINE, Request, json_words};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::exit::Failure;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where there is much to do first.
const PATIENCE_WITH_WORK: Duration = Duration::from_secs(600);

/// A connection to a node's control socket.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub(crate) async fn connect(path: &Path) -> Result<Self, Failure> {
        super::check_path(path, false)?;
        let stream = UnixStream::connect(path).await.map_err(|error| {
            Failure::no_node(format!(
                "no node answers at {}: {error}; is it running, and by this user?",
                path.display()
            ))
        })?;
        // Whoever listens may be sent keys: it must be this user or root. Root is no exception:
        // any user can put a socket where root looks for one.
        let (ours, theirs) = (rustix::process::geteuid().as_raw(), stream.peer_cred());
        let theirs = theirs.map_err(|error| Failure::no_node(error.to_string()))?.uid();
        if theirs != ours && theirs != 0 {
            return Err(Failure::no_node(format!(
                "{} is served by user {theirs}, not by this user or root; not used. If that is the \
                 user of the node, run the command as that user",
                path.display()
            )));
        }
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Asks, and gives the answer's value. Who waits for a node that stands still is told.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        let patience = match request {
            // It takes what it takes.
            Request::ImportCommit { .. }
            | Request::Publish { .. }
            | Request::KeyAdd { .. }
            | Request::KeyActivate { .. }
            | Request::KeyRetire { .. } => PATIENCE_WITH_WORK,
            _ => PATIENCE,
        };
        let late = |_| {
            let seconds = patience.as_secs();
            Failure::no_node(format!(
                "the node does not answer within {seconds} s; is it stopped, or the machine overloaded?"
            ))
        };
        tokio::time::timeout(patience, self.ask_patiently(request)).await.map_err(late)?
    }

    /// The time of the cluster of the node.
    pub(crate) async fn cluster_now(&mut self) -> Result<UnixMillis, Failure> {
        let status = self.ask(&Request::Status).await?;
        Ok(super::cluster_now(status["clock_correction_ms"].as_i64().unwrap_or(0)))
    }

    async fn ask_patiently(&mut self, request: &Request) -> Result<Value, Failure> {
        let lost = |error| Failure::no_node(format!("the node went away: {error}"));
        let line = request.to_line().map_err(|e| Failure::failed(json_words(&e)))?;
        self.writer.write_all(line.as_bytes()).await.map_err(lost)?;
        self.next().await?.ok_or_else(|| Failure::no_node("the node went away without an answer"))
    }

    /// The next answer; `None` when the node has stopped.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        let mut bounded = (&mut self.reader).take(MAX_LINE);
        let read = bounded.read_line(&mut line).await;
        match read {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(Failure::no_node(format!("the node went away: {error}"))),
        }
        match Answer::from_line(&line) {
            Ok(Answer::Ok(value)) => Ok(Some(value)),
            Ok(Answer::Error(message)) => Err(Failure::failed(message)),
            Err(error) => {
                let why = json_words(&error);
                Err(Failure::failed(format!("the node's answer is not one: {why}")))
            }
        }
    }
}
