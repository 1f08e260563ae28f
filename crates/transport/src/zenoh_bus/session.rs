//! The current Zenoh session, and the entities declared in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use dashmap::DashMap;
use mailmesh_delivery::{Incarnation, Lane, Link};
use mailmesh_secrets::redact;
use parking_lot::Mutex;
use tokio::time::timeout;
use zenoh::Session;
use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample, SampleKind};

use super::discovery::{Discovery, DiscoveryContext, Linker};
use super::introduce::Introducer;
use super::lost_peers::LostPeers;
use super::reconnect::Reconnector;
use crate::coordinator::{
    DialedEndpoint, Listening, dialed_endpoints, names_for_links, zenoh_config,
};
use crate::gate::{Gate, SessionSlots};
use crate::link_proof::SessionProof;
use crate::open_error::open_error;
use crate::{
    Address, Channel, ConfigError, IngressSender, KeySpace, LinkKeys, LinkProof, OtherKeys,
    TransportError, ZenohSettings,
};

/// Maximum wait for closing a session before the next is opened anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The parameters of all sessions of a node.
#[derive(Debug)]
pub(super) struct SessionParams {
    pub(super) settings: ZenohSettings,
    pub(super) keys: KeySpace,
    pub(super) incarnation: Incarnation,
    pub(super) ingress: IngressSender,
    pub(super) lost_peers: Arc<LostPeers>,
    pub(super) other_keys: OtherKeys,
    /// Set if links prove the cluster key: the method, and the places where the node listens.
    pub(super) proven: Option<(LinkProof, Listening)>,
    /// Set if links go through a gate.
    pub(super) gate: Option<Arc<Gate>>,
}

/// The settings by which a session dials.
#[derive(Debug)]
pub(super) struct Dialing {
    settings: ZenohSettings,
    proof: Option<Arc<SessionProof>>,
}

impl Dialing {
    /// The endpoints that Zenoh dials. Reads the files of certificates, so the call may block.
    ///
    /// # Errors
    /// Zenoh cannot be given the configuration.
    pub(super) fn endpoints(&self) -> Result<Vec<DialedEndpoint>, ConfigError> {
        dialed_endpoints(&self.settings, self.proof.as_deref())
    }
}

/// Whether Zenoh has a link to another node.
pub(crate) trait ZenohLinkStatus: std::fmt::Debug + Send + Sync {
    fn is_linked(&self) -> bool;

    /// The last error of probing an endpoint while no node is linked.
    fn last_error(&self, endpoint: &str) -> Option<String>;
}

impl ZenohLinkStatus for LiveSession {
    fn is_linked(&self) -> bool {
        let declared = self.declared.load();
        let info = declared.session.info();
        info.peers_zid().wait().next().is_some() || info.routers_zid().wait().next().is_some()
    }

    fn last_error(&self, endpoint: &str) -> Option<String> {
        self.errors.lock().get(endpoint).cloned()
    }
}

/// The session that is open now.
#[derive(Debug)]
pub(super) struct LiveSession {
    params: SessionParams,
    declared: ArcSwap<Declared>,
    /// Set when the bus closes: no further session is opened then.
    is_closed: Mutex<bool>,
    /// The last results of probing the endpoints that Zenoh dials.
    errors: Mutex<BTreeMap<String, String>>,
}

/// A session and the entities declared in it; they are undeclared when dropped.
#[derive(Debug)]
struct Declared {
    session: Session,
    urgent: Publisher<'static>,
    events: Publisher<'static>,
    control: Publisher<'static>,
    /// Bounded by the number of live peers.
    peers: DashMap<Incarnation, Publisher<'static>>,
    _subscribers: [Subscriber<()>; 2],
    _token: LivelinessToken,
    _search: PeerSearch,
    proof: Option<Arc<SessionProof>>,
    /// The session's sockets at the gate; they are removed with the session.
    _slots: Option<Arc<SessionSlots>>,
}

/// The task that finds other nodes, and lost nodes again.
#[derive(Debug)]
enum PeerSearch {
    /// By the gate, for all sessions.
    Gate,
    /// By questions that holders of the key answer.
    Proven { _discovery: Discovery },
    /// By Zenoh's scouting.
    Scouting { _reconnector: Reconnector },
}

impl LiveSession {
    pub(super) async fn open(
        params: SessionParams,
        links: Option<&LinkKeys>,
    ) -> Result<Self, TransportError> {
        let declared = ArcSwap::from_pointee(params.declare(links).await?);
        Ok(Self { params, declared, is_closed: Mutex::new(false), errors: Mutex::default() })
    }

    /// The endpoints at which the node listens, with the actual ports as far as they are known.
    pub(super) fn listens(&self) -> Vec<String> {
        match &self.params.proven {
            Some((_, listening)) => listening.shown(),
            None => self.params.settings.listens_shown(),
        }
    }

    pub(super) fn note_errors(&self, errors: BTreeMap<String, String>) {
        *self.errors.lock() = errors;
    }

