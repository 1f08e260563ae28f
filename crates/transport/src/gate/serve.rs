//! Accepts connections of other nodes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::admission::Origin;
use super::exchange::{self, NodeAddresses};
use super::forward::forward;
use super::handshake::{
    Acceptor, HELLO_LEN, MAGIC, NO_COMMON_KEY, NodeId, PROOF_LEN, ProvenPeer, Purpose, Refusal,
    Session, Verdict, check_prefix,
};
use super::link_table::{Entry, LinkDecision};
use super::{CloseHandle, HANDSHAKE_TIMEOUT, Shared};

/// Maximum time for the address exchange after a proof.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a failed accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why a connection ended before it became a link.
#[derive(Debug)]
pub(super) enum LinkError {
    Io(io::Error),
    Refused(Refusal),
    /// The connection was closed before the acceptor proved the key.
    NoAnswer,
    /// The node has proven the key but has no room for a link.
    Declined,
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer => f.write_str(
                "no answer to the handshake: the node has another `mesh.links`, `mesh.cluster` or \
                 version, has no key, is not mailmesh, or is flooded with connections",
            ),
            Self::Declined => f.write_str(
                "the node holds the key but accepts no more links now; it is dialed again",
            ),
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the other node closed the connection")
            }
            Self::Io(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for LinkError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let origin = Origin::from(from.ip());
                let (end, ended) = oneshot::channel();
                let (number, evicted) = shared.admission.lock().admit(origin, end);
                let is_full = evicted.is_some();
                drop(evicted);
                let shared = shared.clone();
                tokio::spawn(async move {
                    let proven = prove(&shared, stream, (origin, number), from, ended).await;
                    shared.admission.lock().leave(origin, number);
                    if let Some((stream, proven)) = proven
                        && let Err(error) = serve_proven(&shared, stream, from, proven).await
                    {
                        tracing::debug!(%from, %error, "a proven connection ended");
                    }
                });
                if is_full {
                    // Lets the task of the evicted connection close it before another connection is
                    // accepted.
                    tokio::task::yield_now().await;
                }
            }
            // For example, no file descriptor is left, or the connection was closed already.
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Runs the handshake until the deadline, and as long as the connection is not evicted.
async fn prove(
    shared: &Shared,
    mut stream: TcpStream,
    slot: (Origin, u64),
    from: SocketAddr,
    ended: oneshot::Receiver<()>,
) -> Option<(TcpStream, ProvenPeer)> {
    let proven = tokio::select! {
        proven = timeout(HANDSHAKE_TIMEOUT, handshake(shared, &mut stream, slot)) => proven,
        _ = ended => {
            shared.counts.crowded_out.add();
            return None;
        }
    };
    match proven {
        Ok(Ok(proven)) => return Some((stream, proven)),
        Ok(Err(LinkError::Refused(refusal))) => {
            shared.counts.refused(refusal);
            match refusal {
                Refusal::OtherKey => shared.other_keys.note(),
                Refusal::OtherMode => *shared.other_mode_from.lock() = Some(from.ip()),
                _ => {}
            }
        }
        Ok(Err(_)) => {}
        Err(_) => shared.counts.late.add(),
    }
    None
}

/// Sets the options of each connection: small messages are sent at once. Urgent data, which no node
/// sends, stays in the stream.
pub(super) fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_out_of_band_inline(true)
}

async fn handshake(
    shared: &Shared,
    stream: &mut TcpStream,
    (origin, number): (Origin, u64),
) -> Result<ProvenPeer, LinkError> {
    configure(stream)?;
    let mut hello = [0; HELLO_LEN];
    let (first, rest) = hello.split_at_mut(MAGIC.len());
    stream.read_exact(first).await?;
    // Another protocol may wait for an answer before it has sent as many bytes as a hello.
    check_prefix(first.first_chunk().unwrap_or(&[0; MAGIC.len()]))?;
    stream.read_exact(rest).await?;
    let (acceptor, answer) = match Acceptor::receive_hello(&shared.own(), &hello, &shared.random) {
        Err(Refusal::OtherKey) => {
            stream.write_all(&NO_COMMON_KEY).await?;
            return Err(Refusal::OtherKey.into());
        }
        answered => answered?,
    };
    shared.admission.lock().named_known_key(origin, number);
    stream.write_all(&answer).await?;
    let mut proof = [0; PROOF_LEN];
    stream.read_exact(&mut proof).await?;
    Ok(acceptor.receive_proof(&proof)?)
}

