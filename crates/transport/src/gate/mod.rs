//! The gate proves the cluster key on each link before Zenoh reads a byte of it
//! (`docs/decisions/0025-a-gate-before-zenoh.md`).
//!
//! ```text
//! another node's gate == TCP == listener/dialer --handshake--> forward == Unix socket == Zenoh
//! ```
//!
//! - [`handshake`] proves a key in both directions, [`exchange`] says where nodes can be dialed,
//!   [`links`] decides which of two connections becomes a link, [`dial_book`] whom to dial when, and
//!   [`admission`] which unproven connections are kept: no I/O, no clock.
//! - [`serve`] and [`dial`] run them over TCP; [`slots`] is the side of Zenoh; [`forward`] hands
//!   on the bytes between two [`socket`]s; [`upkeep`] follows keys and addresses, and says when
//!   nobody is reached.
//!
//! All of it runs on one thread of its own, so that a busy runtime of the host does not hold up
//! links.

mod admission;
mod counts;
mod dial;
mod dial_book;
mod exchange;
mod forward;
mod handshake;
mod isolation;
mod link_table;
mod serve;
mod session_slots;
mod socket;
mod upkeep;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::coordinator::Listening;
use crate::link_keys::GateKey;
use crate::{EndpointStatus, LinkKeys, OtherKeys};
use admission::Admission;
use counts::AtomicCounts;
use dial_book::DialBook;
use handshake::{ClusterTag, LocalNode};
use link_table::LinkTable;

pub use counts::GateCounts;
pub(crate) use handshake::NodeId;
#[doc(hidden)]
pub use handshake::fuzz::fuzz_handshake;
pub(crate) use isolation::{IsolationAlarm, IsolationEvent};
pub(crate) use session_slots::SessionSlots;

/// How long a connection has to be proven.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Least time without a byte after which a link is closed; Zenoh closes it sooner once it has
/// opened it.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the last that a session said may take to be handed on.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What a gate is started with.
pub(crate) struct GateSetup {
    pub(crate) id: NodeId,
    pub(crate) tag: ClusterTag,
    pub(crate) is_sealed: bool,
    pub(crate) keys: watch::Receiver<LinkKeys>,
    pub(crate) listening: Listening,
    /// How many slots the first session has, if not the usual number.
    pub(crate) first_slots: Option<usize>,
    /// Endpoints to dial: hosts and ports.
    pub(crate) endpoints: Vec<String>,
    /// How long Zenoh takes a silent link for open.
    pub(crate) lease: Duration,
    /// Whether nodes tell each other of the nodes that they are linked to.
    pub(crate) gossips: bool,
    /// For how long a member is missing, if one is.
    pub(crate) lost_for: Arc<dyn Fn() -> Option<Duration> + Send + Sync>,
    pub(crate) other_keys: OtherKeys,
}

/// Ends the connection or link that holds the receiver, when dropped.
type CloseHandle = oneshot::Sender<()>;

/// What the tasks of a gate share.
struct Shared {
    id: NodeId,
    tag: ClusterTag,
    is_sealed: bool,
    keys: ArcSwap<Vec<GateKey>>,
    listening: Listening,
    idle_timeout: Duration,
    gossips: bool,
    lost_for: Arc<dyn Fn() -> Option<Duration> + Send + Sync>,
    other_keys: OtherKeys,
    /// Where the last connection with another `mesh.links` came from.
    other_mode_from: Mutex<Option<IpAddr>>,
    random: SystemRandom,
    counts: Arc<AtomicCounts>,
    admission: Mutex<Admission<CloseHandle>>,
    links: Mutex<LinkTable<CloseHandle>>,
    dial_book: Mutex<DialBook>,
    /// The sockets of the session that is open.
    slots: ArcSwapOption<SessionSlots>,
    /// How many slots the next session has to have.
    wanted_slots: watch::Sender<usize>,
    /// Wakes the dialer when a node is due earlier than it planned.
    dial_wake: Notify,
}