    /// The endpoints that Zenoh dials, without their settings.
    pub(super) fn dialed(&self) -> Vec<String> {
        self.params.settings.dialed_shown()
    }

    /// The configuration of the endpoints that Zenoh dials.
    pub(super) fn dialing(&self) -> Dialing {
        let proof = self.declared.load().proof.clone();
        Dialing { settings: self.params.settings.clone(), proof }
    }

    /// Closes the session and opens another, at the host's current addresses. Links then prove
    /// `links`. Puts in between fail with [`TransportError::Closed`]. May be called again after an
    /// error.
    pub(super) async fn reopen(&self, links: Option<&LinkKeys>) -> Result<(), TransportError> {
        let before = self.declared.load_full();
        // A configured port is in use until the old session is closed.
        self.params.close(&before.session).await;
        if *self.is_closed.lock() {
            return Ok(());
        }
        let next = self.params.declare(links).await?;
        for peer in &before.peers {
            next.peer_joined(&self.params.keys, *peer.key());
        }
        self.declared.store(Arc::new(next));
        let was_closed = *self.is_closed.lock();
        if was_closed {
            self.params.close(&self.declared.load_full().session).await;
        }
        Ok(())
    }

    pub(super) fn put(
        &self,
        to: Address,
        channel: Channel,
        frame: Bytes,
    ) -> Result<(), TransportError> {
        let declared = self.declared.load();
        let put = match (to, channel) {
            (Address::One(peer), channel) => {
                declared.put_to(&self.params.keys, peer, channel, frame)
            }
            (Address::All, Channel::Lane(Lane::Urgent)) => declared.urgent.put(frame).wait(),
            (Address::All, Channel::Lane(Lane::Events)) => declared.events.put(frame).wait(),
            (Address::All, Channel::Control | Channel::Bulk) => declared.control.put(frame).wait(),
        };
        put.map_err(|error| {
            if declared.session.is_closed() {
                TransportError::Closed
            } else {
                TransportError::Put { why: redact(&error.to_string()) }
            }
        })
    }

    pub(super) fn peer_joined(&self, peer: Incarnation) {
        self.declared.load().peer_joined(&self.params.keys, peer);
    }

    pub(super) fn peer_left(&self, peer: Incarnation) {
        self.declared.load().peers.remove(&peer);
    }

    pub(super) async fn close(&self) {
        *self.is_closed.lock() = true;
        self.params.close(&self.declared.load_full().session).await;
        if let Some(gate) = &self.params.gate {
            gate.stop();
        }
    }
}

/// Waits for at most [`CLOSE_TIMEOUT`]. A slower session continues to close, because a session
/// whose closing is aborted never frees its port.
async fn close(session: &Session) {
    let closing = session.clone();
    let closing = tokio::spawn(async move { closing.close().await });
    match timeout(CLOSE_TIMEOUT, closing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => {
            let error = redact(&error.to_string());
            tracing::debug!(error, "the Zenoh session did not close cleanly");
        }
        Ok(Err(error)) => tracing::debug!(%error, "closing the Zenoh session failed"),
        Err(_) => tracing::debug!("the Zenoh session takes longer than {CLOSE_TIMEOUT:?} to close"),
    }
}

impl SessionParams {
    /// Closes a session; its links at the gate end with it.
    async fn close(&self, session: &Session) {
        if let Some(gate) = &self.gate {
            gate.retire_slots();
        }
        close(session).await;
        if let Some(gate) = &self.gate {
            gate.drain().await;
        }
    }

    /// The sockets for a new session at the gate, if links go through a gate.
    fn slots(&self) -> Result<Option<Arc<SessionSlots>>, TransportError> {
        let slots = self.gate.as_ref().map(|gate| gate.new_slots()).transpose();
        slots.map_err(|error| TransportError::Open {
            why: format!("no directory for the sockets of the links: {error}"),
            hint: "; set `TMPDIR` to a directory with a short name that this user may write to",
        })
    }

