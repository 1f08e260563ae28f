//! A hostile member that has the key, and follows the protocol only as far as membership needs it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mailmesh_codec::{ClusterKey, FrameKind, Header, Sealer};
use serde::Serialize;

use crate::wire::{Incarnation, Wire};

/// Default interval between heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
const CONTROL_LANE: u8 = 2;
/// Kinds of control messages (docs/reference/wire.md).
const HELLO: u8 = 1;
const HEARTBEAT: u8 = 2;

pub(crate) struct Insider {
    pub(crate) incarnation: Incarnation,
    sealer: Sealer,
    last_number: u64,
    heartbeat_seq: u64,
    greeted: BTreeSet<Incarnation>,
    last_heartbeat: Option<Instant>,
    /// Interval between heartbeats.
    pub(crate) heartbeat_interval: Duration,
}

/// Bytes that serialise as a MessagePack binary.
pub(crate) struct Binary<'a>(pub(crate) &'a [u8]);

impl Serialize for Binary<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// `[incarnation, heartbeat, positions received, suspected, positions sent]`.
pub(crate) type PeerReport<'a> = (Binary<'a>, u64, [u64; 2], bool, [u64; 2]);

impl Insider {
    pub(crate) fn new(key: &ClusterKey, incarnation: Incarnation) -> Self {
        let sealer = Sealer::keyed(key, "mail", incarnation);
        let greeted = BTreeSet::new();
        Self {
            incarnation,
            sealer,
            last_number: 0,
            heartbeat_seq: 0,
            greeted,
            last_heartbeat: None,
            heartbeat_interval: HEARTBEAT_INTERVAL,
        }
    }

    /// A sealed frame with the next sequence number.
    pub(crate) fn frame(
        &mut self,
        kind: FrameKind,
        to: Option<Incarnation>,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.last_number += 1;
        let (lane, count) = if kind == FrameKind::Data { (1, 1) } else { (CONTROL_LANE, 0) };
        let (incarnation, first) = (self.incarnation, self.last_number);
        let header = Header { kind, lane, incarnation, to, first, count };
        let frame = self.sealer.seal(&header, body).map_err(|error| error.to_string())?;
        Ok(frame.to_vec())
    }

    pub(crate) fn control<T: Serialize>(
        &mut self,
        to: Option<Incarnation>,
        message: &T,
    ) -> Result<Vec<u8>, String> {
        let body = rmp_serde::to_vec(message).map_err(|error| error.to_string())?;
        self.frame(FrameKind::Control, to, &body)
    }

    /// Sends a hello to each new node, and a heartbeat with this mirror digest and these peer
    /// reports if one is due. Call it often. Returns the other incarnations.
    pub(crate) fn stay_member(
        &mut self,
        wire: &Wire,
        tag: &[u8],
        reports: &[PeerReport<'_>],
    ) -> Result<Vec<Incarnation>, String> {
        let others: Vec<Incarnation> = {
            let recorded = wire.recorded();
            recorded
                .incarnations
                .iter()
                .copied()
                .filter(|incarnation| *incarnation != self.incarnation)
                .collect()
        };
        if self
            .last_heartbeat
            .is_some_and(|last_heartbeat| last_heartbeat.elapsed() < self.heartbeat_interval)
        {
            return Ok(others);
        }
        self.last_heartbeat = Some(Instant::now());
        self.heartbeat_seq += 1;
        let positions = [0_u64, 0];
        let name = format!("insider-{:02x}{:02x}", self.incarnation[0], self.incarnation[1]);
        let started = 1_700_000_000_000_u64;
        for other in &others {
            if self.greeted.insert(*other) {
                let status = (
                    1,
                    &name,
                    started,
                    positions,
                    Binary(tag),
                    self.heartbeat_seq,
                    &[] as &[PeerReport<'_>],
                );
                let hello = self.control(Some(*other), &(HELLO, status))?;
                wire.put_to_one(*other, &hello)?;
            }
        }
        let status = (1, &name, started, positions, Binary(tag), self.heartbeat_seq, reports);
        let heartbeat = self.control(None, &(HEARTBEAT, status))?;
        wire.put_to_all(&heartbeat)?;
        Ok(others)
    }
}
