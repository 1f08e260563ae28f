//! Warns the operator when no node is linked although endpoints are configured and Zenoh dials
//! them. Zenoh retries forever and logs nothing about it. The watch therefore probes each endpoint
//! itself to find the reason.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::endpoint_probe::probe;
use super::session::{Dialing, LiveSession, ZenohLinkStatus};
use crate::gate::{IsolationAlarm, IsolationEvent};

const TICK: Duration = Duration::from_secs(1);
/// Maximum number of endpoints probed, and named in a warning.
const MAX_PROBED_ENDPOINTS: usize = 8;

/// The watch; it ends when dropped.
#[derive(Debug)]
pub(super) struct IsolationWatch(JoinHandle<()>);

impl IsolationWatch {
    /// Starts on the caller's runtime if there are endpoints to link to.
    pub(super) fn start(live: &Arc<LiveSession>) -> Option<Self> {
        let endpoints = live.dialed();
        let live = Arc::downgrade(live);
        (!endpoints.is_empty()).then(|| Self(tokio::spawn(watch(live, endpoints))))
    }
}

impl Drop for IsolationWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(live: Weak<LiveSession>, endpoints: Vec<String>) {
    let mut unreached = IsolationAlarm::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(is_linked) = live.upgrade().map(|live| live.is_linked()) else { return };
        let event = unreached.look(Instant::now(), is_linked, true);
        if is_linked {
            live.upgrade().into_iter().for_each(|live| live.note_errors(BTreeMap::new()));
        }
        match event {
            None => {}
            Some(IsolationEvent::Linked) => tracing::warn!("another node is linked now"),
            Some(IsolationEvent::NotExpected) => {
                tracing::warn!("no other node is linked, and none is expected any longer");
            }
            Some(IsolationEvent::Isolated(lasted)) => {
                let Some(dialing) = live.upgrade().map(|live| live.dialing()) else { return };
                let errors = causes(dialing, &endpoints).await;
                let mut why: Vec<String> =
                    errors.iter().map(|(endpoint, error)| format!("{endpoint}: {error}")).collect();
                let more = endpoints.len().saturating_sub(MAX_PROBED_ENDPOINTS);
                if more > 0 {
                    why.push(format!("{more} more endpoints"));
                }
                tracing::warn!(
                    "no other node is linked for {} s: {}. Check that the other nodes run, and \
                     check `connect.endpoints`, `mesh.cluster`, `mesh.links`, the certificates and \
                     key of each node, and firewalls; the log targets `zenoh_transport` and \
                     `zenoh_link_tls` at `debug` show Zenoh's attempts",
                    lasted.as_secs(),
                    why.join("; ")
                );
                live.upgrade().into_iter().for_each(|live| live.note_errors(errors.clone()));
            }
        }
    }
}

/// Why each endpoint has no link.
async fn causes(dialing: Dialing, endpoints: &[String]) -> BTreeMap<String, String> {
    let shown = endpoints.iter().take(MAX_PROBED_ENDPOINTS);
    let of_all = |why: &str| shown.map(|shown| (shown.clone(), why.to_owned())).collect();
    let dialed = match spawn_blocking(move || dialing.endpoints()).await {
        Ok(Ok(dialed)) => dialed,
        Ok(Err(error)) => return of_all(&error.to_string()),
        Err(error) => return of_all(&error.to_string()),
    };
    let mut probes = JoinSet::new();
    for endpoint in dialed.into_iter().take(MAX_PROBED_ENDPOINTS) {
        probes.spawn(async move { (endpoint.shown, probe(&endpoint.link).await) });
    }
    probes.join_all().await.into_iter().collect()
}
