use std::collections::VecDeque;

use crate::control::Control;
use crate::output::Output;
use crate::peer::Peer;
use crate::receive::Released;
use crate::repair::Repair;
use crate::{Counters, Destination, Frame, Gap, GapReason, Incarnation, Lane, Settings, Time};

/// What the parts of a node share while they handle one input.
pub(crate) struct Context<'a> {
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) repair: &'a mut Repair,
    /// What is to be sent.
    pub(crate) send: &'a mut Vec<(Destination, Control)>,
    /// What is to be passed on.
    pub(crate) relay: &'a mut Vec<(Incarnation, Frame)>,
    pub(crate) own: Incarnation,
    /// A number not used before.
    pub(crate) nonce: u64,
    pub(crate) now: Time,
    pub(crate) settings: Settings,
}

impl Context<'_> {
    /// Hands on what a stream released.
    pub(crate) fn release(&mut self, peer: &mut Peer, lane: Lane, released: Vec<Released>) {
        let from = peer.info.incarnation;
        if !released.is_empty() {
            let taken = released.iter().map(Released::window_cost).sum();
            peer.on_delivered_bytes(taken, self.now, &self.settings);
        }
        for item in released {
            self.outputs.push_back(match item {
                Released::Data(frame) => {
                    self.repair.keep_received(lane, &frame);
                    let Frame { first, count, body, .. } = frame;
                    self.counters.delivered = self.counters.delivered.saturating_add(count.into());
                    Output::Deliver { from, lane, first, count, body }
                }
                Released::Missed { first, missed } => {
                    self.counters.gaps += 1;
                    self.counters.missed = self.counters.missed.saturating_add(missed);
                    let reason = if first <= peer.unreachable_until[lane.index()] {
                        GapReason::Unreachable
                    } else {
                        GapReason::Lost
                    };
                    Output::Gap(Gap { from, lane, first, missed, reason })
                }
            });
        }
    }

    /// Tells if the way to a peer changed.
    pub(crate) fn update_reach(&mut self, peer: &mut Peer) {
        let reach = peer.route.reach();
        if peer.info.reach != reach {
            peer.info.reach = reach;
            self.counters.route_changes += 1;
            self.outputs.push_back(Output::Reach { peer: peer.info.incarnation, reach });
        }
    }
}
