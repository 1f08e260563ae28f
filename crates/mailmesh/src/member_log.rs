//! Logs membership changes and keeps the list of former members.

use std::time::{Duration, Instant};

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use parking_lot::Mutex;

use crate::LeaveReason;
use crate::churn_limiter::ChurnLimiter;
use crate::former_members::{FormerMember, FormerMembers};
use crate::relayed_members::RelayedMembers;
use crate::stall_detector::StallDetector;

#[derive(Debug, Default)]
pub(crate) struct MemberLog {
    relayed_members: Mutex<RelayedMembers>,
    churn: Mutex<ChurnLimiter>,
    stalls: StallDetector,
    former: Mutex<FormerMembers>,
}

impl MemberLog {
    pub(crate) fn on_joined(&self, peer: &PeerInfo) {
        if self.churn.lock().on_joined(Instant::now()) {
            tracing::info!(name = %peer.name, incarnation = ?peer.incarnation, "node joined");
        }
        self.former.lock().on_joined(&peer.name);
    }

    /// A peer left at uptime `at`. `is_back`: another incarnation of the same name is a member.
    pub(crate) fn on_left(
        &self,
        peer: &PeerInfo,
        reason: LeaveReason,
        is_back: bool,
        at: Duration,
    ) {
        let PeerInfo { name, incarnation, .. } = peer;
        match reason {
            _ if !self.churn.lock().on_left(Instant::now()) => {}
            // Most likely this node stalled, and the peer did not fail.
            LeaveReason::Failed if self.stalls.has_just_resumed() => {
                tracing::info!(%name, ?incarnation, "node left: it {reason} while this node stood \
                    still");
            }
            LeaveReason::Failed => {
                tracing::warn!(%name, ?incarnation, "node left: it {reason}; it was killed, \
                    stopped or disconnected");
            }
            _ => tracing::info!(%name, ?incarnation, "node left: it {reason}"),
        }
        if !is_back {
            self.former.lock().on_left(name, at);
        }
        self.relayed_members.lock().on_left(*incarnation);
    }

    /// Frames of a member now arrive only through the member `via`.
    pub(crate) fn on_relayed(&self, peer: Incarnation, name: &NodeName, via: &str) {
        self.relayed_members.lock().on_relayed(peer, name, via);
    }

    /// Frames of a member arrive directly again.
    pub(crate) fn on_direct(&self, peer: Incarnation) {
        if let Some(name) = self.relayed_members.lock().on_direct(peer) {
            tracing::info!(%name, "a member is heard directly again");
        }
    }

    /// This node's process did not run for this long.
    pub(crate) fn on_stall(&self, stall: Duration) {
        self.stalls.on_resumed();
        tracing::warn!(
            "this node stood still for {:.1} s (stopped or starved): others may have marked it as \
             failed",
            stall.as_secs_f64()
        );
    }

    /// Runs every second. `with_sleep` and `uptime` are the time since the start with and without
    /// the time in which the machine slept.
    pub(crate) fn tick(&self, with_sleep: Duration, uptime: Duration) {
        if let Some(slept) = self.stalls.slept(with_sleep, uptime) {
            self.stalls.on_resumed();
            tracing::warn!(
                "this machine slept for {:.0} s: others may have marked this node as failed",
                slept.as_secs_f64()
            );
        }
        let unlogged = self.churn.lock().end_of_minute(Instant::now());
        if let Some((joined, left)) = unlogged {
            tracing::info!(
                "in the last minute {joined} further nodes joined and {left} left without a log \
                 line each"
            );
        }
        let relayed = self.relayed_members.lock().due_alarm(uptime);
        if let Some(relayed) = relayed {
            tracing::warn!(
                "for 10 s frames of these members arrive only through another: {relayed}. Check \
                 the network \
                 between them and this node"
            );
        }
    }

    /// The nodes that were members within the last hour and are none now.
    pub(crate) fn former_members(&self, uptime: Duration) -> Vec<FormerMember> {
        self.former.lock().list(uptime)
    }

    /// Number of joins and of departures since the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.churn.lock().totals()
    }
}