/// A gate that runs until it is dropped.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Ends the thread when dropped.
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Gate {
    /// Listens, and dials. Nothing becomes a link before there are [`slots`](Self::slots).
    ///
    /// # Errors
    /// The system's: of a port that is in use, or a thread that it does not give.
    pub(crate) fn start(setup: GateSetup) -> io::Result<Self> {
        let bound = setup.listening.bind()?;
        let mut keys = setup.keys;
        let now = keys.borrow_and_update().gate_keys();
        let shared = Arc::new(Shared {
            id: setup.id,
            tag: setup.tag,
            is_sealed: setup.is_sealed,
            keys: ArcSwap::from_pointee(now),
            listening: setup.listening,
            idle_timeout: MIN_IDLE_TIMEOUT.max(setup.lease * 2),
            gossips: setup.gossips,
            lost_for: setup.lost_for,
            other_keys: setup.other_keys,
            other_mode_from: Mutex::default(),
            random: SystemRandom::new(),
            counts: Arc::default(),
            admission: Mutex::new(Admission::new(session_slots::max_unproven(
                admission::MAX_UNPROVEN,
            ))),
            links: Mutex::new(LinkTable::new(setup.id)),
            dial_book: Mutex::new(DialBook::new(setup.id, setup.endpoints, Instant::now())),
            slots: ArcSwapOption::empty(),
            wanted_slots: watch::Sender::new(
                setup.first_slots.unwrap_or_else(session_slots::default_count),
            ),
            dial_wake: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let running = shared.clone();
        // The thread makes its runtime: one must not be dropped on another.
        let (starting, started) = std::sync::mpsc::sync_channel(1);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(starting.send(Err(error))),
            };
            runtime.block_on(async move {
                let listeners = bound.into_iter().map(TcpListener::from_std);
                let listeners = match listeners.collect::<io::Result<Vec<_>>>() {
                    Ok(listeners) => listeners,
                    Err(error) => return drop(starting.send(Err(error))),
                };
                for listener in listeners {
                    tokio::spawn(serve::listen(running.clone(), listener));
                }
                tokio::spawn(dial::run(running.clone()));
                tokio::spawn(upkeep::follow_keys(running.clone(), keys));
                tokio::spawn(upkeep::tick(running));
                let _caller_waits = starting.send(Ok(Handle::current()));
                let _stopped_or_dropped = stopped.await;
            });
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("mailmesh-gate".to_owned()).spawn(run)?;
        let ended = || io::Error::other("the thread of the gate ended");
        let runtime = started.recv().map_err(|_| ended())??;
        Ok(Self { shared, runtime, running: Mutex::new(Some((stop, thread))) })
    }

    /// Makes the sockets of a session that is about to be opened, as many as are wanted now.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new_slots(&self) -> io::Result<Arc<SessionSlots>> {
        let _within = self.runtime.enter();
        let slots = Arc::new(SessionSlots::new(*self.shared.wanted_slots.borrow())?);
        self.shared.slots.store(Some(slots.clone()));
        self.shared.dial_wake.notify_one();
        Ok(slots)
    }

    /// A session is about to be closed: no connection becomes a link until there are other slots.
    pub(crate) fn retire_slots(&self) {
        if let Some(slots) = self.shared.slots.swap(None) {
            slots.retire();
        }
    }

    /// The session was closed: waits until what it said last is handed on, and ends all links.
    /// Those that can be are dialed anew once there are slots.
    pub(crate) async fn drain(&self) {
        let is_linked = || self.shared.links.lock().iter().next().is_some();
        let began = Instant::now();
        while is_linked() && began.elapsed() < DRAIN_TIMEOUT {
            sleep(Duration::from_millis(2)).await;
        }
        self.shared.links.lock().end(|_, _| true);
    }

    /// How many slots a session has to have; a change asks for another session.
    pub(crate) fn wanted_slots(&self) -> watch::Receiver<usize> {
        self.shared.wanted_slots.subscribe()
    }

    /// A node that holds the key said where it can be dialed.
    pub(crate) fn peer_found(&self, id: NodeId, addresses: Vec<SocketAddr>) {
        self.shared.dial_book.lock().learn(Instant::now(), id, addresses, true);
        self.shared.dial_wake.notify_one();
    }

    /// A node ended for good.
    pub(crate) fn forget(&self, id: NodeId) {
        self.shared.dial_book.lock().forget(&id);
    }

    /// The nodes that this one is linked to.
    pub(crate) fn linked_ids(&self) -> Vec<NodeId> {
        self.shared.links.lock().iter().map(|(id, _)| *id).collect()
    }

    pub(crate) fn counter(&self) -> GateCountsReader {
        GateCountsReader(self.shared.counts.clone())
    }

    /// Reads how the endpoints of the configuration are.
    pub(crate) fn endpoints(&self) -> GateEndpoints {
        GateEndpoints(Arc::downgrade(&self.shared))
    }

    /// Ends the links and the thread, and frees the ports.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().take();
        if let Some((stop, thread)) = running {
            drop(stop);
            let _panicked = thread.join();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

/// Reads how the endpoints of a gate are, while there is the gate.
#[derive(Clone)]
pub(crate) struct GateEndpoints(Weak<Shared>);

impl GateEndpoints {
    pub(crate) fn now(&self) -> Vec<EndpointStatus> {
        let Some(shared) = self.0.upgrade() else { return Vec::new() };
        let linked: BTreeSet<NodeId> = shared.links.lock().iter().map(|(id, _)| *id).collect();
        shared.dial_book.lock().report(Instant::now(), |id| linked.contains(id))
    }
}

impl std::fmt::Debug for GateEndpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndpointsOfGate")
    }
}

