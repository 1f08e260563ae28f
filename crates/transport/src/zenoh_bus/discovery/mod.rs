//! Finds the nodes that hold the cluster key, by multicast.
//!
//! Zenoh's own scouting trusts every answer and dials its addresses. Discovery's questions and
//! answers carry a MAC, so a node dials only addresses that a holder of the cluster key announces
//! as its own. Zenoh's scouting is disabled meanwhile.
//!
//! A node asks when it starts, again soon afterwards, and then rarely; it asks often while a member
//! is lost. A question names the nodes that the sender is linked to. These nodes do not answer, so
//! there are no answers in an idle cluster.

mod answer_limiter;
mod datagram_filter;
mod hash_budget;
mod message;
mod sockets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use zenoh::config::ZenohId;

use super::introduce::{Introducer, UnlinkedNode};
use super::lost_peers::LostPeers;
use crate::bus::ClusterTag;
use crate::coordinator::{Listening, MulticastGroup};
use crate::gate::Gate;
use crate::{LinkKeys, LogThrottle, OtherKeys};
use answer_limiter::{AnswerLimiter, AnswerMode};
use datagram_filter::DatagramFilter;
#[doc(hidden)]
pub use message::fuzz_datagram;
use message::{Body, MAX_LEN, Message, Nonce, Zid};
use sockets::DiscoverySockets;

