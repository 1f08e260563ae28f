//! From the ingress queue to the sink. The thread that acquires the receiver's state handles the
//! arrivals of all threads (flat combining, Hendler et al. 2010). On an idle node that is the
//! callback of the bus; otherwise it is the current holder of the state, or the driver's task.
//!
//! **Invariants**: no frame is stranded, because each holder looks at the queue again after it
//! releases the state, and wakes the task if arrivals remain. No frame is put on the bus here; the
//! endpoint's frames are left to the task. Direct messages may cause much work, so they wait in a
//! separate queue, and the task delivers them without holding the state.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailmesh_delivery::{Destination, Endpoint, Frame, Incarnation, LeaveReason, Output};
use parking_lot::Mutex;

use super::core::Core;
use super::direct_queue::DirectQueue;
use super::{DecodedFrame, DirectSink, FrameDecoder, Sink};
use crate::IngressQueue;
use crate::ingress::{Arrival, ArrivalHandler};

/// Maximum number of arrivals handled in a callback of the bus.
const MAX_ARRIVALS_IN_CALLBACK: usize = 16;
/// Maximum number of arrivals that the task handles before it checks deadlines again.
const MAX_ARRIVALS_IN_TURN: usize = 256;
/// Maximum number of direct messages that the task delivers before it checks deadlines again.
const MAX_DIRECTS_IN_TURN: usize = 16;
/// While this many bus actions are pending, arrivals wait in the ingress queue.
const MAX_PENDING_ACTIONS: usize = 1024;

/// An action of the task on the bus.
pub(super) enum BusAction {
    Send(Destination, Frame),
    /// Relays another node's frame, as the body of this node's control message `number`.
    Relay {
        to: Incarnation,
        number: u64,
        frame: Frame,
    },
    PeerJoined(Incarnation),
    PeerLeft {
        peer: Incarnation,
        for_good: bool,
    },
}

pub(super) struct Receiving {
    core: Arc<Core>,
    ingress: IngressQueue,
    state: Mutex<ReceiverState>,
    directs: DirectQueue,
    /// Used by the task alone.
    direct_sink: Mutex<Box<dyn DirectSink>>,
    /// The receiver or a sink panicked: neither is used again.
    failed: AtomicBool,
}

struct ReceiverState {
    decoder: Box<dyn FrameDecoder>,
    sink: Box<dyn Sink>,
    actions: VecDeque<BusAction>,
    /// A direct message was queued, and the task was not woken for it yet.
    has_direct: bool,
    /// Outputs for the sink; empty between arrivals.
    outputs: Vec<Output>,
}

impl Receiving {
    pub(super) fn new(
        core: Arc<Core>,
        ingress: IngressQueue,
        decoder: Box<dyn FrameDecoder>,
        (sink, direct_sink): (Box<dyn Sink>, Box<dyn DirectSink>),
    ) -> Arc<Self> {
        let (actions, outputs) = (VecDeque::new(), Vec::new());
        let state = ReceiverState { decoder, sink, actions, has_direct: false, outputs };
        let receiving = Arc::new(Self {
            core,
            ingress,
            state: Mutex::new(state),
            directs: DirectQueue::default(),
            direct_sink: Mutex::new(direct_sink),
            failed: AtomicBool::new(false),
        });
        let handler: Arc<dyn ArrivalHandler> = receiving.clone();
        receiving.ingress.attach(Arc::downgrade(&handler));
        receiving
    }

    pub(super) fn dropped(&self) -> u64 {
        self.ingress.dropped()
    }

    /// Direct messages dropped because their queue was full.
    pub(super) fn directs_dropped(&self) -> u64 {
        self.directs.dropped()
    }

