//! A plan: all that happens in a run, drawn from the seed beforehand, so that a failing plan can be
//! shrunk step by step.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Lane, Settings};

use crate::Faults;

/// Length of the phase with faults, in virtual time.
const FAULT_PHASE: Duration = Duration::from_secs(16);

/// Former peers that nodes remember in plans with liars and small bounds: more than a run has
/// incarnations, fewer than liars invent.
const FORMER_PEERS_WITH_LIARS: usize = 64;

/// A run. Equal plans give equal runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Seed of all random choices during the run.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// Faults of the network and the clocks.
    pub faults: Faults,
    /// Actions in order of time.
    pub steps: Vec<Step>,
    /// The nodes keep mirrors.
    pub mirrors: bool,
    /// Up to half of the wall clocks are wrong, so that no majority of clocks may exist.
    pub split_clocks: bool,
    /// Many entries expire and nothing goes wrong. No mirror may remember an expired entry that
    /// replaced nothing.
    pub many_expiries: bool,
    /// Number of Byzantine members besides the nodes.
    pub liars: u8,
}

/// An action and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Time since the start of the run.
    pub at: Duration,
    /// The action.
    pub action: Action,
}

/// An action. Nodes are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A node publishes frames of events.
    Publish {
        /// Number of the sender.
        node: usize,
        /// Lane of the events.
        lane: Lane,
        /// Number of frames.
        frames: u16,
        /// Number of events in each frame.
        events: u16,
    },
    /// A link between two nodes is cut.
    Cut {
        /// The node whose packets are lost.
        from: usize,
        /// The node that does not receive them.
        to: usize,
        /// The other direction is cut too.
        both: bool,
        /// Length of the cut.
        duration: Duration,
    },
    /// All links of a node are cut in both directions.
    Isolate {
        /// Number of the node.
        node: usize,
        /// Length of the cut.
        duration: Duration,
    },
    /// A node is killed.
    Crash {
        /// Number of the node.
        node: usize,
        /// Time until its next incarnation starts.
        restart_after: Duration,
        /// The buses of the other nodes report that its links close.
        links_close: bool,
        /// The node dies while it publishes: each of its last frames reaches only some nodes.
        partial: bool,
    },
    /// A node says goodbye.
    Leave {
        /// Number of the node.
        node: usize,
        /// Time until its next incarnation starts.
        restart_after: Duration,
        /// Each of its last frames reaches only some nodes.
        partial: bool,
        /// The node first waits for acknowledgements, up to the `linger` setting.
        lingers: bool,
    },
    /// A node freezes.
    Freeze {
        /// Number of the node.
        node: usize,
        /// Length of the freeze.
        duration: Duration,
    },
    /// A node handles one packet per millisecond.
    Slow {
        /// Number of the node.
        node: usize,
        /// Length of the slowdown.
        duration: Duration,
    },
    /// The bus of a node reports that a link closed or opened, truthfully or not.
    LinkEvent {
        /// The node that gets the report.
        node: usize,
        /// The node at the other end of the link.
        peer: usize,
        /// The link opened.
        up: bool,
    },
    /// A second node with the same name starts.
    DuplicateName {
        /// Number of the node whose name it has.
        node: usize,
    },
    /// A node gets a recorded or invented frame.
    Forge {
        /// Number of the node.
        node: usize,
        /// Selects the frame: even numbers replay it unchanged, odd ones forge sender and body.
        which: u32,
    },
    /// A Byzantine member lies to a node.
    Lie {
        /// Number of the node.
        node: usize,
        /// Seed of the lie.
        lie: u64,
    },
    /// A Byzantine member floods a node with one kind of message.
    Flood {
        /// Number of the flooded node.
        node: usize,
        /// The node whose events the messages are about.
        peer: usize,
        /// Kind of message.
        flood: Flood,
    },
    /// A node blocks a network.
    Block {
        /// Number of the node.
        node: usize,
        /// Key of the network.
        key: u16,
        /// Time until the block expires; `None` means never.
        ttl: Option<Duration>,
    },
    /// A node removes a block.
    Unblock {
        /// Number of the node.
        node: usize,
        /// Key of the network.
        key: u16,
    },
    /// The wall clock of a node is set.
    SetClock {
        /// Number of the node.
        node: usize,
        /// Milliseconds that the clock is ahead from then on; negative if behind.
        offset_ms: i64,
    },
}

