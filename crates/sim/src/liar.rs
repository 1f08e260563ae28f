//! A Byzantine member. It has the key and follows the protocol as far as needed to stay a member.
//! It lies about itself, about other nodes and about its mirror, but never sends in another node's
//! name.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;
use mailmesh_delivery::{Destination, Frame, FrameKind, Incarnation, Lane, PerLane, Via};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::network::Packet;

/// Kinds of control messages (docs/reference/wire.md).
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const HEARTBEAT: u8 = 2;
    pub(super) const BYE: u8 = 3;
    pub(super) const PROBE: u8 = 4;
    pub(super) const PROBE_ANSWER: u8 = 5;
    pub(super) const NAK: u8 = 6;
    pub(super) const UNAVAILABLE: u8 = 7;
    pub(super) const ACK: u8 = 8;
    pub(super) const PEER_QUERY: u8 = 9;
    pub(super) const PEER_REPORT: u8 = 10;
    pub(super) const RELAY_NAK: u8 = 11;
    pub(super) const RELAY_UNAVAILABLE: u8 = 12;
    pub(super) const RELAY_REQUEST: u8 = 13;
}

/// Most peer reports in a heartbeat, as in the protocol.
const MAX_DIGEST: usize = 64;

/// The stream and the first event that a NAK or relay NAK asks for; `None` for any other frame.
pub(crate) fn requested_events(frame: &Frame, to: Destination) -> Option<(Incarnation, Lane, u64)> {
    let Destination::One(to) = to else { return None };
    if frame.kind != FrameKind::Control {
        return None;
    }
    let lane = |id: u8| Lane::ALL.into_iter().find(|lane| *lane as u8 == id);
    if let Ok((kind::NAK, (lane_id, first, _))) =
        rmp_serde::from_slice::<(u8, (u8, u64, u64))>(&frame.body)
    {
        return Some((to, lane(lane_id)?, first));
    }
    type RelayNak = (u8, (IncarnationBytes, u8, u64, u64));
    match rmp_serde::from_slice::<RelayNak>(&frame.body) {
        Ok((kind::RELAY_NAK, (IncarnationBytes(from), lane_id, first, _))) => {
            Some((from, lane(lane_id)?, first))
        }
        _ => None,
    }
}

/// A node as the liar knows it: exactly.
#[derive(Debug, Clone)]
pub(crate) struct KnownNode {
    pub(crate) incarnation: Incarnation,
    pub(crate) name: String,
    pub(crate) is_alive: bool,
    pub(crate) positions: PerLane<u64>,
}

#[derive(Debug)]
pub(crate) struct Liar {
    incarnation: Incarnation,
    name: String,
    number: u64,
    heartbeat_seq: u64,
    greeted: BTreeSet<Incarnation>,
    invented: u64,
}

/// `[incarnation, heartbeat sequence, received, is suspected, sent]`.
type PeerReport = (IncarnationBytes, u64, PerLane<u64>, bool, PerLane<u64>);

/// An incarnation, serialized as a MessagePack byte string.
struct IncarnationBytes(Incarnation);

impl Serialize for IncarnationBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.0)
    }
}

impl<'de> Deserialize<'de> for IncarnationBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = IncarnationBytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("16 bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<IncarnationBytes, E> {
                let incarnation = <[u8; 16]>::try_from(bytes).map_err(E::custom)?;
                Ok(IncarnationBytes(Incarnation(incarnation)))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}

/// The tag of a heartbeat, serialized as a byte string.
struct Tag<'a>(&'a [u8]);

impl Serialize for Tag<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Liar {
    pub(crate) fn new(index: u8) -> Self {
        let mut incarnation = [0xEE; 16];
        incarnation[0] = index;
        Self {
            incarnation: Incarnation(incarnation),
            name: format!("liar{index}"),
            number: 0,
            heartbeat_seq: 0,
            greeted: BTreeSet::new(),
            invented: 0,
        }
    }

    fn frame(&mut self, kind: FrameKind, to: Option<Incarnation>, body: Bytes) -> Packet {
        self.number += 1;
        let (incarnation, first) = (self.incarnation, self.number);
        Packet {
            frame: Frame { incarnation, to, kind, first, count: 0, body, wire: None },
            via: None,
        }
    }

