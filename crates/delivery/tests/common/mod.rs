//! Endpoints on a bus that the test drives by hand.

#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::*;

/// Several endpoints and the frames between them.
pub(crate) struct Mesh {
    pub(crate) now: u64,
    pub(crate) nodes: BTreeMap<Incarnation, Endpoint>,
    pub(crate) seen: BTreeMap<Incarnation, Vec<Output>>,
    /// Directed pairs (from, to) whose frames are lost.
    pub(crate) cut: Vec<(Incarnation, Incarnation)>,
    /// A node that loses the event frames addressed to it alone.
    pub(crate) deaf_to_repair: Option<Incarnation>,
    /// A node that loses the probes sent to it.
    pub(crate) deaf_to_probes: Option<Incarnation>,
    /// Whether frames on the bus are recorded, as by an attacker.
    pub(crate) record: bool,
    pub(crate) recorded: Vec<Frame>,
    /// The relayed frames, with the relaying peer and message number.
    pub(crate) relayed: Vec<(Via, Frame)>,
}

pub(crate) fn id(n: u8) -> Incarnation {
    Incarnation([n; 16])
}

pub(crate) fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            nodes: BTreeMap::new(),
            seen: BTreeMap::new(),
            cut: Vec::new(),
            deaf_to_repair: None,
            deaf_to_probes: None,
            record: false,
            recorded: Vec::new(),
            relayed: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, n: u8, name: &str) {
        self.start_with(n, name, Settings::default());
    }

    pub(crate) fn start_with(&mut self, n: u8, name: &str, settings: Settings) {
        let identity = Identity::new(name.parse().unwrap(), id(n), u64::from(n));
        self.nodes.insert(id(n), Endpoint::new(identity, settings, at(self.now)));
        self.seen.insert(id(n), Vec::new());
        self.carry();
    }

    /// Starts two nodes `a` and `b` that know each other.
    pub(crate) fn of_two() -> Self {
        Self::of_two_with(Settings::default())
    }

    /// Like [`of_two`](Self::of_two), but `a` keeps no events for retransmission.
    pub(crate) fn of_two_without_replay() -> Self {
        let mut settings = Settings::default();
        settings.replay_bytes = 0;
        Self::of_two_with(settings)
    }

    pub(crate) fn of_two_with(settings: Settings) -> Self {
        let mut mesh = Self::new();
        mesh.start_with(1, "a", settings);
        mesh.start(2, "b");
        mesh.take(1);
        mesh.take(2);
        mesh
    }

    pub(crate) fn carry(&mut self) {
        loop {
            let mut frames = Vec::new();
            for (incarnation, node) in &mut self.nodes {
                while let Some(output) = node.poll_output() {
                    match output {
                        Output::Transmit { to, frame } => frames.push((*incarnation, to, frame, 0)),
                        Output::Relay { to, number, frame } => {
                            frames.push((*incarnation, Destination::One(to), frame, number));
                        }
                        other => self.seen.get_mut(incarnation).unwrap().push(other),
                    }
                }
            }
            if frames.is_empty() {
                return;
            }
            if self.record {
                self.recorded.extend(frames.iter().map(|(_, _, frame, _)| frame.clone()));
            }
            for (from, to, frame, number) in frames {
                self.put_numbered(from, to, &frame, number);
            }
        }
    }

    pub(crate) fn put(&mut self, from: Incarnation, to: Destination, frame: &Frame) {
        self.put_numbered(from, to, frame, 0);
    }

    /// `number` is the number of the relay message.
    fn put_numbered(&mut self, from: Incarnation, to: Destination, frame: &Frame, number: u64) {
        for (incarnation, node) in &mut self.nodes {
            let addressed = match to {
                Destination::All => true,
                Destination::One(one) => one == *incarnation,
            };
            let is_data = matches!(frame.kind, FrameKind::Data(_));
            let deaf = to != Destination::All && self.deaf_to_repair == Some(*incarnation);
            let is_probe = frame.kind == FrameKind::Control && frame.body.starts_with(&[0x92, 4]);
            let cut = self.cut.contains(&(from, *incarnation))
                || is_data && deaf
                || is_probe && self.deaf_to_probes == Some(*incarnation);
            if addressed && !cut && *incarnation != from {
                if frame.incarnation == from {
                    node.handle_frame(at(self.now), frame.clone());
                } else {
                    let via = Via { peer: from, number };
                    self.relayed.push((via, frame.clone()));
                    node.handle_relayed(at(self.now), via, frame.clone());
                }
            }
        }
    }

    pub(crate) fn publish(&mut self, n: u8, count: u16) {
        let node = self.nodes.get_mut(&id(n)).unwrap();
        let frame = node.send(at(self.now), Lane::Events, count, "body".into()).unwrap();
        self.put(id(n), Destination::All, &frame);
        self.carry();
    }

    /// `a` publishes 2 events, then 100 while `b` is cut off and takes `a` for failed. Returns what
    /// `b` sees after the cut.
    pub(crate) fn cut_b_off_while_a_publishes(&mut self) -> Vec<Output> {
        self.publish(1, 2);
        self.run(1_000);
        self.take(2);
        self.cut(1, 2);
        // The last heartbeat was up to one heartbeat interval before the cut.
        self.run(1_990);
        assert_eq!(left(&self.take(2)), []);
        self.run(1_020);
        assert_eq!(left(&self.take(2)), [(id(1), LeaveReason::Failed)]);
        for _ in 0..10 {
            self.publish(1, 10);
            self.run(2_000);
        }
        self.cut.clear();
        self.run(1_200);
        let seen = self.take(2);
        assert!(matches!(&seen[0], Output::Joined(peer) if peer.incarnation == id(1)), "{seen:?}");
        seen
    }

    /// Lets every node handle its deadlines now, as a driver does after each burst.
    pub(crate) fn deadlines(&mut self) {
        self.carry();
        for node in self.nodes.values_mut() {
            node.handle_deadline(at(self.now));
        }
        self.carry();
    }

    /// Advances time, millisecond by millisecond.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += 1;
            for node in self.nodes.values_mut() {
                if node.next_deadline().is_some_and(|deadline| deadline <= at(self.now)) {
                    node.handle_deadline(at(self.now));
                }
            }
            self.carry();
        }
    }

    pub(crate) fn cut(&mut self, a: u8, b: u8) {
        self.cut.extend([(id(a), id(b)), (id(b), id(a))]);
    }

    /// Takes the outputs of a node since the last call, without heartbeat tags.
    pub(crate) fn take(&mut self, n: u8) -> Vec<Output> {
        let mut seen = std::mem::take(self.seen.get_mut(&id(n)).unwrap());
        seen.retain(|output| !matches!(output, Output::Tag { .. }));
        seen
    }
}

pub(crate) fn deliveries(outputs: &[Output]) -> Vec<u64> {
    let first = |output: &Output| match output {
        Output::Deliver { first, .. } => Some(*first),
        _ => None,
    };
    outputs.iter().filter_map(first).collect()
}

pub(crate) fn left(outputs: &[Output]) -> Vec<(Incarnation, LeaveReason)> {
    let of = |output: &Output| match output {
        Output::Left { peer, reason } => Some((peer.incarnation, *reason)),
        _ => None,
    };
    outputs.iter().filter_map(of).collect()
}

/// First event numbers of the reported gaps.
pub(crate) fn gaps(outputs: &[Output]) -> Vec<u64> {
    let first = |output: &Output| match output {
        Output::Gap(gap) => Some(gap.first),
        _ => None,
    };
    outputs.iter().filter_map(first).collect()
}
