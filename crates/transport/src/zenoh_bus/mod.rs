//! The bus over Eclipse Zenoh.
//!
//! - `session` declares what one session of Zenoh needs, and puts frames;
//! - `reopening` opens the session anew when links must prove another cluster key, or when
//!   `address_watch` decides that the host's addresses have changed;
//! - `discovery` finds the nodes that hold the key, `reconnect` those of a mesh whose links do
//!   not prove it; both look for members that are `missing`, and `introduce` links to them.

mod address_watch;
mod discovery;
mod gated;
mod introduce;
mod missing;
mod reconnect;
mod reopening;
mod session;
mod unlinked;

use std::sync::Arc;

use bytes::Bytes;
use mailmesh_delivery::Incarnation;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

use crate::coordinator::{HostAddresses, Listening, note_addresses_of_start};
use crate::{
    Address, Bus, BusFuture, Channel, EndpointReader, GateCounter, IntakeSender, KeySpace,
    LinkKeys, LinkProof, LinkProtection, OtherKeys, TransportError, ZenohSettings,
};
use address_watch::AddressWatch;
#[doc(hidden)]
pub use discovery::take_any_datagram;
use gated::{Gated, Place};
use missing::Missing;
use reopening::Reopening;
pub(crate) use session::LinkedByZenoh;
use session::{LiveSession, Opening};
use unlinked::Unlinked;

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
    missing: Arc<Missing>,
    other_keys: OtherKeys,
    _reopening: Reopening,
    gated: Option<Gated>,
    _unlinked: Option<Unlinked>,
}

impl ZenohBus {
    /// Opens a session and declares everything. What comes goes to `intake`. Links prove the
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
        intake: IntakeSender,
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
        let missing = Arc::<Missing>::default();
        let other_keys = OtherKeys::default();
        let gated = match (&proven, &links) {
            (Some((how, listening)), Some(links)) if how.has_gate() => {
                let place = Place { settings, keys: &keys, incarnation, listening };
                let is_sealed = *how == LinkProof::Sealed;
                Some(Gated::start(place, is_sealed, links.clone(), &missing, &other_keys)?)
            }
            _ => None,
        };
        let addresses = settings
            .depends_on_addresses(is_found_by_us)
            .then(|| AddressWatch::new(HostAddresses::now().unwrap_or_default().usable));
        let (settings, noted) = (settings.clone(), missing.clone());
        let opening = Opening {
            settings,
            keys,
            incarnation,
            intake,
            missing: noted,
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
        let slots = gated.as_ref().map(|gated| gated.gate.wanted());
        let reopening = Reopening::start(live.clone(), incarnation, links, addresses, slots);
        let unlinked = if gated.is_none() { Unlinked::start(&live) } else { None };
        Ok(Self { live, missing, other_keys, _reopening: reopening, gated, _unlinked: unlinked })
    }

    /// What the gate counts, if links come through one.
    #[must_use]
    pub fn gate(&self) -> Option<GateCounter> {
        self.gated.as_ref().map(|gated| gated.gate.counter())
    }

    /// Reads where this node listens, and how it is doing with `connect.endpoints`.
    #[must_use]
    pub fn endpoints(&self) -> EndpointReader {
        let listens = self.live.listens();
        match &self.gated {
            Some(gated) => EndpointReader::of_gate(listens, gated.gate.endpoints()),
            None => {
                let live: Arc<dyn LinkedByZenoh> = self.live.clone();
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

    fn expect(&self, peer: Incarnation) {
        self.missing.is_member(peer);
        self.live.expect(peer);
    }

    fn forget(&self, peer: Incarnation, for_good: bool) {
        self.live.forget(peer);
        if for_good {
            self.missing.is_gone(peer);
            if let Some(gated) = &self.gated {
                gated.gate.forget(peer.0);
            }
        }
    }

    fn close(&self) -> BusFuture<'_> {
        Box::pin(self.live.close())
    }
}
