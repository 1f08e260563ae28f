//! A TCP proxy in front of a node, to observe the links to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Forwards connections until it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    ended: AtomicU64,
    there: AtomicU64,
    back: AtomicU64,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let counts = Arc::<Counts>::default();
        let counting = counts.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass_on(near, port, counting.clone()));
            }
        });
        Self { port: own, counts, task }
    }

    /// Number of links that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.counts.ended.load(Relaxed)
    }

    /// Bytes sent to the node and back.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        [self.counts.there.load(Relaxed), self.counts.back.load(Relaxed)]
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(near: TcpStream, port: u16, counts: Arc<Counts>) {
    // A node that does not listen yet has refused no link.
    let Ok(far) = TcpStream::connect(("localhost", port)).await else { return };
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    tokio::select! {
        () = copy(&mut near_in, &mut far_out, &counts.there) => {}
        () = copy(&mut far_in, &mut near_out, &counts.back) => {}
    }
    counts.ended.fetch_add(1, Relaxed);
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    count: &AtomicU64,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        count.fetch_add(read as u64, Relaxed);
    }
}
