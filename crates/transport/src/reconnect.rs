//! Brings lost peers back soon after the network does.
//!
//! Zenoh looks for peers by multicast every 8 s, so a healed link may be unused for so
//! long. While a peer is missing we look every second ourselves. Zenoh has no stable
//! way to be told "connect to this one", but its peers introduce to each other those
//! that they are connected to (gossip): so a short-lived session of ours that connects
//! to the peer found and to us is enough for the two to connect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    noted: Mutex<Noted>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    /// Since when each is missing.
    missing: BTreeMap<Incarnation, Instant>,
    /// The last that left for good: the end of their links says nothing.
    gone: VecDeque<Incarnation>,
}

impl Missing {
    /// The way to a peer opened or closed.
    pub(crate) fn note(&self, peer: Incarnation, link: Link) {
        let mut noted = self.noted.lock();
        match link {
            Link::Up => {
                noted.missing.remove(&peer);
            }
            Link::Down if noted.missing.len() < MOST_MISSING && !noted.gone.contains(&peer) => {
                noted.missing.insert(peer, Instant::now());
                self.more.notify_one();
            }
            Link::Down => {}
        }
    }

    /// A peer said goodbye, or has a new life: this one never comes back.
    pub(crate) fn is_gone(&self, peer: Incarnation) {
        let mut noted = self.noted.lock();
        noted.missing.remove(&peer);
        if noted.gone.len() >= MOST_MISSING {
            noted.gone.pop_front();
        }
        noted.gone.push_back(peer);
    }

    /// For how long the one is missing that is so for the shortest time; without those
    /// that are given up. `None` if nobody is.
    fn shortest(&self) -> Option<Duration> {
        let mut noted = self.noted.lock();
        noted.missing.retain(|_, since| since.elapsed() <= AT_ALL);
        noted.missing.values().map(Instant::elapsed).min()
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
    while let Some(missing_for) = missing.shortest()
        && !session.is_closed()
    {
        if let Err(error) = look_once(session, settings).await {
            tracing::debug!(%error, "looking for missing peers failed; Zenoh looks for them too");
        }
        sleep(if missing_for < BRISK { PAUSE[0] } else { PAUSE[1] }).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_for_good_is_not_looked_for_whichever_is_known_first() {
        let missing = Missing::default();
        missing.note(id(1), Link::Down);
        missing.is_gone(id(1));
        missing.is_gone(id(2));
        missing.note(id(2), Link::Down);
        assert_eq!(missing.shortest(), None);
        missing.note(id(3), Link::Down);
        tokio::time::advance(Duration::from_secs(400)).await;
        missing.note(id(4), Link::Down);
        assert_eq!(missing.shortest(), Some(Duration::ZERO), "looked for briskly again");
        missing.note(id(4), Link::Up);
        assert_eq!(missing.shortest(), Some(Duration::from_secs(400)));
        tokio::time::advance(AT_ALL).await;
        assert_eq!(missing.shortest(), None, "given up, each in its time");
        for n in 0..2_000_u128 {
            missing.is_gone(Incarnation(n.to_be_bytes()));
            missing.note(Incarnation((n << 64).to_be_bytes()), Link::Down);
        }
        let noted = missing.noted.lock();
        assert_eq!((noted.missing.len(), noted.gone.len()), (MOST_MISSING, MOST_MISSING));
    }
}
