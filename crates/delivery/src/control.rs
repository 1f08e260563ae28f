//! Control messages, encoded as MessagePack arrays. A decoder ignores unknown trailing fields, and
//! gives missing newer fields their default. (rmp-serde alone refuses an array that is longer than
//! the type; [`Lenient`] skips the rest.)

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::stream::{EventRange, StreamId};
use crate::{Incarnation, Lane, NodeName, PerLane};

/// Version of the control messages, which a [`Status`] announces.
pub(crate) const VERSION: u16 = 1;

/// The state that a node announces in greetings and heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeriveDeserialize)]
pub(crate) struct Status {
    pub(crate) version: u16,
    pub(crate) name: NodeName,
    pub(crate) started_ms: u64,
    /// Number of the last event sent, per lane.
    pub(crate) positions: PerLane<u64>,
    /// Opaque tag of the layer above.
    #[serde(with = "tag")]
    pub(crate) tag: bytes::Bytes,
    /// Counts the statuses and probe answers of this node. A higher number is a later one,
    /// whichever peer reports it.
    #[serde(default)]
    pub(crate) heartbeat_seq: u64,
    /// Reports about other peers.
    #[serde(default)]
    pub(crate) digest: Vec<PeerReport>,
    /// Number of peers that the node has worked with for a while ([`Peer::is_established`]).
    ///
    /// [`Peer::is_established`]: crate::peer::Peer::is_established
    #[serde(default)]
    pub(crate) established: u16,
}

/// Maximum reports in a digest: some 2 kB.
pub(crate) const MAX_DIGEST: usize = 64;

/// A report of one node about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize)]
pub(crate) struct PeerReport {
    #[serde(with = "incarnation")]
    pub(crate) peer: Incarnation,
    /// The latest heartbeat number of the peer that the reporter knows.
    pub(crate) heartbeat_seq: u64,
    /// Number up to which the reporter has taken the peer's events, per lane.
    pub(crate) positions: PerLane<u64>,
    /// The reporter doubts that the peer is alive, or does not know it.
    pub(crate) is_suspected: bool,
    /// Highest number known to be sent, per lane, including frames held behind a hole.
    #[serde(default)]
    pub(crate) sent: PerLane<u64>,
}

impl PeerReport {
    /// The report about a node of which the reporter knows nothing.
    pub(crate) fn unknown(peer: Incarnation) -> Self {
        let (positions, sent) = (PerLane::default(), PerLane::default());
        Self { peer, heartbeat_seq: 0, positions, is_suspected: false, sent }
    }

    /// Whether the reporter has taken every event that it knows to be sent.
    pub(crate) fn is_complete(&self) -> bool {
        self.positions.iter().zip(self.sent).all(|(position, sent)| *position >= sent)
    }
}

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Control {
    /// Greets the recipient, which answers with its own status.
    Hello(Status),
    /// The periodic status; also the answer to a `Hello`.
    Heartbeat(Status),
    /// The sender leaves after these positions. After a name conflict, `winner` keeps its name.
    Bye { positions: PerLane<u64>, winner: Option<Incarnation> },
    /// Asks whether the recipient is alive.
    Probe { nonce: u64 },
    /// The answer to a probe.
    ProbeAnswer(ProbeAnswer),
    /// Requests events of the recipient again.
    Nak { lane: Lane, range: EventRange },
    /// Acknowledges the recipient's events up to these numbers, per lane.
    Ack { positions: PerLane<u64> },
    /// The sender no longer has its own events before the number `before`.
    Unavailable { lane: Lane, before: u64 },
    /// Carries the sender's report about a peer, and asks for the recipient's. With `meet`, asks
    /// for an introduction of that peer instead.
    PeerQuery { mine: PeerReport, meet: bool },
    /// The answer to a `PeerQuery`.
    PeerReport(PeerReport),
    /// Requests events of another node's stream.
    RelayNak { stream: StreamId, range: EventRange },
    /// The sender has no events of another node's stream before the number `before`.
    RelayUnavailable { stream: StreamId, before: u64 },
    /// Asks the recipient to relay the frames of the node `of`; with `on` false, to stop.
    RelayRequest { of: Incarnation, on: bool },
}

