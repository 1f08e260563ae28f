//! Builds a node from its configuration. This is the only place where the parts are wired.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_codec::{ClusterKey, Keyring};
use mailmesh_delivery::{Endpoint, Identity, Incarnation, NodeName, Settings, Time};
use mailmesh_events::{NodeId, UnixMillis};
use mailmesh_state::Mirror;
use mailmesh_store::Store;
use mailmesh_transport::{
    Backend, Bus, Coordinator, Driver, IngressQueue, KeySpace, MemoryHub, OtherKeys, Secret,
    ZenohBus,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use crate::clock::WallClock;
use crate::clock_sync::ClockSync;
use crate::cluster_time::ClusterTime;
use crate::direct_receiver::{DirectReceiver, DirectReceiverParts, PushLimits};
use crate::direct_sender::DirectSender;
use crate::framing::{FrameOpener, FrameSealer};
use crate::inbox::{Capacity, Inboxes};
use crate::keys::{KeyService, NodeKeyring, PeerKeys};
use crate::lifecycle::Lifecycle;
use crate::member_log::MemberLog;
use crate::node::Node;
use crate::parts::{Inner, TransportStatus};
use crate::pause_gate::PauseGate;
use crate::persister::{Persister, StoreContext, StoreOpener};
use crate::publisher::Publisher;
use crate::refusals::Refusals;
use crate::replication::{Replication, digest_tag};
use crate::sink::{NodeSink, SinkParts};
use crate::ticker::Ticker;
use crate::{StartError, Stopped};

/// Name of the cluster unless the configuration sets one.
pub const DEFAULT_CLUSTER: &str = "mail";
/// Default number of entries that an inbox holds.
const DEFAULT_INBOX_EVENTS: usize = 64 * 1024;
/// Default number of bytes that an inbox holds.
const DEFAULT_INBOX_BYTES: usize = 64 << 20;

/// Builds a [`Node`]. Values set here win over the coordinator's `mesh` section.
#[derive(Debug, Default)]
pub struct NodeBuilder {
    coordinator: Option<Coordinator>,
    memory: Option<MemoryHub>,
    name: Option<String>,
    cluster: Option<String>,
    keys: Option<(Keyring, Option<PathBuf>)>,
    settings: Option<Settings>,
    failure_timeout: Option<Duration>,
    store: Option<PathBuf>,
    inbox_events: Option<usize>,
    inbox_bytes: Option<usize>,
    wall_clock: WallClock,
    /// Set by tests only: a test cuts the links of an incarnation before the node starts.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) pause_gate: PauseGate,
    pub(crate) store_opener: Option<StoreOpener>,
}

impl Node {
    /// A builder with default settings.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }
}

impl NodeBuilder {
    /// Sets the coordinator. Default: [`Coordinator::zenoh_default`].
    #[must_use]
    pub fn coordinator(mut self, coordinator: Coordinator) -> Self {
        self.coordinator = Some(coordinator);
        self
    }

    /// Connects to nodes of this process over `hub` instead of a network.
    #[must_use]
    pub fn memory(mut self, hub: &MemoryHub) -> Self {
        self.memory = Some(hub.clone());
        self
    }

    /// Sets the node's name. Default: the host's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the cluster's name. Default: [`DEFAULT_CLUSTER`].
    #[must_use]
    pub fn cluster_name(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Sets the cluster key. Without a key, frames are not sealed and certificates are not
    /// replicated.
    #[must_use]
    pub fn key(mut self, key: ClusterKey) -> Self {
        self.keys = Some((Keyring::new(key), None));
        self
    }

    /// Sets the cluster keys: the first seals, and all are accepted. `file` is the file that holds
    /// them; it is rewritten when the keys change ([`Node::keys`]). Without a file a change lasts
    /// until the node restarts.
    #[must_use]
    pub fn keyring(mut self, keys: Keyring, file: Option<PathBuf>) -> Self {
        self.keys = Some((keys, file));
        self
    }

    /// Sets how long a member may be silent before it has failed. Default: 3 s, at least 2 s
    /// ([`start`](Self::start) fails below).
    #[must_use]
    pub fn failure_timeout(mut self, timeout: Duration) -> Self {
        self.failure_timeout = Some(timeout);
        self
    }

    /// Sets the timers and bounds of delivery. Default: [`Settings::default`]. A `failure_timeout`
    /// set on this builder or in the configuration wins over the one in `settings`.
    ///
    /// ```
    /// # use mailmesh::*;
    /// let mut settings = Settings::default();
    /// settings.replay_bytes = 128 << 20; // for longer cuts under more traffic
    /// let builder = Node::builder().delivery(settings);
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn delivery(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Keeps the mirror on disk in this directory, which is created if missing, so that the node
    /// has its mirror at once after a restart; see [`Node::saved`]. Without a store the mirror
    /// comes from the other nodes.
    #[must_use]
    pub fn store(mut self, dir: impl Into<PathBuf>) -> Self {
        self.store = Some(dir.into());
        self
    }

    /// Sets how many entries an inbox holds. Default: 65,536. [`start`](Self::start) fails below
    /// 16.
    #[must_use]
    pub fn inbox_events(mut self, events: usize) -> Self {
        self.inbox_events = Some(events);
        self
    }

    /// Sets how many bytes of entries an inbox holds. Default: 64 MiB. [`start`](Self::start)
    /// fails below 1 MiB. An event in several inboxes counts in each of them.
    #[must_use]
    pub fn inbox_bytes(mut self, bytes: usize) -> Self {
        self.inbox_bytes = Some(bytes);
        self
    }

    /// Sets the node's wall clock. Default: the system clock. The clock stamps this node's changes
    /// to the mirror, decides what has expired, and gives the node's start time. Delivery and its
    /// timers do not use it.
    ///
    /// After a step forward of more than 10 s, expired entries are dropped from the mirror only
    /// after a minute of tokio's time. Lookups ignore expired entries at once.
    ///
    /// Use it to test expiry or wrong clocks:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # use std::time::Duration;
    /// # use mailmesh::*;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let millis = Arc::new(AtomicU64::new(1_800_000_000_000));
    /// let read = millis.clone();
    /// let node = Node::builder()
    ///     .name("mx1")
    ///     .memory(&MemoryHub::new())
    ///     .wall_clock(move || UnixMillis(read.load(Ordering::Relaxed)))
    ///     .start()
    ///     .await?;
    /// let address = "192.0.2.7".parse().expect("an address");
    /// let minute = Duration::from_secs(60);
    /// node.blocks().add(Network::single(address)).reason("spam").ttl(minute).await?;
    /// assert!(node.blocks().is_blocked(address));
    /// millis.fetch_add(60_000, Ordering::Relaxed);
    /// assert!(!node.blocks().is_blocked(address));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wall_clock(mut self, read: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        self.wall_clock = WallClock::new(read);
        self
    }

    /// The name that the node will have: the one set here, the coordinator's, or the host's.
    ///
    /// # Errors
    /// [`StartError::Delivery`] or [`StartError::HostName`] if that name is invalid.
    pub fn node_name(&self) -> Result<NodeName, StartError> {
        let configured = self.coordinator.as_ref().and_then(|c| c.mesh().name.clone());
        match (&self.name, configured) {
            (Some(name), _) => Ok(name.parse()?),
            (None, Some(name)) => Ok(name),
            (None, None) => host_name(),
        }
    }

    /// Starts the node on the caller's tokio runtime, with threads of its own for delivery. Zenoh
    /// needs tokio's multi-thread scheduler; one worker thread is enough.
    ///
    /// # Errors
    /// An error of the configuration, a name, a key, the store or the network. Each error text says
    /// what to do.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Node, StartError> {
        let name = self.node_name();
        let coordinator = match self.coordinator {
            Some(coordinator) => coordinator,
            None => Coordinator::zenoh_default()?,
        };
        for warning in coordinator.warnings() {
            tracing::warn!("configuration: {warning}");
        }
        let mesh_settings = coordinator.mesh();
        let name = name?;
        let cluster = self.cluster.or_else(|| mesh_settings.cluster.clone());
        let cluster = cluster.unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
        let space = KeySpace::new(&cluster)?;
        let keyring = match (self.keys, &mesh_settings.key) {
            (Some(keys), _) => Some(keys),
            (None, Some(secret)) => Some(read_keys(secret)?),
            (None, None) => None,
        };
        let mut settings = self.settings.unwrap_or_default();
        if let Some(timeout) = self.failure_timeout.or(mesh_settings.failure_timeout) {
            settings = settings.with_failure_timeout(timeout)?;
        }
        settings.check()?;
        let capacity = Capacity {
            entries: self
                .inbox_events
                .or(mesh_settings.inbox_events)
                .unwrap_or(DEFAULT_INBOX_EVENTS),
            bytes: self.inbox_bytes.or(mesh_settings.inbox_bytes).unwrap_or(DEFAULT_INBOX_BYTES),
        };
        capacity.check()?;
        let incarnation = match self.incarnation {
            Some(incarnation) => incarnation,
            None => new_incarnation()?,
        };
        let identity = Identity::new(name, incarnation, self.wall_clock.now().0);

        let keyring = keyring
            .map(|(keys, file)| Arc::new(NodeKeyring::new(keys, file, &cluster, incarnation.0)));
        let (sender, ingress) = IngressQueue::new();
        let (mut other_keys, mut transport) = (OtherKeys::default(), TransportStatus::default());
        let bus: Arc<dyn Bus> = match (self.memory, coordinator.backend()) {
            (Some(hub), _) => Arc::new(hub.join(incarnation, sender)),
            (None, Backend::Zenoh(zenoh)) => {
                warn_of_links(&coordinator, keyring.is_some())?;
                let links = keyring.as_ref().map(|keys| keys.links());
                let bus = ZenohBus::open(zenoh, space, incarnation, sender, links).await?;
                other_keys = bus.other_keys();
                transport = TransportStatus { links: bus.gate(), endpoints: Some(bus.endpoints()) };
                Arc::new(bus)
            }
            (None, _) => Arc::new(MemoryHub::new().join(incarnation, sender)),
        };

        let mirror_key = keyring.as_ref().map_or([0; 16], |keys| keys.mirror_key());
        let mirror = Arc::new(Mirror::new(writer(incarnation), mirror_key));
        let time = Arc::new(ClusterTime::new(self.wall_clock));
        let store = self.store.or_else(|| mesh_settings.store.clone());
        let context = StoreContext {
            cluster: cluster.clone(),
            keys: keyring.clone(),
            mirror: mirror.clone(),
            time: time.clone(),
        };
        let persister = open_store(store, context, self.store_opener).await?;
        let start = Instant::now();
        let mut endpoint = Endpoint::new(identity.clone(), settings.clone(), Time::default());
        if persister.as_ref().is_none_or(Persister::is_decided) {
            endpoint.set_tag(digest_tag(&mirror));
        }
        let setup = Driver::setup(endpoint, settings, start, bus);
        let direct = DirectSender::new(setup.handle(), keyring.is_some());
        let replication = Arc::new(Replication::new(
            incarnation,
            mirror,
            time.clone(),
            persister,
            direct.clone(),
        ));
        let clocks = Arc::new(ClockSync::new(time, direct.clone()));
        let peer_keys = Arc::<PeerKeys>::default();
        let service = |keyring: Arc<NodeKeyring>| {
            let (identity, cluster) = (identity.clone(), cluster.clone());
            let key_parts = (keyring, peer_keys.clone());
            KeyService::new(identity, cluster, key_parts, replication.clone(), direct.clone())
        };
        let (keys, requests) = keyring.clone().map(service).unzip();
        let lifecycle = Arc::<Lifecycle>::default();
        let inboxes = Arc::new(Inboxes::new(capacity));
        let refusals = Arc::new(Refusals::new(other_keys));
        let member_log = Arc::<MemberLog>::default();

        let push_limits = Arc::<PushLimits>::default();
        let sink = NodeSink::new(
            SinkParts {
                own: incarnation,
                replication: replication.clone(),
                clocks: clocks.clone(),
                lifecycle: lifecycle.clone(),
                inboxes: inboxes.clone(),
                refusals: refusals.clone(),
                member_log: member_log.clone(),
                direct,
            },
            push_limits.clone(),
        );
        let direct_receiver = DirectReceiver::new(
            DirectReceiverParts {
                replication: replication.clone(),
                clocks: clocks.clone(),
                keys: keys.clone(),
                refusals: refusals.clone(),
            },
            push_limits,
        );
        let sealer = Arc::new(keyring.clone().map_or(FrameSealer::OpenMesh, FrameSealer::Keyed));
        let opener = Box::new(FrameOpener::new(keyring, incarnation, peer_keys, refusals.clone()));
        let (mut driver, task) =
            setup.prepare(ingress, (sealer, opener), (sink, direct_receiver))?;
        let pause_gate = self.pause_gate;
        driver.spawn(pause_gate.guard(task));
        let driver = Arc::new(driver);

        let ticker = Ticker {
            replication: replication.clone(),
            clocks,
            keys: keys.clone(),
            lifecycle: lifecycle.clone(),
            inboxes: inboxes.clone(),
            refusals: refusals.clone(),
            member_log: member_log.clone(),
            driver: Arc::downgrade(&driver),
        };
        let mut tasks = vec![tokio::spawn(pause_gate.guard(ticker.run()))];
        if let (Some(keys), Some(requests)) = (&keys, requests) {
            tasks.push(tokio::spawn(pause_gate.guard(keys.clone().work(requests))));
        }
        let publisher = Publisher::new(
            driver.clone(),
            pause_gate.clone(),
            lifecycle.clone(),
            replication.clone(),
        );
        Ok(Node::new(Inner {
            identity,
            cluster_name: cluster,
            publisher,
            replication,
            keys,
            lifecycle,
            inboxes,
            refusals,
            member_log,
            transport,
            pause_gate,
            driver,
            tasks,
        }))
    }
}

/// Loads the mirror from the store in `dir`, if the node has one.
async fn open_store(
    dir: Option<PathBuf>,
    context: StoreContext,
    opener: Option<StoreOpener>,
) -> Result<Option<Persister>, StartError> {
    let Some(dir) = dir else { return Ok(None) };
    let opener = opener.unwrap_or(|dir| Store::open(dir));
    let open = move || Persister::open(&dir, context, opener);
    let opened = tokio::task::spawn_blocking(open).await;
    Ok(Some(opened.map_err(|_| Stopped::ShutDown)??))
}

/// Warns of an open mesh and of links that do not protect it.
fn warn_of_links(coordinator: &Coordinator, is_keyed: bool) -> Result<(), StartError> {
    if !is_keyed && !coordinator.mesh().open {
        tracing::warn!(
            "the mesh is open: anyone who can reach this node's port may join, read, and crash or \
             freeze this process; certificates are not replicated. Generate a key with `mailmesh \
             key generate` and set `mesh.key` on every node, or set `mesh.open` if this is intended"
        );
    }
    for warning in coordinator.check_links(is_keyed)? {
        tracing::warn!("configuration: {warning}");
    }
    Ok(())
}

/// The keys, and the file that holds them.
fn read_keys(secret: &Secret) -> Result<(Keyring, Option<PathBuf>), StartError> {
    let file = match secret {
        Secret::File(path) => Some(path.clone()),
        _ => None,
    };
    match secret.resolve()?.parse::<Keyring>() {
        Ok(keys) => Ok((keys, file)),
        Err(error) => Err(StartError::KeyText { file, error }),
    }
}

/// The writer id of the mirror's stamps: the first 8 bytes of the incarnation.
fn writer(incarnation: Incarnation) -> NodeId {
    let [a, b, c, d, e, f, g, h, ..] = incarnation.0;
    NodeId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// A random incarnation. Its randomness keeps nonces unique across restarts.
pub(crate) fn new_incarnation() -> Result<Incarnation, StartError> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| StartError::Random)?;
    Ok(Incarnation(bytes))
}

fn host_name() -> Result<NodeName, StartError> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    host.parse().map_err(|error: mailmesh_delivery::DeliveryError| StartError::HostName {
        host,
        why: error.to_string(),
    })
}
