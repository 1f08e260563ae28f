//! The mutable parts of an endpoint that one input shares with its membership.

use std::collections::VecDeque;

use crate::control::Control;
use crate::output::Output;
use crate::peer::{NameRival, Peer, Suspicion};
use crate::receive::Released;
use crate::repair::Repair;
use crate::{
    DeliveryCounters, Destination, Frame, Gap, GapReason, Incarnation, Lane, Settings, Time,
};

/// Shared state while the endpoint handles one input.
pub(crate) struct Context<'a> {
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) counters: &'a mut DeliveryCounters,
    pub(crate) repair: &'a mut Repair,
    /// Control messages to send after the input is handled.
    pub(crate) send: &'a mut Vec<(Destination, Control)>,
    /// Frames to relay after the input is handled.
    pub(crate) relay: &'a mut Vec<(Incarnation, Frame)>,
    pub(crate) own: Incarnation,
    /// Nonce of all probes that this input sends. Probes of other inputs have another nonce.
    pub(crate) nonce: u64,
    pub(crate) now: Time,
    pub(crate) settings: &'a Settings,
}

impl Context<'_> {
    /// Turns the items that a stream released into outputs, and counts them.
    pub(crate) fn release(&mut self, peer: &mut Peer, lane: Lane, released: Vec<Released>) {
        let from = peer.info.incarnation;
        if !released.is_empty() {
            let taken = released.iter().map(Released::window_cost).sum();
            peer.on_delivered_bytes(taken, self.now, self.settings);
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
                    let reason = if first <= peer.unreachable_until[lane] {
                        GapReason::Unreachable
                    } else {
                        GapReason::Lost
                    };
                    Output::Gap(Gap { from, lane, first, missed, reason })
                }
            });
        }
    }
    /// Probes a peer and returns the suspicion that its answer clears.
    pub(crate) fn suspect(&mut self, peer: Incarnation, rival: Option<NameRival>) -> Suspicion {
        let nonce = self.nonce;
        self.send.push((Destination::One(peer), Control::Probe { nonce }));
        let deadline = self.now + self.settings.probe_timeout;
        Suspicion { since: self.now, deadline, nonce, rival }
    }

    /// Emits [`Output::Reach`] if the route to a peer changed.
    pub(crate) fn update_reach(&mut self, peer: &mut Peer) {
        let reach = peer.route.reach();
        if peer.info.reach != reach {
            peer.info.reach = reach;
            self.counters.route_changes += 1;
            self.outputs.push_back(Output::Reach { peer: peer.info.incarnation, reach });
        }
    }
}
