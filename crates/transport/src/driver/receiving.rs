//! From the intake to the sink: whoever finds the receiving side free works for
//! all (flat combining). On an idle node that is the callback of the bus itself;
//! otherwise its holder, or the driver's task.
//!
//! **Invariants**: no frame is stranded, since whoever leaves the side looks at the
//! intake again afterwards, and wakes the task if it leaves something. Nothing is
//! put on the bus here: what the node wants sent is left to the task. So are messages
//! of the layer above, which may ask for much work.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailmesh_delivery::{Destination, Frame, FrameKind, Incarnation, LeaveReason, Node, Output};
use parking_lot::Mutex;

use super::core::Core;
use super::{Open, Opened, Sink};
use crate::Intake;
use crate::intake::{Arrival, Pump};

/// Most arrivals handled in a callback of the bus.
const IN_CALLBACK: usize = 16;
/// Most arrivals that the task handles before it looks at deadlines again.
const IN_TASK: usize = 256;
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
    /// The side panicked: it is not used again.
    failed: AtomicBool,
}

/// Where arrivals are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Callback,
    Task,
}

struct Side {
    open: Box<dyn Open>,
    /// Opened in a callback and left to the task, before all that waits.
    left: Option<Opened>,
    sink: Box<dyn Sink>,
    outgoing: VecDeque<Outgoing>,
    /// For the sink; empty between arrivals.
    told: Vec<Output>,
}

impl Receiving {
    pub(super) fn new(
        core: Arc<Core>,
        intake: Intake,
        open: Box<dyn Open>,
        sink: Box<dyn Sink>,
    ) -> Arc<Self> {
        let side = Side { open, left: None, sink, outgoing: VecDeque::new(), told: Vec::new() };
        let failed = AtomicBool::new(false);
        let receiving = Arc::new(Self { core, intake, side: Mutex::new(side), failed });
        let pump: Arc<dyn Pump> = receiving.clone();
        receiving.intake.attach(Arc::downgrade(&pump));
        receiving
    }

    pub(super) fn dropped(&self) -> u64 {
        self.intake.dropped()
    }

    /// What the task does at each turn: some of what came, what is due, and what
    /// the node has to say; `outgoing` then has what is to be put. Whether more
    /// waits; `None` if the side has failed.
    pub(super) fn turn(&self, outgoing: &mut VecDeque<Outgoing>) -> Option<bool> {
        let mut side = self.side.lock();
        let done = self.guarded(&mut side, |side| {
            side.handle_arrivals(&self.core, &self.intake, Place::Task, IN_TASK);
            side.handle(&self.core, |node, now| node.handle_deadline(now));
        });
        std::mem::swap(outgoing, &mut side.outgoing);
        drop(side);
        done.then(|| !self.intake.is_empty())
    }

    /// Runs `work`; after a panic, which must not reach the bus, never again.
    fn guarded(&self, side: &mut Side, work: impl FnOnce(&mut Side)) -> bool {
        if self.failed.load(Ordering::Relaxed) {
            return false;
        }
        let done = catch_unwind(AssertUnwindSafe(|| work(side))).is_ok();
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
            let done = self.guarded(&mut side, |side| {
                handled = side.handle_arrivals(&self.core, &self.intake, Place::Callback, left);
            });
            left -= handled.min(left);
            let (to_put, for_task) = (!side.outgoing.is_empty(), side.left.is_some());
            drop(side);
            if to_put || for_task || !done {
                self.core.wake.notify_one();
            }
            if !done || for_task || self.intake.is_empty() {
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
    fn handle_arrivals(
        &mut self,
        core: &Core,
        intake: &Intake,
        place: Place,
        most: usize,
    ) -> usize {
        if self.left.is_some() && place == Place::Callback {
            return 0;
        }
        if let Some(opened) = self.left.take() {
            self.handle_opened(core, opened);
        }
        for handled in 0..most {
            if self.outgoing.len() >= MAX_OUTGOING {
                return handled;
            }
            match intake.pop() {
                None => return handled,
                Some(Arrival::Frame(bytes)) => {
                    if let Some(opened) = self.open.open(bytes) {
                        if place == Place::Callback && opened.frame.kind == FrameKind::Direct {
                            self.left = Some(opened);
                            return handled;
                        }
                        self.handle_opened(core, opened);
                    }
                }
                Some(Arrival::Link(peer, link)) => {
                    self.handle(core, |node, now| node.handle_link(now, peer, link));
                }
            }
        }
        most
    }

    fn handle_opened(&mut self, core: &Core, Opened { frame, via }: Opened) {
        self.handle(core, |node, now| match via {
            None => node.handle_frame(now, frame),
            Some(via) => node.handle_relayed(now, via, frame),
        });
    }

    /// Gives the node an input, and the sink what comes of it.
    fn handle(&mut self, core: &Core, input: impl FnOnce(&mut Node, mailmesh_delivery::Time)) {
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
                    self.outgoing.push_back(Outgoing::Expect(peer.incarnation));
                }
                Output::Left { ref peer, reason } => {
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
            self.sink.take(output);
        }
    }
}
