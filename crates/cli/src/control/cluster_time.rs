//! The time of the cluster.

use std::time::SystemTime;

use mailmesh::UnixMillis;

/// The time of the cluster, by which entries and certificates end: this host's clock may be off,
/// by the correction that the node's status reports.
pub(super) fn cluster_now(correction_ms: i64) -> UnixMillis {
    UnixMillis(UnixMillis::from(SystemTime::now()).0.saturating_add_signed(correction_ms))
}
