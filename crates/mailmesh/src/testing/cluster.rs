//! Several nodes of one cluster in one process, and faults between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use mailmesh_transport::MemoryHub;
use parking_lot::Mutex;

use super::TestError;
use super::converge::{CONVERGE_TIMEOUT, agree, differences};
use super::links::{LinkEnd, Links};
use super::pause_gate::{GateState, PauseGate};
use super::skew::{Skew, SkewedClock};
use super::template::NodeTemplate;
use crate::Node;
use crate::node_builder::new_incarnation;

/// Several nodes of one cluster in this process, and faults between them.
///
/// Nodes are identified by name. Faults set for a name (cuts, loss, skew) outlast a kill and a
/// restart. Dropping the test cluster kills every node.
///
/// # Panics
/// Each method that takes a name panics if there is no node of that name, because the test is
/// wrong.
pub struct TestCluster {
    hub: MemoryHub,
    template: NodeTemplate,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<String, Slot>,
    links: Links,
}

#[derive(Debug, Default)]
struct Slot {
    running: Option<Running>,
    clock: SkewedClock,
}

#[derive(Debug)]
struct Running {
    handle: Node,
    gate: PauseGate,
}

impl fmt::Debug for TestCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCluster").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for slot in self.state.get_mut().nodes.values_mut() {
            slot.kill(&self.hub);
        }
    }
}

impl TestCluster {
    pub(crate) fn new(template: NodeTemplate) -> Self {
        Self { hub: MemoryHub::new(), template, state: Mutex::default() }
    }

    /// Starts one more node. Does not wait for its members.
    ///
    /// # Errors
    /// [`TestError::SameName`], [`TestError::Start`].
    pub async fn add(&self, name: impl Into<String>) -> Result<Node, TestError> {
        let name = name.into();
        if self.state.lock().nodes.contains_key(&name) {
            return Err(TestError::SameName { name });
        }
        self.state.lock().nodes.insert(name.clone(), Slot::default());
        let started = self.launch(&name).await;
        if started.is_err() {
            self.state.lock().nodes.remove(&name);
        }
        started
    }

    /// The handle of a running node, as in production. The handle belongs to the present
    /// incarnation: after [`restart`](Self::restart) get a new one.
    ///
    /// # Panics
    /// If there is no such node, or it was killed.
    #[must_use]
    #[track_caller]
    pub fn node(&self, name: &str) -> Node {
        match &self.slot(name, |slot| slot.running.as_ref().map(|node| node.handle.clone())) {
            Some(node) => node.clone(),
            None => panic!("node `{name}` was killed; restart it first"),
        }
    }

    /// Drops all frames between two nodes, without notice to either. While a third node reaches
    /// both, it relays their frames (`relayed_via` of [`Member`](crate::Member)). Without one, each
    /// node sees the other fail after 3 s, as with a pulled cable ([`isolate`](Self::isolate)).
    #[track_caller]
    pub fn cut(&self, one: &str, other: &str) {
        self.change_links(one, other, Links::cut);
        self.change_links(other, one, Links::cut);
    }

