//! The gate proves the cluster key on each link before Zenoh reads a byte of it
//! (`docs/decisions/0025-a-gate-before-zenoh.md`).
//!
//! ```text
//! another node's gate == TCP == listener/dialer --handshake--> forward == Unix socket == Zenoh
//! ```
//!
//! - Without I/O and without a clock: [`handshake`] proves a key in both directions, [`exchange`]
//!   encodes the addresses of nodes, [`link_table`] decides which of two connections becomes a
//!   link, [`dial_book`] decides which node is dialed when, [`admission`] decides which unproven
//!   connections are kept, and [`isolation`] decides when the operator is warned.
//! - [`serve`] and [`dial`] run them over TCP. [`session_slots`] is the side towards Zenoh.
//!   [`forward`] copies the bytes between two [`socket`]s. [`upkeep`] follows the keys and the
//!   host's addresses.
//!
//! The gate runs on a thread of its own, so that a busy runtime of the host does not delay links.

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

use crate::bus::ClusterTag;
use crate::coordinator::Listening;
use crate::link_keys::GateKey;
use crate::{EndpointStatus, LinkKeys, OtherKeys};
use admission::Admission;
use counts::AtomicCounts;
use dial_book::DialBook;
use handshake::LocalNode;
use link_table::LinkTable;

pub use counts::GateCounts;
pub(crate) use handshake::NodeId;
#[doc(hidden)]
pub use handshake::fuzz::fuzz_handshake;
pub(crate) use isolation::{IsolationAlarm, IsolationEvent};
pub(crate) use session_slots::SessionSlots;

/// Maximum time for the handshake of a connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum of the time without a received byte after which a link is closed. Zenoh closes a link
/// sooner once the link is open in Zenoh.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum time for forwarding the last bytes of a closed session.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The parameters of a gate.
pub(crate) struct GateSetup {
    pub(crate) id: NodeId,
    pub(crate) tag: ClusterTag,
    pub(crate) is_sealed: bool,
    pub(crate) keys: watch::Receiver<LinkKeys>,
    pub(crate) listening: Listening,
    /// The number of slots of the first session, if not the default.
    pub(crate) first_slots: Option<usize>,
    /// Endpoints to dial: hosts and ports.
    pub(crate) endpoints: Vec<String>,
    /// Zenoh's lease: how long Zenoh keeps a silent link open.
    pub(crate) lease: Duration,
    /// Whether nodes tell each other the addresses of the nodes that they are linked to.
    pub(crate) gossips: bool,
    /// How long the most recently lost member has been lost; `None` if no member is lost.
    pub(crate) lost_for: Arc<dyn Fn() -> Option<Duration> + Send + Sync>,
    pub(crate) other_keys: OtherKeys,
}

/// Dropping the handle ends the connection or link that holds the receiver.
type CloseHandle = oneshot::Sender<()>;

/// State shared by the tasks of a gate.
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
    /// The source of the last connection with another `mesh.links`.
    other_mode_from: Mutex<Option<IpAddr>>,
    random: SystemRandom,
    counts: Arc<AtomicCounts>,
    admission: Mutex<Admission<CloseHandle>>,
    links: Mutex<LinkTable<CloseHandle>>,
    dial_book: Mutex<DialBook>,
    /// The slots of the open session.
    slots: ArcSwapOption<SessionSlots>,
    /// The number of slots that the next session needs.
    wanted_slots: watch::Sender<usize>,
    /// Wakes the dialer when a node is due earlier than planned.
    dial_wake: Notify,
}

