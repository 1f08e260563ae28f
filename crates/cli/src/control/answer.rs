//! Writes answers to a client of the control socket.

use mailmesh_cli::protocol::Answer;
use tokio::io::AsyncWriteExt;

/// Writes an answer as one line.
pub(super) async fn send_answer(
    writer: &mut (impl AsyncWriteExt + Unpin),
    answer: &Answer,
) -> std::io::Result<()> {
    writer.write_all(answer.to_line()?.as_bytes()).await
}
