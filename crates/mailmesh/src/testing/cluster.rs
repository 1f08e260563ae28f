use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use mailmesh_transport::MemoryHub;
use parking_lot::Mutex;

use super::TestError;
use super::builder::{NodeTemplate, TestClusterBuilder};
use super::converge::{CONVERGE_TIMEOUT, agree, differences};
use super::links::{LinkEnd, Links};
use super::pause_gate::{GateState, PauseGate};
use super::skew::{Skew, SkewedClock};
use crate::Node;
use crate::node_builder::new_incarnation;

/// Nodes of one cluster in this process, and the faults between them.
///
/// Nodes are told by name. What is set for a name (cuts, loss, skew) stays set when
/// the node is killed and restarted. Dropping the whole kills every node.
///
/// # Panics
/// Each method that takes a name panics if there is no node of that name: the test
/// is wrong.
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

    /// Begins a cluster of nodes of these names.
    #[must_use]
    pub fn builder<N: Into<String>>(names: impl IntoIterator<Item = N>) -> TestClusterBuilder {
        TestClusterBuilder::new(names.into_iter().map(Into::into).collect())
    }

    /// Starts nodes of these names, sealed with a new key, and waits until each sees
    /// every other.
    ///
    /// # Errors
    /// As [`TestClusterBuilder::start`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, TestError> {
        Self::builder(names).start().await
    }

    /// Starts one more node. Does not wait until it sees the others.
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

    /// The running node: publish, read and ask as in production. The handle is of its
    /// life now; after [`restart`](Self::restart) ask again.
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

    /// Drops what either sends to the other. Neither is told. While a third hears both,
    /// they hear each other through it (`relayed_via` of [`Member`](crate::Member)); with
    /// nobody between, each has failed for the other after 3 s, as when a cable is pulled
    /// ([`isolate`](Self::isolate)).
    #[track_caller]
    pub fn cut(&self, one: &str, other: &str) {
        self.change_links(one, other, Links::cut);
        self.change_links(other, one, Links::cut);
    }

    /// Drops what `from` sends to `to`, and not what comes back.
    #[track_caller]
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.change_links(from, to, Links::cut);
    }

    /// Mends both ways between two nodes; each is told that the other can be reached.
    #[track_caller]
    pub fn heal(&self, one: &str, other: &str) {
        self.change_links(one, other, Links::heal);
        self.change_links(other, one, Links::heal);
    }

    /// Cuts a node off from every other.
    #[track_caller]
    pub fn isolate(&self, name: &str) {
        self.others(name).iter().for_each(|other| self.cut(name, other));
    }

    /// Mends every way from and to a node.
    #[track_caller]
    pub fn reconnect(&self, name: &str) {
        self.others(name).iter().for_each(|other| self.heal(name, other));
    }

    /// Mends every cut, and ends the loss. Who is frozen or killed stays so.
    pub fn heal_all(&self) {
        let names: Vec<_> = self.state.lock().nodes.keys().cloned().collect();
        names.iter().for_each(|name| self.reconnect(name));
        self.lose(0, 0);
    }

    /// Drops `percent` of the frames on every way from now on, of nodes that start
    /// later, too. Which, is drawn from `seed` for each way by itself: the fate of the
    /// n-th frame from one name to another is the same in each run. 0 ends it.
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

    /// Frames that cuts and loss have dropped.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.hub.dropped()
    }

    /// Stops a node as SIGSTOP would: it handles nothing and sends nothing, and its
    /// intake fills to its bound, past which frames are dropped. When this has
    /// returned, nothing of it runs. `publish` on it waits for [`thaw`](Self::thaw),
    /// as do changes of blocks and certificates (in force on the node itself at once)
    /// and `shutdown`; `try_publish` gives [`Error::Full`](crate::Error::Full). Inboxes
    /// and lookups still answer: they are the server's, which is not stopped.
    ///
    /// # Panics
    /// If there is no such node, or it was killed.
    #[track_caller]
    pub fn freeze(&self, name: &str) {
        self.running(name).freeze();
    }

    /// Lets a frozen node go on, as SIGCONT would.
    ///
    /// # Panics
    /// If there is no such node, or it was killed.
    #[track_caller]
    pub fn thaw(&self, name: &str) {
        self.running(name).thaw();
    }

    /// Ends a node as `kill -9` would, frozen or not: no goodbye, and the others are
    /// told that its link closed. Unless it is restarted sooner, they ask it for a
    /// sign of life and say `Left`, [`Failed`](crate::LeaveReason::Failed), half a
    /// second later. Its inboxes end after what they hold; its handles say that it was
    /// shut down. Does nothing to a node that was killed before.
    #[track_caller]
    pub fn kill(&self, name: &str) {
        let hub = &self.hub;
        self.slot(name, |slot| slot.kill(hub));
    }

    /// Starts a node again under its name, with a new life and an empty mirror; kills
    /// it first if it runs. Does not wait until it sees the others.
    ///
    /// # Errors
    /// [`TestError::Start`].
    pub async fn restart(&self, name: &str) -> Result<Node, TestError> {
        self.kill(name);
        self.launch(name).await
    }

    /// Makes a node's wall clock wrong, at once; while it runs that is a step of its
    /// clock. Timers do not notice.
    #[track_caller]
    pub fn skew(&self, name: &str, skew: Skew) {
        self.slot(name, |slot| slot.clock.set(skew));
    }

    /// Waits, for up to 30 s of tokio's time, until every running node sees every
    /// other, and none that has ended, and their mirrors are equal. Frozen nodes are
    /// left out. Says nothing of events that are on their way: read those from an inbox.
    ///
    /// # Errors
    /// [`TestError::NotConverged`] says what differs.
    pub async fn converged(&self) -> Result<(), TestError> {
        self.converged_within(CONVERGE_TIMEOUT).await
    }

    /// As [`converged`](Self::converged), with another limit.
    ///
    /// # Errors
    /// As [`converged`](Self::converged).
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

    /// Begins a life of a node that does not run.
    async fn launch(&self, name: &str) -> Result<Node, TestError> {
        let failed = |source| TestError::Start { name: name.to_owned(), source };
        let incarnation = new_incarnation().map_err(failed)?;
        let (gate, clock) = (PauseGate::default(), self.slot(name, |slot| slot.clock.clone()));
        // Before it joins: not one frame passes a way that is cut.
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

    /// Breaks the ways of a new life as those of its name are broken.
    fn apply_links(&self, hub: &MemoryHub, us: LinkEnd<'_>) {
        for other in self.ends() {
            for (from, to) in [(us, other), (other, us)] {
                self.links.apply_cut(hub, from, to);
                self.links.apply_loss(hub, from, to);
            }
        }
    }

    /// The running nodes.
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
