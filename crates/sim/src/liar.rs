//! A member that has the key, keeps to the protocol as far as that keeps it in, and lies: of
//! itself, of others, of its mirror. It speaks in nobody else's name.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;
use mailmesh_delivery::{Destination, Frame, FrameKind, Incarnation, Lane, Via};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::network::Packet;

/// Kinds of control messages (docs/wire.md).
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const HEARTBEAT: u8 = 2;
    pub(super) const BYE: u8 = 3;
    pub(super) const PROBE: u8 = 4;
    pub(super) const PROBE_ANSWER: u8 = 5;
    pub(super) const NAK: u8 = 6;
    pub(super) const GONE: u8 = 7;
    pub(super) const ACK: u8 = 8;
    pub(super) const ASK: u8 = 9;
    pub(super) const KNOW: u8 = 10;
    pub(super) const PULL: u8 = 11;
    pub(super) const LACKS: u8 = 12;
    pub(super) const FOLLOW: u8 = 13;
}

/// Most entries of a digest.
const DIGEST: usize = 64;

/// The stream and the first of the events that a frame asks for, if it does.
pub(crate) fn request(frame: &Frame, to: Destination) -> Option<(Incarnation, Lane, u64)> {
    let Destination::One(to) = to else { return None };
    if frame.kind != FrameKind::Control {
        return None;
    }
    let lane = |lane: u8| Lane::ALL.into_iter().find(|one| *one as u8 == lane);
    if let Ok((kind::NAK, (of, first, _))) =
        rmp_serde::from_slice::<(u8, (u8, u64, u64))>(&frame.body)
    {
        return Some((to, lane(of)?, first));
    }
    type Pull = (u8, (Who, u8, u64, u64));
    match rmp_serde::from_slice::<Pull>(&frame.body) {
        Ok((kind::PULL, (Who(from), of, first, _))) => Some((from, lane(of)?, first)),
        _ => None,
    }
}

/// What it knows of another node: everything.
#[derive(Debug, Clone)]
pub(crate) struct Victim {
    pub(crate) life: Incarnation,
    pub(crate) name: String,
    pub(crate) lives: bool,
    pub(crate) positions: [u64; 2],
}

#[derive(Debug)]
pub(crate) struct Liar {
    life: Incarnation,
    name: String,
    number: u64,
    beat: u64,
    greeted: BTreeSet<Incarnation>,
    made_up: u64,
}

/// `[incarnation, sign of life, taken, in doubt, sent]`.
type Knowledge = (Who, u64, [u64; 2], bool, [u64; 2]);

/// An incarnation, as MessagePack has bytes.
struct Who(Incarnation);

impl Serialize for Who {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.0)
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = Who;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("16 bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Who, E> {
                let life = <[u8; 16]>::try_from(bytes).map_err(E::custom)?;
                Ok(Who(Incarnation(life)))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}

/// The tag of a heartbeat.
struct Tag<'a>(&'a [u8]);

impl Serialize for Tag<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Liar {
    pub(crate) fn new(index: u8) -> Self {
        let mut life = [0xEE; 16];
        life[0] = index;
        Self {
            life: Incarnation(life),
            name: format!("liar{index}"),
            number: 0,
            beat: 0,
            greeted: BTreeSet::new(),
            made_up: 0,
        }
    }

    fn frame(&mut self, kind: FrameKind, to: Option<Incarnation>, body: Bytes) -> Packet {
        self.number += 1;
        let (incarnation, first) = (self.life, self.number);
        Packet {
            frame: Frame { incarnation, to, kind, first, count: 0, body, wire: None },
            via: None,
        }
    }

    fn control<T: Serialize>(&mut self, to: Option<Incarnation>, kind: u8, message: &T) -> Packet {
        // Writing to memory cannot fail; an empty message would be refused.
        let body = rmp_serde::to_vec(&(kind, message)).unwrap_or_default();
        self.frame(FrameKind::Control, to, body.into())
    }

    /// What it takes to be a member: a greeting for each that has none yet, and a heartbeat to
    /// all. The digests in them, of others' events and of its mirror, are lies; the latter ends
    /// as that of the others does, which names the key.
    pub(crate) fn signs_of_life(
        &mut self,
        rng: &mut Rng,
        victims: &[Victim],
        key: &[u8],
    ) -> Vec<(Destination, Packet)> {
        self.beat += 1;
        let (name, beat) = (self.name.clone(), self.beat);
        let tag: Vec<u8> = (0..24).map(|_| rng.u8(..)).chain(key.iter().copied()).collect();
        let mut said = Vec::new();
        for victim in victims.iter().filter(|victim| victim.lives) {
            if self.greeted.insert(victim.life) {
                let status = (1, &name, 1_u64, [0_u64; 2], Tag(&tag), beat, [(); 0]);
                let hello = self.control(Some(victim.life), kind::HELLO, &status);
                said.push((Destination::One(victim.life), hello));
            }
        }
        let digest: Vec<Knowledge> =
            (0..rng.usize(0..=DIGEST)).map(|_| knowledge(rng, victims)).collect();
        let positions = if rng.u8(..8) == 0 { [large(rng), large(rng)] } else { [0; 2] };
        let status = (1, &name, 1_u64, positions, Tag(&tag), beat, digest);
        said.push((Destination::All, self.control(None, kind::HEARTBEAT, &status)));
        said
    }

