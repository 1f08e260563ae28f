//! A member that has the key and keeps to the protocol only as far as that gets it in.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mailmesh_codec::{ClusterKey, FrameKind, Header, Sealer};
use serde::Serialize;

use crate::wire::{Life, Wire};

/// How often it gives a sign of life unless it is told.
const BEAT: Duration = Duration::from_millis(200);
const CONTROL_LANE: u8 = 2;
/// Kinds of control messages (docs/wire.md).
const HELLO: u8 = 1;
const HEARTBEAT: u8 = 2;

pub(crate) struct Insider {
    pub(crate) life: Life,
    sealer: Sealer,
    number: u64,
    beat: u64,
    greeted: BTreeSet<Life>,
    told: Option<Instant>,
    /// How often it gives a sign of life.
    pub(crate) beats: Duration,
}

/// Bytes, as MessagePack has them.
pub(crate) struct Binary<'a>(pub(crate) &'a [u8]);

impl Serialize for Binary<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// `[incarnation, sign of life, taken, in doubt, sent]`.
pub(crate) type Knowledge<'a> = (Binary<'a>, u64, [u64; 2], bool, [u64; 2]);

impl Insider {
    pub(crate) fn new(key: &ClusterKey, life: Life) -> Self {
        let sealer = Sealer::keyed(key, "mail", life);
        let greeted = BTreeSet::new();
        Self { life, sealer, number: 0, beat: 0, greeted, told: None, beats: BEAT }
    }

    /// A sealed frame of the next number.
    pub(crate) fn frame(
        &mut self,
        kind: FrameKind,
        to: Option<Life>,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.number += 1;
        let (lane, count) = if kind == FrameKind::Data { (1, 1) } else { (CONTROL_LANE, 0) };
        let (incarnation, first) = (self.life, self.number);
        let header = Header { kind, lane, incarnation, to, first, count };
        let frame = self.sealer.seal(&header, body).map_err(|error| error.to_string())?;
        Ok(frame.to_vec())
    }

    pub(crate) fn control<T: Serialize>(
        &mut self,
        to: Option<Life>,
        message: &T,
    ) -> Result<Vec<u8>, String> {
        let body = rmp_serde::to_vec(message).map_err(|error| error.to_string())?;
        self.frame(FrameKind::Control, to, &body)
    }

    /// Introduces itself to whom it has heard, and gives signs of life with this digest of the
    /// mirror and this knowledge of others. Call often. The others.
    pub(crate) fn keep_in(
        &mut self,
        wire: &Wire,
        tag: &[u8],
        digest: &[Knowledge<'_>],
    ) -> Result<Vec<Life>, String> {
        let others: Vec<Life> = {
            let heard = wire.heard();
            heard.lives.iter().copied().filter(|life| *life != self.life).collect()
        };
        if self.told.is_some_and(|told| told.elapsed() < self.beats) {
            return Ok(others);
        }
        self.told = Some(Instant::now());
        self.beat += 1;
        let positions = [0_u64, 0];
        let name = format!("insider-{:02x}{:02x}", self.life[0], self.life[1]);
        let started = 1_700_000_000_000_u64;
        for other in &others {
            if self.greeted.insert(*other) {
                let status =
                    (1, &name, started, positions, Binary(tag), self.beat, &[] as &[Knowledge<'_>]);
                let hello = self.control(Some(*other), &(HELLO, status))?;
                wire.to_one(*other, &hello)?;
            }
        }
        let status = (1, &name, started, positions, Binary(tag), self.beat, digest);
        let heartbeat = self.control(None, &(HEARTBEAT, status))?;
        wire.to_all(&heartbeat)?;
        Ok(others)
    }
}
