//! Many networks over the control socket: in parts, each a line.

use mailmesh::lists::{Ends, Entry, MAX_ENTRIES};
use mailmesh::{Block, Cluster, Network, Rule, UnixMillis};
use mailmesh_cli::protocol::{Answer, Imported};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::server::send;

/// Networks in a line of a list.
const LISTED: usize = 5_000;
/// How often a client is told how far an import is.
const TOLD: usize = 10_000;

/// Gives every network of a rule.
pub(super) async fn list(
    cluster: &Cluster,
    rule: Rule,
    writer: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    for entries in cluster.blocks().list(rule).chunks(LISTED) {
        let entries: Value = entries
            .iter()
            .map(|entry| json!({"network": entry.network, "block": &entry.block}))
            .collect();
        send(writer, &Answer::Ok(entries)).await?;
    }
    Ok(())
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
        cluster: &Cluster,
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
    cluster: &Cluster,
    (network, reason, origin, expires): Imported,
) -> Result<(Network, Block), String> {
    let ends = expires.map_or(Ends::Never, |at| Ends::At(UnixMillis(at)));
    let (reason, origin) = (reason.into(), origin.into());
    let entry = Entry { line: 0, network, reason, origin, ends };
    let block = cluster.blocks().listed(&entry);
    block.map(|block| (network, block)).map_err(|error| format!("{network}: {error}"))
}