/// Kind of message that a Byzantine member floods a node with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flood {
    /// Claims that another node has sent more than it did, and that the liar cannot relay any of
    /// it.
    Unavailable,
    /// Queries to a mirror.
    MirrorQueries,
}

/// Key of the first network that is blocked once only. Networks with lower keys are blocked and
/// removed again and again.
pub(crate) const FIRST_SINGLE_USE_KEY: u16 = 256;

/// Milliseconds of a year.
const YEAR_MS: i64 = 365 * 86_400_000;

impl Plan {
    /// The run of a seed, with the faults of that seed.
    #[must_use]
    pub fn from_seed(seed: u64, nodes: usize) -> Self {
        Self::with_faults(seed, nodes, Faults::from_seed(seed))
    }

    /// The run of a seed, with the given faults.
    ///
    /// # Panics
    /// If `nodes` is less than 2.
    #[must_use]
    pub fn with_faults(seed: u64, nodes: usize, faults: Faults) -> Self {
        assert!(nodes >= 2, "a cluster needs at least two nodes");
        let mut rng = Rng::with_seed(seed);
        let mut steps = Vec::new();
        // Frames of events reveal much about their sender, so some seeds have few of them.
        let per_second = if rng.u8(..4) == 0 { 1 } else { 25 };
        for ms in 1..FAULT_PHASE.as_millis() as u64 {
            let at = Duration::from_millis(ms);
            let actions = draw_faults(&mut rng, nodes, &faults);
            steps.extend(actions.into_iter().map(|action| Step { at, action }));
            if rng.u32(..1_000) < per_second {
                let lane = if rng.bool() { Lane::Urgent } else { Lane::Events };
                let (node, events) = (rng.usize(..nodes), rng.u16(1..=20));
                // With small bounds, some bursts exceed a window.
                let is_burst = faults.small_bounds && rng.u8(..10) == 0;
                let frames = rng.u16(1..=if is_burst { 250 } else { 8 });
                let action = Action::Publish { node, lane, frames, events };
                steps.push(Step { at, action });
            }
        }
        Self {
            seed,
            nodes,
            faults,
            steps,
            mirrors: false,
            split_clocks: false,
            many_expiries: false,
            liars: 0,
        }
    }

    /// The same run with mirrors that the nodes change. The wall clocks of fewer than half of the
    /// nodes are wrong, by up to two minutes, a day or ten years, and are set during the run. In a
    /// quarter of the runs up to half of the clocks are wrong. In another quarter all clocks are
    /// right, nothing else goes wrong, and 40 entries per second expire. In some runs with a wrong
    /// clock, the first node starts alone and changes its mirror.
    #[must_use]
    pub fn with_mirrors(mut self) -> Self {
        let rng = &mut Rng::with_seed(self.seed ^ 0x4D49_5252_4F52);
        let mix = rng.u8(..4);
        (self.split_clocks, self.many_expiries) = (mix == 0, mix == 1);
        let wrong = match mix {
            0 => self.nodes / 2,
            1 => 0,
            _ => (self.nodes - 1) / 2,
        };
        if self.many_expiries {
            self.add_expiring_blocks(rng);
        }
        let offset_ms = |rng: &mut Rng| match rng.u8(..8) {
            0 | 1 => 0,
            2 => rng.i64(-YEAR_MS..=10 * YEAR_MS),
            3 => rng.i64(-86_400_000..=86_400_000),
            _ => rng.i64(-120_000..=120_000),
        };
        for node in 0..wrong {
            let offset_ms = offset_ms(rng);
            let action = Action::SetClock { node, offset_ms };
            self.steps.push(Step { at: Duration::ZERO, action });
        }
        for ms in 1..FAULT_PHASE.as_millis() as u64 {
            let mut step = |action| self.steps.push(Step { at: Duration::from_millis(ms), action });
            if wrong > 0 && rng.u32(..1_000_000) < 200 {
                let node = rng.usize(..wrong);
                let offset_ms = offset_ms(rng);
                step(Action::SetClock { node, offset_ms });
            }
            if rng.u32(..1_000) < 20 {
                let (node, key) = (rng.usize(..self.nodes), rng.u16(..32));
                let max = if rng.u8(..3) == 0 { 200_000 } else { 20_000 };
                let ttl = rng.bool().then(|| Duration::from_millis(rng.u64(200..max)));
                step(match rng.u8(..3) {
                    0 => Action::Unblock { node, key },
                    _ => Action::Block { node, key, ttl },
                });
            }
        }
        if wrong > 0 && rng.u8(..4) == 0 {
            self.isolate_first_node(rng);
        }
        self.steps.sort_by_key(|step| step.at);
        self.mirrors = true;
        self
    }