    fn control<T: Serialize>(&mut self, to: Option<Incarnation>, kind: u8, message: &T) -> Packet {
        // Serializing into memory cannot fail. Receivers would refuse an empty message.
        let body = rmp_serde::to_vec(&(kind, message)).unwrap_or_default();
        self.frame(FrameKind::Control, to, body.into())
    }

    /// The messages that keep the liar a member: a hello to each node that has none yet, and a
    /// heartbeat to all. Their peer reports and mirror digest are lies. The digest ends with the
    /// true key id, `key`, so that other mirrors compare it.
    pub(crate) fn heartbeats(
        &mut self,
        rng: &mut Rng,
        known_nodes: &[KnownNode],
        key: &[u8],
    ) -> Vec<(Destination, Packet)> {
        self.heartbeat_seq += 1;
        let (name, heartbeat_seq) = (self.name.clone(), self.heartbeat_seq);
        let tag: Vec<u8> = (0..24).map(|_| rng.u8(..)).chain(key.iter().copied()).collect();
        let mut packets = Vec::new();
        for known in known_nodes.iter().filter(|known| known.is_alive) {
            if self.greeted.insert(known.incarnation) {
                let status = (1, &name, 1_u64, both_lanes(0), Tag(&tag), heartbeat_seq, [(); 0]);
                let hello = self.control(Some(known.incarnation), kind::HELLO, &status);
                packets.push((Destination::One(known.incarnation), hello));
            }
        }
        let digest: Vec<PeerReport> =
            (0..rng.usize(0..=MAX_DIGEST)).map(|_| peer_report(rng, known_nodes)).collect();
        let has_positions = rng.u8(..8) == 0;
        let positions = PerLane::from_fn(|_| if has_positions { any_magnitude(rng) } else { 0 });
        let status = (1, &name, 1_u64, positions, Tag(&tag), heartbeat_seq, digest);
        packets.push((Destination::All, self.control(None, kind::HEARTBEAT, &status)));
        packets
    }