/// Reads what a gate counts.
#[derive(Debug, Clone)]
pub struct GateCountsReader(Arc<AtomicCounts>);

impl GateCountsReader {
    /// What it has counted until now.
    #[must_use]
    pub fn now(&self) -> GateCounts {
        self.0.now()
    }
}

impl Shared {
    fn own(&self) -> LocalNode {
        let keys = self.keys.load().to_vec();
        LocalNode { id: self.id, tag: self.tag, is_sealed: self.is_sealed, keys }
    }

    /// What a node that is dialed, or dials, from `remote` is told of this one and of others.
    fn addresses_for(&self, remote: IpAddr) -> Vec<exchange::NodeAddresses> {
        let remote = remote.to_canonical();
        let mut own = self.listening.addresses_for(remote);
        own.sort_by_key(|address| address.is_ipv4() != remote.is_ipv4());
        let mut known = vec![exchange::NodeAddresses { id: self.id, addresses: own }];
        if !self.gossips {
            return known;
        }
        let links = self.links.lock();
        // A loopback address is of use to nodes of this host alone.
        let is_useful = |address: &&SocketAddr| remote.is_loopback() || !address.ip().is_loopback();
        let others = links.iter().map(|(id, entry)| exchange::NodeAddresses {
            id: *id,
            addresses: entry.addresses.iter().filter(is_useful).copied().collect(),
        });
        let others = others.filter(|known| !known.addresses.is_empty());
        known.extend(others);
        // If more fit than a message takes, each exchange names a random part of them.
        let mut random = [0; 8];
        if known.len() > exchange::MAX_NODES && self.random.fill(&mut random).is_ok() {
            let by = usize::from_be_bytes(random) % (known.len() - 1);
            known[1..].rotate_left(by);
        }
        known
    }

    /// Takes note of what a proven node at `remote` said, and gives its own addresses as it named
    /// them.
    fn learn_from_peer(
        &self,
        id: NodeId,
        remote: IpAddr,
        known: Vec<exchange::NodeAddresses>,
    ) -> Vec<SocketAddr> {
        let (now, mut own) = (Instant::now(), Vec::new());
        let mut dial_book = self.dial_book.lock();
        for mut node in known {
            // A loopback address is another host's.
            node.addresses.retain(|at| remote.is_loopback() || !at.ip().is_loopback());
            let is_itself = node.id == id;
            if is_itself {
                own = node.addresses;
                // The address that it is seen at may be that of somebody on the way: it comes
                // last, and nobody is told of it.
                let seen = own.first().map(|first| SocketAddr::new(remote, first.port()));
                dial_book.learn(now, id, own.iter().copied().chain(seen), true);
            } else if self.gossips {
                dial_book.learn(now, node.id, node.addresses, false);
            }
        }
        drop(dial_book);
        self.dial_wake.notify_one();
        own
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::{Backend, Coordinator, LinkProof};

    fn setup(port: u16) -> GateSetup {
        let config = format!("{{ listen: {{ endpoints: ['tcp/127.0.0.1:{port}'] }} }}");
        let coordinator = Coordinator::parse(&config).unwrap();
        let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
        let keys = watch::Sender::new(LinkKeys::new(Zeroizing::new([1; 32]), []));
        GateSetup {
            id: [1; 16],
            tag: [1; 8],
            is_sealed: false,
            keys: keys.subscribe(),
            listening: Listening::of(settings, LinkProof::Gate).unwrap(),
            first_slots: None,
            endpoints: Vec::new(),
            lease: Duration::from_secs(3),
            gossips: true,
            lost_for: Arc::new(|| None),
            other_keys: OtherKeys::default(),
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_and_a_gate_that_stopped_frees_its_own() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Gate::start(setup(port)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("tcp/127.0.0.1:{port}: ")), "{error}");
        drop(taken);
        for _ in 0..3 {
            let gate = Gate::start(setup(port)).unwrap();
            gate.stop();
        }
    }
}
