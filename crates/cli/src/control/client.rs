use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::protocol::{Answer, MAX_LINE, Request};
use crate::exit::Failure;

/// A connection to a node's control socket.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub(crate) async fn connect(path: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(path).await.map_err(|error| {
            Failure::no_node(format!(
                "no node answers at {}: {error}; is it running, and by this user?",
                path.display()
            ))
        })?;
        // Who listens will be sent keys: it must be this user or root.
        let (ours, theirs) = (rustix::process::geteuid().as_raw(), stream.peer_cred());
        let theirs = theirs.map_err(|error| Failure::no_node(error.to_string()))?.uid();
        if theirs != ours && theirs != 0 && ours != 0 {
            return Err(Failure::no_node(format!(
                "{} is served by user {theirs}, not by this user or root; not used",
                path.display()
            )));
        }
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Asks, and gives the answer's value.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        let lost = |error| Failure::no_node(format!("the node went away: {error}"));
        let line = serde_json::to_string(request).map_err(|e| Failure::failed(e.to_string()))?;
        self.writer.write_all((line + "\n").as_bytes()).await.map_err(lost)?;
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
        match serde_json::from_str(&line) {
            Ok(Answer::Ok(value)) => Ok(Some(value)),
            Ok(Answer::Error(message)) => Err(Failure::failed(message)),
            Err(error) => Err(Failure::failed(format!("the node's answer is not one: {error}"))),
        }
    }
}