#[derive(DeriveDeserialize)]
struct ByeBody(PerLane<u64>, #[serde(default)] Option<Incarnation>);

const HELLO: u8 = 1;
const HEARTBEAT: u8 = 2;
const BYE: u8 = 3;
const PROBE: u8 = 4;
const PROBE_ANSWER: u8 = 5;
const NAK: u8 = 6;
const UNAVAILABLE: u8 = 7;
const ACK: u8 = 8;
const PEER_QUERY: u8 = 9;
const PEER_REPORT: u8 = 10;
const RELAY_NAK: u8 = 11;
const RELAY_UNAVAILABLE: u8 = 12;
const RELAY_REQUEST: u8 = 13;

/// The answer to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize)]
pub(crate) struct ProbeAnswer {
    /// The nonce of the probe.
    pub(crate) nonce: u64,
    #[serde(default)]
    pub(crate) heartbeat_seq: u64,
    /// Number of the last event that the answering node sent, per lane.
    #[serde(default)]
    pub(crate) positions: Option<PerLane<u64>>,
}

/// An incarnation, encoded as a byte string.
#[derive(Serialize, DeriveDeserialize)]
struct WireIncarnation(#[serde(with = "incarnation")] Incarnation);

/// Maximum nesting of a control message, of this version and later ones.
const MAX_DEPTH: usize = 16;

impl Control {
    /// The encoded message. Writing to memory cannot fail; if it did, every receiver would refuse
    /// the empty message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Hello(status) => rmp_serde::to_vec(&(HELLO, status)),
            Self::Heartbeat(status) => rmp_serde::to_vec(&(HEARTBEAT, status)),
            Self::Ack { positions } => rmp_serde::to_vec(&(ACK, (positions,))),
            Self::Bye { positions, winner: None } => rmp_serde::to_vec(&(BYE, (positions,))),
            Self::Bye { positions, winner } => rmp_serde::to_vec(&(BYE, (positions, winner))),
            Self::Probe { nonce } => rmp_serde::to_vec(&(PROBE, (nonce,))),
            Self::ProbeAnswer(answer) => rmp_serde::to_vec(&(PROBE_ANSWER, answer)),
            Self::PeerQuery { mine, meet } => rmp_serde::to_vec(&(PEER_QUERY, (mine, meet))),
            Self::PeerReport(report) => rmp_serde::to_vec(&(PEER_REPORT, (report,))),
            Self::RelayNak { stream: StreamId { sender, lane }, range } => {
                let body = (WireIncarnation(*sender), *lane as u8, range.first, range.last);
                rmp_serde::to_vec(&(RELAY_NAK, body))
            }
            Self::RelayUnavailable { stream: StreamId { sender, lane }, before } => {
                let body = (WireIncarnation(*sender), *lane as u8, before);
                rmp_serde::to_vec(&(RELAY_UNAVAILABLE, body))
            }
            Self::RelayRequest { of, on } => {
                rmp_serde::to_vec(&(RELAY_REQUEST, (WireIncarnation(*of), on)))
            }
            Self::Nak { lane, range } => {
                rmp_serde::to_vec(&(NAK, (*lane as u8, range.first, range.last)))
            }
            Self::Unavailable { lane, before } => {
                rmp_serde::to_vec(&(UNAVAILABLE, (*lane as u8, before)))
            }
        };
        encoded.unwrap_or_default()
    }

    /// Decodes a message; `None` if it is malformed, or of a kind that only a newer version knows.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind,): (u8,) = read(bytes)?;
        Some(match kind {
            HELLO => Self::Hello(body(bytes)?),
            HEARTBEAT => Self::Heartbeat(body(bytes)?),
            BYE => {
                let ByeBody(positions, winner) = body(bytes)?;
                Self::Bye { positions, winner }
            }
            PROBE => {
                let (nonce,) = body(bytes)?;
                Self::Probe { nonce }
            }
            PROBE_ANSWER => Self::ProbeAnswer(body(bytes)?),
            PEER_QUERY => {
                let (mine, meet) = body(bytes)?;
                Self::PeerQuery { mine, meet }
            }
            PEER_REPORT => {
                let (report,) = body(bytes)?;
                Self::PeerReport(report)
            }
            RELAY_NAK => {
                let (WireIncarnation(sender), lane, first, last) = body(bytes)?;
                let stream = StreamId { sender, lane: Lane::from_index(lane)? };
                Self::RelayNak { stream, range: EventRange { first, last } }
            }
            RELAY_UNAVAILABLE => {
                let (WireIncarnation(sender), lane, before) = body(bytes)?;
                let stream = StreamId { sender, lane: Lane::from_index(lane)? };
                Self::RelayUnavailable { stream, before }
            }
            RELAY_REQUEST => {
                let (WireIncarnation(of), on) = body(bytes)?;
                Self::RelayRequest { of, on }
            }
            ACK => {
                let (positions,) = body(bytes)?;
                Self::Ack { positions }
            }
            NAK => {
                let (lane, first, last) = body(bytes)?;
                Self::Nak { lane: Lane::from_index(lane)?, range: EventRange { first, last } }
            }
            UNAVAILABLE => {
                let (lane, before) = body(bytes)?;
                Self::Unavailable { lane: Lane::from_index(lane)?, before }
            }
            _ => return None,
        })
    }
}

