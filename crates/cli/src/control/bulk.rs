//! Many networks over the control socket: in parts, each a line.

use mailmesh::lists::{Ends, Entry, MAX_ENTRIES};
use mailmesh::{Block, Network, NetworkEntry, Node, Rule, UnixMillis};
use mailmesh_cli::protocol::{Answer, Imported, MAX_LINE};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::server::send;

/// Most networks in a line of a list.
const LISTED: usize = 5_000;
/// Bytes of JSON for an entry without its texts, at most.
const ENTRY: usize = 256;
/// Bytes of JSON for a byte of text, at most: `\u0000`.
const ESCAPED: usize = 6;
/// Bytes of an answer around its value, at most.
const ANSWER: u64 = 64;
/// How often a client is told how far an import is.
const TOLD: usize = 10_000;

/// Gives every network of a rule.
pub(super) async fn list(
    cluster: &Node,
    rule: Rule,
    writer: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let entries = cluster.blocks().list(rule);
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(fitting(rest));
        let part: Value = part
            .iter()
            .map(|entry| json!({"network": entry.network, "block": &entry.block}))
            .collect();
        send(writer, &Answer::Ok(part)).await?;
        rest = after;
    }
    Ok(())
}

/// How many of the entries fit a line whatever their texts are: JSON may escape each byte.
fn fitting(entries: &[NetworkEntry]) -> usize {
    let len = |entry: &NetworkEntry| {
        ENTRY + ESCAPED * (entry.block.reason().len() + entry.block.origin().len())
    };
    let ends = entries.iter().take(LISTED).scan(0, |end, entry| {
        *end += len(entry);
        Some(*end)
    });
    ends.take_while(|end| *end as u64 <= MAX_LINE - ANSWER).count().max(1)
}

/// What a connection brought of an import: nothing is taken before the commit, and all of
/// it goes when the connection does.
#[derive(Default)]
pub(super) struct Import {
    networks: Vec<Imported>,
}

impl Import {
    pub(super) fn add(&mut self, networks: Vec<Imported>) -> Answer {
        if self.networks.len() + networks.len() > MAX_ENTRIES {
            *self = Self::default();
            return Answer::Error(format!(
                "more than {MAX_ENTRIES} networks at once; nothing was imported, split the list"
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
        let networks = std::mem::take(&mut self.networks);
        let networks = match networks.into_iter().map(|n| block(cluster, n)).collect() {
            Ok(networks) => networks,
            Err(error) => return Ok(Answer::Error(error)),
        };
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let blocks = cluster.blocks();
        let progress = |done| {
            if done % TOLD == 0 {
                // The client hears of a later one.
                let _busy = tell.try_send(done);
            }
        };
        let import = async {
            if of_any_width {
                blocks.import_of_any_width(rule, networks, progress).await
            } else {
                blocks.import(rule, networks, progress).await
            }
        };
        tokio::pin!(import);
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
                Some(done) = told.recv() => send(writer, &Answer::Ok(done.into())).await?,
            }
        }
    }
}

fn block(
    cluster: &Node,
    (network, reason, origin, expires): Imported,
) -> Result<(Network, Block), String> {
    let ends = expires.map_or(Ends::Never, |at| Ends::At(UnixMillis(at)));
    let (reason, origin) = (reason.into(), origin.into());
    let entry = Entry { line: 0, network, reason, origin, ends, unit: 0 };
    let block = cluster.blocks().listed(&entry);
    block.map(|block| (network, block)).map_err(|error| format!("{network}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_is_no_longer_than_a_client_reads_whatever_the_texts_are() {
        let text = "\u{1}".repeat(256);
        let block = Block::new(text.as_str(), UnixMillis(u64::MAX)).unwrap();
        let block = block.from_origin(text).unwrap().expiring_at(UnixMillis(u64::MAX));
        let network = "2001:db8:1111:2222:3333:4444:5555:6666/127".parse().unwrap();
        let entries = vec![NetworkEntry { network, block }; LISTED];
        let count = fitting(&entries);
        assert!((1_000..LISTED).contains(&count), "{count}");
        let part: Value = entries[..count]
            .iter()
            .map(|entry| json!({"network": entry.network, "block": &entry.block}))
            .collect();
        assert!(Answer::Ok(part).to_line().unwrap().len() as u64 <= MAX_LINE);
    }
}
