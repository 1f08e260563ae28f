//! The nodes that this one knows of, and when each is dialed. No I/O; time is passed in.
//!
//! A node that is new here is dialed at once: it may not know this one. After a link ended both
//! ends know each other, so the one with the greater id dials at once, and the other after a
//! pause, in case the first cannot reach it.
//!
//! Addresses come from holders of the key alone; endpoints come from the
//! configuration, are dialed for ever, and lead to a node that is known once it is proven.

mod report;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::Id;

/// Most nodes that are known.
const MOST: usize = 1024;
/// Most nodes that are dialed at once. Endpoints are not counted: the configuration bounds them.
const AT_ONCE: usize = 64;
/// Most addresses of a node.
const ADDRESSES: usize = 8;
/// How long the node with the smaller id leaves it to the other to dial.
const TURN: Duration = Duration::from_millis(200);
/// Pauses between two tries: the first, the longest, and the longest after [`MANY`] failures (some
/// five minutes).
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(16)];
const MANY: u32 = 80;
/// The longest pause for a node that only other nodes named, and the failures after which it
/// applies.
const OF_HEARSAY: (Duration, u32) = (Duration::from_secs(30), 8);
/// How long after it was last heard of a node is dialed at all.
const AT_ALL: Duration = Duration::from_secs(3600);
/// How long after a connection was made a missing link is looked into.
const MADE: Duration = Duration::from_millis(500);
/// A link that ended before this time had not been one.
const LASTING: Duration = Duration::from_secs(3);
/// How long an endpoint that is this node's own is left alone: addresses may change.
const OWN: Duration = Duration::from_secs(60);
/// How often an endpoint is dialed though its node is linked: another host may have answered there
/// for a while.
const CHECK: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Book {
    own: Id,
    nodes: BTreeMap<Id, Node>,
    endpoints: Vec<Endpoint>,
    /// Nodes that are being dialed, also those that are no longer known.
    dialing: usize,
}

#[derive(Debug)]
struct Node {
    addresses: Vec<SocketAddr>,
    heard: Instant,
    /// Only other nodes have told of it.
    is_hearsay: bool,
    tries: Tries,
}

#[derive(Debug)]
struct Endpoint {
    text: String,
    leads_to: Option<Id>,
    /// When it is dialed though the node that it leads to is linked.
    check: Instant,
    /// Why it was not reached the last time.
    error: Option<String>,
    /// What came of it the last time; `None` before it was dialed.
    last: Option<Outcome>,
    tries: Tries,
}

#[derive(Debug)]
struct Tries {
    next: Instant,
    pause: Duration,
    /// Since a link lasted, or the node itself was heard.
    failures: u32,
    is_dialing: bool,
}

/// What is dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A node, at the first of these addresses that answers.
    Node(Id, Vec<SocketAddr>),
    /// An endpoint of the configuration: its number, and host and port.
    Endpoint(usize, String),
}

/// What came of dialing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The node is linked, or dials this one itself.
    Reached(Id),
    /// It was this node.
    Itself,
    /// Nobody proved the key there.
    Failed,
}

impl Tries {
    fn at(next: Instant) -> Self {
        Self { next, pause: FIRST, failures: 0, is_dialing: false }
    }

    fn failed(&mut self, now: Instant, is_hearsay: bool) {
        self.next = now + self.pause;
        self.failures = self.failures.saturating_add(1);
        let longest = match self.failures {
            failures if is_hearsay && failures > OF_HEARSAY.1 => OF_HEARSAY.0,
            failures => LONGEST[usize::from(failures > MANY)],
        };
        self.pause = (self.pause * 2).min(longest);
    }

    /// The link ended; one that did not last counts as a try that failed.
    fn lost(&mut self, now: Instant, lasted: Duration, turn: Duration) {
        if lasted >= LASTING {
            *self = Self::at(now + turn);
        } else {
            self.next = now + self.pause + turn;
            self.pause = (self.pause * 2).min(LONGEST[0]);
        }
    }
}

impl Endpoint {
    /// Host and port, without settings.
    fn address(&self) -> &str {
        self.text.split('#').next().unwrap_or_default()
    }

    fn is_satisfied(&self, is_linked: impl Fn(&Id) -> bool) -> bool {
        self.leads_to.is_some_and(|id| is_linked(&id))
    }
}

impl Book {
    pub(super) fn new(own: Id, endpoints: Vec<String>, now: Instant) -> Self {
        let endpoint = |text| Endpoint {
            text,
            leads_to: None,
            check: now,
            error: None,
            last: None,
            tries: Tries::at(now),
        };
        let endpoints = endpoints.into_iter().map(endpoint).collect();
        Self { own, nodes: BTreeMap::new(), endpoints, dialing: 0 }
    }