fn body<T: for<'de> DeriveDeserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let (_kind, Lenient(body)): (u8, Lenient<T>) = read(bytes)?;
    Some(body)
}

fn read<T: for<'de> DeriveDeserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let Lenient(value) = Lenient::<T>::deserialize(&mut deserializer).ok()?;
    Some(value)
}

/// A `T` encoded as an array, followed by any further elements.
struct Lenient<T>(T);

impl<'de, T: DeriveDeserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array<T>(PhantomData<T>);

        impl<'de, T: DeriveDeserialize<'de>> Visitor<'de> for Array<T> {
            type Value = Lenient<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let value = T::deserialize(SeqAccessDeserializer::new(&mut seq))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Lenient(value))
            }
        }

        deserializer.deserialize_seq(Array(PhantomData))
    }
}

/// Encodes an incarnation as a byte string: half the size of an array of numbers.
mod incarnation {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    use crate::Incarnation;

    pub(super) fn serialize<S: Serializer>(
        incarnation: &Incarnation,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&incarnation.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Incarnation, D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = Incarnation;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("16 bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Incarnation, E> {
                let sixteen = <[u8; 16]>::try_from(bytes);
                sixteen.map(Incarnation).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        de.deserialize_bytes(Sixteen)
    }
}

/// Encodes a tag as a byte string. The frame around it bounds its length.
mod tag {
    use bytes::Bytes;
    use serde::de::Visitor;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(tag: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(tag)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Bytes, D::Error> {
        struct Tag;
        impl Visitor<'_> for Tag {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(bytes))
            }
        }
        de.deserialize_bytes(Tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            version: VERSION,
            name: "mx1".parse().unwrap(),
            started_ms: 1_795_000_000_000,
            positions: PerLane::new(3, u64::MAX),
            tag: bytes::Bytes::from_static(b"tag"),
            heartbeat_seq: 77,
            digest: vec![report(); 3],
            established: 4,
        }
    }

    fn report() -> PeerReport {
        PeerReport {
            peer: Incarnation([201; 16]),
            heartbeat_seq: 9,
            positions: PerLane::new(u64::MAX, 7),
            is_suspected: true,
            sent: PerLane::new(u64::MAX, u64::MAX),
        }
    }

    fn answer(nonce: u64, positions: Option<PerLane<u64>>) -> ProbeAnswer {
        ProbeAnswer { nonce, heartbeat_seq: 8, positions }
    }

    #[test]
    fn messages_round_trip_and_every_truncation_is_refused() {
        for message in [
            Control::Hello(status()),
            Control::Heartbeat(status()),
            Control::Bye { positions: PerLane::new(1, 2), winner: None },
            Control::Bye { positions: PerLane::new(1, 2), winner: Some(Incarnation([200; 16])) },
            Control::Ack { positions: PerLane::new(u64::MAX, 0) },
            Control::Probe { nonce: 7 },
            Control::ProbeAnswer(answer(u64::MAX, None)),
            Control::ProbeAnswer(answer(1, Some(PerLane::new(u64::MAX, 4)))),
            Control::PeerQuery { mine: report(), meet: true },
            Control::PeerReport(report()),
            Control::RelayNak {
                stream: StreamId { sender: Incarnation([9; 16]), lane: Lane::Events },
                range: EventRange { first: 1, last: 9 },
            },
            Control::RelayUnavailable {
                stream: StreamId { sender: Incarnation([9; 16]), lane: Lane::Urgent },
                before: 3,
            },
            Control::RelayRequest { of: Incarnation([9; 16]), on: true },
            Control::Nak { lane: Lane::Events, range: EventRange { first: 7, last: u64::MAX } },
            Control::Unavailable { lane: Lane::Urgent, before: 9 },
        ] {
            let bytes = message.encode();
            assert_eq!(Control::decode(&bytes).as_ref(), Some(&message));
            for cut in 0..bytes.len() {
                assert_eq!(Control::decode(&bytes[..cut]), None, "{message:?} at {cut}");
            }
        }
    }