    /// One lie to one node. `recorded` is a frame of another node, which the liar may relay.
    pub(crate) fn lie(
        &mut self,
        rng: &mut Rng,
        to: Incarnation,
        known_nodes: &[KnownNode],
        recorded: Option<Frame>,
    ) -> Packet {
        let about = known_nodes
            .get(rng.usize(..known_nodes.len().max(1)))
            .map_or(to, |known| known.incarnation);
        let lane = rng.u8(..2);
        let (one, other) = (any_magnitude(rng), any_magnitude(rng));
        let to = Some(to);
        match rng.u8(..15) {
            0 => self.control(to, kind::PEER_REPORT, &(peer_report(rng, known_nodes),)),
            1 => self.control(to, kind::PEER_QUERY, &(peer_report(rng, known_nodes), rng.bool())),
            2 => self.control(to, kind::NAK, &(lane, 1, u64::MAX)),
            3 => self.control(to, kind::NAK, &(lane, one, other)),
            4 => self.control(to, kind::RELAY_NAK, &(IncarnationBytes(about), lane, 1, u64::MAX)),
            5 => self.control(to, kind::RELAY_NAK, &(IncarnationBytes(about), lane, one, other)),
            6 => self.control(to, kind::RELAY_UNAVAILABLE, &(IncarnationBytes(about), lane, one)),
            7 => self.control(to, kind::UNAVAILABLE, &(lane, one)),
            8 => self.control(to, kind::ACK, &([one, other],)),
            9 => {
                self.control(to, kind::RELAY_REQUEST, &(IncarnationBytes(about), rng.u8(..4) != 0))
            }
            10 => self.control(to, kind::PROBE_ANSWER, &(one, other, [one, other])),
            11 => self.control(to, kind::PROBE, &(one,)),
            12 => {
                let body = (0..rng.usize(..40)).map(|_| rng.u8(..)).collect();
                let kind = match rng.u8(..3) {
                    0 => FrameKind::Control,
                    1 => FrameKind::Direct,
                    _ => FrameKind::Data(Lane::ALL[usize::from(lane)]),
                };
                let mut packet = self.frame(kind, to.filter(|_| rng.bool()), body);
                if matches!(kind, FrameKind::Data(_)) {
                    (packet.frame.first, packet.frame.count) = (one, rng.u16(..));
                }
                packet
            }
            13 => self.invented_node(rng, to, known_nodes),
            _ => match recorded.filter(|frame| frame.to.is_none()) {
                Some(frame) => {
                    self.number += 1;
                    let via = Some(Via { peer: self.incarnation, number: self.number });
                    Packet { frame, via }
                }
                None => self.control(to, kind::PROBE, &(one,)),
            },
        }
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Reports how many events another node has sent.
    pub(crate) fn report_sent(
        &mut self,
        to: Incarnation,
        about: Incarnation,
        sent: PerLane<u64>,
    ) -> Packet {
        let peer_report: PeerReport = (IncarnationBytes(about), 0, sent, false, sent);
        self.control(Some(to), kind::PEER_REPORT, &(peer_report,))
    }

    /// Says that the liar has no events of another node to relay.
    pub(crate) fn relay_unavailable(
        &mut self,
        to: Incarnation,
        about: Incarnation,
        lane: Lane,
    ) -> Packet {
        self.control(
            Some(to),
            kind::RELAY_UNAVAILABLE,
            &(IncarnationBytes(about), lane as u8, u64::MAX),
        )
    }

    /// A message to the mirror of a node.
    pub(crate) fn direct(&mut self, to: Incarnation, body: Bytes) -> Packet {
        self.frame(FrameKind::Direct, Some(to), body)
    }

    /// A hello or a goodbye of a node that does not exist. One in four has the name of an existing
    /// node and claims to have started later.
    fn invented_node(
        &mut self,
        rng: &mut Rng,
        to: Option<Incarnation>,
        known_nodes: &[KnownNode],
    ) -> Packet {
        self.invented += 1;
        let namesake =
            known_nodes.get(rng.usize(..known_nodes.len().max(1))).filter(|_| rng.u8(..4) == 0);
        let invented = format!("{}x{}", self.name, self.invented);
        let name = namesake.map_or(&invented, |known| &known.name).clone();
        let status = (1, name, u64::MAX, both_lanes(any_magnitude(rng)), Tag(&[]), 1_u64, [(); 0]);
        let mut packet = if rng.u8(..4) == 0 {
            self.control(None, kind::BYE, &(both_lanes(any_magnitude(rng)),))
        } else {
            self.control(to, kind::HELLO, &status)
        };
        let incarnation = &mut packet.frame.incarnation.0;
        incarnation[8..].copy_from_slice(&self.invented.to_be_bytes());
        packet
    }
}

/// A peer report that may be true or false in each field.
fn peer_report(rng: &mut Rng, known_nodes: &[KnownNode]) -> PeerReport {
    let known = known_nodes.get(rng.usize(..known_nodes.len().max(1))).filter(|_| rng.u8(..8) != 0);
    let Some(KnownNode { incarnation, positions, .. }) = known else {
        let nobody = Incarnation(std::array::from_fn(|_| rng.u8(..)));
        return (
            IncarnationBytes(nobody),
            any_magnitude(rng),
            both_lanes(any_magnitude(rng)),
            rng.bool(),
            both_lanes(any_magnitude(rng)),
        );
    };
    let position = |rng: &mut Rng, actual: u64| match rng.u8(..4) {
        0 => actual,
        1 => actual + rng.u64(..100),
        _ => any_magnitude(rng),
    };
    let received = positions.map(|actual| position(rng, actual));
    let sent = positions.map(|actual| position(rng, actual));
    (IncarnationBytes(*incarnation), any_magnitude(rng), received, rng.bool(), sent)
}

fn both_lanes(number: u64) -> PerLane<u64> {
    PerLane::new(number, number)
}

/// Numbers of every magnitude, including the largest.
fn any_magnitude(rng: &mut Rng) -> u64 {
    match rng.u8(..8) {
        0 => u64::MAX,
        1 => u64::MAX - 1,
        _ => rng.u64(..) >> rng.u32(..64),
    }
}
