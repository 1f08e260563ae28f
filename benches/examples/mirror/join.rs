//! Measures two starts: a new node copies the mirror from another node (over Zenoh on the
//! loopback), and a node loads its mirror from disk.

use std::error::Error;
use std::time::{Duration, Instant};

use mailmesh::{Coordinator, MemoryHub, Network, Node, Rule};
use mailmesh_benches::corpus::{self, ADDRESSES};

use crate::row::Row;

const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) async fn fill(node: &Node) -> Result<(), Box<dyn Error>> {
    let now = mailmesh::UnixMillis::from(std::time::SystemTime::now());
    let all = (0..ADDRESSES).map(|n| {
        let ends = now.plus(Duration::from_secs(86_400 + u64::from(n) % 86_400));
        (Network::single(corpus::v4(n)), corpus::block(n).with_expiry(ends))
    });
    node.blocks().import(Rule::Block, all).await?;
    Ok(())
}

/// Configurations of a first node, and of nodes that connect to it.
pub(crate) fn configs() -> Result<(Coordinator, Coordinator), Box<dyn Error>> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let parse = |endpoints: &str| {
        Coordinator::parse(&format!(
            "{{mode: 'peer', scouting: {{multicast: {{enabled: false}}}}, {endpoints}}}"
        ))
    };
    let first = parse(&format!("listen: {{endpoints: ['tcp/127.0.0.1:{port}']}}"))?;
    let others =
        format!("listen: {{endpoints: []}}, connect: {{endpoints: ['tcp/127.0.0.1:{port}']}}");
    Ok((first, parse(&others)?))
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut rows = Vec::new();
        let (first, second) = configs()?;
        let one = Node::builder().name("one").coordinator(first).start().await?;
        fill(&one).await?;
        let begin = Instant::now();
        let two = Node::builder().name("two").coordinator(second).start().await?;
        two.wait_for_members(1).await;
        let linked_after = begin.elapsed();
        while two.status().mirror_fingerprint != one.status().mirror_fingerprint {
            if begin.elapsed() > TIMEOUT {
                let (n, m) = (two.status().mirror_entries, one.status().mirror_entries);
                let waited = TIMEOUT.as_secs();
                return Err(
                    format!("the new node has {n} of {m} mirror entries after {waited} s").into()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = (begin.elapsed() - linked_after).as_secs_f64();
        rows.push(Row::new("a joiner has 1 M entries, loopback", took, "s", 2.0));
        two.shutdown().await;
        one.shutdown().await;

        let dir = tempfile::tempdir()?;
        let start =
            || Node::builder().name("one").memory(&MemoryHub::new()).store(dir.path()).start();
        let node = start().await?;
        fill(&node).await?;
        let (entries, begin) = (node.status().mirror_entries, Instant::now());
        node.saved().await?;
        println!(
            "    (1 M entries are on the disk {:.2} s after the import)",
            begin.elapsed().as_secs_f64()
        );
        node.shutdown().await;
        let size = std::fs::metadata(dir.path().join("mirror.redb"))?.len();
        let begin = Instant::now();
        let node = start().await?;
        let took = begin.elapsed().as_secs_f64();
        println!("    (a file of {:.0} MB)", size as f64 / 1e6);
        let loaded = node.status().mirror_entries;
        if loaded != entries {
            return Err(format!(
                "the node has {loaded} of {entries} mirror entries after the restart"
            )
            .into());
        }
        rows.push(Row::new("restart from the store, 1 M entries", took, "s", 1.5));
        node.shutdown().await;
        Ok(rows)
    })
}
