//! Dials other nodes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::dial_book::{Outcome, Target};
use super::handshake::{
    ANSWER_LEN, Dialer, NodeId, ProvenPeer, Purpose, Refusal, VERDICT_LEN, Verdict,
};
use super::link_table::Entry;
use super::serve::{ActiveLink, LinkError, close_channel, configure, exchange_addresses};
use super::{HANDSHAKE_TIMEOUT, Shared};

/// Maximum time for connecting to an address, and for resolving a name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Delay between attempts to the addresses of one node (RFC 8305, Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(150);
/// Maximum number of addresses used of a name.
const MAX_ADDRESSES_PER_NAME: usize = 8;
/// Maximum wait for Zenoh to dial a slot again.
const SLOT_TIMEOUT: Duration = Duration::from_secs(2);

/// Dials the nodes and endpoints that are due in the dial book.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let has_slots = shared.slots.load().is_some();
        let linked = |shared: &Shared| {
            let links = shared.links.lock();
            links.iter().map(|(id, _)| *id).collect::<std::collections::BTreeSet<NodeId>>()
        };
        let now_linked = linked(&shared);
        let is_linked = |id: &NodeId| now_linked.contains(id);
        if has_slots {
            let due = shared.dial_book.lock().take_due(Instant::now(), is_linked);
            for target in due {
                tokio::spawn(dial(shared.clone(), target));
            }
        }
        let next = shared.dial_book.lock().next_due(is_linked).filter(|_| has_slots);
        tokio::select! {
            () = shared.dial_wake.notified() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

/// Reports the outcome of a dial to the dial book on drop, so also when the task is cancelled.
struct DialReport {
    shared: Arc<Shared>,
    target: Target,
    outcome: Outcome,
}

impl DialReport {
    /// Records that dialing an address failed.
    fn failed(&self, address: SocketAddr, error: &LinkError) {
        let is_endpoint_itself = matches!(&self.target, Target::Endpoint(_, text)
            if text.split('#').next() == Some(&*address.to_string()));
        self.note(if is_endpoint_itself {
            error.to_string()
        } else {
            format!("{address}: {error}")
        });
    }

    /// Stores the reason why an endpoint was not reached.
    fn note(&self, error: String) {
        if let Target::Endpoint(number, _) = self.target {
            self.shared.dial_book.lock().note_error(number, error);
        }
    }
}

impl Drop for DialReport {
    fn drop(&mut self) {
        self.shared.dial_book.lock().dial_finished(Instant::now(), &self.target, self.outcome);
        self.shared.dial_wake.notify_one();
    }
}

async fn dial(shared: Arc<Shared>, target: Target) {
    let mut report =
        DialReport { shared: shared.clone(), target: target.clone(), outcome: Outcome::Failed };
    let (addresses, interface) = match target {
        Target::Node(_, addresses) => (addresses, None),
        Target::Endpoint(_, text) => {
            let (address, settings) = text.split_once('#').unwrap_or((&text, ""));
            let interface = settings.split(';').find_map(|set| set.strip_prefix("iface="));
            let addresses = match resolve(address).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    report.note(format!("the name was not resolved: {error}"));
                    Vec::new()
                }
            };
            (addresses, interface.map(str::to_owned))
        }
    };
    let proposing = shared.clone();
    let mut attempts = race_attempts(addresses, interface, move |stream, address| {
        let shared = proposing.clone();
        async move { propose(&shared, stream, address).await }
    });
    let (mut is_own, mut has_failed) = (false, false);
    while let Some(tried) = attempts.join_next().await {
        let Ok((address, tried)) = tried else { continue };
        match tried {
            Ok(DialResult::Linked(linked)) => {
                let (link, joined) = *linked;
                report.outcome = Outcome::Reached(joined.id);
                drop(report);
                drop(attempts);
                if let Err(error) = link.run(join(&shared, joined)).await {
                    tracing::debug!(%address, %error, "a dialed link ended");
                }
                return;
            }
            Ok(DialResult::AlreadyLinked(id)) => {
                report.outcome = Outcome::Reached(id);
                return;
            }
            Err(LinkError::Refused(Refusal::IsSelf)) => is_own = true,
            Err(error) => {
                has_failed = true;
                if let LinkError::Refused(refusal) = error {
                    shared.counts.refused(refusal);
                    if refusal == Refusal::OtherKey {
                        shared.other_keys.note();
                    }
                }
                tracing::debug!(%address, %error, "dialing failed: the key was not proven");
                report.failed(address, &error);
            }
        }
    }
    // One address of a name may lead to this node while the others are unreachable.
    if is_own && !has_failed {
        report.outcome = Outcome::IsSelf;
    }
}

