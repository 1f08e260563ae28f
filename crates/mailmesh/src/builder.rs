//! Makes a node of its configuration: the one place where its parts are wired.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_codec::{ClusterKey, Keyring};
use mailmesh_delivery::{Endpoint, Identity, Incarnation, NodeName, Settings, Time};
use mailmesh_events::{NodeId, UnixMillis};
use mailmesh_state::Mirror;
use mailmesh_store::Store;
use mailmesh_transport::{
    Backend, Bus, Coordinator, Driver, Intake, KeySpace, MemoryHub, OtherKeys, Secret, ZenohBus,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use crate::Error;
use crate::clock::WallClock;
use crate::clock_sync::ClockSync;
use crate::cluster::{Cluster, Inner, Network};
use crate::cluster_time::ClusterTime;
use crate::direct_sender::DirectSender;
use crate::directs::{DirectParts, NodeDirects, PushesOfMembers};
use crate::framing::{OpenFrames, SealFrames};
use crate::gate::Gate;
use crate::inbox::{Capacity, Inboxes};
use crate::keys::{KeyService, NodeKeyring};
use crate::lifecycle::Lifecycle;
use crate::member_log::MemberLog;
use crate::persister::{Persister, Source, StoreOpener};
use crate::publisher::Publisher;
use crate::refusals::Refusals;
use crate::replication::{Replication, digest_tag};
use crate::sink::{NodeSink, SinkParts};
use crate::ticker::Ticker;

/// The cluster's name unless one is given.
pub const DEFAULT_CLUSTER: &str = "mail";
/// Events an inbox holds unless another number is given.
const DEFAULT_INBOX: usize = 64 * 1024;
/// Bytes of events an inbox holds unless another number is given.
const DEFAULT_INBOX_BYTES: usize = 64 << 20;

/// Makes a [`Cluster`]. What is set here wins over the coordinator's `mesh`.
#[derive(Debug, Default)]
pub struct ClusterBuilder {
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
    /// A test sets these: it must know a life before it begins, to cut its links.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) gate: Gate,
    pub(crate) store_opener: Option<StoreOpener>,
}

impl ClusterBuilder {
    /// Sets the coordinator; without one it is [`Coordinator::zenoh_default`].
    #[must_use]
    pub fn coordinator(mut self, coordinator: Coordinator) -> Self {
        self.coordinator = Some(coordinator);
        self
    }

    /// Joins nodes of this process over `hub` instead of a network.
    #[must_use]
    pub fn memory(mut self, hub: &MemoryHub) -> Self {
        self.memory = Some(hub.clone());
        self
    }

    /// Sets the node's name; without one it is the host's.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the cluster's name; without one it is `mail`.
    #[must_use]
    pub fn cluster_name(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Sets the cluster key; without one the mesh is open and certificates are
    /// not replicated.
    #[must_use]
    pub fn key(mut self, key: ClusterKey) -> Self {
        self.keys = Some((Keyring::new(key), None));
        self
    }

    /// Sets the cluster's keys, of which the first seals and all are accepted, and the file
    /// that holds them, if there is one: it is written when they change
    /// ([`Cluster::keys`]). Without it a change holds until the node restarts.
    #[must_use]
    pub fn keyring(mut self, keys: Keyring, file: Option<PathBuf>) -> Self {
        self.keys = Some((keys, file));
        self
    }

    /// Sets after how long without a sign of life a member has failed, at least
    /// 2 s; without one it is 3 s.
    #[must_use]
    pub fn failure_timeout(mut self, timeout: Duration) -> Self {
        self.failure_timeout = Some(timeout);
        self
    }

    /// Sets the timers and bounds of delivery; without them they are
    /// [`Settings::default`]. `failure_timeout`, here or in the configuration, wins over
    /// the one in them.
    ///
    /// ```
    /// # use mailmesh::*;
    /// let mut settings = Settings::default();
    /// settings.replay_bytes = 128 << 20; // for longer cuts under more traffic
    /// let builder = Cluster::builder().delivery(settings);
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn delivery(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Keeps the mirror in a store in this directory, which is made if it is not there, so
    /// that a node that starts has it at once: see [`Cluster::saved`]. Without one the mirror
    /// comes from the other nodes.
    #[must_use]
    pub fn store(mut self, dir: impl Into<PathBuf>) -> Self {
        self.store = Some(dir.into());
        self
    }

    /// Sets how many entries an inbox holds, at least 16; without one it is 65,536.
    #[must_use]
    pub fn inbox_events(mut self, events: usize) -> Self {
        self.inbox_events = Some(events.max(16));
        self
    }

    /// Sets how many bytes of events an inbox holds, at least 1 MiB; without one it is
    /// 64 MiB. Events that several inboxes share count in each of them.
    #[must_use]
    pub fn inbox_bytes(mut self, bytes: usize) -> Self {
        self.inbox_bytes = Some(bytes.max(1 << 20));
        self
    }

    /// Sets the node's wall clock; without one it is the system's. It stamps what this
    /// node changes in the mirror, says what has expired there, and tells when the
    /// node started. Delivery and its timers do not read it.
    ///
    /// After a step forward of more than 10 s, what has ended is dropped from the mirror a
    /// minute of tokio's time later; lookups know at once.
    ///
    /// For tests of expiry, or of clocks that are wrong:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # use std::time::Duration;
    /// # use mailmesh::*;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let millis = Arc::new(AtomicU64::new(1_800_000_000_000));
    /// let read = millis.clone();
    /// let node = Cluster::builder()
    ///     .name("mx1")
    ///     .memory(&MemoryHub::new())
    ///     .wall_clock(move || UnixMillis(read.load(Ordering::Relaxed)))
    ///     .start()
    ///     .await?;
    /// let address = "192.0.2.7".parse().expect("an address");
    /// node.blocks().add(Network::single(address), "spam", Some(Duration::from_secs(60))).await?;
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

    /// The name that the node will have: the one given, the coordinator's, or the
    /// host's.
    ///
    /// # Errors
    /// [`Error::Delivery`] or [`Error::HostName`] if that cannot be a name.
    pub fn node_name(&self) -> Result<NodeName, Error> {
        let configured = self.coordinator.as_ref().and_then(|c| c.mesh().name.clone());
        match (&self.name, configured) {
            (Some(name), _) => Ok(name.parse()?),
            (None, Some(name)) => Ok(name),
            (None, None) => host_name(),
        }
    }

    /// Starts the node on the tokio runtime of the caller, with threads of its own for
    /// delivery. Zenoh needs tokio's multi-thread scheduler; one worker is enough.
    ///
    /// # Errors
    /// Whatever of configuration, names and key cannot be used, and what the
    /// machine lacks; each error says what to do.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Cluster, Error> {
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
            entries: self.inbox_events.or(mesh_settings.inbox_events).unwrap_or(DEFAULT_INBOX),
            bytes: self.inbox_bytes.or(mesh_settings.inbox_bytes).unwrap_or(DEFAULT_INBOX_BYTES),
        };
        let incarnation = match self.incarnation {
            Some(incarnation) => incarnation,
            None => new_incarnation()?,
        };
        let identity = Identity::new(name, incarnation, self.wall_clock.now().0);

        let keyring = keyring
            .map(|(keys, file)| Arc::new(NodeKeyring::new(keys, file, &cluster, incarnation.0)));
        let (sender, intake) = Intake::new();
        let (mut other_keys, mut network) = (OtherKeys::default(), Network::default());
        let bus: Arc<dyn Bus> = match (self.memory, coordinator.backend()) {
            (Some(hub), _) => Arc::new(hub.join(incarnation, sender)),
            (None, Backend::Zenoh(zenoh)) => {
                if keyring.is_none() && !mesh_settings.open {
                    tracing::warn!(
                        "the mesh is open: whoever reaches this node's port may join and read, and can end or freeze this process; \
                         certificates are not replicated. Make a key with `mailmesh key generate` and set `mesh.key` on every node, \
                         or set `mesh.open` if that is meant"
                    );
                }
                for warning in coordinator.check_links(keyring.is_some())? {
                    tracing::warn!("configuration: {warning}");
                }
                let links = keyring.as_ref().map(|keys| keys.links());
                let bus = ZenohBus::open(zenoh, space, incarnation, sender, links).await?;
                other_keys = bus.other_keys();
                network = Network { links: bus.gate(), endpoints: Some(bus.endpoints()) };
                Arc::new(bus)
            }
            (None, _) => Arc::new(MemoryHub::new().join(incarnation, sender)),
        };

        let mirror_key = keyring.as_ref().map_or([0; 16], |keys| keys.mirror_key());
        let mirror = Arc::new(Mirror::new(writer(incarnation), mirror_key));
        let time = Arc::new(ClusterTime::new(self.wall_clock));
        let persister = match self.store.or_else(|| mesh_settings.store.clone()) {
            Some(dir) => {
                let (cluster, keys) = (cluster.clone(), keyring.clone());
                let source = Source { cluster, keys, mirror: mirror.clone(), time: time.clone() };
                let opener = self.store_opener.unwrap_or(|dir| Store::open(dir));
                let open = move || Persister::open(&dir, source, opener);
                let opened = tokio::task::spawn_blocking(open).await;
                Some(opened.map_err(|_| Error::ShutDown)??)
            }
            None => None,
        };
        let start = Instant::now();
        let mut endpoint = Endpoint::new(identity.clone(), settings.clone(), Time::default());
        if persister.as_ref().is_none_or(Persister::is_settled) {
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
        let service = |keyring: Arc<NodeKeyring>| {
            let (identity, cluster) = (identity.clone(), cluster.clone());
            KeyService::new(identity, cluster, keyring, replication.clone(), direct.clone())
        };
        let (keys, questions) = keyring.clone().map(service).unzip();
        let lifecycle = Arc::<Lifecycle>::default();
        let inboxes = Arc::new(Inboxes::new(capacity));
        let refusals = Arc::new(Refusals::new(other_keys));
        let member_log = Arc::<MemberLog>::default();

        let pushes = Arc::<PushesOfMembers>::default();
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
            pushes.clone(),
        );
        let directs = NodeDirects::new(
            DirectParts {
                replication: replication.clone(),
                clocks: clocks.clone(),
                keys: keys.clone(),
                inboxes: inboxes.clone(),
                refusals: refusals.clone(),
            },
            pushes,
        );
        let seal = Arc::new(keyring.clone().map_or(SealFrames::Open, SealFrames::Keyed));
        let open = Box::new(OpenFrames::new(keyring, incarnation, refusals.clone()));
        let (mut driver, task) = setup.prepare(intake, (seal, open), (sink, directs))?;
        let gate = self.gate;
        driver.spawn(gate.hold_up(task));
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
        let mut tasks = vec![tokio::spawn(gate.hold_up(ticker.run()))];
        if let (Some(keys), Some(questions)) = (&keys, questions) {
            tasks.push(tokio::spawn(gate.hold_up(keys.clone().work(questions))));
        }
        let publisher =
            Publisher::new(driver.clone(), gate.clone(), lifecycle.clone(), replication.clone());
        Ok(Cluster::new(Inner {
            identity,
            cluster,
            publisher,
            replication,
            keys,
            lifecycle,
            inboxes,
            refusals,
            member_log,
            network,
            gate,
            driver,
            tasks,
        }))
    }
}

/// The keys, and the file that they are kept in.
fn read_keys(secret: &Secret) -> Result<(Keyring, Option<PathBuf>), Error> {
    let file = match secret {
        Secret::File(path) => Some(path.clone()),
        _ => None,
    };
    match Keyring::from_text(&secret.resolve()?) {
        Ok(keys) => Ok((keys, file)),
        Err(error) => Err(Error::KeyText { file, error }),
    }
}

/// The writer of the mirror's stamps: new with each incarnation.
fn writer(incarnation: Incarnation) -> NodeId {
    let [a, b, c, d, e, f, g, h, ..] = incarnation.0;
    NodeId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// A life that never was: its random bits keep nonces from being used twice.
pub(crate) fn new_incarnation() -> Result<Incarnation, Error> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| mailmesh_codec::CodecError::NoRandom)?;
    Ok(Incarnation(bytes))
}

fn host_name() -> Result<NodeName, Error> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    host.parse().map_err(|error: mailmesh_delivery::DeliveryError| Error::HostName {
        host,
        why: error.to_string(),
    })
}
