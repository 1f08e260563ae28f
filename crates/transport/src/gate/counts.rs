//! The counters of the gate.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::handshake::Refusal;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The gate's counters since the start. They count connections unless stated otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        #[non_exhaustive]
        pub struct GateCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same counters while they are updated.
        #[derive(Debug, Default)]
        pub(super) struct AtomicCounts {
            $(pub(super) $name: AtomicCount,)*
        }

        impl AtomicCounts {
            pub(super) fn now(&self) -> GateCounts {
                GateCounts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Links opened, by this node or by another.
    links,
    /// Refused: the first bytes are not a handshake of this version.
    not_a_handshake,
    /// Refused: the node belongs to another cluster.
    other_cluster,
    /// Refused: the first bytes are a Zenoh or TLS link, or the other mode of the gate. The node
    /// has another `mesh.links` or no key, or is a stranger.
    other_mode,
    /// Refused: the node has none of this node's keys.
    other_key,
    /// Refused: the proof is invalid.
    not_proven,
    /// Closed because the key was not proven in time.
    late,
    /// Closed while unproven, to make room for newer connections.
    crowded_out,
    /// Closed because a link to the same node was opened at the same time.
    crossed,
    /// Proven, and closed because there was no room for another link.
    declined,
    /// Links closed because the key that proved them was retired.
    retired,
}

#[derive(Debug, Default)]
pub(super) struct AtomicCount(AtomicU64);

impl AtomicCount {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl AtomicCounts {
    pub(super) fn refused(&self, refusal: Refusal) {
        match refusal {
            Refusal::NotAHandshake => self.not_a_handshake.add(),
            Refusal::OtherCluster => self.other_cluster.add(),
            Refusal::OtherMode => self.other_mode.add(),
            Refusal::OtherKey => self.other_key.add(),
            Refusal::NotProven => self.not_proven.add(),
            Refusal::IsSelf | Refusal::NoRandom => {}
        }
    }
}