    /// Opens a session and declares everything in it.
    async fn declare(&self, links: Option<&LinkKeys>) -> Result<Declared, TransportError> {
        let Self { settings, keys, incarnation, ingress, lost_peers, other_keys, proven, .. } =
            self;
        let incarnation = *incarnation;
        let slots = self.slots()?;
        let proof = match (proven, links) {
            _ if slots.is_some() => slots.clone().map(|slots| Arc::new(SessionProof::Gate(slots))),
            (Some((how, _)), Some(links)) => {
                Some(Arc::new(SessionProof::new(*how, links, &names_for_links(settings))?))
            }
            _ => None,
        };
        let listening = proven.as_ref().map(|(_, listening)| listening.as_of_now());
        let config = zenoh_config(settings, listening.as_ref(), proof.as_deref())?;
        let session = zenoh::open(config).await;
        let session = session
            .map_err(|error| open_error(settings.hide(&error.to_string(), proof.as_deref())))?;
        let own = subscribe(&session, keys.one(incarnation), ingress).await?;
        let alive = self.watch_liveliness(&session).await?;
        let publisher = async |channel| {
            publisher(&session, keys.all(), channel)
                .await
                .map_err(|error| declare_error("a publisher", &error))
        };
        let urgent = publisher(Channel::Lane(Lane::Urgent)).await?;
        let events = publisher(Channel::Lane(Lane::Events)).await?;
        let control = publisher(Channel::Control).await?;
        // Declared last, so that a node that sees the token reaches every subscriber above.
        let token = session
            .liveliness()
            .declare_token(keys.alive(incarnation))
            .await
            .map_err(|error| declare_error("the liveliness token", &error))?;
        let introducer = Introducer {
            session: session.clone(),
            settings: settings.clone(),
            proof: proof.clone(),
        };
        let search = match (listening, links) {
            _ if slots.is_some() => PeerSearch::Gate,
            (Some(listening), Some(links)) if settings.discovers(false) => {
                let group = settings.discovery_group();
                let (lost_peers, other_keys) = (lost_peers.clone(), other_keys.clone());
                let context = DiscoveryContext { tag: keys.tag(), lost_peers, other_keys };
                let links_of = Linker::Zenoh(Box::new(introducer));
                let discovery = Discovery::start(group, links, listening, links_of, context);
                PeerSearch::Proven { _discovery: discovery }
            }
            _ => PeerSearch::Scouting {
                _reconnector: Reconnector::start(introducer, lost_peers.clone()),
            },
        };
        Ok(Declared {
            session,
            urgent,
            events,
            control,
            peers: DashMap::new(),
            _subscribers: [own, alive],
            _token: token,
            _search: search,
            proof,
            _slots: slots,
        })
    }

    /// Notes the liveliness tokens of other nodes, those from before this session too.
    async fn watch_liveliness(&self, session: &Session) -> Result<Subscriber<()>, TransportError> {
        let (lost_peers, ingress) = (self.lost_peers.clone(), self.ingress.clone());
        let own = self.incarnation;
        session
            .liveliness()
            .declare_subscriber(self.keys.everyone_alive())
            .history(true)
            .callback(move |sample| {
                let peer = sample.key_expr().as_str().rsplit('/').next();
                let Some(Ok(peer)) = peer.map(str::parse::<Incarnation>) else {
                    return;
                };
                let link = match sample.kind() {
                    SampleKind::Put => Link::Up,
                    SampleKind::Delete => Link::Down,
                };
                if peer != own {
                    lost_peers.note_link(peer, link);
                    ingress.link(peer, link);
                }
            })
            .await
            .map_err(|error| declare_error("the liveliness subscriber", &error))
    }
}

impl Declared {
    fn put_to(
        &self,
        keys: &KeySpace,
        peer: Incarnation,
        channel: Channel,
        frame: Bytes,
    ) -> zenoh::Result<()> {
        // Long messages are rare, so they need no publisher.
        if channel != Channel::Bulk
            && let Some(publisher) = self.peers.get(&peer)
        {
            return publisher.put(frame).wait();
        }
        self.session
            .put(keys.one(peer), frame)
            .congestion_control(CongestionControl::Drop)
            .priority(priority(channel))
            .express(channel != Channel::Bulk)
            .allowed_destination(Locality::Remote)
            .wait()
    }

    fn peer_joined(&self, keys: &KeySpace, peer: Incarnation) {
        match publisher(&self.session, keys.one(peer), Channel::Control).wait() {
            Ok(publisher) => {
                self.peers.insert(peer, publisher);
            }
            Err(error) => {
                let error = redact(&error.to_string());
                tracing::debug!(error, "no publisher for a member; frames are put without one");
            }
        }
    }
}

async fn subscribe(
    session: &Session,
    key: String,
    ingress: &IngressSender,
) -> Result<Subscriber<()>, TransportError> {
    let ingress = ingress.clone();
    session
        .declare_subscriber(key)
        .allowed_origin(Locality::Remote)
        .callback(move |sample: Sample| {
            ingress.frame(Bytes::from(sample.payload().to_bytes().into_owned()));
        })
        .await
        .map_err(|error| declare_error("a subscriber", &error))
}

/// Urgent frames overtake the others. Control frames share the queue of events, so that an
/// announced position never overtakes the events it counts. All are `express`: batches of events
/// are full already, and Zenoh's batching would only add delay.
fn publisher<'a>(
    session: &'a Session,
    key: String,
    channel: Channel,
) -> zenoh::pubsub::PublisherBuilder<'a, 'static> {
    session
        .declare_publisher(key)
        .congestion_control(CongestionControl::Drop)
        .priority(priority(channel))
        .express(true)
        .allowed_destination(Locality::Remote)
}

fn priority(channel: Channel) -> Priority {
    match channel {
        Channel::Lane(Lane::Urgent) => Priority::InteractiveHigh,
        Channel::Lane(Lane::Events) | Channel::Control => Priority::Data,
        Channel::Bulk => Priority::DataLow,
    }
}

fn declare_error(what: &'static str, error: &zenoh::Error) -> TransportError {
    TransportError::Declare { what, why: redact(&error.to_string()) }
}
