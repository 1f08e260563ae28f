//! Forwards the bytes of a link between another node and Zenoh until one of them ends the link.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::handshake::RecordKeys;
use super::socket::{Socket, Stream};

/// Size of the read buffer of each direction.
const BUFFER_LEN: usize = 64 << 10;
/// Length of an AES-GCM tag, and of the length field before a record.
const TAG_LEN: usize = 16;
const LENGTH_PREFIX: usize = 2;
/// Maximum plaintext length of a record.
const MAX_RECORD_LEN: usize = u16::MAX as usize - TAG_LEN;
/// How long one direction may continue after the other has ended.
const HALF_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Forwards bytes until either end closes, or until the other node is silent for `idle_timeout`.
///
/// # Errors
/// The system's error, if the sockets cannot be polled.
pub(super) async fn forward(
    node: TcpStream,
    zenoh: UnixStream,
    records: Option<&RecordKeys>,
    idle_timeout: Duration,
) -> io::Result<()> {
    let node = &Socket::new(node.into_std()?)?;
    let zenoh = &Socket::new(zenoh.into_std()?)?;
    let (inward_count, outward_count) = (&AtomicU64::new(0), &AtomicU64::new(0));
    let inward = async {
        let ended = match records {
            None => copy_plain(node, zenoh, inward_count).await,
            Some(records) => open_records(node, zenoh, &records.receiving, inward_count).await,
        };
        // Zenoh accepts no more bytes. Read the rest: closing a connection with unread bytes resets
        // it, and the other node might lose Zenoh's last bytes.
        if ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            let mut rest = [0; 4096];
            while node.read(&mut rest).await? > 0 {}
        }
        ended
    };
    let outward = async {
        match records {
            None => copy_plain(zenoh, node, outward_count).await,
            Some(records) => seal_records(zenoh, node, &records.sending).await,
        }
    };
    let silent = async {
        let mut looks = interval(idle_timeout);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = u64::MAX;
        loop {
            looks.tick().await;
            let now = inward_count.load(Ordering::Relaxed);
            if std::mem::replace(&mut before, now) == now {
                break;
            }
        }
    };
    let (mut inward, mut outward) = (std::pin::pin!(inward), std::pin::pin!(outward));
    tokio::select! {
        ended = &mut inward => if ended.is_ok() {
            let _cut_short = timeout(HALF_CLOSE_TIMEOUT, outward).await;
        },
        ended = &mut outward => if ended.is_ok() {
            let _cut_short = timeout(HALF_CLOSE_TIMEOUT, inward).await;
        },
        () = silent => {
            tracing::debug!("a link was closed: the other node was silent for {idle_timeout:?}");
        }
    }
    Ok(())
}

/// Copies one direction without encryption, and passes on the end of the stream.
async fn copy_plain(
    from: &Socket<impl Stream>,
    to: &Socket<impl Stream>,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown();
        }
        count.fetch_add(1, Ordering::Relaxed);
        to.write_all(&buffer[..len]).await?;
    }
}

/// The key of one direction's records, and the number of the next record.
struct RecordKey {
    key: LessSafeKey,
    next: u64,
}

impl RecordKey {
    fn new(key: &[u8; 32]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self { key: LessSafeKey::new(key), next: 0 })
    }

    /// The nonce of the next record. The caller increments the number after use.
    fn nonce_now(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.next.to_be_bytes());

        Nonce::assume_unique_for_key(nonce)
    }
}

/// The direction to the other node, in sealed records.
async fn seal_records(
    from: &Socket<impl Stream>,
    to: &Socket<impl Stream>,
    key: &[u8; 32],
) -> io::Result<()> {
    let mut key = RecordKey::new(key)?;
    let mut buffer = vec![0; LENGTH_PREFIX + MAX_RECORD_LEN + TAG_LEN];
    loop {
        let len = from.read(&mut buffer[LENGTH_PREFIX..LENGTH_PREFIX + MAX_RECORD_LEN]).await?;
        if len == 0 {
            return to.shutdown();
        }
        let length = u16::try_from(len + TAG_LEN).unwrap_or(u16::MAX).to_be_bytes();
        let plain = &mut buffer[LENGTH_PREFIX..LENGTH_PREFIX + len];
        let sealed = key.key.seal_in_place_separate_tag(key.nonce_now(), Aad::from(length), plain);
        let tag = sealed.map_err(|_| io::ErrorKind::InvalidData)?;
        key.next += 1;
        buffer[..LENGTH_PREFIX].copy_from_slice(&length);
        buffer[LENGTH_PREFIX + len..LENGTH_PREFIX + len + TAG_LEN].copy_from_slice(tag.as_ref());
        to.write_all(&buffer[..LENGTH_PREFIX + len + TAG_LEN]).await?;
    }
}

