//! From the intake to the sink: whoever finds the receiving side free works for
//! all (flat combining). On an idle node that is the callback of the bus itself;
//! otherwise its holder, or the driver's task.
//!
//! **Invariants**: no frame is stranded, since whoever leaves the side looks at the
//! intake again afterwards, and wakes the task if it leaves something. Nothing is
//! put on the bus here: what the node wants sent is left to the task. So are direct
//! messages, which may ask for much work: they wait in a queue beside the side, and the
//! task hands them over without holding it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailmesh_delivery::{Destination, Endpoint, Frame, Incarnation, LeaveReason, Output};
use parking_lot::Mutex;

use super::core::Core;
use super::directs::Directs;
use super::{DirectSink, Open, Opened, Sink};
use crate::Intake;
use crate::intake::{Arrival, Pump};

/// Most arrivals handled in a callback of the bus.
const IN_CALLBACK: usize = 16;
/// Most arrivals that the task handles before it looks at deadlines again.
const IN_TASK: usize = 256;
/// Most direct messages that the task hands over before it looks at deadlines again.
const DIRECTS_IN_TURN: usize = 16;
/// While this many things wait to be put, arrivals wait in the intake.
const MAX_OUTGOING: usize = 1024;

/// What the task has to do on the bus.
pub(super) enum Outgoing {
    Frame(Destination, Frame),
    /// A frame of another node, in a message of ours of this number.
    Relay {
        to: Incarnation,
        number: u64,
        frame: Frame,
    },
    Expect(Incarnation),
    Forget {
        peer: Incarnation,
        for_good: bool,
    },
}

pub(super) struct Receiving {
    core: Arc<Core>,
    intake: Intake,
    side: Mutex<Side>,
    directs: Directs,
    /// Used by the task alone.
    direct_sink: Mutex<Box<dyn DirectSink>>,
    /// The side or a sink panicked: neither is used again.
    failed: AtomicBool,
}

struct Side {
    open: Box<dyn Open>,
    sink: Box<dyn Sink>,
    outgoing: VecDeque<Outgoing>,
    /// A direct message was queued, and the task was not woken for it.
    has_direct: bool,
    /// For the sink; empty between arrivals.
    told: Vec<Output>,
}

impl Receiving {
    pub(super) fn new(
        core: Arc<Core>,
        intake: Intake,
        open: Box<dyn Open>,
        (sink, direct_sink): (Box<dyn Sink>, Box<dyn DirectSink>),
    ) -> Arc<Self> {
        let (outgoing, told) = (VecDeque::new(), Vec::new());
        let side = Side { open, sink, outgoing, has_direct: false, told };
        let receiving = Arc::new(Self {
            core,
            intake,
            side: Mutex::new(side),
            directs: Directs::default(),
            direct_sink: Mutex::new(direct_sink),
            failed: AtomicBool::new(false),
        });
        let pump: Arc<dyn Pump> = receiving.clone();
        receiving.intake.attach(Arc::downgrade(&pump));
        receiving
    }

    pub(super) fn dropped(&self) -> u64 {
        self.intake.dropped()
    }

    /// Direct messages dropped because their queue was full.
    pub(super) fn directs_dropped(&self) -> u64 {
        self.directs.dropped()
    }

    /// What the task does at each turn: some of what came, what is due, and what
    /// the node has to say; `outgoing` then has what is to be put. Whether more
    /// waits; `None` if the side has failed.
    pub(super) fn turn(&self, outgoing: &mut VecDeque<Outgoing>) -> Option<bool> {
        // First, so that the answers to them are among what is to be put.
        if !self.guarded(|| self.hand_over_directs()) {
            return None;
        }
        let mut side = self.side.lock();
        let done = self.guarded(|| {
            side.handle_arrivals(self, IN_TASK);
            side.handle(self, |node, now| node.handle_deadline(now));
        });
        std::mem::swap(outgoing, &mut side.outgoing);
        side.has_direct = false;
        drop(side);
        done.then(|| !self.intake.is_empty() || !self.directs.is_empty())
    }