    /// Adds blocks that expire soon, each of another network. Removes all faults that could delay a
    /// change beyond its expiry.
    fn add_expiring_blocks(&mut self, rng: &mut Rng) {
        (self.faults.loss, self.faults.jitter) = (0, Duration::ZERO);
        (self.faults.drift, self.faults.small_bounds) = (0, false);
        self.steps.retain(|step| matches!(step.action, Action::Publish { .. }));
        let mut key = FIRST_SINGLE_USE_KEY;
        for ms in 1..FAULT_PHASE.as_millis() as u64 {
            if rng.u32(..1_000) < 40 {
                let ttl = Some(Duration::from_millis(rng.u64(1_000..4_000)));
                let action = Action::Block { node: rng.usize(..self.nodes), key, ttl };
                self.steps.push(Step { at: Duration::from_millis(ms), action });
                key += 1;
            }
        }
    }

    /// Isolates the first node from the start, with a clock that is days off. The clock is right
    /// again before the node meets the others.
    fn isolate_first_node(&mut self, rng: &mut Rng) {
        let offset_ms = rng.i64(1..=5) * 86_400_000 * if rng.bool() { 1 } else { -1 };
        let alone = Duration::from_secs(9);
        let mut step = |ms, action| self.steps.push(Step { at: Duration::from_millis(ms), action });
        step(0, Action::SetClock { node: 0, offset_ms });
        step(0, Action::Isolate { node: 0, duration: alone });
        for key in 0..8 {
            step(rng.u64(1_000..6_000), Action::Block { node: 0, key, ttl: None });
        }
        step(7_000, Action::SetClock { node: 0, offset_ms: 0 });
    }

    /// The same run with one or two Byzantine members. They have the key and lie about themselves,
    /// other nodes and their mirrors, but never send in another node's name.
    #[must_use]
    pub fn with_liars(mut self) -> Self {
        let rng = &mut Rng::with_seed(self.seed ^ 0x004C_4941_5253);
        self.liars = rng.u8(1..=2);
        for ms in 1..FAULT_PHASE.as_millis() as u64 {
            if rng.u32(..1_000) < 100 {
                let (node, lie) = (rng.usize(..self.nodes), rng.u64(..));
                let at = Duration::from_millis(ms);
                self.steps.push(Step { at, action: Action::Lie { node, lie } });
            }
            if rng.u32(..1_000_000) < 150 {
                let (node, peer) = pair(rng, self.nodes);
                let flood = if rng.bool() { Flood::Unavailable } else { Flood::MirrorQueries };
                let at = Duration::from_millis(ms);
                self.steps.push(Step { at, action: Action::Flood { node, peer, flood } });
            }
        }
        self.steps.sort_by_key(|step| step.at);
        self
    }

    /// The settings of the nodes.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        if self.faults.small_bounds {
            settings.replay_bytes = 8 << 10;
            settings.relay_bytes = 8 << 10;
            settings.reorder_bytes = 4 << 10;
            settings.window = 6 << 10;
            settings.repair_burst = 2 << 10;
            settings.unknown_sender_bytes = 2 << 10;
            if self.liars > 0 {
                settings.max_former_peers = FORMER_PEERS_WITH_LIARS;
            }
        }
        settings
    }

    /// When the last step is over and all faults end.
    pub(crate) fn faults_end_at(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |step| step.at + Duration::from_millis(1))
    }

    /// Whether any action fulfils the predicate.
    pub(crate) fn has(&self, predicate: impl Fn(&Action) -> bool) -> bool {
        self.steps.iter().any(|step| predicate(&step.action))
    }
}