/// A gate. It runs until it is dropped.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Dropping the sender ends the thread.
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Gate {
    /// Listens and dials. No connection becomes a link before [`new_slots`](Self::new_slots).
    ///
    /// # Errors
    /// The system's error, e.g. that a port is in use or that no thread can be started.
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
        // The thread creates its runtime itself, because a runtime must not be dropped on another
        // one.
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
            // Do not wait for a name that is being resolved.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("mailmesh-gate".to_owned()).spawn(run)?;
        let ended = || io::Error::other("the gate's thread ended");
        let runtime = started.recv().map_err(|_| ended())??;
        Ok(Self { shared, runtime, running: Mutex::new(Some((stop, thread))) })
    }

    /// Creates the sockets for a session that is about to be opened, with as many slots as needed.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn new_slots(&self) -> io::Result<Arc<SessionSlots>> {
        let _within = self.runtime.enter();
        let slots = Arc::new(SessionSlots::new(*self.shared.wanted_slots.borrow())?);
        self.shared.slots.store(Some(slots.clone()));
        self.shared.dial_wake.notify_one();
        Ok(slots)
    }

    /// Called before a session is closed: no connection becomes a link until there are new slots.
    pub(crate) fn retire_slots(&self) {
        if let Some(slots) = self.shared.slots.swap(None) {
            slots.retire();
        }
    }

    /// Called after the session was closed: waits until its last bytes are forwarded, and ends all
    /// links. The gate dials the nodes again once there are new slots.
    pub(crate) async fn drain(&self) {
        let is_linked = || self.shared.links.lock().iter().next().is_some();
        let began = Instant::now();
        while is_linked() && began.elapsed() < DRAIN_TIMEOUT {
            sleep(Duration::from_millis(2)).await;
        }
        self.shared.links.lock().end(|_, _| true);
    }

    /// The number of slots that a session needs. A change asks for a new session.
    pub(crate) fn wanted_slots(&self) -> watch::Receiver<usize> {
        self.shared.wanted_slots.subscribe()
    }

    /// Discovery found a node that holds the key, and the addresses at which it can be dialed.
    pub(crate) fn peer_found(&self, id: NodeId, addresses: Vec<SocketAddr>) {
        self.shared.dial_book.lock().learn(Instant::now(), id, addresses, true);
        self.shared.dial_wake.notify_one();
    }

    /// A node left for good.
    pub(crate) fn forget(&self, id: NodeId) {
        self.shared.dial_book.lock().forget(&id);
    }

    /// The nodes that this node is linked to.
    pub(crate) fn linked_ids(&self) -> Vec<NodeId> {
        self.shared.links.lock().iter().map(|(id, _)| *id).collect()
    }

    pub(crate) fn counter(&self) -> GateCountsReader {
        GateCountsReader(self.shared.counts.clone())
    }

    /// A reader for the status of the configured endpoints.
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

/// Reads the status of a gate's endpoints while the gate exists.
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

/// Reads the counters of a gate.
#[derive(Debug, Clone)]
pub struct GateCountsReader(Arc<AtomicCounts>);

impl GateCountsReader {
    /// The counters now.
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

    /// The addresses to send to the node at `remote`: this node's own, then those of its linked
    /// nodes.
    fn addresses_for(&self, remote: IpAddr) -> Vec<exchange::NodeAddresses> {
        let remote = remote.to_canonical();
        let mut own = self.listening.addresses_for(remote);
        own.sort_by_key(|address| address.is_ipv4() != remote.is_ipv4());
        let mut known = vec![exchange::NodeAddresses { id: self.id, addresses: own }];
        if !self.gossips {
            return known;
        }
        let links = self.links.lock();
        // A loopback address is only useful to nodes on this host.
        let is_useful = |address: &&SocketAddr| remote.is_loopback() || !address.ip().is_loopback();
        let others = links.iter().map(|(id, entry)| exchange::NodeAddresses {
            id: *id,
            addresses: entry.addresses.iter().filter(is_useful).copied().collect(),
        });
        let others = others.filter(|known| !known.addresses.is_empty());
        known.extend(others);
        // If more nodes are known than a message holds, each exchange names a random part of them.
        let mut random = [0; 8];
        if known.len() > exchange::MAX_NODES && self.random.fill(&mut random).is_ok() {
            let by = usize::from_be_bytes(random) % (known.len() - 1);
            known[1..].rotate_left(by);
        }
        known
    }

    /// Stores the addresses that the proven node `id` at `remote` sent. Returns the node's own
    /// addresses as the node named them.
    fn learn_from_peer(
        &self,
        id: NodeId,
        remote: IpAddr,
        known: Vec<exchange::NodeAddresses>,
    ) -> Vec<SocketAddr> {
        let (now, mut own) = (Instant::now(), Vec::new());
        let mut dial_book = self.dial_book.lock();
        for mut node in known {
            // A loopback address from another host leads to that host itself.
            node.addresses.retain(|at| remote.is_loopback() || !at.ip().is_loopback());
            let is_itself = node.id == id;
            if is_itself {
                own = node.addresses;
                // The source address may be that of an attacker on the path. It is tried last and
                // never passed on to other nodes.
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
    async fn a_port_in_use_is_an_error_and_a_stopped_gate_frees_its_port() {
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
