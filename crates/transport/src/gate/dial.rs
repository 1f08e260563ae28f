//! Dials other nodes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::book::{Outcome, Target};
use super::handshake::{ANSWER_LEN, Dialer, Id, Proven, Purpose, Refusal, VERDICT_LEN, Verdict};
use super::serve::{Broken, Link, ending, prepare, tell};
use super::table::Entry;
use super::{PROOF, Shared};

/// How long an address may take to be connected to, and a name to be resolved.
const CONNECT: Duration = Duration::from_secs(3);
/// The next address of a node is tried this long after one that does not answer.
const STAGGER: Duration = Duration::from_millis(150);
/// Most addresses of a name.
const ADDRESSES: usize = 8;
/// How long Zenoh may take to dial a slot again.
const SLOT: Duration = Duration::from_secs(2);

/// Dials the nodes and endpoints that the book says are due.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let has_slots = shared.slots.load().is_some();
        let linked = |shared: &Shared| {
            let table = shared.table.lock();
            table.iter().map(|(id, _)| *id).collect::<std::collections::BTreeSet<Id>>()
        };
        let now_linked = linked(&shared);
        let is_linked = |id: &Id| now_linked.contains(id);
        if has_slots {
            let due = shared.book.lock().due(Instant::now(), is_linked);
            for target in due {
                tokio::spawn(dial(shared.clone(), target));
            }
        }
        let next = shared.book.lock().next(is_linked).filter(|_| has_slots);
        tokio::select! {
            () = shared.dialing.notified() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

/// Reports the outcome of a dial to the book, also when the task is cancelled.
struct Report {
    shared: Arc<Shared>,
    target: Target,
    outcome: Outcome,
}

impl Report {
    /// An address was dialed in vain.
    fn failed(&self, address: SocketAddr, error: &Broken) {
        let is_endpoint_itself = matches!(&self.target, Target::Endpoint(_, text)
            if text.split('#').next() == Some(&*address.to_string()));
        self.note(if is_endpoint_itself {
            error.to_string()
        } else {
            format!("{address}: {error}")
        });
    }

    /// Keeps why an endpoint was not reached.
    fn note(&self, error: String) {
        if let Target::Endpoint(number, _) = self.target {
            self.shared.book.lock().failed(number, error);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.shared.book.lock().dialed(Instant::now(), &self.target, self.outcome);
        self.shared.dialing.notify_one();
    }
}

async fn dial(shared: Arc<Shared>, target: Target) {
    let mut report =
        Report { shared: shared.clone(), target: target.clone(), outcome: Outcome::Failed };
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
    let mut tries = race(addresses, interface, move |stream, address| {
        let shared = proposing.clone();
        async move { propose(&shared, stream, address).await }
    });
    let (mut is_own, mut has_failed) = (false, false);
    while let Some(tried) = tries.join_next().await {
        let Ok((address, tried)) = tried else { continue };
        match tried {
            Ok(Attempt::Linked(linked)) => {
                let (link, joined) = *linked;
                report.outcome = Outcome::Reached(joined.id);
                drop(report);
                drop(tries);
                if let Err(error) = link.run(join(&shared, joined)).await {
                    tracing::debug!(%address, %error, "a dialed link ended");
                }
                return;
            }
            Ok(Attempt::Known(id)) => {
                report.outcome = Outcome::Reached(id);
                return;
            }
            Err(Broken::Refused(Refusal::Itself)) => is_own = true,
            Err(error) => {
                has_failed = true;
                if let Broken::Refused(refusal) = error {
                    shared.counts.refused(refusal);
                    if refusal == Refusal::OtherKey {
                        shared.other_keys.note();
                    }
                }
                tracing::debug!(%address, %error, "nobody proved the key");
                report.failed(address, &error);
            }
        }
    }
    // Of a name with several addresses one may be this node, and the others out of reach.
    if is_own && !has_failed {
        report.outcome = Outcome::Itself;
    }
}

async fn resolve(endpoint: &str) -> std::io::Result<Vec<SocketAddr>> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let addresses = timeout(CONNECT, lookup_host(endpoint)).await.map_err(late).flatten()?;
    Ok(addresses.take(ADDRESSES).collect())
}

/// What came of one address.
type Tried<T> = (SocketAddr, Result<T, Broken>);

/// Connects to each address, each [`STAGGER`] after the one before, from `interface` if one is
/// named, and runs `then` on each connection. A silent address delays no other.
fn race<T, F>(
    addresses: Vec<SocketAddr>,
    interface: Option<String>,
    then: impl Fn(TcpStream, SocketAddr) -> F + Clone + Send + 'static,
) -> JoinSet<Tried<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Broken>> + Send,
{
    let mut tries = JoinSet::new();
    for (number, address) in (0..).zip(addresses) {
        let (interface, then) = (interface.clone(), then.clone());
        tries.spawn(async move {
            sleep(STAGGER * number).await;
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            let connected = timeout(CONNECT, connect(address, interface.as_deref())).await;
            let tried = match connected.map_err(late).flatten() {
                Ok(stream) => then(stream, address).await,
                Err(error) => Err(error.into()),
            };
            (address, tried)
        });
    }
    tries
}

async fn connect(address: SocketAddr, _interface: Option<&str>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(target_os = "linux")]
    socket.bind_device(_interface.map(str::as_bytes))?;
    socket.connect(address).await
}

