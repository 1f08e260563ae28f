use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::handshake::Refusal;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the gate has let in and refused since the start: connections, if nothing else is
        /// said.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        #[non_exhaustive]
        pub struct GateCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same while it counts.
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
    /// That were no handshake of this version.
    not_a_handshake,
    /// Of nodes of another cluster.
    other_cluster,
    /// That began as links of Zenoh or TLS, or of the other mode of the gate: of nodes with another
    /// `mesh.links` or without a key, or of strangers.
    other_mode,
    /// Of nodes with no key of this node.
    other_key,
    /// With a proof that was none.
    not_proven,
    /// That had not proven the key in time.
    late,
    /// Closed to make room for newer ones while unproven.
    crowded_out,
    /// Closed because a link to the same node was opened at the same time.
    crossed,
    /// ProvenPeer, and closed for want of room.
    declined,
    /// Links closed because the key that had proven them was retired.
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
