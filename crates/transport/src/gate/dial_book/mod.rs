//! The nodes that this node knows, and when each is dialed. No I/O; time is passed in.
//!
//! A newly known node is dialed at once, because it may not know this node. When a link ends, both
//! ends know each other. The end with the greater id then dials at once, and the other dials after
//! a pause, in case the first cannot reach it.
//!
//! Addresses come only from holders of the key. Endpoints come from the configuration and are
//! dialed forever; the node that an endpoint leads to is known once it has proven the key.

mod report;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::NodeId;

/// Maximum number of known nodes.
const MAX_NODES: usize = 1024;
/// Maximum number of nodes dialed at the same time. Endpoints do not count: the configuration
/// bounds them.
const MAX_CONCURRENT_DIALS: usize = 64;
/// Maximum number of addresses of a node.
const MAX_ADDRESSES: usize = 8;
/// How long the node with the smaller id leaves dialing to the other.
const YIELD_DELAY: Duration = Duration::from_millis(200);
/// Backoff between attempts: the minimum, the maximum, and the maximum after
/// [`FAILURES_UNTIL_SLOW`] failures (about five minutes).
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(16)];
const FAILURES_UNTIL_SLOW: u32 = 80;
/// Maximum backoff for a node that only other nodes named, and the failures after which it applies.
const MAX_INDIRECT_BACKOFF: Duration = Duration::from_secs(30);
const FAILURES_UNTIL_INDIRECT_BACKOFF: u32 = 8;
/// A node that is not linked is forgotten when this much time has passed since it was last heard
/// of.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// How long a new connection may take to appear as a link before the node is dialed again.
const LINK_SETUP_TIME: Duration = Duration::from_millis(500);
/// A link that ends sooner than this counts as a failed attempt.
const MIN_LINK_DURATION: Duration = Duration::from_secs(3);
/// How long an endpoint that leads to this node itself is not dialed: its address may change.
const OWN_ENDPOINT_RETRY: Duration = Duration::from_secs(60);
/// How often an endpoint is dialed although its node is linked: another host may have answered
/// there for a while.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct DialBook {
    own: NodeId,
    nodes: BTreeMap<NodeId, KnownNode>,
    endpoints: Vec<DialEndpoint>,
    /// Dials of nodes in progress, including nodes that were forgotten meanwhile.
    dials_in_progress: usize,
}

#[derive(Debug)]
struct KnownNode {
    addresses: Vec<SocketAddr>,
    last_heard: Instant,
    /// Known only from reports of other nodes.
    is_indirect: bool,
    retries: Retries,
}

#[derive(Debug)]
struct DialEndpoint {
    text: String,
    leads_to: Option<NodeId>,
    /// When the endpoint is dialed although the node that it leads to is linked.
    next_check: Instant,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// The outcome of the last dial; `None` before the first.
    last_outcome: Option<Outcome>,
    retries: Retries,
}

#[derive(Debug)]
struct Retries {
    next: Instant,
    backoff: Duration,
    /// Failures since a link lasted or the node itself was last heard.
    failures: u32,
    is_dialing: bool,
}

/// The target of a dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A node, at the first of these addresses that answers.
    Node(NodeId, Vec<SocketAddr>),
    /// An endpoint of the configuration: its number, and its host and port.
    Endpoint(usize, String),
}

/// The outcome of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The node is linked, or dials this node itself.
    Reached(NodeId),
    /// The target is this node.
    IsSelf,
    /// No node proved the key there.
    Failed,
}

impl Retries {
    fn at(next: Instant) -> Self {
        Self { next, backoff: MIN_BACKOFF, failures: 0, is_dialing: false }
    }

    fn on_failure(&mut self, now: Instant, is_indirect: bool) {
        self.next = now + self.backoff;
        self.failures = self.failures.saturating_add(1);
        let longest = match self.failures {
            failures if is_indirect && failures > FAILURES_UNTIL_INDIRECT_BACKOFF => {
                MAX_INDIRECT_BACKOFF
            }
            failures => MAX_BACKOFF[usize::from(failures > FAILURES_UNTIL_SLOW)],
        };
        self.backoff = (self.backoff * 2).min(longest);
    }