/// Serves the purpose of a proven connection.
async fn serve_proven(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    from: SocketAddr,
    proven: ProvenPeer,
) -> Result<(), LinkError> {
    let ProvenPeer { id, key, purpose, mut session } = proven;
    // A peer that uses this node's id must not enter the link table.
    if id == shared.id {
        return Err(Refusal::IsSelf.into());
    }
    match purpose {
        Purpose::Link => {
            let slots = shared.slots.load_full();
            let (end, ended) = oneshot::channel();
            let entry = Entry {
                number: 0,
                key,
                binding: session.binding,
                is_dialed: false,
                local: stream.local_addr()?,
                remote: from,
                addresses: Vec::new(),
                _end: end,
            };
            let (verdict, number) = {
                let mut links = shared.links.lock();
                match links.decide(id) {
                    _ if slots.is_none() => (Verdict::Declined, None),
                    LinkDecision::Accept { .. } => (Verdict::Taken, Some(links.enter(id, entry))),
                    LinkDecision::Crossed => (Verdict::Crossed, None),
                    LinkDecision::Full => (Verdict::Declined, None),
                }
            };
            match verdict {
                Verdict::Taken => shared.counts.links.add(),
                Verdict::Crossed => shared.counts.crossed.add(),
                Verdict::Declined => shared.counts.declined.add(),
            }
            let (Some(number), Some(slots)) = (number, slots) else {
                return Ok(stream.write_all(&session.encode_verdict(verdict)).await?);
            };
            let link = ActiveLink::new(shared.clone(), id, number, ended);
            link.run(async {
                stream.write_all(&session.encode_verdict(verdict)).await?;
                exchange_addresses(shared, &mut stream, from, id, &mut session).await?;
                let zenoh = slots.connect_zenoh().await?;
                Ok((stream, zenoh, session))
            })
            .await
        }
        Purpose::Ask => {
            stream.write_all(&session.encode_verdict(Verdict::Taken)).await?;
            exchange_addresses(shared, &mut stream, from, id, &mut session).await.map(drop)
        }
        Purpose::Renew(binding) => {
            let is_known = match shared.links.lock().get_mut(&id) {
                Some(entry) if entry.binding == binding => {
                    entry.key = key;
                    true
                }
                _ => false,
            };
            let verdict = if is_known { Verdict::Taken } else { Verdict::Declined };
            Ok(stream.write_all(&session.encode_verdict(verdict)).await?)
        }
    }
}

/// Sends this node's addresses to a proven node, and receives that node's addresses.
pub(super) async fn exchange_addresses(
    shared: &Shared,
    stream: &mut TcpStream,
    remote: SocketAddr,
    id: NodeId,
    session: &mut Session,
) -> Result<(), LinkError> {
    let message = exchange::encode(&shared.addresses_for(remote.ip()), session);
    let received = timeout(EXCHANGE_TIMEOUT, async {
        stream.write_all(&message).await?;
        let mut len = [0; 2];
        stream.read_exact(&mut len).await?;
        let len = exchange::len(len).ok_or(Refusal::NotProven)?;
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).await?;
        Ok::<Vec<NodeAddresses>, LinkError>(exchange::decode(&bytes, session)?)
    });
    let received = received.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let addresses = shared.learn_from_peer(id, remote.ip(), received);
    if let Some(entry) = shared.links.lock().get_mut(&id) {
        entry.addresses = addresses;
    }
    Ok(())
}

/// A link that is in the link table until it ends.
pub(super) struct ActiveLink {
    shared: Arc<Shared>,
    id: NodeId,
    number: u64,
    began: Instant,
    ended: oneshot::Receiver<()>,
}

impl ActiveLink {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: NodeId,
        number: u64,
        ended: oneshot::Receiver<()>,
    ) -> Self {
        Self { shared, id, number, began: Instant::now(), ended }
    }

    /// Forwards between the two connections that `joined` returns, until they end or the link is
    /// closed.
    pub(super) async fn run(
        mut self,
        joined: impl Future<Output = Result<(TcpStream, UnixStream, Session), LinkError>>,
    ) -> Result<(), LinkError> {
        let (ended, shared) = (&mut self.ended, &self.shared);
        let both = async {
            let (node, zenoh, session) = joined.await?;
            let records = shared.is_sealed.then_some(&session.records);
            Ok(forward(node, zenoh, records, shared.idle_timeout).await?)
        };
        tokio::select! {
            done = both => done,
            _ = ended => Ok(()),
        }
    }
}

impl Drop for ActiveLink {
    fn drop(&mut self) {
        let was_current = self.shared.links.lock().leave(self.id, self.number);
        // A link that was closed or replaced is no longer in the table.
        let is_linked = self.shared.links.lock().get(&self.id).is_some();
        if was_current || !is_linked {
            self.shared.dial_book.lock().link_ended(Instant::now(), self.id, self.began.elapsed());
            self.shared.dial_wake.notify_one();
        }
    }
}

/// A channel for ending a link.
pub(super) fn close_channel() -> (CloseHandle, oneshot::Receiver<()>) {
    oneshot::channel()
}
