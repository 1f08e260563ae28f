//! The time of the cluster.

use std::time::SystemTime;

use mailmesh::UnixMillis;

/// The cluster time, by which entries and certificates expire: the clock of this host plus the
/// correction that the node's status reports, in milliseconds.
pub(super) fn cluster_now(correction_ms: i64) -> UnixMillis {
    UnixMillis(UnixMillis::from(SystemTime::now()).0.saturating_add_signed(correction_ms))
}
