//! A node whose links come through a gate: what finds other nodes for it outlives sessions.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::discovery::{Discovery, Group, Heard, Links};
use super::missing::Missing;
use crate::coordinator::Listening;
use crate::gate::{Gate, Setup};
use crate::{KeySpace, LinkKeys, OtherKeys, TransportError, ZenohSettings};

/// The node, and where it listens.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) settings: &'a ZenohSettings,
    pub(super) keys: &'a KeySpace,
    pub(super) incarnation: Incarnation,
    pub(super) listening: &'a Listening,
}

/// The gate, and discovery for it.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) gate: Arc<Gate>,
    discovery: Option<JoinHandle<()>>,
}

impl Gated {
    /// # Errors
    /// [`TransportError::Open`]: the places cannot be listened on.
    pub(super) fn start(
        place: Place<'_>,
        is_sealed: bool,
        links: watch::Receiver<LinkKeys>,
        missing: &Arc<Missing>,
        other_keys: &OtherKeys,
    ) -> Result<Self, TransportError> {
        let Place { settings, keys, incarnation, listening } = place;
        let looked_for = missing.clone();
        let setup = Setup {
            id: incarnation.0,
            tag: keys.tag(),
            is_sealed,
            keys: links.clone(),
            listening: listening.clone(),
            first_slots: settings.first_slots,
            endpoints: settings.dialed(),
            lease: settings.lease(),
            tells: settings.gossips(),
            missing: Arc::new(move || -> Option<Duration> { looked_for.shortest() }),
            other_keys: other_keys.clone(),
        };
        let gate = Gate::start(setup).map_err(|error| {
            let why = settings.hide(&error.to_string(), None);
            crate::open_error::open_error(why)
        })?;
        let gate = Arc::new(gate);
        let discovery = settings.discovers(true).then(|| {
            let (address, interfaces, ttl) = settings.discovery_group();
            let group = Group { address, interfaces, ttl };
            let found = Links::Gate(gate.clone(), incarnation.0);
            let (listening, tag) = (listening.clone(), keys.tag());
            let (missing, other_keys) = (missing.clone(), other_keys.clone());
            let start = move |keys: &LinkKeys| {
                let (missing, other_keys) = (missing.clone(), other_keys.clone());
                let heard = Heard { tag, missing, other_keys };
                Discovery::start(group.clone(), keys, listening.clone(), found.clone(), heard)
            };
            tokio::spawn(discover(links, start))
        });
        Ok(Self { gate, discovery })
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        if let Some(discovery) = &self.discovery {
            discovery.abort();
        }
    }
}

/// Discovery with the keys of now, begun anew when they change.
async fn discover(mut links: watch::Receiver<LinkKeys>, start: impl Fn(&LinkKeys) -> Discovery) {
    loop {
        let keys = links.borrow_and_update().clone();
        let _discovery = start(&keys);
        if links.changed().await.is_err() {
            // The keys stay as they are while the node runs.
            std::future::pending::<()>().await;
        }
    }
}
