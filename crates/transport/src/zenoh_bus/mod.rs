//! The bus over Eclipse Zenoh.
//!
//! - `session` declares what one session of Zenoh needs, and puts frames;
//! - `reopening` opens the session anew when links must prove another cluster key, or when
//!   `address_watch` decides that the host's addresses have changed;
//! - `discovery` finds the nodes that hold the key, `reconnect` those of a mesh whose links do
//!   not prove it; both look for members that are `lost_peers`, and `introduce` links to them.

mod address_watch;
mod discovery;
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

use crate::coordinator::{HostAddresses, Listening, note_addresses_of_start};
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
/// - One publisher a channel, declared once; one a member for what goes to it
///   alone, kept until it leaves. What goes to who is no member (a greeting, the
///   answer to a question) is put without one, so strangers cost no memory.
/// - Congestion control is `Drop`, never `Block`: a full link loses the frame
///   (after Zenoh's `wait_before_drop`, 1 ms) and does not stall the others.
/// - A liveliness token says who is there; that is a hint to the node, no more.
/// - With [`LinkKeys`] each link proves the cluster key, unless the configuration protects its
///   links itself.
/// - When the keys change, or the addresses of the host, the session is opened anew: the links
///   are down for some 100 ms, and delivery repairs what was put meanwhile.
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
    /// Opens a session and declares everything. What comes goes to `ingress`. Linker prove the
    /// keys that `links` has now, and later those that it is set to.
    ///
    /// # Errors
    /// [`TransportError::Config`] for what the machine lacks (a port in use, a
    /// file missing), [`TransportError::CurrentThread`], [`TransportError::Open`],
    /// [`TransportError::Declare`], [`TransportError::LinkCertificate`].
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
        let addresses = settings
            .depends_on_addresses(is_found_by_us)
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
        // A gate follows the keys itself.
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

    /// What the gate counts, if links come through one.
    #[must_use]
    pub fn gate(&self) -> Option<GateCountsReader> {
        self.gated.as_ref().map(|gated| gated.gate.counter())
    }

    /// Reads where this node listens, and how it is doing with `connect.endpoints`.
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

    /// Nodes of the cluster that have another key, where they are heard.
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
