//! What will happen in a run, drawn from its seed before it begins: so a run that
//! fails can be made shorter step by step.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Lane, Settings};

use crate::Faults;

/// Virtual time with faults.
const FAULT_PHASE: Duration = Duration::from_secs(16);

/// More than the nodes have in a run, and fewer than liars make up.
const FORMER_PEERS_WITH_LIARS: usize = 64;

/// A run: the same plan gives the same run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Decides what the network does to each frame.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// What the network does, and the clocks.
    pub faults: Faults,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
    /// The nodes keep mirrors.
    pub mirrors: bool,
    /// Half of the clocks may be wrong, so that none can be told to be right.
    pub split_clocks: bool,
    /// Many entries end, while nothing goes wrong: none may be remembered that took the place
    /// of nothing.
    pub many_expiries: bool,
    /// How many members there are besides that lie.
    pub liars: u8,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, since the begin of the run.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What happens. Nodes are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A node publishes so many frames of so many events.
    Publish {
        /// The sender.
        node: usize,
        /// Its lane.
        lane: Lane,
        /// How many frames.
        frames: u16,
        /// Events in each.
        events: u16,
    },
    /// What one sends the other does not hear; nor the other way, if `both`.
    Cut {
        /// Who is not heard.
        from: usize,
        /// Who does not hear.
        to: usize,
        /// Neither hears the other.
        both: bool,
        /// For how long.
        duration: Duration,
    },
    /// A node hears nobody, and nobody hears it.
    Isolate {
        /// Who.
        node: usize,
        /// For how long.
        duration: Duration,
    },
    /// A node is killed.
    Crash {
        /// Who.
        node: usize,
        /// When its next life begins.
        restart_after: Duration,
        /// The others' buses notice that its links close.
        links_close: bool,
        /// It dies while it publishes: its last frames reach only some.
        partial: bool,
    },
    /// A node says goodbye.
    Leave {
        /// Who.
        node: usize,
        /// When its next life begins.
        restart_after: Duration,
        /// Its last frames reach only some.
        partial: bool,
        /// It waits for them to be confirmed.
        lingers: bool,
    },
    /// A node stands still.
    Freeze {
        /// Who.
        node: usize,
        /// For how long.
        duration: Duration,
    },
    /// A node is slow.
    Slow {
        /// Who.
        node: usize,
        /// For how long.
        duration: Duration,
    },
    /// A node's bus says that the link to another closed or opened.
    LinkEvent {
        /// To whom it says so.
        node: usize,
        /// Of whom.
        peer: usize,
        /// It opened.
        up: bool,
    },
    /// A second node of a name starts.
    DuplicateName {
        /// Whose name.
        node: usize,
    },
    /// An old frame, or a forged one, is put before a node.
    Forge {
        /// Before whom.
        node: usize,
        /// Which frame.
        which: u32,
    },
    /// A member that is none of the nodes lies to a node.
    Lie {
        /// To whom.
        node: usize,
        /// Which lie.
        lie: u64,
    },
    /// A member that lies sends a node the same thing again and again, for a moment.
    Flood {
        /// To whom.
        node: usize,
        /// About whose events it is.
        peer: usize,
        /// What.
        flood: Flood,
    },
    /// A node blocks a network.
    Block {
        /// Who.
        node: usize,
        /// Which network.
        key: u16,
        /// For how long, if not for ever.
        ttl: Option<Duration>,
    },
    /// A node takes a network off.
    Unblock {
        /// Who.
        node: usize,
        /// Which network.
        key: u16,
    },
    /// The wall clock of a node is set.
    SetClock {
        /// Whose.
        node: usize,
        /// By how many milliseconds it is ahead from then on; behind, if negative.
        offset_ms: i64,
    },
}

/// What a member that lies sends again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flood {
    /// That another has sent more than it did, and that of this it has nothing itself.
    Unavailable,
    /// A question to a mirror.
    MirrorQueries,
}

/// The first network that is blocked once, for a moment. Below are those that are blocked and
/// taken off all the time.
pub(crate) const FIRST_SINGLE_USE_KEY: u16 = 256;

/// Milliseconds of a year.
const YEAR_MS: i64 = 365 * 86_400_000;

impl Plan {
    /// The run of a seed, with the faults of that seed.
    #[must_use]
    pub fn from_seed(seed: u64, nodes: usize) -> Self {
        Self::with_faults(seed, nodes, Faults::from_seed(seed))
    }