/// Pauses between the first questions of a session; after that [`IDLE_INTERVAL`].
const STARTUP_INTERVALS: [Duration; 6] = [
    Duration::from_millis(60),
    Duration::from_millis(120),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
const IDLE_INTERVAL: Duration = Duration::from_secs(8);
/// Pauses while a member is lost: in the first five minutes, and later.
const LOST_PEER_INTERVALS: [Duration; 2] = [Duration::from_millis(800), Duration::from_secs(7)];
const FAST_SCAN_FOR: Duration = Duration::from_secs(300);
/// How long after the first answer other answers are collected before introductions start.
const ANSWER_WAIT: Duration = Duration::from_millis(30);
/// Maximum number of nodes introduced at once; gossip then connects the others.
const MAX_INTRODUCED: usize = 4;
/// Maximum number of nodes that answered and wait to be introduced.
const MAX_UNLINKED: usize = 64;
/// Maximum number of queued messages of the cluster; further messages are dropped.
const MAX_QUEUED_MESSAGES: usize = 256;
/// Number of this node's last questions whose answers are accepted.
const MAX_OPEN_QUESTIONS: usize = 4;

/// Pause between attempts to open the sockets, and how long they may fail before a warning.
const SOCKET_RETRY_INTERVAL: Duration = Duration::from_secs(2);
const ALARM_AFTER: Duration = Duration::from_secs(10);

/// Discovery of one session; it ends when dropped.
#[derive(Debug)]
pub(super) struct Discovery(JoinHandle<()>);

impl Discovery {
    /// Starts discovery. On a host without multicast it waits until there is multicast.
    pub(super) fn start(
        group: MulticastGroup,
        keys: &LinkKeys,
        listening: Listening,
        linker: Linker,
        context: DiscoveryContext,
    ) -> Self {
        let keys = keys.discovery_keys();
        let DiscoveryContext { tag, lost_peers, other_keys } = context;
        Self(tokio::spawn(async move {
            let sockets = open(&group).await;
            let (sender, messages) = mpsc::channel(MAX_QUEUED_MESSAGES);
            let filter =
                DatagramFilter::new(tag, keys.clone(), linker.own(), other_keys, Instant::now());
            let filter = Arc::new(filter);
            let listeners = spawn_listeners(&sockets, &sender, &filter);
            let task = DiscoveryTask {
                tag,
                keys,
                filter,
                zid: linker.own(),
                group,
                sockets,
                listeners,
                sender,
                echoes: EchoMonitor::default(),
                listening,
                linker,
                lost_peers,
                introducing: Arc::default(),
                open_questions: VecDeque::new(),
                unlinked: BTreeMap::new(),
                introduce_at: None,
                rounds: 0,
                answer_limiter: AnswerLimiter::new(Instant::now()),
                log: LogThrottle::default(),
            };
            task.run(messages).await;
        }))
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the sockets as soon as possible: the host's interfaces may come up later.
async fn open(group: &MulticastGroup) -> DiscoverySockets {
    let began = Instant::now();
    let mut is_reported = false;
    loop {
        match DiscoverySockets::open(group) {
            Ok(sockets) => {
                if is_reported {
                    tracing::warn!("discovery by multicast works again");
                }
                return sockets;
            }
            Err(error) if !is_reported && began.elapsed() >= ALARM_AFTER => {
                is_reported = true;
                tracing::warn!(
                    %error,
                    "discovery by multicast does not work: {} on {}; check `scouting.multicast`, \
                     or name the other nodes in `connect.endpoints`",
                    group.address,
                    group.interfaces
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(SOCKET_RETRY_INTERVAL).await;
    }
}

/// The source of a message, the message, and the index of its key.
type ReceivedMessage = (SocketAddr, Message, usize);

fn spawn_listeners(
    sockets: &DiscoverySockets,
    sender: &mpsc::Sender<ReceivedMessage>,
    filter: &Arc<DatagramFilter>,
) -> JoinSet<()> {
    let mut listeners = JoinSet::new();
    for socket in sockets.query_sockets.iter().chain([&sockets.group_socket]) {
        listeners.spawn(listen(socket.clone(), sender.clone(), filter.clone()));
    }
    listeners
}

/// Queues the accepted messages of a socket.
async fn listen(
    socket: Arc<UdpSocket>,
    sender: mpsc::Sender<ReceivedMessage>,
    filter: Arc<DatagramFilter>,
) {
    let mut buffer = [0; MAX_LEN + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => {
                let taken = filter.accept(Instant::now(), from.ip(), &buffer[..len]);
                if let Some((message, key)) = taken {
                    // If the queue is full, the node asks or answers again.
                    let _dropped = sender.try_send((from, message, key));
                }
            }
            // For example, an earlier answer was sent to a closed port.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// State of discovery that all sessions of a node share.
#[derive(Debug)]
pub(super) struct DiscoveryContext {
    pub(super) tag: ClusterTag,
    pub(super) lost_peers: Arc<LostPeers>,
    pub(super) other_keys: OtherKeys,
}

/// The links of this node, and the means to add links.
#[derive(Debug, Clone)]
pub(super) enum Linker {
    /// Sessions of Zenoh are introduced to each other.
    Zenoh(Box<Introducer>),
    /// The gate dials. The second field is this node's id at the gate.
    Gate(Arc<Gate>, Zid),
}

impl Linker {
    fn own(&self) -> Zid {
        match self {
            Self::Zenoh(introducer) => introducer.session.zid().to_le_bytes(),
            Self::Gate(_, own) => *own,
        }
    }

    /// The nodes that this node is linked to.
    async fn linked(&self) -> BTreeSet<Zid> {
        match self {
            Self::Zenoh(introducer) => {
                introducer.linked_zids().await.iter().map(|zid| zid.to_le_bytes()).collect()
            }
            Self::Gate(gate, _) => gate.linked_ids().into_iter().collect(),
        }
    }
}

struct DiscoveryTask {
    tag: ClusterTag,
    keys: Vec<hmac::Key>,
    filter: Arc<DatagramFilter>,
    zid: Zid,
    group: MulticastGroup,
    sockets: DiscoverySockets,
    /// The tasks that receive on the sockets.
    listeners: JoinSet<()>,
    sender: mpsc::Sender<ReceivedMessage>,
    echoes: EchoMonitor,
    listening: Listening,
    linker: Linker,
    lost_peers: Arc<LostPeers>,
    /// Held during an introduction.
    introducing: Arc<tokio::sync::Mutex<()>>,
    open_questions: VecDeque<Nonce>,
    unlinked: BTreeMap<Zid, Vec<SocketAddr>>,
    introduce_at: Option<Instant>,
    rounds: usize,
    answer_limiter: AnswerLimiter,
    log: LogThrottle,
}

impl DiscoveryTask {
    async fn run(mut self, mut messages: mpsc::Receiver<ReceivedMessage>) {
        let lost_peers = self.lost_peers.clone();
        let mut ask_at = Instant::now();
        loop {
            tokio::select! {
                Some((from, message, key)) = messages.recv() => {
                    self.message(from, message, key).await;
                }
                () = sleep_until(ask_at) => {
                    self.ask().await;
                    ask_at = Instant::now() + self.pause().await;
                }
                () = lost_peers.wait_for_loss() => ask_at = Instant::now(),
                () = until(self.introduce_at) => self.introduce().await,
            }
        }
    }

    async fn pause(&mut self) -> Duration {
        self.rounds += 1;
        if let Some(missing_for) = self.lost_peers.shortest_absence() {
            // In a large cluster each node asks less often.
            let peers = self.linker.linked().await.len() as u32;
            return LOST_PEER_INTERVALS[usize::from(missing_for > FAST_SCAN_FOR)] * (1 + peers / 8);
        }
        STARTUP_INTERVALS.get(self.rounds - 1).copied().unwrap_or(IDLE_INTERVAL)
    }

    /// Reopens the sockets if they no longer work.
    fn renew_sockets(&mut self) {
        if !self.echoes.are_missing(self.filter.echoes(), self.sockets.query_sockets.len())
            && !self.sockets.are_outdated(&self.group)
        {
            return;
        }
        // Without an interface the old sockets are kept.
        if let Ok(sockets) = DiscoverySockets::open(&self.group) {
            self.listeners = spawn_listeners(&sockets, &self.sender, &self.filter);
            (self.sockets, self.echoes) = (sockets, EchoMonitor::default());
            tracing::debug!("the sockets of discovery were reopened");
        }
    }

    async fn ask(&mut self) {
        self.renew_sockets();
        let mut nonce = Nonce::default();
        if SystemRandom::new().fill(&mut nonce).is_err() {
            return;
        }
        if self.open_questions.len() >= MAX_OPEN_QUESTIONS {
            self.open_questions.pop_front();
        }
        self.open_questions.push_back(nonce);
        self.filter.expect_echoes(nonce);
        let known = self.linker.linked().await;
        let known = known.into_iter().map(|zid| start_of(&zid)).collect();
        let question = Message { nonce, zid: self.zid, body: Body::Question { known } };
        let bytes = question.encode(self.tag, &self.keys[0]);
        self.send_to_group(&bytes).await;
    }

    /// Sends to the group, on each interface.
    async fn send_to_group(&mut self, bytes: &[u8]) {
        for socket in &self.sockets.query_sockets {
            if let Err(error) = socket.send_to(bytes, self.sockets.group).await
                && self.log.is_ready()
            {
                tracing::debug!(%error, "a message of discovery was not sent");
            }
        }
    }

    async fn message(&mut self, from: SocketAddr, message: Message, key: usize) {
        match message.body {
            Body::Question { known } if known.contains(&start_of(&self.zid)) => {}
            Body::Question { .. } => {
                let answered = self.answer_limiter.on_question(Instant::now(), message.zid);
                if answered != AnswerMode::None {
                    let at_group = answered == AnswerMode::DirectAndGroup;
                    self.answer(from, message.nonce, key, at_group).await;
                }
            }
            Body::Answer { addresses } if self.open_questions.contains(&message.nonce) => {
                self.answered(from, message.zid, addresses).await;
            }
            Body::Answer { .. } => {}
        }
    }

    async fn answer(&mut self, from: SocketAddr, nonce: Nonce, key: usize, at_group: bool) {
        let addresses = self.listening.addresses_for(from.ip());
        let answer = Message { nonce, zid: self.zid, body: Body::Answer { addresses } };
        let bytes = answer.encode(self.tag, &self.keys[key]);
        let _asked_again = self.sockets.group_socket.send_to(&bytes, from).await;
        if at_group {
            self.send_to_group(&bytes).await;
        }
    }

    async fn answered(&mut self, from: SocketAddr, zid: Zid, addresses: Vec<SocketAddr>) {
        if self.unlinked.len() >= MAX_UNLINKED || self.linker.linked().await.contains(&zid) {
            return;
        }
        let addresses = nearest_first(addresses, from.ip());
        if let Linker::Gate(gate, _) = &self.linker {
            return gate.peer_found(zid, addresses);
        }
        self.unlinked.insert(zid, addresses);
        self.introduce_at.get_or_insert(Instant::now() + ANSWER_WAIT);
    }

    /// Introduces some of the nodes that answered.
    async fn introduce(&mut self) {
        let Linker::Zenoh(introducer) = self.linker.clone() else { return };
        let Ok(turn) = self.introducing.clone().try_lock_owned() else {
            self.introduce_at = Some(Instant::now() + ANSWER_WAIT);
            return;
        };
        self.introduce_at = None;
        let known = self.linker.linked().await;
        let unlinked = std::mem::take(&mut self.unlinked);
        let unlinked = unlinked.into_iter().filter(|(zid, _)| !known.contains(zid));
        let endpoints = |addresses: Vec<SocketAddr>| {
            addresses.iter().map(|address| self.listening.endpoint(*address)).collect()
        };
        let mut unlinked: Vec<UnlinkedNode> = unlinked
            .filter_map(|(zid, addresses)| {
                let zid = ZenohId::try_from(&zid[..]).ok()?;
                Some(UnlinkedNode { zid, endpoints: endpoints(addresses) })
            })
            .collect();
        if unlinked.is_empty() {
            return;
        }
        // Different nodes introduce themselves to different nodes first.
        let at = usize::from(self.zid[0]) % unlinked.len();
        unlinked.rotate_left(at);
        unlinked.truncate(MAX_INTRODUCED);
        let own = self.listening.own_endpoints();
        tokio::spawn(async move {
            introducer.introduce(&own, &unlinked).await;
            drop(turn);
        });
    }
}

/// Watches the echoes of this node's questions, which the host's multicast returns. When echoes
/// stop, no messages of other nodes arrive either. That happens when an interface loses its address
/// and gets it back.
#[derive(Debug, Default)]
struct EchoMonitor {
    /// Whether all echoes of a question were received on these sockets before. Some hosts may never
    /// return echoes.
    are_usual: bool,
}

impl EchoMonitor {
    /// Whether echoes of a question that was sent on `sent` sockets are missing although they
    /// arrived before.
    fn are_missing(&mut self, received: usize, sent: usize) -> bool {
        let were_usual = self.are_usual;
        self.are_usual = received >= sent;
        were_usual && !self.are_usual
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn start_of(zid: &Zid) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *zid;
    [a, b, c, d, e, f, g, h]
}

/// Sorts the addresses: the source address of the answer first, if it is among them, then addresses
/// of the same family.
fn nearest_first(mut addresses: Vec<SocketAddr>, from: IpAddr) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| {
        (address.ip() != from, address.is_ipv4() != from.is_ipv4(), address.ip().is_loopback())
    });
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_multicast_echoes_are_reported_once_if_they_worked_before() {
        let mut echoes = EchoMonitor::default();
        let mut are_missing = |received| echoes.are_missing(received, 2);
        assert!(
            [0, 0, 1, 2, 2].map(&mut are_missing).iter().all(|is| !is),
            "none before, or all at last"
        );
        assert!(are_missing(1), "one interface receives nothing");
        assert!(!are_missing(0), "new sockets did not help");
    }

    #[test]
    fn a_node_is_dialed_where_its_answer_came_from() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = ["[2001:db8::1]:1", "172.17.0.1:1", "192.0.2.1:1"].map(address).to_vec();
        let first = nearest_first(all, "192.0.2.1".parse().unwrap());
        assert_eq!(first[0], address("192.0.2.1:1"));
        assert_eq!(first[1], address("172.17.0.1:1"));
    }
}