async fn resolve(endpoint: &str) -> std::io::Result<Vec<SocketAddr>> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let addresses =
        timeout(CONNECT_TIMEOUT, lookup_host(endpoint)).await.map_err(late).flatten()?;
    Ok(addresses.take(MAX_ADDRESSES_PER_NAME).collect())
}

/// The result of one address.
type AttemptResult<T> = (SocketAddr, Result<T, LinkError>);

/// Connects to each address, with [`ATTEMPT_DELAY`] between attempts, and from `interface` if one
/// is named. Runs `then` on each connection. A silent address does not delay the others.
fn race_attempts<T, F>(
    addresses: Vec<SocketAddr>,
    interface: Option<String>,
    then: impl Fn(TcpStream, SocketAddr) -> F + Clone + Send + 'static,
) -> JoinSet<AttemptResult<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, LinkError>> + Send,
{
    let mut attempts = JoinSet::new();
    for (number, address) in (0..).zip(addresses) {
        let (interface, then) = (interface.clone(), then.clone());
        attempts.spawn(async move {
            sleep(ATTEMPT_DELAY * number).await;
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            let connected = timeout(CONNECT_TIMEOUT, connect(address, interface.as_deref())).await;
            let tried = match connected.map_err(late).flatten() {
                Ok(stream) => then(stream, address).await,
                Err(error) => Err(error.into()),
            };
            (address, tried)
        });
    }
    attempts
}

async fn connect(address: SocketAddr, _interface: Option<&str>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(target_os = "linux")]
    socket.bind_device(_interface.map(str::as_bytes))?;
    socket.connect(address).await
}

/// The result of a connection to a node that has proven the key.
enum DialResult {
    Linked(Box<(ActiveLink, AcceptedLink)>),
    /// The node is linked already, or the connection that it dialed itself is kept.
    AlreadyLinked(NodeId),
}

/// A link that the acceptor took and that is not yet connected to Zenoh.
struct AcceptedLink {
    id: NodeId,
    stream: TcpStream,
    address: SocketAddr,
    session: super::handshake::Session,
}

/// Runs the handshake as the dialer: the acceptor proves the key first.
async fn handshake(
    shared: &Shared,
    stream: &mut TcpStream,
    purpose: Purpose,
    may_prove: impl FnOnce(&ProvenPeer) -> bool,
) -> Result<(ProvenPeer, Option<Verdict>), LinkError> {
    let proven = timeout(HANDSHAKE_TIMEOUT, async {
        configure(stream)?;
        let (dialer, hello) = Dialer::start(&shared.own(), purpose, &shared.random)?;
        stream.write_all(&hello).await?;
        let mut answer = [0; ANSWER_LEN];
        stream.read_exact(&mut answer).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                LinkError::NoAnswer
            }
            _ => error.into(),
        })?;
        let (mut proven, proof) = dialer.receive_answer(&answer)?;
        if !may_prove(&proven) {
            return Ok((proven, None));
        }
        stream.write_all(&proof).await?;
        let mut verdict = [0; VERDICT_LEN];
        stream.read_exact(&mut verdict).await?;
        let verdict = proven.session.decode_verdict(&verdict)?;
        Ok((proven, Some(verdict)))
    });
    // Zenoh mistakes a hello for a length and waits for more bytes, so there is no answer.
    proven.await.map_err(|_| LinkError::NoAnswer)?
}

