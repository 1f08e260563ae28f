//! Periodic work: changed keys, changed addresses of this host, and questions for unknown nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ring::rand::SecureRandom;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Shared;
use super::dial::contact;
use super::handshake::{NodeId, Purpose, Verdict};
use super::isolation::{IsolationAlarm, IsolationEvent, RecentGrowth};
use super::serve::exchange_addresses;
use super::session_slots::SessionSlots;
use crate::LinkKeys;
use crate::coordinator::AddressCache;

const TICK: Duration = Duration::from_secs(1);
/// How often a linked node is asked for addresses: normally, and while a member is lost.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
const FAST_ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a member is lost linked nodes are asked at the fast rate.
const FAST_ASK_FOR: Duration = Duration::from_secs(300);
/// How long a link stays open after its key is retired. Another key proves it meanwhile.
const RETIRED_KEY_GRACE: Duration = Duration::from_secs(2);
/// Ticks between attempts to prove links by the preferred key: the other node may not have had the
/// key when the keys changed.
const RENEW_EVERY_TICKS: u64 = 8;
/// How long after a sign of another key the warning mentions it as a possible cause.
const OTHER_KEY_RECENT: Duration = Duration::from_secs(60);
/// Maximum number of endpoints in one warning.
const MAX_NAMED_ENDPOINTS: usize = 8;
/// Minimum interval between sessions that are opened because their sockets were removed.
const MIN_REOPEN_INTERVAL: Duration = Duration::from_secs(10);

/// Follows the cluster's keys: handshakes use the keys accepted now, and links that no accepted key
/// has proven end.
pub(super) async fn follow_keys(shared: Arc<Shared>, mut keys: watch::Receiver<LinkKeys>) {
    while keys.changed().await.is_ok() {
        let now = keys.borrow_and_update().gate_keys();
        shared.keys.store(Arc::new(now));
        renew(&shared);
        let ending = shared.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            while began.elapsed() < RETIRED_KEY_GRACE {
                sleep(RETIRED_KEY_GRACE / 4).await;
                renew(&ending);
            }
            let accepted = ending.keys.load();
            let is_over = |key| !accepted.iter().any(|accepted| accepted.id == key);
            let ended = ending.links.lock().end(|_, entry| is_over(entry.key));
            (0..ended).for_each(|_| ending.counts.retired.add());
        });
    }
}

/// Proves the links that this node dialed by the preferred key.
fn renew(shared: &Arc<Shared>) {
    let keys = shared.keys.load();
    let Some(preferred) = keys.first().map(|key| key.id) else { return };
    let links = shared.links.lock();
    for (id, entry) in links.iter().filter(|(_, e)| e.is_dialed && e.key != preferred) {
        let (shared, id, remote) = (shared.clone(), *id, entry.remote);
        let (binding, number) = (entry.binding, entry.number);
        tokio::spawn(async move {
            let visited = contact(&shared, vec![remote], id, Purpose::Renew(binding)).await;
            let Ok((proven, verdict, ..)) = visited else { return };
            let mut links = shared.links.lock();
            let Some(entry) = links.get_mut(&id).filter(|entry| entry.number == number) else {
                return;
            };
            match verdict {
                Verdict::Taken => entry.key = proven.key,
                // The other node has no such link.
                _ => {
                    links.end(|of, entry| *of == id && entry.number == number);
                }
            }
        });
    }
}

pub(super) async fn tick(shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = Instant::now();
    let mut addresses = LinkAddressWatch::default();
    let mut reopened = Instant::now();
    let mut sockets = LastSeen(Weak::new());
    let mut warning = IsolationWarning::default();
    for count in 1_u64.. {
        ticks.tick().await;
        if count.is_multiple_of(RENEW_EVERY_TICKS) {
            renew(&shared);
        }
        addresses.end_stranded(&shared);
        warning.look(&shared);
        if reopened.elapsed() >= MIN_REOPEN_INTERVAL && sockets_are_gone(&shared, &mut sockets) {
            reopened = Instant::now();
            tracing::warn!("the sockets of the links were removed; this node reopens its links");
            shared.wanted_slots.send_modify(|_| {});
        }
        let lost_for = (shared.lost_for)();
        let is_brisk = lost_for.is_some_and(|missing_for| missing_for < FAST_ASK_FOR);
        if asked.elapsed() >= if is_brisk { FAST_ASK_INTERVAL } else { ASK_INTERVAL } {
            asked = Instant::now();
            tokio::spawn(ask_linked_node(shared.clone()));
        }
        // The host's clock may have been stopped, or a wake-up may have been lost.
        shared.dial_wake.notify_one();
    }
}