    /// A node can be dialed at these addresses, as a holder of the key says: the node itself, or
    /// one that is linked to it.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        id: Id,
        addresses: impl IntoIterator<Item = SocketAddr>,
        is_itself: bool,
    ) {
        let mut dialed = Vec::new();
        for address in addresses {
            let ip = address.ip();
            let is_one = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
            if is_one && !dialed.contains(&address) && dialed.len() < ADDRESSES {
                dialed.push(address);
            }
        }
        if id == self.own || dialed.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.heard = now;
            if is_itself {
                node.is_hearsay = false;
                node.addresses = dialed;
                node.tries.next = node.tries.next.min(now);
                node.tries.failures = 0;
            } else {
                // What the node said itself comes first.
                let more = dialed.iter().filter(|new| !node.addresses.contains(new));
                let more: Vec<SocketAddr> = more.copied().collect();
                node.addresses.extend(more);
                node.addresses.truncate(ADDRESSES);
            }
            return;
        }
        if self.nodes.len() >= MOST {
            // A node known by hearsay never evicts a node that spoke itself.
            let may_be_evicted =
                |node: &Node| !node.tries.is_dialing && (is_itself || node.is_hearsay);
            let evicted = self.nodes.iter().filter(|(_, node)| may_be_evicted(node));
            let evicted = evicted.min_by_key(|(_, node)| (!node.is_hearsay, node.heard));
            let Some(evicted) = evicted.map(|(id, _)| *id) else { return };
            self.nodes.remove(&evicted);
        }
        let tries = Tries::at(now);
        let node = Node { addresses: dialed, heard: now, is_hearsay: !is_itself, tries };
        self.nodes.insert(id, node);
    }

    /// How long this node leaves it to `id` to dial.
    fn turn(&self, id: Id) -> Duration {
        if self.own > id { Duration::ZERO } else { TURN }
    }

    /// The node ended, and will not come back.
    pub(super) fn forget(&mut self, id: &Id) {
        self.nodes.remove(id);
    }

    /// At an address the node `id` has proven itself: no other is there.
    pub(super) fn answered(&mut self, address: SocketAddr, id: Id) {
        self.nodes.retain(|of, node| {
            if *of != id {
                node.addresses.retain(|other| *other != address);
            }
            !node.addresses.is_empty()
        });
    }

    /// What is to be dialed now; each until [`dialed`](Self::dialed) says what came of it.
    pub(super) fn due(&mut self, now: Instant, is_linked: impl Fn(&Id) -> bool) -> Vec<Target> {
        self.nodes.retain(|id, node| {
            is_linked(id) || node.tries.is_dialing || now.duration_since(node.heard) < AT_ALL
        });
        let mut due = Vec::new();
        let is_due = |tries: &Tries| !tries.is_dialing && tries.next <= now;
        for (number, endpoint) in self.endpoints.iter_mut().enumerate() {
            if is_due(&endpoint.tries)
                && (endpoint.check <= now || !endpoint.is_satisfied(&is_linked))
            {
                endpoint.tries.is_dialing = true;
                due.push(Target::Endpoint(number, endpoint.text.clone()));
            }
        }
        let mut nodes: Vec<_> = self.nodes.iter_mut().collect();
        nodes.sort_by_key(|(_, node)| node.tries.next);
        for (id, node) in nodes {
            if self.dialing < AT_ONCE && is_due(&node.tries) && !is_linked(id) {
                self.dialing += 1;
                node.tries.is_dialing = true;
                due.push(Target::Node(*id, node.addresses.clone()));
            }
        }
        due
    }

    /// When something is to be dialed next.
    pub(super) fn next(&self, is_linked: impl Fn(&Id) -> bool) -> Option<Instant> {
        // Without room, the next that is done makes some.
        let nodes = self.nodes.iter().filter(|_| self.dialing < AT_ONCE);
        let nodes = nodes.filter(|(id, node)| !node.tries.is_dialing && !is_linked(id));
        let endpoints = self.endpoints.iter().filter(|endpoint| !endpoint.tries.is_dialing);
        let endpoints = endpoints.map(|endpoint| match endpoint.is_satisfied(&is_linked) {
            true => endpoint.tries.next.max(endpoint.check),
            false => endpoint.tries.next,
        });
        nodes.map(|(_, node)| node.tries.next).chain(endpoints).min()
    }

    /// An endpoint, by its number, was not reached.
    pub(super) fn failed(&mut self, number: usize, error: String) {
        if let Some(endpoint) = self.endpoints.get_mut(number) {
            endpoint.error = Some(error);
        }
    }

    /// The endpoints that were dialed in vain, and why.
    pub(super) fn failed_endpoints(&self) -> impl Iterator<Item = (&str, &str)> {
        let failed = |endpoint: &'_ Endpoint| endpoint.error.is_some();
        let failed = self.endpoints.iter().filter(move |endpoint| failed(endpoint));
        failed.map(|endpoint| (endpoint.address(), endpoint.error.as_deref().unwrap_or_default()))
    }

    /// Whether there are endpoints, and each leads to this node itself.
    pub(super) fn all_lead_here(&self) -> bool {
        let leads_here = |endpoint: &Endpoint| endpoint.last == Some(Outcome::Itself);
        !self.endpoints.is_empty() && self.endpoints.iter().all(leads_here)
    }

    /// What came of dialing.
    pub(super) fn dialed(&mut self, now: Instant, target: &Target, outcome: Outcome) {
        let tries = match target {
            Target::Node(id, _) => {
                self.dialing = self.dialing.saturating_sub(1);
                self.nodes.get_mut(id).map(|node| (&mut node.tries, node.is_hearsay))
            }
            Target::Endpoint(number, _) => self.endpoints.get_mut(*number).map(|endpoint| {
                if let Outcome::Reached(id) = outcome {
                    endpoint.leads_to = Some(id);
                }
                endpoint.check = now + CHECK;
                endpoint.last = Some(outcome);
                if outcome != Outcome::Failed {
                    endpoint.error = None;
                }
                (&mut endpoint.tries, false)
            }),
        };
        let Some((tries, is_hearsay)) = tries else { return };
        tries.is_dialing = false;
        match (outcome, target) {
            (Outcome::Reached(_), _) => tries.next = now + MADE.max(tries.pause),
            (Outcome::Itself, Target::Endpoint(..)) => tries.next = now + OWN,
            (Outcome::Failed, _) | (Outcome::Itself, _) => tries.failed(now, is_hearsay),
        }
    }

    /// The link to a node ended, after so long.
    pub(super) fn lost(&mut self, now: Instant, id: Id, lasted: Duration) {
        let turn = self.turn(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.heard = now;
            node.is_hearsay &= lasted < LASTING;
            node.tries.lost(now, lasted, turn);
        }
        for endpoint in self.endpoints.iter_mut().filter(|e| e.leads_to == Some(id)) {
            endpoint.tries.lost(now, lasted, turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: fn(&Id) -> bool = |_| false;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 7447))
    }

    fn book(endpoints: &[&str]) -> (Book, Instant) {
        let now = Instant::now();
        (Book::new([5; 16], endpoints.iter().map(|&e| e.to_owned()).collect(), now), now)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn after_a_link_the_greater_dials_at_once_and_the_smaller_after_a_pause_if_none_came() {
        let (mut book, start) = book(&[]);
        for n in [4, 5, 6] {
            book.learn(start, [n; 16], [address(n)], true);
        }
        let due = book.due(start, NOBODY);
        assert_eq!(due.len(), 2, "new ones are dialed, and never this node");
        assert_eq!(book.due(start, NOBODY), [], "they are being dialed");
        let now = start + Duration::from_secs(60);
        for target in &due {
            let Target::Node(id, _) = target else { panic!() };
            book.dialed(start, target, Outcome::Reached(*id));
            book.lost(now, *id, Duration::from_secs(50));
        }
        assert_eq!(book.due(now, NOBODY), [Target::Node([4; 16], vec![address(4)])]);
        assert_eq!(book.next(NOBODY), Some(now + TURN));
        assert_eq!(book.due(now + TURN, |id| *id == [6; 16]), [], "it came");
        assert_eq!(book.next(|id| *id == [6; 16]), None);
        let due = book.due(now + TURN, NOBODY);
        assert_eq!(due, [Target::Node([6; 16], vec![address(6)])]);
    }

    #[test]
    fn tries_that_fail_come_more_and_more_rarely_and_cease_after_an_hour() {
        let (mut book, start) = book(&[]);
        book.learn(start, [4; 16], [address(4)], false);
        let mut now = start;
        let mut at = Vec::new();
        while let Some(next) = book.next(NOBODY) {
            now = now.max(next);
            for target in book.due(now, NOBODY) {
                at.push(now.duration_since(start));
                book.dialed(now, &target, Outcome::Failed);
            }
        }
        assert_eq!(at[..4], [millis(0), millis(100), millis(300), millis(700)]);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= OF_HEARSAY.0));
        assert!(at.len() < 140 && at[at.len() - 1] > Duration::from_secs(3500), "{}", at.len());
    }

    #[test]
    fn an_endpoint_is_dialed_for_ever_until_it_leads_to_a_node_that_is_linked() {
        let (mut book, now) = book(&["mx1:7447", "mx2:7447"]);
        let due = book.due(now, NOBODY);
        assert_eq!(due.len(), 2);
        book.dialed(now, &due[0], Outcome::Reached([4; 16]));
        book.dialed(now, &due[1], Outcome::Itself);
        let later = now + Duration::from_secs(59);
        let is_linked = |id: &Id| *id == [4; 16];
        assert_eq!(book.next(is_linked), Some(now + CHECK));
        assert_eq!(book.due(later, |id| *id == [4; 16]), []);
        book.lost(later, [4; 16], Duration::from_secs(50));
        assert_eq!(book.due(later, NOBODY), due[..1]);
        book.dialed(later, &due[0], Outcome::Failed);
        assert_eq!(book.due(later + Duration::from_secs(3600), NOBODY), due);
    }

    #[test]
    fn an_endpoint_at_which_another_answered_for_a_while_is_dialed_again() {
        let (mut book, now) = book(&["mx1:7447", "mx2:7447"]);
        let is_linked = |id: &Id| *id == [4; 16];
        // Somebody on the way took the second to the node of the first.
        for target in book.due(now, NOBODY) {
            book.dialed(now, &target, Outcome::Reached([4; 16]));
        }
        assert_eq!(book.due(now + Duration::from_secs(59), is_linked), []);
        let due = book.due(now + CHECK, is_linked);
        assert_eq!(due.len(), 2);
        book.dialed(now + CHECK, &due[0], Outcome::Reached([4; 16]));
        book.dialed(now + CHECK, &due[1], Outcome::Reached([3; 16]));
        let later = now + CHECK + LASTING;
        assert_eq!(book.due(later, is_linked), due[1..], "it leads to a node without a link");
    }

    #[test]
    fn invented_nodes_take_no_place_of_those_that_spoke_and_no_dial_is_forgotten() {
        let (mut book, now) = book(&[]);
        for n in 0..100_u128 {
            book.learn(now, n.to_be_bytes(), [address(1)], true);
        }
        let mut dials = book.due(now, NOBODY).len();
        for n in 1_000..20_000_u128 {
            let at = now + Duration::from_micros(n as u64);
            book.learn(at, n.to_be_bytes(), [address(2)], false);
            dials += book.due(at, NOBODY).len();
            assert_eq!(book.next(NOBODY), None, "there is no room");
        }
        assert_eq!((dials, book.nodes.len()), (AT_ONCE, MOST));
        assert!((0..100_u128).all(|n| book.nodes.contains_key(&n.to_be_bytes())));
        book.forget(&0_u128.to_be_bytes());
        assert_eq!(book.due(now + CHECK, NOBODY), [], "it is still being dialed");
    }

    #[test]
    fn a_link_that_is_made_and_ends_at_once_is_not_dialed_in_a_storm() {
        let (mut book, start) = book(&[]);
        book.learn(start, [4; 16], [address(4)], true);
        let (mut now, mut dials) = (start, 0);
        while now < start + Duration::from_secs(60) {
            for target in book.due(now, NOBODY) {
                dials += 1;
                book.dialed(now, &target, Outcome::Reached([4; 16]));
                book.lost(now, [4; 16], millis(1));
            }
            now += millis(10);
        }
        assert!((10..25).contains(&dials), "{dials}");
    }

    #[test]
    fn an_address_at_which_another_node_answers_is_no_longer_of_the_first() {
        let (mut book, now) = book(&[]);
        book.learn(now, [3; 16], [address(1)], true);
        book.learn(now, [4; 16], [address(1), address(2)], true);
        book.answered(address(1), [2; 16]);
        assert_eq!(book.due(now, NOBODY), [Target::Node([4; 16], vec![address(2)])]);
        book.answered(address(2), [4; 16]);
        assert_eq!(book.nodes.len(), 1);
    }

    #[test]
    fn nodes_addresses_and_dials_are_bounded() {
        let (mut book, now) = book(&[]);
        for n in 0..5_000_u128 {
            let at = now + Duration::from_micros(n as u64);
            book.learn(at, n.to_be_bytes(), (0..100).map(address), n % 2 == 0);
        }
        assert_eq!(book.nodes.len(), MOST);
        assert!(book.nodes.contains_key(&4_998_u128.to_be_bytes()), "the newest that spoke stays");
        assert!(book.nodes.values().all(|node| node.addresses.len() == ADDRESSES));
        assert_eq!(book.due(now + Duration::from_secs(1), NOBODY).len(), AT_ONCE);
        for bad in ["0.0.0.0:1", "224.0.0.1:1", "[::]:1", "192.0.2.1:0"] {
            book.learn(now, [0xff; 16], [bad.parse().unwrap()], true);
        }
        assert!(!book.nodes.contains_key(&[0xff; 16]));
    }
}