    /// One turn of the task: handles some arrivals and due deadlines, and fills `actions` with the
    /// actions for the bus. Returns whether more work waits; `None` if the receiver has failed.
    pub(super) fn run_once(&self, actions: &mut VecDeque<BusAction>) -> Option<bool> {
        // First, so that replies to these messages are among the actions of this turn.
        if !self.run_guarded(|| self.hand_over_directs()) {
            return None;
        }
        let mut state = self.state.lock();
        let done = self.run_guarded(|| {
            state.handle_arrivals(self, MAX_ARRIVALS_IN_TURN);
            state.handle(self, |node, now| node.handle_deadline(now));
        });
        std::mem::swap(actions, &mut state.actions);
        state.has_direct = false;
        drop(state);
        done.then(|| !self.ingress.is_empty() || !self.directs.is_empty())
    }

    /// Callbacks continue to handle arrivals meanwhile.
    fn hand_over_directs(&self) {
        let mut sink = self.direct_sink.lock();
        for (from, body) in std::iter::from_fn(|| self.directs.pop()).take(MAX_DIRECTS_IN_TURN) {
            sink.take_direct(from, body);
        }
    }

    /// Runs `work` and returns whether it succeeded. A panic must not reach the bus; after one, no
    /// further work is run.
    fn run_guarded(&self, work: impl FnOnce()) -> bool {
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

impl ArrivalHandler for Receiving {
    fn handle_arrivals(&self) {
        let Some(_permit) = self.core.pause.permit() else { return };
        let mut left = MAX_ARRIVALS_IN_CALLBACK;
        // Each holder of the state looks at the queue once more after releasing it.
        while let Some(mut state) = self.state.try_lock() {
            let mut handled = 0;
            let done = self.run_guarded(|| handled = state.handle_arrivals(self, left));
            left -= handled.min(left);
            let for_task = !state.actions.is_empty() || std::mem::take(&mut state.has_direct);
            drop(state);
            if for_task || !done {
                self.core.wake.notify_one();
            }
            if !done || self.ingress.is_empty() {
                return;
            }
            if left == 0 || handled == 0 {
                self.core.wake.notify_one();
                return;
            }
        }
    }
}

impl ReceiverState {
    /// Handles up to `max` arrivals, and returns how many.
    fn handle_arrivals(&mut self, receiving: &Receiving, max: usize) -> usize {
        for handled in 0..max {
            if self.actions.len() >= MAX_PENDING_ACTIONS {
                return handled;
            }
            match receiving.ingress.pop() {
                None => return handled,
                Some(Arrival::Frame(bytes)) => {
                    if let Some(decoded) = self.decoder.decode(bytes) {
                        self.handle_decoded(receiving, decoded);
                    }
                }
                Some(Arrival::Link(peer, link)) => {
                    self.handle(receiving, |node, now| node.handle_link(now, peer, link));
                }
            }
        }
        max
    }

    fn handle_decoded(&mut self, receiving: &Receiving, DecodedFrame { frame, via }: DecodedFrame) {
        self.handle(receiving, |node, now| match via {
            None => node.handle_frame(now, frame),
            Some(via) => node.handle_relayed(now, via, frame),
        });
    }

    /// Gives the endpoint an input, and distributes its outputs.
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
                    self.actions.push_back(BusAction::Send(to, frame));
                    continue;
                }
                Output::Relay { to, number, frame } => {
                    self.actions.push_back(BusAction::Relay { to, number, frame });
                    continue;
                }
                Output::Joined(ref peer) => {
                    self.decoder.peer_joined(peer.incarnation);
                    self.actions.push_back(BusAction::PeerJoined(peer.incarnation));
                }
                Output::Left { ref peer, reason } => {
                    self.decoder.peer_left(peer.incarnation);
                    let (peer, for_good) = (peer.incarnation, reason != LeaveReason::Failed);
                    self.actions.push_back(BusAction::PeerLeft { peer, for_good });
                }
                _ => {}
            }
            self.outputs.push(output);
        }
        core.resume_lanes(&node);
        core.note_progress();
        core.schedule(node.next_deadline());
        drop(node);
        if let Some(stall) = core.take_stall() {
            self.sink.process_stalled(stall);
        }
        for output in self.outputs.drain(..) {
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
