//! Logs what happens to the members, and remembers those that left.

use std::time::{Duration, Instant};

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use parking_lot::Mutex;

use crate::LeaveReason;
use crate::away::{Away, AwayNode};
use crate::cut_ways::CutWays;
use crate::standstill::Standstill;
use crate::turnover::Turnover;

#[derive(Debug, Default)]
pub(crate) struct MemberLog {
    cut_ways: Mutex<CutWays>,
    turnover: Mutex<Turnover>,
    standstill: Standstill,
    away: Mutex<Away>,
}

impl MemberLog {
    pub(crate) fn on_joined(&self, peer: &PeerInfo) {
        if self.turnover.lock().joined(Instant::now()) {
            tracing::info!(name = %peer.name, incarnation = ?peer.incarnation, "node joined");
        }
        self.away.lock().joined(&peer.name);
    }

    /// A peer left `at` this time since the start; `is_back` if another incarnation of its name
    /// is a member.
    pub(crate) fn on_left(
        &self,
        peer: &PeerInfo,
        reason: LeaveReason,
        is_back: bool,
        at: Duration,
    ) {
        let PeerInfo { name, incarnation, .. } = peer;
        match reason {
            _ if !self.turnover.lock().left(Instant::now()) => {}
            // Most likely this node was away, not the peer.
            LeaveReason::Failed if self.standstill.is_recent() => {
                tracing::info!(%name, ?incarnation, "node left: it {reason} since this node stood still");
            }
            LeaveReason::Failed => {
                tracing::warn!(%name, ?incarnation, "node left: it {reason}; killed, stopped or cut off");
            }
            _ => tracing::info!(%name, ?incarnation, "node left: it {reason}"),
        }
        if !is_back {
            self.away.lock().left(name, at);
        }
        self.cut_ways.lock().on_left(*incarnation);
    }

    /// The frames of a member come through the member `via` alone.
    pub(crate) fn on_relayed(&self, peer: Incarnation, name: &NodeName, via: &str) {
        self.cut_ways.lock().on_relayed(peer, name, via);
    }

    /// The frames of a member come from the member itself again.
    pub(crate) fn on_direct(&self, peer: Incarnation) {
        if let Some(name) = self.cut_ways.lock().on_direct(peer) {
            tracing::info!(%name, "a member is heard directly again");
        }
    }

    /// This node's process did not run for this long.
    pub(crate) fn on_stall(&self, stall: Duration) {
        self.standstill.ended();
        tracing::warn!(
            "this node stood still for {:.1} s (stopped or starved): others may have taken it for failed",
            stall.as_secs_f64()
        );
    }

    /// Due every second. `with_sleep` and `uptime` are the time since the start with and without
    /// the time in which the machine slept.
    pub(crate) fn tick(&self, with_sleep: Duration, uptime: Duration) {
        if let Some(slept) = self.standstill.slept(with_sleep, uptime) {
            self.standstill.ended();
            tracing::warn!(
                "this machine slept for {:.0} s: others may have taken this node for failed",
                slept.as_secs_f64()
            );
        }
        let unlogged = self.turnover.lock().end_of_minute(Instant::now());
        if let Some((joined, left)) = unlogged {
            tracing::info!(
                "in the last minute {joined} nodes more joined and {left} more left than were logged"
            );
        }
        let cut = self.cut_ways.lock().due(uptime);
        if let Some(cut) = cut {
            tracing::warn!(
                "for 10 s these members are heard only through another: {cut}. Check the network \
                 between them and this node"
            );
        }
    }

    /// The nodes that were members within the last hour.
    pub(crate) fn away(&self, uptime: Duration) -> Vec<AwayNode> {
        self.away.lock().list(uptime)
    }

    /// How many joined and how many left since the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.turnover.lock().totals()
    }
}
