//! The bus over Eclipse Zenoh.
//!
//! - `session` declares the entities of one Zenoh session, and puts frames.
//! - `reopening` reopens the session when links must prove another cluster key, or when
//!   `address_watch` decides that the host's addresses have changed.
//! - `gated` starts the gate and its discovery, which outlive sessions.
//! - `discovery` finds the nodes that hold the key; `reconnect` finds nodes in a mesh whose links
//!   do not prove the key. Both search faster while `lost_peers` has lost members. `introduce`
//!   links a found node to this one.
//! - `isolation_watch` warns the operator when no node is linked and Zenoh dials the endpoints;
//!   `endpoint_probe` finds the cause.

mod address_watch;
mod discovery;
mod endpoint_probe;
mod gated;
mod introduce;
mod isolation_watch;
mod lost_peers;
mod reconnect;
mod reopening;
mod session;

use std::sync::Arc;

use bytes::Bytes;
use mailmesh_delivery::Incarnation;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

use crate::coordinator::{HostAddresses, Listening, depends_on_addresses, note_addresses_of_start};
use crate::{
    Address, Bus, BusFuture, Channel, EndpointReader, GateCountsReader, IngressSender, KeySpace,
    LinkKeys, LinkProof, LinkProtection, OtherKeys, TransportError, ZenohSettings,
};
use address_watch::AddressWatch;
#[doc(hidden)]
pub use discovery::fuzz_datagram;
use gated::{GatedLinks, NodeContext};
use isolation_watch::IsolationWatch;
use lost_peers::LostPeers;
use reopening::Reopening;
pub(crate) use session::ZenohLinkStatus;
use session::{LiveSession, SessionParams};

/// The bus over Eclipse Zenoh.
///
/// - One publisher per channel is declared once. Each member has a publisher for frames to it
///   alone, kept until it leaves. Frames to a non-member (a greeting, the answer to a question) are
///   put without a publisher, so strangers use no memory.
/// - Congestion control is `Drop`, never `Block`: a full link loses the frame (after Zenoh's
///   `wait_before_drop`, 1 ms) and does not stall the other links.
/// - Liveliness tokens show which nodes are reachable. They are only hints to delivery.
/// - With [`LinkKeys`] each link proves the cluster key, unless the configuration protects its
///   links itself.
/// - The session is reopened when the host's addresses change, and without a gate also when the
///   keys change. The links are then down for about 100 ms, and delivery repairs the frames put
///   meanwhile.
#[derive(Debug)]
pub struct ZenohBus {
    live: Arc<LiveSession>,
    lost_peers: Arc<LostPeers>,
    other_keys: OtherKeys,
    _reopening: Reopening,
    gated: Option<GatedLinks>,
    _isolation_watch: Option<IsolationWatch>,
}

impl ZenohBus {
    /// Opens a session and declares everything. Frames that arrive go to `ingress`. Links prove the
    /// current keys of `links`, and later keys once they are set.
    ///
    /// # Errors
    /// [`TransportError::Config`] for problems of the machine (a port in use, a missing file),
    /// [`TransportError::CurrentThread`], [`TransportError::Open`], [`TransportError::Declare`],
    /// [`TransportError::LinkCertificate`].
    pub async fn open(
        settings: &ZenohSettings,
        keys: KeySpace,
        incarnation: Incarnation,
        ingress: IngressSender,
        links: Option<watch::Receiver<LinkKeys>>,
    ) -> Result<Self, TransportError> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(TransportError::CurrentThread);
        }
        for warning in settings.preflight()? {
            tracing::warn!("configuration: {warning}");
        }
        note_addresses_of_start();
        let proven = match settings.link_protection(links.is_some()) {
            LinkProtection::Proven(how) => {
                let listening =
                    Listening::of(settings, how).map_err(|error| TransportError::Open {
                        why: settings.hide(&error.to_string(), None),
                        hint: "; check `listen.endpoints`",
                    })?;
                Some((how, listening))
            }
            _ => None,
        };
        let links = links.filter(|_| proven.is_some());
        let is_found_by_us = proven.is_some() && settings.discovers(false);
        let lost_peers = Arc::<LostPeers>::default();
        let other_keys = OtherKeys::default();
        let gated = match (&proven, &links) {
            (Some((how, listening)), Some(links)) if how.has_gate() => {
                let place = NodeContext { settings, keys: &keys, incarnation, listening };
                let is_sealed = *how == LinkProof::Sealed;
                Some(GatedLinks::start(place, is_sealed, links.clone(), &lost_peers, &other_keys)?)
            }
            _ => None,
        };
        let addresses = depends_on_addresses(settings, is_found_by_us)
            .then(|| AddressWatch::new(HostAddresses::now().unwrap_or_default().usable));
        let (settings, noted) = (settings.clone(), lost_peers.clone());
        let opening = SessionParams {
            settings,
            keys,
            incarnation,
            ingress,
            lost_peers: noted,
            other_keys: other_keys.clone(),
            proven,
            gate: gated.as_ref().map(|gated| gated.gate.clone()),
        };
        let first = links.as_ref().map(|links| links.borrow().clone());
        let live = Arc::new(LiveSession::open(opening, first.as_ref()).await?);
        if let listens = live.listens()
            && !listens.is_empty()
        {
            tracing::info!("listening at {}", listens.join(", "));
        }
        // The gate follows the keys itself.
        let links = links.filter(|_| gated.is_none());
        let slots = gated.as_ref().map(|gated| gated.gate.wanted_slots());
        let reopening = Reopening::start(live.clone(), incarnation, links, addresses, slots);
        let isolation_watch = if gated.is_none() { IsolationWatch::start(&live) } else { None };
        Ok(Self {
            live,
            lost_peers,
            other_keys,
            _reopening: reopening,
            gated,
            _isolation_watch: isolation_watch,
        })
    }

    /// The gate's counters, if links go through the gate.
    #[must_use]
    pub fn gate(&self) -> Option<GateCountsReader> {
        self.gated.as_ref().map(|gated| gated.gate.counter())
    }

    /// A reader for the endpoints that this node listens at, and for the status of
    /// `connect.endpoints`.
    #[must_use]
    pub fn endpoints(&self) -> EndpointReader {
        let listens = self.live.listens();
        match &self.gated {
            Some(gated) => EndpointReader::of_gate(listens, gated.gate.endpoints()),
            None => {
                let live: Arc<dyn ZenohLinkStatus> = self.live.clone();
                EndpointReader::of_zenoh(listens, Arc::downgrade(&live), self.live.dialed())
            }
        }
    }

    /// The record of nodes of this cluster that have another key.
    #[must_use]
    pub fn other_keys(&self) -> OtherKeys {
        self.other_keys.clone()
    }
}

impl Bus for ZenohBus {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        self.live.put(to, channel, frame)
    }

    fn peer_joined(&self, peer: Incarnation) {
        self.lost_peers.peer_joined(peer);
        self.live.peer_joined(peer);
    }

    fn peer_left(&self, peer: Incarnation, for_good: bool) {
        self.live.peer_left(peer);
        if for_good {
            self.lost_peers.peer_left_for_good(peer);
            if let Some(gated) = &self.gated {
                gated.gate.forget(peer.0);
            }
        }
    }

    fn close(&self) -> BusFuture<'_> {
        Box::pin(self.live.close())
    }
}
