//! Brings lost peers back soon after the network does.
//!
//! Zenoh looks for peers by multicast every 8 s, so a healed link may be unused for so
//! long. While a peer is missing we look every second ourselves. Zenoh has no stable
//! way to be told "connect to this one", but its peers introduce to each other those
//! that they are connected to (gossip): so a short-lived session of ours that connects
//! to the peer found and to us is enough for the two to connect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use zenoh::Session;
use zenoh::config::{WhatAmI, ZenohId};
use zenoh::scouting::Hello;

use crate::ZenohSettings;

/// Most missing peers that are noted; more are found with those, or by Zenoh.
const MOST_MISSING: usize = 1024;
/// Most peers introduced after one look: any host of the network may answer. Those
/// left over answer the next.
const MOST_INTRODUCED: usize = 16;
/// How long a missing peer is looked for every second.
const BRISK: Duration = Duration::from_secs(300);
/// How long one is looked for at all; later Zenoh alone does.
const AT_ALL: Duration = Duration::from_secs(3600);
/// Pause between two looks, at first and later.
const PAUSE: [Duration; 2] = [Duration::from_millis(600), Duration::from_secs(7)];
/// How long answers to one look are awaited.
const ANSWERS: Duration = Duration::from_millis(400);
/// How long an introduction may take.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// Peers whose link closed, until it opens again.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    peers: Mutex<BTreeSet<Incarnation>>,
    more: Notify,
}

impl Missing {
    /// The way to a peer opened or closed.
    pub(crate) fn note(&self, peer: Incarnation, link: Link) {
        let mut peers = self.peers.lock();
        match link {
            Link::Up => {
                peers.remove(&peer);
            }
            Link::Down if peers.len() < MOST_MISSING => {
                peers.insert(peer);
                self.more.notify_one();
            }
            Link::Down => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.peers.lock().is_empty()
    }

    fn give_up(&self) {
        self.peers.lock().clear();
    }
}

/// Looks for missing peers until it is dropped.
#[derive(Debug)]
pub(crate) struct Reconnector(JoinHandle<()>);

impl Reconnector {
    /// Starts on the runtime of the caller. Without multicast scouting there is nobody
    /// to be found: the endpoints of the configuration are retried by Zenoh itself.
    pub(crate) fn start(session: Session, settings: ZenohSettings, missing: Arc<Missing>) -> Self {
        Self(tokio::spawn(async move {
            if !settings.scouts() {
                return;
            }
            loop {
                missing.more.notified().await;
                look_for(&session, &settings, &missing).await;
            }
        }))
    }
}

impl Drop for Reconnector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look_for(session: &Session, settings: &ZenohSettings, missing: &Missing) {
    let begin = Instant::now();
    while !missing.is_empty() && !session.is_closed() {
        if begin.elapsed() > AT_ALL {
            missing.give_up();
            return;
        }
        if let Err(error) = look_once(session, settings).await {
            tracing::debug!(%error, "looking for missing peers failed; Zenoh looks for them too");
        }
        sleep(if begin.elapsed() < BRISK { PAUSE[0] } else { PAUSE[1] }).await;
    }
}

/// Asks who is there, and has those introduced that we are not connected to.
async fn look_once(session: &Session, settings: &ZenohSettings) -> zenoh::Result<()> {
    let config = settings.to_zenoh()?;
    let scout = zenoh::scout(WhatAmI::Peer, config).await?;
    let (mut own, mut strangers) = (None, BTreeMap::new());
    let known: BTreeSet<ZenohId> = session.info().peers_zid().await.collect();
    let until = Instant::now() + ANSWERS;
    while let Ok(Ok(hello)) = tokio::time::timeout_at(until, scout.recv_async()).await {
        if hello.zid() == session.zid() {
            own = Some(hello);
        } else if !known.contains(&hello.zid()) && strangers.len() < MOST_INTRODUCED {
            strangers.insert(hello.zid(), hello);
        }
    }
    // Its end waits for its task, by a timer: not in our runtime, which may be ending.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(scout);
        let _nobody_waits_any_more = ended.send(());
    });
    let _ended = end.await;
    let (Some(own), false) = (own, strangers.is_empty()) else { return Ok(()) };
    let strangers: Vec<Hello> = strangers.into_values().collect();
    let introduced = introduce(session, settings, &own, &strangers);
    if timeout(INTRODUCTION, introduced).await.is_err() {
        tracing::debug!("an introduction took too long");
    }
    Ok(())
}

/// Connects to us and to the others for a moment, so that each learns of the other.
async fn introduce(
    session: &Session,
    settings: &ZenohSettings,
    own: &Hello,
    strangers: &[Hello],
) -> zenoh::Result<()> {
    let locators = strangers.iter().chain([own]).flat_map(|hello| hello.locators());
    let locators: Vec<String> = locators.map(ToString::to_string).collect();
    let matchmaker = zenoh::open(settings.for_introducing(&locators)?).await?;
    let is_known = async || {
        let known: BTreeSet<ZenohId> = session.info().peers_zid().await.collect();
        strangers.iter().all(|hello| known.contains(&hello.zid()))
    };
    let begin = Instant::now();
    while begin.elapsed() < INTRODUCTION / 2 && !is_known().await {
        sleep(Duration::from_millis(10)).await;
    }
    matchmaker.close().await
}