    /// Drops frames from `from` to `to` only.
    #[track_caller]
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.change_links(from, to, Links::cut);
    }

    /// Ends the cuts between two nodes. Each node learns that the other is reachable.
    #[track_caller]
    pub fn heal(&self, one: &str, other: &str) {
        self.change_links(one, other, Links::heal);
        self.change_links(other, one, Links::heal);
    }

    /// Cuts the links between a node and all others.
    #[track_caller]
    pub fn isolate(&self, name: &str) {
        self.others(name).iter().for_each(|other| self.cut(name, other));
    }

    /// Ends all cuts from and to a node.
    #[track_caller]
    pub fn reconnect(&self, name: &str) {
        self.others(name).iter().for_each(|other| self.heal(name, other));
    }

    /// Ends every cut and the loss. Frozen and killed nodes stay so.
    pub fn heal_all(&self) {
        let names: Vec<_> = self.state.lock().nodes.keys().cloned().collect();
        names.iter().for_each(|name| self.reconnect(name));
        self.lose(0, 0);
    }

    /// Drops `percent` of the frames on every link from now on, also of nodes that start later; 0
    /// ends the loss. `seed` determines which frames: the n-th frame from one name to another has
    /// the same fate in each run.
    pub fn lose(&self, percent: u8, seed: u64) {
        let mut state = self.state.lock();
        state.links.lose(percent, seed);
        let ends = state.ends();
        for from in &ends {
            for to in ends.iter().filter(|to| to.0 != from.0) {
                state.links.apply_loss(&self.hub, *from, *to);
            }
        }
    }

    /// Number of frames dropped by cuts and loss.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.hub.dropped()
    }

    /// Stops a node like SIGSTOP: it neither handles nor sends frames, and its ingress queue fills
    /// until it drops frames. Once this method has returned, no task of the node runs.
    ///
    /// On a frozen node `publish` and `shutdown` wait for [`thaw`](Self::thaw), as do changes of
    /// blocks and certificates, which are in force on the node itself at once. `try_publish`
    /// returns [`PublishError::Full`](crate::PublishError::Full). Inboxes and lookups still work:
    /// they run in the server, which is not frozen.
    ///
    /// # Panics
    /// If there is no such node, or it was killed.
    #[track_caller]
    pub fn freeze(&self, name: &str) {
        self.running(name).freeze();
    }

    /// Lets a frozen node run again, like SIGCONT.
    ///
    /// # Panics
    /// If there is no such node, or it was killed.
    #[track_caller]
    pub fn thaw(&self, name: &str) {
        self.running(name).thaw();
    }

    /// Ends a node like `kill -9`, frozen or not: it says no goodbye, and the others learn that its
    /// link closed. Unless the node is restarted sooner, they probe it and half a second later
    /// report `Left` with [`Failed`](crate::LeaveReason::Failed). Its inboxes end after their last
    /// entry, and its handles report a shutdown. A node that was killed before is left alone.
    #[track_caller]
    pub fn kill(&self, name: &str) {
        let hub = &self.hub;
        self.slot(name, |slot| slot.kill(hub));
    }

    /// Starts a node again under its name, with a new incarnation and an empty mirror; kills it
    /// first if it runs. Does not wait for its members.
    ///
    /// # Errors
    /// [`TestError::Start`].
    pub async fn restart(&self, name: &str) -> Result<Node, TestError> {
        self.kill(name);
        self.launch(name).await
    }

    /// Sets a node's wall clock wrong, at once. On a running node this is a clock step. Timers are
    /// not affected.
    #[track_caller]
    pub fn skew(&self, name: &str, skew: Skew) {
        self.slot(name, |slot| slot.clock.set(skew));
    }

    /// Waits up to 30 s of tokio's time until all running nodes have each other, and no ended node,
    /// as members, and have equal mirrors. Frozen nodes are left out. Events may still be in
    /// flight: read those from an inbox.
    ///
    /// # Errors
    /// [`TestError::NotConverged`] lists the differences.
    pub async fn converged(&self) -> Result<(), TestError> {
        self.converged_within(CONVERGE_TIMEOUT).await
    }

    /// Same as [`converged`](Self::converged), with another time limit.
    ///
    /// # Errors
    /// Same as [`converged`](Self::converged).
    pub async fn converged_within(&self, limit: Duration) -> Result<(), TestError> {
        agree(limit, || self.differences()).await
    }

    fn differences(&self) -> Vec<String> {
        let state = self.state.lock();
        let running = state.nodes.values().filter_map(|slot| slot.running.as_ref());
        let (mut awake, mut frozen) = (Vec::new(), BTreeSet::new());
        for node in running.filter(|node| node.handle.is_running()) {
            if node.gate.state() == GateState::Frozen {
                frozen.insert(node.handle.incarnation());
            } else {
                awake.push(node.handle.clone());
            }
        }
        drop(state);
        differences(&awake, &frozen)
    }

    /// Starts an incarnation of a node that does not run.
    async fn launch(&self, name: &str) -> Result<Node, TestError> {
        let failed = |source| TestError::Start { name: name.to_owned(), source };
        let incarnation = new_incarnation().map_err(failed)?;
        let (gate, clock) = (PauseGate::default(), self.slot(name, |slot| slot.clock.clone()));
        // Before the node joins, so that no frame passes a cut link.
        self.state.lock().apply_links(&self.hub, (name, incarnation));
        let mut builder = self.template.builder(name, clock).memory(&self.hub);
        builder.incarnation = Some(incarnation);
        builder.pause_gate = gate.clone();
        let node = builder.start().await.map_err(failed)?;
        let running = Running { handle: node.clone(), gate };
        self.slot(name, |slot| {
            slot.kill(&self.hub);
            slot.running = Some(running);
        });
        Ok(node)
    }

    #[track_caller]
    fn change_links(&self, from: &str, to: &str, change: fn(&mut Links, &str, &str)) {
        self.slot(from, |_| ());
        self.slot(to, |_| ());
        let mut state = self.state.lock();
        change(&mut state.links, from, to);
        if let (Some(from), Some(to)) = (state.end(from), state.end(to)) {
            state.links.apply_cut(&self.hub, from, to);
        }
    }

    #[track_caller]
    fn others(&self, name: &str) -> Vec<String> {
        self.slot(name, |_| ());
        self.state.lock().nodes.keys().filter(|other| *other != name).cloned().collect()
    }

    #[track_caller]
    fn running(&self, name: &str) -> Node {
        match self.slot(name, |slot| slot.running.as_ref().map(|node| node.handle.clone())) {
            Some(node) => node,
            None => panic!("node `{name}` was killed; restart it first"),
        }
    }

    #[track_caller]
    fn slot<R>(&self, name: &str, act: impl FnOnce(&mut Slot) -> R) -> R {
        let mut state = self.state.lock();
        match state.nodes.get_mut(name) {
            Some(slot) => act(slot),
            None => {
                let names: Vec<_> = state.nodes.keys().map(String::as_str).collect();
                panic!("no node `{name}` in this cluster; there are: {}", names.join(", "))
            }
        }
    }
}

impl State {
    fn end(&self, name: &str) -> Option<LinkEnd<'_>> {
        let (name, slot) = self.nodes.get_key_value(name)?;
        Some((name, slot.running.as_ref()?.handle.incarnation()))
    }

    /// Applies the faults set for a name to its new incarnation.
    fn apply_links(&self, hub: &MemoryHub, us: LinkEnd<'_>) {
        for other in self.ends() {
            for (from, to) in [(us, other), (other, us)] {
                self.links.apply_cut(hub, from, to);
                self.links.apply_loss(hub, from, to);
            }
        }
    }

    /// The running nodes, as link ends.
    fn ends(&self) -> Vec<LinkEnd<'_>> {
        self.nodes.keys().filter_map(|name| self.end(name)).collect()
    }
}

impl Slot {
    fn kill(&mut self, hub: &MemoryHub) {
        if let Some(node) = self.running.take() {
            node.handle.kill();
            hub.close(node.handle.incarnation());
        }
    }
}
