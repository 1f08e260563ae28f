//! The client of a control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh::UnixMillis;
use mailmesh_cli::protocol::{Answer, MAX_LINE_LEN, Request, json_error_text};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::cluster_time::cluster_now;
use super::socket_path::{SocketUse, check_path, find_socket};
use crate::exit::Failure;

/// Time limit for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for an answer to a request that waits for queues or for other nodes.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// A connection to a node's control socket.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// Connects to the node at `socket`, or without a path to the only node of this user.
pub(crate) async fn connect(socket: Option<PathBuf>) -> Result<Client, Failure> {
    Client::connect(&find_socket(socket)?).await
}

impl Client {
    pub(crate) async fn connect(path: &Path) -> Result<Self, Failure> {
        check_path(path, SocketUse::Connect)?;
        let stream = UnixStream::connect(path).await.map_err(|error| {
            Failure::no_node(format!(
                "no node answers at {}: {error}; is it running, and by this user?",
                path.display()
            ))
        })?;
        // Requests may contain keys, so the server must run as this user or root. If this process
        // is root, the server must be root too: any user can create a socket where root looks.
        let (ours, theirs) = (rustix::process::geteuid().as_raw(), stream.peer_cred());
        let theirs = theirs.map_err(|error| Failure::no_node(error.to_string()))?.uid();
        if theirs != ours && theirs != 0 {
            return Err(Failure::no_node(format!(
                "{} is served by user {theirs}, not by this user or root, so it is not used; if \
                 the node runs as that user, run the command as that user, too",
                path.display()
            )));
        }
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Sends a request and returns the value of the answer.
    ///
    /// # Errors
    /// Exit code 4 if the node stops or does not answer in time; 1 if it refuses the request.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        let timeout = match request {
            Request::ImportCommit { .. }
            | Request::Publish { .. }
            | Request::KeyAdd { .. }
            | Request::KeyActivate { .. }
            | Request::KeyRetire { .. } => LONG_ANSWER_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        let late = |_| {
            let seconds = timeout.as_secs();
            Failure::no_node(format!(
                "the node does not answer within {seconds} s; is it suspended, or the machine \
                 overloaded?"
            ))
        };
        tokio::time::timeout(timeout, self.ask_without_timeout(request)).await.map_err(late)?
    }

    /// The cluster time of the node.
    pub(crate) async fn cluster_now(&mut self) -> Result<UnixMillis, Failure> {
        let status = self.ask(&Request::Status).await?;
        Ok(cluster_now(status["clock_correction_ms"].as_i64().unwrap_or(0)))
    }

    async fn ask_without_timeout(&mut self, request: &Request) -> Result<Value, Failure> {
        let lost = |error| Failure::no_node(format!("the connection to the node failed: {error}"));
        let line = request.to_line().map_err(|e| Failure::failed(json_error_text(&e)))?;
        self.writer.write_all(line.as_bytes()).await.map_err(lost)?;
        self.next_answer()
            .await?
            .ok_or_else(|| Failure::no_node("the node closed the connection without an answer"))
    }

    /// Reads the next answer; `None` if the node has closed the connection.
    pub(crate) async fn next_answer(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        let mut bounded = (&mut self.reader).take(MAX_LINE_LEN);
        let read = bounded.read_line(&mut line).await;
        match read {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => {
                return Err(Failure::no_node(format!(
                    "the connection to the node failed: {error}"
                )));
            }
        }
        match Answer::from_line(&line) {
            Ok(Answer::Ok(value)) => Ok(Some(value)),
            Ok(Answer::Error(message)) => Err(Failure::failed(message)),
            Err(error) => {
                let why = json_error_text(&error);
                Err(Failure::failed(format!("the node sent an invalid answer: {why}")))
            }
        }
    }
}
