//! Faults that `cargo xtask mutants` plants in the mirror. The simulator must catch each.
//!
//! A fault exists only in builds with `--cfg planted`. In every other build [`planted`] is the
//! constant `false`, so the compiler removes the code that depends on it (decision 27).
//!
//! The compiler checks that each fault is planted somewhere: a variant that no code uses is never
//! constructed, which is a warning in builds without the cfg, and an error in CI.

// Public with the cfg, for the simulator; private to the crate without it.
#![cfg_attr(not(planted), allow(unreachable_pub))]

#[cfg(planted)]
use std::sync::OnceLock;

/// Makes [`Fault`]. The doc comment of a fault is also its line in the table of
/// `docs/proof/simulator.md`: one sentence that says what the mirror does wrong.
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
            /// All faults.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)+ $(Self::$liar,)+];

            /// The wrong behaviour of the mirror, as one sentence.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$fault => concat!($($what),+),)+
                    $(Self::$liar => concat!($($lies),+),)+
                }
            }

            /// Whether only simulations with lying members show the fault.
            #[must_use]
            pub const fn is_among_liars(self) -> bool {
                matches!(self, $(Self::$liar)|+)
            }
        }
    };
}

faults! {
    plain {
        /// A digest that differs is taken for an equal one.
        NotCompared,
        /// A question that got lost is not asked again.
        QuestionNotRepeated,
        /// A removal leaves no tombstone.
        RemovalForgotten,
        /// A lookup still finds a removed network.
        RemovalStillListed,
        /// An entry that expires after it replaced another is not remembered.
        EndedNotRemembered,
        /// An entry that a wrong time ended stays ended when the time is set right.
        EndedForGood,
        /// A node takes the time of its own clock for the time of the cluster.
        OwnClock,
        /// The median of clocks counts even if no majority of them agrees.
        MeanOfTwoClocks,
        /// A comparison brings back an entry that has just ended and replaced nothing.
        EndedComesBack,
        /// A change stamped by a clock that is days ahead is refused.
        FutureRefused,
    }
    among_liars {
        /// Two contents of one stamp have the same digest.
        ContentNotHashed,
        /// Of two contents of one stamp each node keeps the one that came first.
        FirstContentStays,
        /// An exchange that goes on and on keeps a node from all other mirrors.
        ExchangeWithoutEnd,
        /// A peer gets as many answers as it asks for.
        AnswersWithoutBound,
    }
}

/// Whether this fault is planted: never in this build.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// Whether this fault is planted in this process.
#[cfg(planted)]
pub(crate) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(&fault)
}

/// The fault planted in this process.
#[cfg(planted)]
static PLANTED: OnceLock<Fault> = OnceLock::new();

/// Plants a fault for the lifetime of the process. `false` if one was planted before.
#[cfg(planted)]
pub fn plant(fault: Fault) -> bool {
    PLANTED.set(fault).is_ok()
}