/// What became of a connection to a node that has proven the key.
enum Attempt {
    Linked(Box<(Link, Joined)>),
    /// The node is linked already, or its own connection is kept.
    Known(Id),
}

/// A link that was taken and is not yet joined to Zenoh.
struct Joined {
    id: Id,
    stream: TcpStream,
    address: SocketAddr,
    session: super::handshake::Session,
}

/// Both ends prove the key; the acceptor's comes first.
async fn handshake(
    shared: &Shared,
    stream: &mut TcpStream,
    purpose: Purpose,
    may_prove: impl FnOnce(&Proven) -> bool,
) -> Result<(Proven, Option<Verdict>), Broken> {
    let proven = timeout(PROOF, async {
        prepare(stream)?;
        let (dialer, hello) = Dialer::start(&shared.own(), purpose, &shared.random)?;
        stream.write_all(&hello).await?;
        let mut answer = [0; ANSWER_LEN];
        stream.read_exact(&mut answer).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                Broken::NoAnswer
            }
            _ => error.into(),
        })?;
        let (mut proven, proof) = dialer.answer(&answer)?;
        if !may_prove(&proven) {
            return Ok((proven, None));
        }
        stream.write_all(&proof).await?;
        let mut verdict = [0; VERDICT_LEN];
        stream.read_exact(&mut verdict).await?;
        let verdict = proven.session.hear(&verdict)?;
        Ok((proven, Some(verdict)))
    });
    // Zenoh takes a hello for a length, and waits for the rest.
    proven.await.map_err(|_| Broken::NoAnswer)?
}

/// Withdraws the proposal when dropped.
struct Proposal<'a>(&'a Shared, Option<Id>);

impl Drop for Proposal<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.1 {
            self.0.table.lock().withdraw(id);
        }
    }
}

async fn propose(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> Result<Attempt, Broken> {
    let mut proposal = Proposal(shared, None);
    let may_prove = |proven: &Proven| {
        shared.book.lock().answered(address, proven.id);
        let may = shared.table.lock().propose(proven.id);
        proposal.1 = may.then_some(proven.id);
        may
    };
    let (proven, verdict) = handshake(shared, &mut stream, Purpose::Link, may_prove).await?;
    let Proven { id, key, session, .. } = proven;
    match verdict {
        Some(Verdict::Taken) => {
            let (end, ended) = ending();
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
            let number = shared.table.lock().enter(id, entry);
            shared.counts.links.add();
            let link = Link::new(shared.clone(), id, number, ended);
            Ok(Attempt::Linked(Box::new((link, Joined { id, stream, address, session }))))
        }
        Some(Verdict::Crossed) => {
            shared.counts.crossed.add();
            Ok(Attempt::Known(id))
        }
        Some(Verdict::Declined) => Err(Broken::Declined),
        None => Ok(Attempt::Known(id)),
    }
}

/// Has the two nodes tell each other the addresses that they know, and takes a slot.
async fn join(
    shared: &Arc<Shared>,
    joined: Joined,
) -> Result<(TcpStream, tokio::net::UnixStream, super::handshake::Session), Broken> {
    let Joined { id, mut stream, address, mut session } = joined;
    tell(shared, &mut stream, address, id, &mut session).await?;
    let none = || std::io::Error::other("Zenoh has no slot");
    let slots = shared.slots.load_full().ok_or_else(none)?;
    let used = shared.table.lock().dialed();
    if let Some(more) = slots.wanted(used) {
        shared.wanted.send_if_modified(|wanted| {
            let is_more = more > *wanted;
            *wanted = more.max(*wanted);
            is_more
        });
    }
    let zenoh = slots.take(SLOT).await.ok_or_else(none)?;
    Ok((stream, zenoh, session))
}

/// Connects to a linked node for another purpose than a link.
pub(super) async fn visit(
    shared: &Arc<Shared>,
    addresses: Vec<SocketAddr>,
    id: Id,
    purpose: Purpose,
) -> Result<(Proven, Verdict, TcpStream, SocketAddr), Broken> {
    let shared = shared.clone();
    let mut tries = race(addresses, None, move |mut stream, _| {
        let shared = shared.clone();
        async move {
            let is_it = |proven: &Proven| proven.id == id;
            let (proven, verdict) = handshake(&shared, &mut stream, purpose, is_it).await?;
            let verdict = verdict.ok_or(std::io::ErrorKind::NotFound);
            Ok((proven, verdict.map_err(std::io::Error::from)?, stream))
        }
    });
    let mut broken = Broken::Io(std::io::ErrorKind::NotConnected.into());
    while let Some(tried) = tries.join_next().await {
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
