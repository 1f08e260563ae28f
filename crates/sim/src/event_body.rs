//! The bodies of simulated event frames.

use mailmesh_delivery::{Incarnation, Lane};

/// The body of a frame of events. It contains their stream and numbers, so that receivers check it.
pub(crate) fn body(from: Incarnation, lane: Lane, first: u64, count: u16) -> bytes::Bytes {
    let mut body = from.0.to_vec();
    body.extend(first.to_be_bytes());
    body.extend([lane as u8, count as u8]);
    body.resize(26 + usize::from(count) * 4, 7);
    body.into()
}