/// The faults that start in one millisecond.
fn draw_faults(rng: &mut Rng, nodes: usize, faults: &Faults) -> Vec<Action> {
    let mut actions = Vec::new();
    let happens = |rng: &mut Rng, per_second: u32| rng.u32(..1_000_000) < per_second;
    let ms = |rng: &mut Rng, max: u64| Duration::from_millis(rng.u64(50..max));
    if happens(rng, faults.cuts) {
        let (from, to) = pair(rng, nodes);
        actions.push(Action::Cut { from, to, both: rng.bool(), duration: ms(rng, 8_000) });
        if rng.bool() {
            // The bus may notice the cut.
            actions.push(Action::LinkEvent { node: to, peer: from, up: false });
        }
    }
    if happens(rng, faults.isolations) {
        actions.push(Action::Isolate { node: rng.usize(..nodes), duration: ms(rng, 8_000) });
    }
    if happens(rng, faults.crashes) {
        let (node, restart_after) = (rng.usize(..nodes), ms(rng, 6_000));
        actions.push(Action::Crash {
            node,
            restart_after,
            links_close: rng.bool(),
            partial: rng.bool(),
        });
    }
    if happens(rng, faults.leaves) {
        let (node, restart_after) = (rng.usize(..nodes), ms(rng, 6_000));
        let (partial, lingers) = (rng.bool(), rng.bool());
        actions.push(Action::Leave { node, restart_after, partial, lingers });
    }
    if happens(rng, faults.freezes) {
        actions.push(Action::Freeze { node: rng.usize(..nodes), duration: ms(rng, 8_000) });
    }
    if happens(rng, faults.slowdowns) {
        actions.push(Action::Slow { node: rng.usize(..nodes), duration: ms(rng, 4_000) });
    }
    if happens(rng, faults.link_events) {
        let (node, peer) = pair(rng, nodes);
        actions.push(Action::LinkEvent { node, peer, up: rng.bool() });
    }
    if happens(rng, faults.duplicate_names) {
        actions.push(Action::DuplicateName { node: rng.usize(..nodes) });
    }
    if happens(rng, faults.forgeries) {
        actions.push(Action::Forge { node: rng.usize(..nodes), which: rng.u32(..) });
    }
    actions
}

/// Two different nodes.
fn pair(rng: &mut Rng, nodes: usize) -> (usize, usize) {
    let one = rng.usize(..nodes);
    (one, (one + rng.usize(1..nodes)) % nodes)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  ", self.at.as_secs_f64())?;
        match self.action {
            Action::Publish { node, lane, frames, events } => {
                write!(f, "n{node} publishes {frames} frames of {events} events, lane {lane}")
            }
            Action::Cut { from, to, both: false, duration } => {
                write!(f, "n{to} does not hear n{from} for {duration:?}")
            }
            Action::Cut { from, to, both: true, duration } => {
                write!(f, "n{to} and n{from} do not hear each other for {duration:?}")
            }
            Action::Isolate { node, duration } => write!(f, "n{node} is isolated for {duration:?}"),
            Action::Crash { node, restart_after, links_close, partial } => {
                let how = if links_close { "its links close" } else { "silently" };
                let when = if partial { " while it publishes" } else { "" };
                write!(f, "n{node} crashes{when} ({how}), restarts after {restart_after:?}")
            }
            Action::Leave { node, restart_after, partial, lingers } => {
                let last = if partial { ", its last frames reach only some nodes" } else { "" };
                let when = if lingers { ", after acknowledgements" } else { "" };
                write!(f, "n{node} says goodbye{last}{when}, restarts after {restart_after:?}")
            }
            Action::Freeze { node, duration } => write!(f, "n{node} freezes for {duration:?}"),
            Action::Slow { node, duration } => write!(f, "n{node} is slow for {duration:?}"),
            Action::LinkEvent { node, peer, up } => {
                let event = if up { "opened" } else { "closed" };
                write!(f, "the bus of n{node} reports that the link to n{peer} {event}")
            }
            Action::DuplicateName { node } => write!(f, "a second n{node} starts"),
            Action::Forge { node, which } => {
                write!(f, "n{node} gets a recorded or forged frame ({which})")
            }
            Action::Lie { node, lie } => write!(f, "a liar lies to n{node} ({lie})"),
            Action::Flood { node, peer, flood: Flood::Unavailable } => {
                write!(f, "a liar floods n{node}: it cannot relay events of n{peer}")
            }
            Action::Flood { node, flood: Flood::MirrorQueries, .. } => {
                write!(f, "a liar floods the mirror of n{node} with queries")
            }
            Action::Block { node, key, ttl: None } => write!(f, "n{node} blocks {key}"),
            Action::Block { node, key, ttl: Some(ttl) } => {
                write!(f, "n{node} blocks {key} for {ttl:?}")
            }
            Action::Unblock { node, key } => write!(f, "n{node} unblocks {key}"),
            Action::SetClock { node, offset_ms } => {
                write!(f, "the clock of n{node} is set to {offset_ms} ms ahead")
            }
        }
    }
}
