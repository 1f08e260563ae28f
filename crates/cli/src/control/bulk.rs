//! Lists of networks over the control socket, split into lines of bounded length.

use std::future::IntoFuture;

use mailmesh::lists::{Ends, Entry, MAX_ENTRIES};
use mailmesh::{NetworkEntry, Node, Rule, UnixMillis};
use mailmesh_cli::protocol::{Answer, ImportEntry, MAX_LINE_LEN};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::answer::send_answer;

/// Maximum number of networks per line.
const MAX_NETWORKS_PER_LINE: usize = 5_000;
/// Upper bound on the JSON of an entry without its texts, in bytes.
const MAX_ENTRY_LEN: usize = 256;
/// Upper bound on the JSON of one byte of text, in bytes: `\u0000`.
const MAX_ESCAPE_LEN: usize = 6;
/// Upper bound on the JSON of an answer around its value, in bytes.
const MAX_ANSWER_OVERHEAD: u64 = 64;
/// Number of imported networks per progress report to the client.
const PROGRESS_INTERVAL: usize = 10_000;

/// Sends all networks of a rule.
pub(super) async fn send_networks(
    cluster: &Node,
    rule: Rule,
    writer: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let entries = cluster.blocks().list(rule);
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(count_that_fits(rest));
        let part: Value = part
            .iter()
            .map(|entry| json!({"network": entry.network, "block": &entry.details}))
            .collect();
        send_answer(writer, &Answer::Ok(part)).await?;
        rest = after;
    }
    Ok(())
}

/// How many of the entries fit into a line, even if JSON escapes each byte of their texts.
fn count_that_fits(entries: &[NetworkEntry]) -> usize {
    let len = |entry: &NetworkEntry| {
        MAX_ENTRY_LEN
            + MAX_ESCAPE_LEN * (entry.details.reason().len() + entry.details.origin().len())
    };
    let ends = entries.iter().take(MAX_NETWORKS_PER_LINE).scan(0, |end, entry| {
        *end += len(entry);
        Some(*end)
    });
    ends.take_while(|end| *end as u64 <= MAX_LINE_LEN - MAX_ANSWER_OVERHEAD).count().max(1)
}

/// The networks that a client has sent and not committed. They are dropped with the connection.
#[derive(Default)]
pub(super) struct PendingImport {
    networks: Vec<ImportEntry>,
}

impl PendingImport {
    pub(super) fn add(&mut self, networks: Vec<ImportEntry>) -> Answer {
        if self.networks.len() + networks.len() > MAX_ENTRIES {
            *self = Self::default();
            return Answer::Error(format!(
                "more than {MAX_ENTRIES} networks; nothing was imported, split the list"
            ));
        }
        self.networks.extend(networks);
        Answer::Ok(self.networks.len().into())
    }

    pub(super) async fn commit(
        &mut self,
        cluster: &Node,
        (rule, of_any_width): (Rule, bool),
        writer: &mut (impl AsyncWriteExt + Unpin),
    ) -> std::io::Result<Answer> {
        let entries = std::mem::take(&mut self.networks).into_iter().map(to_listed);
        let (progress_sender, mut progress_receiver) = tokio::sync::mpsc::channel(1);
        let progress = |done| {
            if done % PROGRESS_INTERVAL == 0 {
                // If the channel is full, the client gets a later report.
                let _full = progress_sender.try_send(done);
            }
        };
        let import = cluster.blocks().import(rule, entries).progress(progress);
        let import = if of_any_width { import.any_width() } else { import };
        let mut import = import.into_future();
        loop {
            tokio::select! {
                imported = &mut import => {
                    return Ok(match imported {
                        Ok(done) => {
                            Answer::Ok(json!({ "imported": done.taken, "replaced": done.replaced }))
                        }
                        Err(error) => Answer::Error(error.to_string()),
                    });
                }
                Some(done) = progress_receiver.recv() => {
                    send_answer(writer, &Answer::Ok(done.into())).await?;
                }
            }
        }
    }
}

fn to_listed((network, reason, origin, expires): ImportEntry) -> Entry {
    let ends = expires.map_or(Ends::Never, |at| Ends::At(UnixMillis(at)));
    let (reason, origin) = (reason.into(), origin.into());
    Entry { line: 0, network, reason, origin, ends, unit: 0 }
}

#[cfg(test)]
mod tests {
    use mailmesh::RuleDetails;

    use super::*;

    #[test]
    fn a_line_of_networks_never_exceeds_the_limit_of_the_client() {
        let text = "\u{1}".repeat(256);
        let block = RuleDetails::new(text.as_str(), UnixMillis(u64::MAX)).unwrap();
        let block = block.with_origin(text).unwrap().with_expiry(UnixMillis(u64::MAX));
        let network = "2001:db8:1111:2222:3333:4444:5555:6666/127".parse().unwrap();
        let entries = vec![NetworkEntry::new(network, block); MAX_NETWORKS_PER_LINE];
        let count = count_that_fits(&entries);
        assert!((1_000..MAX_NETWORKS_PER_LINE).contains(&count), "{count}");
        let part: Value = entries[..count]
            .iter()
            .map(|entry| json!({"network": entry.network, "block": &entry.details}))
            .collect();
        assert!(Answer::Ok(part).to_line().unwrap().len() as u64 <= MAX_LINE_LEN);
    }
}