/// State of the warning that no other node is linked.
#[derive(Debug, Default)]
struct IsolationWarning {
    isolation: IsolationAlarm,
    other_mode: RecentGrowth,
}

impl IsolationWarning {
    /// Warns the operator, with reasons, when no other node is linked although some are expected.
    fn look(&mut self, shared: &Shared) {
        let now = Instant::now();
        let is_linked = shared.links.lock().iter().next().is_some();
        let others = self.other_mode.look(now, shared.counts.other_mode.get());
        let why = if is_linked { Vec::new() } else { reasons(shared, others) };
        match self.isolation.look(now, is_linked, !why.is_empty()) {
            None => {}
            Some(IsolationEvent::Linked) => tracing::warn!("another node is linked now"),
            Some(IsolationEvent::NotExpected) => {
                tracing::warn!("no other node is linked, and none is expected any longer");
            }
            Some(IsolationEvent::Isolated(lasted)) => tracing::warn!(
                "no other node is linked for {} s: {}. Check that the other nodes run, and check \
                 `connect.endpoints`, `mesh.cluster`, `mesh.links`, the key of each node, and \
                 firewalls",
                lasted.as_secs(),
                why.join("; ")
            ),
        }
    }
}

/// Why no node is linked: the last error of each endpoint, and refused nodes. `others`: connections
/// with another mode were refused recently.
fn reasons(shared: &Shared, others: bool) -> Vec<String> {
    let dial_book = shared.dial_book.lock();
    let errors = dial_book.failed_endpoints().take(MAX_NAMED_ENDPOINTS);
    let mut why: Vec<_> = errors.map(|(endpoint, error)| format!("{endpoint}: {error}")).collect();
    let more = dial_book.failed_endpoints().count().saturating_sub(MAX_NAMED_ENDPOINTS);
    if shared.other_keys.heard_ago().is_some_and(|ago| ago < OTHER_KEY_RECENT) {
        why.push(
            "a node of this cluster has another key, or a stranger imitates one: if the other \
             nodes have another key, give it to this node (`mailmesh key add --here FILE`)"
                .to_owned(),
        );
    }
    if dial_book.all_lead_to_self() {
        why.push("all of `connect.endpoints` lead to this node itself".to_owned());
    }
    drop(dial_book);
    if more > 0 {
        why.push(format!("{more} more endpoints"));
    }
    if others {
        let from = *shared.other_mode_from.lock();
        let from = from.map(|ip| format!(" (the last from {ip})")).unwrap_or_default();
        why.push(format!(
            "connections that begin like links of Zenoh or TLS, or of the other mode of the gate, \
             were refused{from}: they come from nodes with another `mesh.links` or without a key, \
             or from strangers"
        ));
    }
    why
}

/// Whether another program removed the sockets of the open session.
fn sockets_are_gone(shared: &Shared, seen: &mut LastSeen<SessionSlots>) -> bool {
    let Some(slots) = shared.slots.load_full() else { return false };
    let are_gone = seen.are_gone(&slots, slots.exist());
    // A session that was closed meanwhile removed its own sockets.
    are_gone && shared.slots.load_full().is_some_and(|still| Arc::ptr_eq(&still, &slots))
}

/// The slots whose sockets existed at the last check; a session that is being opened has none yet.
#[derive(Debug)]
struct LastSeen<T>(Weak<T>);

impl<T> LastSeen<T> {
    fn are_gone(&mut self, now: &Arc<T>, are_there: bool) -> bool {
        if are_there {
            self.0 = Arc::downgrade(now);
        }
        !are_there && self.0.as_ptr() == Arc::as_ptr(now)
    }
}