/// Withdraws the proposal when dropped.
struct Proposal<'a>(&'a Shared, Option<NodeId>);

impl Drop for Proposal<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.1 {
            self.0.links.lock().withdraw(id);
        }
    }
}

async fn propose(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> Result<DialResult, LinkError> {
    let mut proposal = Proposal(shared, None);
    let may_prove = |proven: &ProvenPeer| {
        shared.dial_book.lock().claim_address(address, proven.id);
        let may = shared.links.lock().propose(proven.id);
        proposal.1 = may.then_some(proven.id);
        may
    };
    let (proven, verdict) = handshake(shared, &mut stream, Purpose::Link, may_prove).await?;
    let ProvenPeer { id, key, session, .. } = proven;
    match verdict {
        Some(Verdict::Taken) => {
            let (end, ended) = close_channel();
            let entry = Entry {
                number: 0,
                key,
                binding: session.binding,
                is_dialed: true,
                local: stream.local_addr()?,
                remote: address,
                addresses: Vec::new(),
                _end: end,
            };
            let number = shared.links.lock().enter(id, entry);
            shared.counts.links.add();
            let link = ActiveLink::new(shared.clone(), id, number, ended);
            Ok(DialResult::Linked(Box::new((link, AcceptedLink { id, stream, address, session }))))
        }
        Some(Verdict::Crossed) => {
            shared.counts.crossed.add();
            Ok(DialResult::AlreadyLinked(id))
        }
        Some(Verdict::Declined) => Err(LinkError::Declined),
        None => Ok(DialResult::AlreadyLinked(id)),
    }
}

/// Exchanges addresses with the other node, and takes a slot.
async fn join(
    shared: &Arc<Shared>,
    joined: AcceptedLink,
) -> Result<(TcpStream, tokio::net::UnixStream, super::handshake::Session), LinkError> {
    let AcceptedLink { id, mut stream, address, mut session } = joined;
    exchange_addresses(shared, &mut stream, address, id, &mut session).await?;
    let none = || std::io::Error::other("Zenoh offers no free slot");
    let slots = shared.slots.load_full().ok_or_else(none)?;
    let used = shared.links.lock().dialed_count();
    if let Some(more) = slots.wanted_slots(used) {
        shared.wanted_slots.send_if_modified(|wanted_slots| {
            let is_more = more > *wanted_slots;
            *wanted_slots = more.max(*wanted_slots);
            is_more
        });
    }
    let zenoh = slots.take(SLOT_TIMEOUT).await.ok_or_else(none)?;
    Ok((stream, zenoh, session))
}

/// Connects to a linked node for a purpose other than a link.
pub(super) async fn contact(
    shared: &Arc<Shared>,
    addresses: Vec<SocketAddr>,
    id: NodeId,
    purpose: Purpose,
) -> Result<(ProvenPeer, Verdict, TcpStream, SocketAddr), LinkError> {
    let shared = shared.clone();
    let mut attempts = race_attempts(addresses, None, move |mut stream, _| {
        let shared = shared.clone();
        async move {
            let is_target = |proven: &ProvenPeer| proven.id == id;
            let (proven, verdict) = handshake(&shared, &mut stream, purpose, is_target).await?;
            let verdict = verdict.ok_or(std::io::ErrorKind::NotFound);
            Ok((proven, verdict.map_err(std::io::Error::from)?, stream))
        }
    });
    let mut broken = LinkError::Io(std::io::ErrorKind::NotConnected.into());
    while let Some(tried) = attempts.join_next().await {
        match tried {
            Ok((address, Ok((proven, verdict, stream)))) => {
                return Ok((proven, verdict, stream, address));
            }
            Ok((_, Err(error))) => broken = error,
            Err(_panicked) => {}
        }
    }
    Err(broken)
}
