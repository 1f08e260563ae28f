//! Faults that `cargo xtask mutants` plants in the delivery core: the simulator must catch each.
//!
//! A fault is in builds with `--cfg planted` alone. In every other build [`planted`] is the
//! constant `false`, so the compiler leaves out what depends on it (decision 27).
//!
//! The compiler checks that each fault has a place: a variant that no code plants is never
//! constructed, which is a warning in builds without the cfg, and an error in CI.

// Public with the cfg, for the simulator; private to the crate without it.
#![cfg_attr(not(planted), allow(unreachable_pub))]

#[cfg(planted)]
use std::sync::OnceLock;

/// Makes [`Fault`]. The documentation of a fault is also its line in the table of
/// `docs/proof/simulator.md`: a sentence that says what the core does wrong.
macro_rules! faults {
    (
        plain { $($(#[doc = $what:literal])+ $fault:ident,)+ }
        among_liars { $($(#[doc = $lies:literal])+ $liar:ident,)+ }
    ) => {
        /// A fault that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $what])+ $fault,)+
            $($(#[doc = $lies])+ $liar,)+
        }

        #[cfg(planted)]
        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)+ $(Self::$liar,)+];

            /// The behaviour of the core in which the fault is planted.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$fault => concat!($($what),+),)+
                    $(Self::$liar => concat!($($lies),+),)+
                }
            }

            /// Whether the fault shows only where members lie.
            #[must_use]
            pub const fn is_among_liars(self) -> bool {
                matches!(self, $(Self::$liar)|+)
            }
        }
    };
}

faults! {
    plain {
        /// The receiver never asks for missing events.
        NothingAskedFor,
        /// A repair request leaves out the last event of a hole.
        LastOfHoleNotAskedFor,
        /// The receiver delivers a repeated frame again.
        DeliveredTwice,
        /// The receiver never looks at the holes of one lane.
        LaneForgotten,
        /// When a hole is filled, the receiver drops the frames that it held behind the hole.
        HeldLost,
        /// The receiver gives up a hole without reporting a gap.
        GapInSilence,
        /// A reported gap counts one event too few.
        GapTooShort,
        /// The frames held behind a hole have no bound.
        ReorderUnbounded,
        /// A peer that was out of reach is taken in as a new peer when it returns.
        RejoinAsNew,
        /// A late frame of a peer that said goodbye brings the peer back.
        EndedLifeAdmitted,
        /// A peer that says goodbye leaves at once, even if events of it are missing.
        GoodbyeWithHoles,
        /// A relayed frame counts as heard directly from its sender.
        RelayedHeardDirectly,
        /// The sender keeps only some of its frames, and does not report the others as gone.
        ReplayBufferForgets,
        /// The frames that a sender keeps for retransmission have no bound.
        ReplayBufferUnbounded,
        /// The frames that a receiver keeps for other peers have no bound.
        RelayBufferUnbounded,
        /// Heartbeats do not say how many events were sent.
        HeartbeatWithoutPositions,
        /// A lane never closes, however far a receiver is behind.
        WindowIgnored,
        /// The congestion window of a slow receiver keeps a lane closed for as long as the receiver
        /// is a member.
        CongestionNeverSuspended,
        /// A receiver that acknowledges nothing keeps a lane closed for as long as it is a member.
        NeverExcluded,
        /// A node does not probe whether another node of its name is alive.
        OwnNameNotProbed,
        /// Old news of a peer counts as a sign of life.
        DeadKeptAlive,
        /// A node does not ask the other peers which events of a dead peer they have.
        LastEventsNotAskedFor,
        /// The reports of other peers on how much a peer has sent never count.
        PeerReportsIgnored,
        /// A node says goodbye without waiting for acknowledgements of what it sent.
        LeavesUnconfirmed,
        /// A receiver asks only the sender for missing events, never another holder.
        RepairSourcesIgnored,
        /// A peer that reports that it lacks an event is asked for it again and again.
        RelayUnavailableIgnored,
        /// A peer that asked for a stream to be relayed gets nothing of it.
        RelayTargetNotServed,
        /// A peer that was out of reach while another peer ended is not told how far the ended peer
        /// came.
        FormerPeersNotReported,
    }
    among_liars {
        /// Events that only other peers say a living peer has sent are given up after a while.
        LiarsBelievedOfTheLiving,
        /// A returned peer is not asked how many events it has sent.
        LiarsBelievedOfTheReturned,
        /// Events awaited on the word of other peers are given up as soon as their sender announces
        /// them.
        LiarsStartTheClock,
        /// Each message about an open hole makes the receiver ask for its events at once.
        UnavailableHastensEveryRequest,
    }
}

/// Whether a fault is planted.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// Whether a fault is planted.
#[cfg(planted)]
pub(crate) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(&fault)
}

/// The fault of this process.
#[cfg(planted)]
static PLANTED: OnceLock<Fault> = OnceLock::new();

/// Plants a fault, for as long as the process runs. `false` if one was planted before.
#[cfg(planted)]
pub fn plant(fault: Fault) -> bool {
    PLANTED.set(fault).is_ok()
}