    /// The run of a seed, with these faults.
    ///
    /// # Panics
    /// With fewer than 2 nodes.
    #[must_use]
    pub fn with_faults(seed: u64, nodes: usize, faults: Faults) -> Self {
        assert!(nodes >= 2, "a cluster has two nodes or more");
        let mut rng = Rng::with_seed(seed);
        let mut steps = Vec::new();
        // Frames of events tell much by themselves: in some seeds there are few.
        let per_second = if rng.u8(..4) == 0 { 1 } else { 25 };
        for ms in 1..FAULT_PHASE.as_millis() as u64 {
            let at = Duration::from_millis(ms);
            let actions = draw_faults(&mut rng, nodes, &faults);
            steps.extend(actions.into_iter().map(|action| Step { at, action }));
            if rng.u32(..1_000) < per_second {
                let lane = if rng.bool() { Lane::Urgent } else { Lane::Events };
                let (node, events) = (rng.usize(..nodes), rng.u16(1..=20));
                // With small bounds sometimes more than a window at once.
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

    /// The same run, in which the nodes keep mirrors that they change, while the clocks of
    /// fewer than half of them are wrong by up to two minutes, or by days and years, and are
    /// set. In a quarter of the runs half of the clocks may be wrong. In another quarter all are
    /// right, nothing else goes wrong, and 40 entries end in each second. Where a clock is wrong, a
    /// node may be alone with it at first, and change its mirror.
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

    /// Blocks that end soon, each of another network, and nothing that has anybody hear of one
    /// after its end.
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

    /// The first node is cut off from the start, by days ahead or behind; its clock is set right
    /// before it meets the others.
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

    /// The same run, in which one or two members besides have the key and lie: of themselves,
    /// of the others, of their mirrors. They speak in nobody else's name.
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

    /// When the last step is over and every fault ends.
    pub(crate) fn faults_end_at(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |step| step.at + Duration::from_millis(1))
    }

    /// Whether some step is of this sort.
    pub(crate) fn has(&self, mix: impl Fn(&Action) -> bool) -> bool {
        self.steps.iter().any(|step| mix(&step.action))
    }
}

/// What goes wrong in one millisecond.
fn draw_faults(rng: &mut Rng, nodes: usize, faults: &Faults) -> Vec<Action> {
    let mut actions = Vec::new();
    let happens = |rng: &mut Rng, per_second: u32| rng.u32(..1_000_000) < per_second;
    let ms = |rng: &mut Rng, max: u64| Duration::from_millis(rng.u64(50..max));
    if happens(rng, faults.cuts) {
        let (from, to) = pair(rng, nodes);
        actions.push(Action::Cut { from, to, both: rng.bool(), duration: ms(rng, 8_000) });
        if rng.bool() {
            // The bus may notice.
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
            Action::Isolate { node, duration } => write!(f, "n{node} is cut off for {duration:?}"),
            Action::Crash { node, restart_after, links_close, partial } => {
                let how = if links_close { "its links close" } else { "silently" };
                let when = if partial { " while it publishes" } else { "" };
                write!(f, "n{node} crashes{when} ({how}), back after {restart_after:?}")
            }
            Action::Leave { node, restart_after, partial, lingers } => {
                let last = if partial { ", and its last events reach only some" } else { "" };
                let when = if lingers { ", once they have what it sent" } else { "" };
                write!(f, "n{node} says goodbye{last}{when}, back after {restart_after:?}")
            }
            Action::Freeze { node, duration } => write!(f, "n{node} stands still for {duration:?}"),
            Action::Slow { node, duration } => write!(f, "n{node} is slow for {duration:?}"),
            Action::LinkEvent { node, peer, up } => {
                let event = if up { "opened" } else { "closed" };
                write!(f, "the bus of n{node} says that the link to n{peer} {event}")
            }
            Action::DuplicateName { node } => write!(f, "a second n{node} starts"),
            Action::Forge { node, which } => {
                write!(f, "an old or forged frame ({which}) is put before n{node}")
            }
            Action::Lie { node, lie } => write!(f, "n{node} is told a lie ({lie})"),
            Action::Flood { node, peer, flood: Flood::Unavailable } => {
                write!(f, "n{node} is told again and again that somebody lacks events of n{peer}")
            }
            Action::Flood { node, flood: Flood::MirrorQueries, .. } => {
                write!(f, "the mirror of n{node} is asked again and again")
            }
            Action::Block { node, key, ttl: None } => write!(f, "n{node} blocks {key}"),
            Action::Block { node, key, ttl: Some(ttl) } => {
                write!(f, "n{node} blocks {key} for {ttl:?}")
            }
            Action::Unblock { node, key } => write!(f, "n{node} takes {key} off"),
            Action::SetClock { node, offset_ms } => {
                write!(f, "the clock of n{node} is set to be {offset_ms} ms ahead")
            }
        }
    }
}