/// The direction from the other node. No byte of a record that was changed, skipped or replayed is
/// forwarded.
async fn open_records(
    from: &Socket<impl Stream>,
    to: &Socket<impl Stream>,
    key: &[u8; 32],
    count: &AtomicU64,
) -> io::Result<()> {
    let mut key = RecordKey::new(key)?;
    let mut buffer = vec![0; 2 * (LENGTH_PREFIX + MAX_RECORD_LEN + TAG_LEN)];
    let mut filled = 0;
    loop {
        let len = from.read(&mut buffer[filled..]).await?;
        if len == 0 {
            return to.shutdown();
        }
        filled += len;
        let mut at = 0;
        while let Some(length) = buffer[at..filled].first_chunk::<LENGTH_PREFIX>().copied() {
            let len = usize::from(u16::from_be_bytes(length));
            let start = at + LENGTH_PREFIX;
            if filled - start < len {
                break;
            }
            let sealed = &mut buffer[start..start + len];
            let opened = key.key.open_in_place(key.nonce_now(), Aad::from(length), sealed);
            let plain = opened.map_err(|_| io::ErrorKind::InvalidData)?;
            key.next += 1;
            // Only valid records keep a link open.
            count.fetch_add(1, Ordering::Relaxed);
            to.write_all(plain).await?;
            at = start + len;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::super::handshake::tests::sessions;
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    async fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialed = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (dialed, listener.accept().await.unwrap().0)
    }

    /// One end of a link: Zenoh's socket, the socket to the other node, and the task between them.
    async fn end(
        records: Option<RecordKeys>,
        idle_timeout: Duration,
    ) -> (UnixStream, TcpStream, JoinHandle<()>) {
        let (zenoh, ours) = UnixStream::pair().unwrap();
        let (node, remote) = tcp().await;
        let task = tokio::spawn(async move {
            forward(node, ours, records.as_ref(), idle_timeout).await.unwrap();
        });
        (zenoh, remote, task)
    }

    async fn read(stream: &mut (impl AsyncRead + Unpin), len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        timeout(TIMEOUT, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    #[tokio::test]
    async fn bytes_and_the_end_of_a_stream_are_forwarded_plain_or_sealed() {
        for is_sealed in [false, true] {
            let (one, two) = sessions();
            let [one, two] = [one, two].map(|s| is_sealed.then_some(s.records));
            let (mut a, mut out, first) = end(one, TIMEOUT).await;
            let (mut b, mut into, second) = end(two, TIMEOUT).await;
            let between = tokio::spawn(async move {
                let mut seen = Vec::new();
                let (mut buffer, mut is_open) = ([0; 1000], true);
                // Split at arbitrary points, as networks do.
                while is_open {
                    let len = out.read(&mut buffer).await.unwrap();
                    seen.extend_from_slice(&buffer[..len]);
                    into.write_all(&buffer[..len]).await.unwrap();
                    is_open = len > 0;
                }
                into.shutdown().await.unwrap();
                seen
            });
            let sent = noise(300_000);
            let to_write = sent.clone();
            let writer = tokio::spawn(async move {
                a.write_all(&to_write).await.unwrap();
                a.shutdown().await.unwrap();
                a
            });
            assert_eq!(read(&mut b, sent.len()).await, sent);
            assert_eq!(timeout(TIMEOUT, b.read(&mut [0])).await.unwrap().unwrap(), 0);
            let seen = between.await.unwrap();
            assert_eq!(seen == sent, !is_sealed, "only sealed bytes are hidden");
            drop(writer.await.unwrap());
            drop(b);
            for task in [first, second] {
                timeout(TIMEOUT, task).await.unwrap().unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_changed_repeated_or_skipped_record_ends_the_link() {
        for harm in ["changed", "repeated", "left out", "length"] {
            let (one, two) = sessions();
            let (mut a, mut out, _first) = end(Some(one.records), TIMEOUT).await;
            let (mut b, mut into, second) = end(Some(two.records), TIMEOUT).await;
            let mut records = Vec::new();
            for text in [b"one", b"two"] {
                a.write_all(text).await.unwrap();
                records.push(read(&mut out, LENGTH_PREFIX + 3 + TAG_LEN).await);
            }
            match harm {
                "changed" => records[0][LENGTH_PREFIX] ^= 1,
                "repeated" => records[1] = records[0].clone(),
                "left out" => drop(records.remove(0)),
                _ => records[0][1] -= 1,
            }
            into.write_all(&records.concat()).await.unwrap();
            timeout(TIMEOUT, second).await.unwrap().unwrap();
            let mut received = Vec::new();
            let _reset = b.read_to_end(&mut received).await;
            assert_eq!(received, if harm == "repeated" { &b"one"[..] } else { b"" }, "{harm}");
        }
    }

    #[tokio::test]
    async fn a_silent_link_is_closed() {
        let (_zenoh, _remote, task) = end(None, Duration::from_millis(50)).await;
        timeout(TIMEOUT, task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_node_that_reads_nothing_uses_bounded_memory() {
        let (mut zenoh, remote, task) = end(None, TIMEOUT).await;
        let (mut taken, chunk) = (0, [0; 65_536]);
        while let Ok(len) = timeout(Duration::from_millis(500), zenoh.write(&chunk)).await {
            taken += len.unwrap();
            assert!(taken < 64 << 20, "it took {taken} bytes");
        }
        drop((zenoh, remote));
        timeout(TIMEOUT, task).await.unwrap().unwrap();
    }
}