/// The local addresses of links at the last two checks.
#[derive(Debug, Default)]
struct LinkAddressWatch {
    host: AddressCache,
    known: BTreeSet<IpAddr>,
    gone: BTreeSet<IpAddr>,
}

impl LinkAddressWatch {
    /// Ends the links of addresses that the host had and that are missing at two checks: such a
    /// link receives nothing any more. On some hosts links have local addresses that no interface
    /// has; these links stay.
    fn end_stranded(&mut self, shared: &Shared) {
        let Self { host, known, gone } = self;
        let Some(host) = host.addresses(Instant::now()) else { return };
        let mut links = shared.links.lock();
        let of_links: BTreeSet<IpAddr> =
            links.iter().map(|(_, entry)| entry.local.ip().to_canonical()).collect();
        let over = Self::look((known, gone), of_links, |ip| host.has(ip));
        let ended = links.end(|_, entry| over.contains(&entry.local.ip().to_canonical()));
        drop(links);
        if ended > 0 {
            tracing::debug!(links = ended, "links of removed local addresses were closed");
        }
    }

    /// The addresses whose links are over.
    fn look(
        (known, gone): (&mut BTreeSet<IpAddr>, &mut BTreeSet<IpAddr>),
        of_links: BTreeSet<IpAddr>,
        has: impl Fn(IpAddr) -> bool,
    ) -> BTreeSet<IpAddr> {
        let (here, away): (BTreeSet<_>, BTreeSet<_>) =
            of_links.into_iter().partition(|ip| has(*ip));
        let away: BTreeSet<IpAddr> = away.intersection(known).copied().collect();
        let over = away.intersection(gone).copied().collect();
        *known = here.into_iter().chain(away.iter().copied()).collect();
        *gone = away;
        over
    }
}

/// Asks a random linked node for the addresses of nodes.
async fn ask_linked_node(shared: Arc<Shared>) {
    let linked: Vec<(NodeId, Vec<_>)> = {
        let links = shared.links.lock();
        let dialable = links.iter().filter(|(_, entry)| !entry.addresses.is_empty());
        dialable.map(|(id, entry)| (*id, entry.addresses.clone())).collect()
    };
    let mut random = [0; 8];
    if linked.is_empty() || shared.random.fill(&mut random).is_err() {
        return;
    }
    let at = usize::from_be_bytes(random) % linked.len();
    let (id, addresses) = linked[at].clone();
    let asked = async {
        let (mut proven, _, mut stream, address) =
            contact(&shared, addresses, id, Purpose::Ask).await?;
        exchange_addresses(&shared, &mut stream, address, id, &mut proven.session).await
    };
    if let Err(error) = asked.await {
        tracing::debug!(%error, "a linked node did not answer a question for addresses");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_gone_only_after_they_existed() {
        let (first, second) = (Arc::new(1), Arc::new(2));
        let mut seen = LastSeen(Weak::new());
        assert!(!seen.are_gone(&first, false), "the session is being opened");
        assert!(!seen.are_gone(&first, true));
        assert!(seen.are_gone(&first, false));
        assert!(!seen.are_gone(&second, false), "the next session is being opened");
    }

    #[test]
    fn links_of_an_address_end_when_it_is_missing_at_two_checks() {
        let set = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<BTreeSet<_>>();
        let links = || set(&["192.0.2.1", "192.0.2.2", "203.0.113.9"]);
        let (mut known, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut look = |here: &[&str]| {
            LinkAddressWatch::look((&mut known, &mut gone), links(), |ip| set(here).contains(&ip))
        };
        assert_eq!(look(&["192.0.2.1", "192.0.2.2"]), set(&[]));
        assert_eq!(look(&["192.0.2.1"]), set(&[]), "it may return");
        assert_eq!(look(&["192.0.2.1", "192.0.2.2"]), set(&[]), "it returned");
        assert_eq!(look(&["192.0.2.1"]), set(&[]));
        assert_eq!(look(&["192.0.2.1"]), set(&["192.0.2.2"]));
    }
}