    /// Callbacks go on meanwhile.
    fn hand_over_directs(&self) {
        let mut sink = self.direct_sink.lock();
        for (from, body) in std::iter::from_fn(|| self.directs.pop()).take(DIRECTS_IN_TURN) {
            sink.take_direct(from, body);
        }
    }

    /// Runs `work`; after a panic, which must not reach the bus, never again.
    fn guarded(&self, work: impl FnOnce()) -> bool {
        if self.failed.load(Ordering::Relaxed) {
            return false;
        }
        let done = catch_unwind(AssertUnwindSafe(work)).is_ok();
        if !done {
            self.failed.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl Pump for Receiving {
    fn pump(&self) {
        let held = self.core.held.read();
        if *held {
            return;
        }
        let mut left = IN_CALLBACK;
        // Whoever holds the side looks at the intake once more after it lets go.
        while let Some(mut side) = self.side.try_lock() {
            let mut handled = 0;
            let done = self.guarded(|| handled = side.handle_arrivals(self, left));
            left -= handled.min(left);
            let for_task = !side.outgoing.is_empty() || std::mem::take(&mut side.has_direct);
            drop(side);
            if for_task || !done {
                self.core.wake.notify_one();
            }
            if !done || self.intake.is_empty() {
                return;
            }
            if left == 0 || handled == 0 {
                self.core.wake.notify_one();
                return;
            }
        }
    }
}

impl Side {
    /// Handles up to `most` arrivals; how many.
    fn handle_arrivals(&mut self, receiving: &Receiving, most: usize) -> usize {
        for handled in 0..most {
            if self.outgoing.len() >= MAX_OUTGOING {
                return handled;
            }
            match receiving.intake.pop() {
                None => return handled,
                Some(Arrival::Frame(bytes)) => {
                    if let Some(opened) = self.open.open(bytes) {
                        self.handle_opened(receiving, opened);
                    }
                }
                Some(Arrival::Link(peer, link)) => {
                    self.handle(receiving, |node, now| node.handle_link(now, peer, link));
                }
            }
        }
        most
    }

    fn handle_opened(&mut self, receiving: &Receiving, Opened { frame, via }: Opened) {
        self.handle(receiving, |node, now| match via {
            None => node.handle_frame(now, frame),
            Some(via) => node.handle_relayed(now, via, frame),
        });
    }

    /// Gives the node an input, and the sinks what comes of it.
    fn handle(
        &mut self,
        receiving: &Receiving,
        input: impl FnOnce(&mut Endpoint, mailmesh_delivery::Time),
    ) {
        let core = &receiving.core;
        let mut node = core.node();
        let now = core.now();
        input(&mut node, now);
        while let Some(output) = node.poll_output() {
            match output {
                Output::Transmit { to, frame } => {
                    self.outgoing.push_back(Outgoing::Frame(to, frame));
                    continue;
                }
                Output::Relay { to, number, frame } => {
                    self.outgoing.push_back(Outgoing::Relay { to, number, frame });
                    continue;
                }
                Output::Joined(ref peer) => {
                    self.open.joined(peer.incarnation);
                    self.outgoing.push_back(Outgoing::Expect(peer.incarnation));
                }
                Output::Left { ref peer, reason } => {
                    self.open.left(peer.incarnation);
                    let (peer, for_good) = (peer.incarnation, reason != LeaveReason::Failed);
                    self.outgoing.push_back(Outgoing::Forget { peer, for_good });
                }
                _ => {}
            }
            self.told.push(output);
        }
        core.resume_lanes(&node);
        core.note_progress();
        core.due_at(node.next_deadline());
        drop(node);
        if let Some(stall) = core.take_stall() {
            self.sink.stood_still(stall);
        }
        for output in self.told.drain(..) {
            match output {
                Output::Direct { from, body } => {
                    receiving.directs.push(from, body);
                    self.has_direct = true;
                }
                output => {
                    if let Output::Left { peer, .. } = &output {
                        receiving.directs.forget(peer.incarnation);
                    }
                    self.sink.take(output);
                }
            }
        }
    }
}