    /// One lie to one node. `recorded` is a frame of somebody, which it vouches for.
    pub(crate) fn lie(
        &mut self,
        rng: &mut Rng,
        to: Incarnation,
        victims: &[Victim],
        recorded: Option<Frame>,
    ) -> Packet {
        let of = victims.get(rng.usize(..victims.len().max(1))).map_or(to, |victim| victim.life);
        let lane = rng.u8(..2);
        let (one, other) = (large(rng), large(rng));
        let to = Some(to);
        match rng.u8(..15) {
            0 => self.control(to, kind::KNOW, &(knowledge(rng, victims),)),
            1 => self.control(to, kind::ASK, &(knowledge(rng, victims), rng.bool())),
            2 => self.control(to, kind::NAK, &(lane, 1, u64::MAX)),
            3 => self.control(to, kind::NAK, &(lane, one, other)),
            4 => self.control(to, kind::PULL, &(Who(of), lane, 1, u64::MAX)),
            5 => self.control(to, kind::PULL, &(Who(of), lane, one, other)),
            6 => self.control(to, kind::LACKS, &(Who(of), lane, one)),
            7 => self.control(to, kind::GONE, &(lane, one)),
            8 => self.control(to, kind::ACK, &([one, other],)),
            9 => self.control(to, kind::FOLLOW, &(Who(of), rng.u8(..4) != 0)),
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
            13 => self.somebody_new(rng, to, victims),
            _ => match recorded.filter(|frame| frame.to.is_none()) {
                Some(frame) => {
                    self.number += 1;
                    let via = Some(Via { peer: self.life, number: self.number });
                    Packet { frame, via }
                }
                None => self.control(to, kind::PROBE, &(one,)),
            },
        }
    }

    pub(crate) fn life(&self) -> Incarnation {
        self.life
    }

    /// That another has sent so much.
    pub(crate) fn has_heard(&mut self, to: Incarnation, of: Incarnation, sent: [u64; 2]) -> Packet {
        let knowledge: Knowledge = (Who(of), 0, sent, false, sent);
        self.control(Some(to), kind::KNOW, &(knowledge,))
    }

    /// That it has nothing of another's events.
    pub(crate) fn lacks(&mut self, to: Incarnation, of: Incarnation, lane: Lane) -> Packet {
        self.control(Some(to), kind::LACKS, &(Who(of), lane as u8, u64::MAX))
    }

    /// A message to the mirror of a node.
    pub(crate) fn direct(&mut self, to: Incarnation, body: Bytes) -> Packet {
        self.frame(FrameKind::Direct, Some(to), body)
    }

    /// A node that is not there greets, or says goodbye; sometimes with the name of one that is, which it says
    /// it began after.
    fn somebody_new(
        &mut self,
        rng: &mut Rng,
        to: Option<Incarnation>,
        victims: &[Victim],
    ) -> Packet {
        self.made_up += 1;
        let twin = victims.get(rng.usize(..victims.len().max(1))).filter(|_| rng.u8(..4) == 0);
        let made_up = format!("{}x{}", self.name, self.made_up);
        let name = twin.map_or(&made_up, |victim| &victim.name).clone();
        let status = (1, name, u64::MAX, [large(rng); 2], Tag(&[]), 1_u64, [(); 0]);
        let mut packet = if rng.u8(..4) == 0 {
            self.control(None, kind::BYE, &([large(rng); 2],))
        } else {
            self.control(to, kind::HELLO, &status)
        };
        let life = &mut packet.frame.incarnation.0;
        life[8..].copy_from_slice(&self.made_up.to_be_bytes());
        packet
    }
}

/// Something about somebody: true or not.
fn knowledge(rng: &mut Rng, victims: &[Victim]) -> Knowledge {
    let victim = victims.get(rng.usize(..victims.len().max(1))).filter(|_| rng.u8(..8) != 0);
    let Some(Victim { life, positions, .. }) = victim else {
        let nobody = Incarnation(std::array::from_fn(|_| rng.u8(..)));
        return (Who(nobody), large(rng), [large(rng); 2], rng.bool(), [large(rng); 2]);
    };
    let position = |rng: &mut Rng, true_one: u64| match rng.u8(..4) {
        0 => true_one,
        1 => true_one + rng.u64(..100),
        _ => large(rng),
    };
    let taken = positions.map(|true_one| position(rng, true_one));
    let sent = positions.map(|true_one| position(rng, true_one));
    (Who(*life), large(rng), taken, rng.bool(), sent)
}

/// Numbers of every size, the largest among them.
fn large(rng: &mut Rng) -> u64 {
    match rng.u8(..8) {
        0 => u64::MAX,
        1 => u64::MAX - 1,
        _ => rng.u64(..) >> rng.u32(..64),
    }
}