    #[test]
    fn newer_fields_are_ignored_and_newer_kinds_are_refused() {
        // [PROBE, [7, "new"], {1: 2}]
        let longer = [0x93, PROBE, 0x92, 7, 0xa3, b'n', b'e', b'w', 0x81, 1, 2];
        assert_eq!(Control::decode(&longer), Some(Control::Probe { nonce: 7 }));
        assert_eq!(Control::decode(&[0x92, 99, 0x90]), None);
    }

    #[test]
    fn a_bad_name_or_deep_nesting_is_refused() {
        let mut bad = Control::Hello(status()).encode();
        let at = bad.windows(3).position(|w| w == b"mx1").unwrap();
        bad[at] = b'/';
        assert_eq!(Control::decode(&bad), None);
        let mut deep = vec![0x92, PROBE];
        deep.extend([0x91; 10_000]);
        assert_eq!(Control::decode(&deep), None);
    }

    #[test]
    fn the_encoding_of_version_1_never_changes() {
        assert_eq!(Control::Probe { nonce: 7 }.encode(), [0x92, 4, 0x91, 7]);
        // From before the answer carried positions.
        let without_positions = Control::ProbeAnswer(answer(7, None));
        assert_eq!(Control::decode(&[0x92, 5, 0x92, 7, 8]), Some(without_positions));
        let positions = PerLane::new(1, 2);
        let answer = Control::ProbeAnswer(answer(7, Some(positions)));
        assert_eq!(answer.encode(), [0x92, 5, 0x93, 7, 8, 0x92, 1, 2]);
        assert_eq!(Control::Bye { positions, winner: None }.encode(), [0x92, 3, 0x91, 0x92, 1, 2]);
        assert_eq!(Control::Ack { positions }.encode(), [0x92, 8, 0x91, 0x92, 1, 2]);
        let range = EventRange { first: 7, last: 9 };
        let nak = Control::Nak { lane: Lane::Events, range };
        assert_eq!(nak.encode(), [0x92, 6, 0x93, 1, 7, 9]);
        assert_eq!(
            Control::Unavailable { lane: Lane::Urgent, before: 9 }.encode(),
            [0x92, 7, 0x92, 0, 9]
        );
        let stream = StreamId { sender: Incarnation([8; 16]), lane: Lane::Urgent };
        let relay_nak = Control::RelayNak { stream, range: EventRange { first: 1, last: 2 } };
        let incarnation_bytes = [vec![0xc4, 16], vec![8; 16]].concat();
        assert_eq!(
            relay_nak.encode(),
            [&[0x92, 11, 0x94], &incarnation_bytes[..], &[0, 1, 2]].concat()
        );
        let report = PeerReport {
            peer: Incarnation([8; 16]),
            heartbeat_seq: 3,
            positions,
            is_suspected: true,
            sent: PerLane::new(4, 5),
        };
        let report_bytes =
            [&[0x95], &incarnation_bytes[..], &[3, 0x92, 1, 2, 0xc3, 0x92, 4, 5]].concat();
        assert_eq!(
            Control::PeerReport(report).encode(),
            [&[0x92, 10, 0x91], &report_bytes[..]].concat()
        );
        let status = Status { started_ms: 5, digest: vec![report], ..status() };
        let mut expected = vec![0x92, 1, 0x98, 1, 0xa3, b'm', b'x', b'1', 5, 0x92, 3, 0xcf];
        expected.extend([0xff; 8]);
        expected.extend([0xc4, 3, b't', b'a', b'g']);
        let before_digest = expected.len();
        expected.extend([77, 0x91]);
        expected.extend(&report_bytes);
        let before_established = expected.len();
        expected.push(4);
        assert_eq!(Control::Hello(status.clone()).encode(), expected);
        // From before a status carried `established`.
        expected.truncate(before_established);
        expected[2] = 0x97;
        let without = Status { established: 0, ..status.clone() };
        assert_eq!(Control::decode(&expected), Some(Control::Hello(without)));
        // From before a status carried a digest.
        expected.truncate(before_digest);
        expected[2] = 0x95;
        let without = Status { heartbeat_seq: 0, digest: Vec::new(), established: 0, ..status };
        assert_eq!(Control::decode(&expected), Some(Control::Hello(without)));
    }
}