    /// The link ended. A link that did not last counts as a failed attempt.
    fn link_ended(&mut self, now: Instant, lasted: Duration, yield_delay: Duration) {
        if lasted >= MIN_LINK_DURATION {
            *self = Self::at(now + yield_delay);
        } else {
            self.next = now + self.backoff + yield_delay;
            self.backoff = (self.backoff * 2).min(MAX_BACKOFF[0]);
        }
    }
}

impl DialEndpoint {
    /// Host and port, without settings.
    fn address(&self) -> &str {
        self.text.split('#').next().unwrap_or_default()
    }

    fn is_satisfied(&self, is_linked: impl Fn(&NodeId) -> bool) -> bool {
        self.leads_to.is_some_and(|id| is_linked(&id))
    }
}

impl DialBook {
    pub(super) fn new(own: NodeId, endpoints: Vec<String>, now: Instant) -> Self {
        let endpoint = |text| DialEndpoint {
            text,
            leads_to: None,
            next_check: now,
            last_error: None,
            last_outcome: None,
            retries: Retries::at(now),
        };
        let endpoints = endpoints.into_iter().map(endpoint).collect();
        Self { own, nodes: BTreeMap::new(), endpoints, dials_in_progress: 0 }
    }

    /// Stores the addresses of a node. They come from a holder of the key: the node itself
    /// (`is_itself`), or a node that is linked to it.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        id: NodeId,
        addresses: impl IntoIterator<Item = SocketAddr>,
        is_itself: bool,
    ) {
        let mut dialed = Vec::new();
        for address in addresses {
            let ip = address.ip();
            let is_one = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
            if is_one && !dialed.contains(&address) && dialed.len() < MAX_ADDRESSES {
                dialed.push(address);
            }
        }
        if id == self.own || dialed.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.last_heard = now;
            if is_itself {
                node.is_indirect = false;
                node.addresses = dialed;
                node.retries.next = node.retries.next.min(now);
                node.retries.failures = 0;
            } else {
                // The addresses that the node itself sent come first.
                let more = dialed.iter().filter(|new| !node.addresses.contains(new));
                let more: Vec<SocketAddr> = more.copied().collect();
                node.addresses.extend(more);
                node.addresses.truncate(MAX_ADDRESSES);
            }
            return;
        }
        if self.nodes.len() >= MAX_NODES {
            // A node that others reported never evicts a node that sent its addresses itself.
            let may_be_evicted =
                |node: &KnownNode| !node.retries.is_dialing && (is_itself || node.is_indirect);
            let evicted = self.nodes.iter().filter(|(_, node)| may_be_evicted(node));
            let evicted = evicted.min_by_key(|(_, node)| (!node.is_indirect, node.last_heard));
            let Some(evicted) = evicted.map(|(id, _)| *id) else { return };
            self.nodes.remove(&evicted);
        }
        let retries = Retries::at(now);
        let node =
            KnownNode { addresses: dialed, last_heard: now, is_indirect: !is_itself, retries };
        self.nodes.insert(id, node);
    }

    /// How long this node leaves dialing to the node `id`.
    fn yield_delay(&self, id: NodeId) -> Duration {
        if self.own > id { Duration::ZERO } else { YIELD_DELAY }
    }

    /// The node left and will not come back.
    pub(super) fn forget(&mut self, id: &NodeId) {
        self.nodes.remove(id);
    }

    /// The node `id` has proven itself at this address, so the address belongs to no other node.
    pub(super) fn claim_address(&mut self, address: SocketAddr, id: NodeId) {
        self.nodes.retain(|of, node| {
            if *of != id {
                node.addresses.retain(|other| *other != address);
            }
            !node.addresses.is_empty()
        });
    }

    /// The targets to be dialed now. Each counts as being dialed until
    /// [`dial_finished`](Self::dial_finished).
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        is_linked: impl Fn(&NodeId) -> bool,
    ) -> Vec<Target> {
        self.nodes.retain(|id, node| {
            is_linked(id)
                || node.retries.is_dialing
                || now.duration_since(node.last_heard) < FORGET_AFTER
        });
        let mut due = Vec::new();
        let is_due = |retries: &Retries| !retries.is_dialing && retries.next <= now;
        for (number, endpoint) in self.endpoints.iter_mut().enumerate() {
            if is_due(&endpoint.retries)
                && (endpoint.next_check <= now || !endpoint.is_satisfied(&is_linked))
            {
                endpoint.retries.is_dialing = true;
                due.push(Target::Endpoint(number, endpoint.text.clone()));
            }
        }
        let mut nodes: Vec<_> = self.nodes.iter_mut().collect();
        nodes.sort_by_key(|(_, node)| node.retries.next);
        for (id, node) in nodes {
            if self.dials_in_progress < MAX_CONCURRENT_DIALS
                && is_due(&node.retries)
                && !is_linked(id)
            {
                self.dials_in_progress += 1;
                node.retries.is_dialing = true;
                due.push(Target::Node(*id, node.addresses.clone()));
            }
        }
        due
    }

    /// When the next target is due.
    pub(super) fn next_due(&self, is_linked: impl Fn(&NodeId) -> bool) -> Option<Instant> {
        // At the maximum number of dials, the next finished dial makes room.
        let nodes = self.nodes.iter().filter(|_| self.dials_in_progress < MAX_CONCURRENT_DIALS);
        let nodes = nodes.filter(|(id, node)| !node.retries.is_dialing && !is_linked(id));
        let endpoints = self.endpoints.iter().filter(|endpoint| !endpoint.retries.is_dialing);
        let endpoints = endpoints.map(|endpoint| match endpoint.is_satisfied(&is_linked) {
            true => endpoint.retries.next.max(endpoint.next_check),
            false => endpoint.retries.next,
        });
        nodes.map(|(_, node)| node.retries.next).chain(endpoints).min()
    }

    /// Records why dialing the endpoint with this number failed.
    pub(super) fn note_error(&mut self, number: usize, error: String) {
        if let Some(endpoint) = self.endpoints.get_mut(number) {
            endpoint.last_error = Some(error);
        }
    }

    /// The endpoints whose last attempt failed, with the reasons.
    pub(super) fn failed_endpoints(&self) -> impl Iterator<Item = (&str, &str)> {
        let failed = |endpoint: &'_ DialEndpoint| endpoint.last_error.is_some();
        let failed = self.endpoints.iter().filter(move |endpoint| failed(endpoint));
        failed.map(|endpoint| {
            (endpoint.address(), endpoint.last_error.as_deref().unwrap_or_default())
        })
    }

    /// Whether there are endpoints and each leads to this node itself.
    pub(super) fn all_lead_to_self(&self) -> bool {
        let leads_here = |endpoint: &DialEndpoint| endpoint.last_outcome == Some(Outcome::IsSelf);
        !self.endpoints.is_empty() && self.endpoints.iter().all(leads_here)
    }

    /// Records the outcome of a dial.
    pub(super) fn dial_finished(&mut self, now: Instant, target: &Target, outcome: Outcome) {
        let retries = match target {
            Target::Node(id, _) => {
                self.dials_in_progress = self.dials_in_progress.saturating_sub(1);
                self.nodes.get_mut(id).map(|node| (&mut node.retries, node.is_indirect))
            }
            Target::Endpoint(number, _) => self.endpoints.get_mut(*number).map(|endpoint| {
                if let Outcome::Reached(id) = outcome {
                    endpoint.leads_to = Some(id);
                }
                endpoint.next_check = now + RECHECK_INTERVAL;
                endpoint.last_outcome = Some(outcome);
                if outcome != Outcome::Failed {
                    endpoint.last_error = None;
                }
                (&mut endpoint.retries, false)
            }),
        };
        let Some((retries, is_indirect)) = retries else { return };
        retries.is_dialing = false;
        match (outcome, target) {
            (Outcome::Reached(_), _) => retries.next = now + LINK_SETUP_TIME.max(retries.backoff),
            (Outcome::IsSelf, Target::Endpoint(..)) => retries.next = now + OWN_ENDPOINT_RETRY,
            (Outcome::Failed, _) | (Outcome::IsSelf, _) => retries.on_failure(now, is_indirect),
        }
    }

    /// The link to a node ended after `lasted`.
    pub(super) fn link_ended(&mut self, now: Instant, id: NodeId, lasted: Duration) {
        let yield_delay = self.yield_delay(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.last_heard = now;
            node.is_indirect &= lasted < MIN_LINK_DURATION;
            node.retries.link_ended(now, lasted, yield_delay);
        }
        for endpoint in self.endpoints.iter_mut().filter(|e| e.leads_to == Some(id)) {
            endpoint.retries.link_ended(now, lasted, yield_delay);
        }
    }
}

#[cfg(test)]
mod tests;
