//! Latency of events between two nodes while a third node synchronizes the whole mirror from the
//! publisher.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mailmesh::{CacheInvalidation, CacheKind, Filter, Incoming, Kind, Node};

use crate::join;
use crate::row::Row;

const TIMEOUT: Duration = Duration::from_secs(120);
/// Time between two events.
const INTERVAL: Duration = Duration::from_millis(2);
/// Length of the measurement without a joining node.
const BASELINE_TIME: Duration = Duration::from_secs(5);

/// Publishes an event every `INTERVAL` until `done`. Returns the 50th and 99th percentile of the
/// time from publishing to the inbox, in microseconds.
async fn latencies(
    from: &Node,
    inbox: &mut mailmesh::Inbox,
    done: impl Fn() -> bool,
) -> Result<(f64, f64), Box<dyn Error>> {
    let mut all = Vec::new();
    while !done() {
        let begin = Instant::now();
        from.publish(CacheInvalidation::negative(CacheKind::Account)).await?;
        loop {
            let incoming = tokio::time::timeout(TIMEOUT, inbox.recv()).await?;
            match incoming.ok_or("the inbox closed")? {
                Incoming::Event(_) => break,
                Incoming::Gap(gap) => return Err(format!("a gap: {gap:?}").into()),
                _ => {}
            }
        }
        all.push(begin.elapsed());
        tokio::time::sleep(INTERVAL).await;
    }
    all.sort_unstable();
    let at = |hundredth: usize| {
        all.get(all.len() * hundredth / 100).map_or(f64::NAN, |d| d.as_secs_f64() * 1e6)
    };
    Ok((at(50), at(99)))
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (first, others) = join::configs()?;
        let start = |name: &str, config| Node::builder().name(name).coordinator(config).start();
        let one = start("one", first).await?;
        let two = start("two", others.clone()).await?;
        two.wait_for_members(1).await;
        join::fill(&one).await?;
        let begin = Instant::now();
        while two.status().mirror_fingerprint != one.status().mirror_fingerprint {
            if begin.elapsed() > TIMEOUT {
                return Err("the second node did not get the mirror".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut inbox = two.inbox(Filter::kinds([Kind::Cache])?);
        let begin = Instant::now();
        let (p50, p99) = latencies(&one, &mut inbox, || begin.elapsed() > BASELINE_TIME).await?;

        let joined = Arc::new(AtomicBool::new(false));
        let (done, fingerprint) = (joined.clone(), one.status().mirror_fingerprint);
        let third = start("three", others);
        let third = tokio::spawn(async move {
            let third = third.await?;
            let begin = Instant::now();
            // On timeout the measurement ends, and the check below reports the missing mirror.
            while third.status().mirror_fingerprint != fingerprint && begin.elapsed() < TIMEOUT {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done.store(true, Ordering::Release);
            Ok::<_, mailmesh::Error>(third)
        });
        let during = latencies(&one, &mut inbox, || joined.load(Ordering::Acquire)).await?;
        let third = third.await??;
        if third.status().mirror_fingerprint != one.status().mirror_fingerprint {
            return Err("the new node does not have the whole mirror".into());
        }
        for node in [third, two, one] {
            node.shutdown().await;
        }
        Ok(vec![
            Row::new("an event while another joins, p50", during.0, "us", 2.0 * p50)
                .versus("while nobody does", p50),
            Row::new("an event while another joins, p99", during.1, "us", 2.0 * p99)
                .versus("while nobody does", p99),
        ])
    })
}
