//! The attacks of a hostile peer, and those that are made of frames.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use mailmesh::{
    ClusterKey, Coordinator, Event, Network, NetworkChange, Node, NodeId, Rule, RuleDetails, Stamp,
    StopReason, UnixMillis,
};
use mailmesh_codec::{FrameKind, Header, Opener, Sealer, encode_direct, encode_event};
use mailmesh_events::{Change, DirectMessage, Share, SyncMessage};
use ring::rand::{SecureRandom, SystemRandom};

use crate::insider::{Binary, Insider, PeerReport};
use crate::wire::{Incarnation, Wire};

/// The key of the nodes under attack (`system/mailmesh.rs`).
pub(crate) const KEY: [u8; 32] = [0x6d; 32];
/// Time in which the attacker records frames before it begins.
const WARM_UP: Duration = Duration::from_secs(3);
const NAK: u8 = 6;
/// Time in which a node with a duplicate name must be refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The year 3000, in milliseconds.
const YEAR_3000: u64 = 32_503_680_000_000;

/// An attack of a hostile peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Frames that are not sealed.
    NoKey,
    /// Frames sealed with another key, each of a new incarnation.
    WrongKey,
    /// Recorded frames of members with one header byte changed.
    ForgedHeader,
    /// Recorded frames of members, unchanged.
    Replay,
    /// Recorded frames of members, truncated.
    Truncated,
    /// With the key: lengths of a gibibyte.
    LongLengths,
    /// With the key: deeply nested arrays.
    DeepNesting,
    /// With the key: a new incarnation with each frame, with events and hellos.
    ManyLives,
    /// With the key: requests for all frames that a node has ever sent.
    NakFlood,
    /// With the key: false mirror digests and peer reports.
    LyingDigests,
    /// With the key: blocks with stamps of the year 3000.
    Year3000,
    /// With the key: a mirror of ten million entries whose transfer never ends.
    EndlessSnapshot,
    /// With the key: a node with the name of another.
    Twin,
    /// Links that begin a handshake without a proof of the key, from 200 addresses.
    LinkNoProof,
    /// Links that begin with messages that belong after a handshake, from 200 addresses.
    LinkUnasked,
    /// Links with invalid credentials.
    LinkWrongLogin,
    /// Silent links, from 200 addresses.
    LinkHalfOpen,
    /// Links that send random bytes, from 200 addresses.
    LinkGarbage,
    /// A recorded handshake of a member, replayed.
    LinkReplayed,
    /// Nodes with a retired key.
    LinkRetiredKey,
    /// Nodes without a key.
    LinkNoKey,
    /// Datagrams of discovery and of Zenoh's scouting: recorded, changed, invented, random.
    DiscoveryFlood,
    /// All attacks at links at once.
    LinkAll,
}

impl Attack {
    /// Whether the attack targets the links themselves, below frames.
    pub(crate) fn is_at_links(self) -> bool {
        matches!(
            self,
            Self::LinkNoProof
                | Self::LinkUnasked
                | Self::LinkWrongLogin
                | Self::LinkHalfOpen
                | Self::LinkGarbage
                | Self::LinkReplayed
                | Self::LinkRetiredKey
                | Self::LinkNoKey
                | Self::DiscoveryFlood
                | Self::LinkAll
        )
    }
}

struct Random(SystemRandom);

impl Random {
    fn bytes<const N: usize>(&self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).map_err(|_| "no random bytes".to_owned())?;
        Ok(bytes)
    }
}

pub(crate) fn run(attack: Attack, wire: &Wire, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    let random = Random(SystemRandom::new());
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP && !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let key = ClusterKey::from_bytes(&KEY);
    let mut insider = Insider::new(&key, random.bytes()?);
    if attack == Attack::LyingDigests {
        // One false report with each heartbeat, as fast as possible.
        insider.heartbeat_interval = Duration::ZERO;
    }
    let mut tokens = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let sent = wire.sent();
        match attack {
            Attack::NoKey => {
                put_unknown_sender_frame(wire, &Sealer::unencrypted(), random.bytes()?, sent)?
            }
            Attack::WrongKey => {
                let incarnation = random.bytes()?;
                let other = ClusterKey::from_bytes(&[0x13; 32]);
                put_unknown_sender_frame(
                    wire,
                    &Sealer::keyed(&other, "mail", incarnation),
                    incarnation,
                    sent,
                )?
            }
            Attack::ForgedHeader => {
                let at = random.bytes::<2>()?;
                put_recorded(wire, sent, |frame| {
                    // Any byte of the header after magic and version.
                    let place = 3 + usize::from(at[0]) % 29;
                    if let Some(byte) = frame.get_mut(place) {
                        *byte ^= at[1] | 1;
                    }
                })?
            }
            Attack::Replay => put_recorded(wire, sent, |_| {})?,
            Attack::Truncated => {
                let cut = random.bytes::<2>()?;
                put_recorded(wire, sent, |frame| {
                    frame.truncate(usize::from(u16::from_be_bytes(cut)) % frame.len().max(1));
                })?
            }
            Attack::LongLengths => put_long_lengths(wire, &mut insider, sent)?,
            Attack::DeepNesting => {
                let others = insider.stay_member(wire, &[], &[])?;
                let nested = [0x91; 100_000];
                let data = insider.frame(FrameKind::Data, None, &nested)?;
                wire.put_to_all(&data)?;
                put_to_each(wire, &mut insider, &others, FrameKind::Control, &nested)?;
            }
            Attack::ManyLives => {
                let mut new = Insider::new(&key, random.bytes()?);
                if tokens.len() < 10_000 {
                    tokens.push(wire.declare_presence(new.incarnation)?);
                }
                let mut body = Vec::new();
                encode_event(&mailmesh::QueueSignal::Refresh.into(), &mut body)?;
                let data = new.frame(FrameKind::Data, None, &body)?;
                wire.put_to_all(&data)?;
                new.stay_member(wire, &[], &[])?;
            }
            Attack::NakFlood => {
                let others = insider.stay_member(wire, &[], &[])?;
                for other in &others {
                    let nak = insider.control(Some(*other), &(NAK, (sent % 2, 1_u64, u64::MAX)))?;
                    wire.put_to_one(*other, &nak)?;
                }
            }
            Attack::LyingDigests => lie_about_peers(wire, &mut insider, &random)?,
            Attack::Year3000 => {
                let others = insider.stay_member(wire, &[], &[])?;
                put_future_blocks(wire, &mut insider, &others, &random)?
            }
            Attack::EndlessSnapshot => endless_snapshot(wire, &mut insider, sent)?,
            // These attacks are not made of frames.
            Attack::Twin
            | Attack::LinkNoProof
            | Attack::LinkUnasked
            | Attack::LinkWrongLogin
            | Attack::LinkHalfOpen
            | Attack::LinkGarbage
            | Attack::LinkReplayed
            | Attack::LinkRetiredKey
            | Attack::LinkNoKey
            | Attack::DiscoveryFlood
            | Attack::LinkAll => {}
        }
    }
    Ok(wire.sent())
}

/// Publishes a frame of an incarnation that is no member.
fn put_unknown_sender_frame(
    wire: &Wire,
    sealer: &Sealer,
    incarnation: Incarnation,
    number: u64,
) -> Result<(), Box<dyn Error>> {
    let mut body = Vec::new();
    encode_event(&mailmesh::QueueSignal::Paused.into(), &mut body)?;
    let (kind, lane, to, first) = (FrameKind::Data, 1, None, number + 1);
    let header = Header { kind, lane, incarnation, to, first, count: 1 };
    let frame = sealer.seal(&header, &body)?;
    Ok(wire.put_to_all(&frame)?)
}

/// Changes a recorded frame of a member and publishes it on its original key.
fn put_recorded(
    wire: &Wire,
    number: u64,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Box<dyn Error>> {
    let recording = {
        let recorded = wire.recorded();
        let at = usize::try_from(number)? % recorded.frames.len().max(1);
        recorded.frames.get(at).map(|(key, frame)| (key.clone(), frame.to_vec()))
    };
    let Some((key, mut frame)) = recording else { return Ok(()) };
    change(&mut frame);
    Ok(wire.put(&key, &frame)?)
}

fn put_to_each(
    wire: &Wire,
    insider: &mut Insider,
    others: &[Incarnation],
    kind: FrameKind,
    body: &[u8],
) -> Result<(), Box<dyn Error>> {
    for other in others {
        let frame = insider.frame(kind, Some(*other), body)?;
        wire.put_to_one(*other, &frame)?;
    }
    Ok(())
}

/// Publishes bodies whose counts and lengths exceed their data, at each place that has one.
fn put_long_lengths(wire: &Wire, insider: &mut Insider, number: u64) -> Result<(), Box<dyn Error>> {
    let others = insider.stay_member(wire, &[], &[])?;
    let bodies: [&[u8]; 6] = [
        // A text of 1 GiB, an array of 2^32 - 1, bytes, a map, a sync part, a digest.
        &[0x93, 0x0a, 0xdb, 0x40, 0, 0, 0],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x92, 0x0b, 0xc6, 0x40, 0, 0, 0],
        &[0xdf, 0x40, 0, 0, 0, 0xc0],
        &[0x97, 0x02, 0x01, 0, 0, 0, 0, 0xdd, 0xff, 0xff, 0xff, 0xff],
        &[
            0x92, 0x02, 0x97, 0x01, 0xa1, b'x', 0x01, 0x92, 0, 0, 0xc4, 0, 0x01, 0xdd, 0xff, 0xff,
            0xff,
        ],
    ];
    let body = bodies[usize::try_from(number)? % bodies.len()];
    let data = insider.frame(FrameKind::Data, None, body)?;
    wire.put_to_all(&data)?;
    // A bundle whose first frame claims 4 GiB.
    wire.put_to_all(b"mmB\x01\xff\xff\xff\xff")?;
    put_to_each(wire, insider, &others, FrameKind::Direct, body)?;
    put_to_each(wire, insider, &others, FrameKind::Control, body)
}

/// Sends a random mirror digest, and false reports of peers.
fn lie_about_peers(
    wire: &Wire,
    insider: &mut Insider,
    random: &Random,
) -> Result<(), Box<dyn Error>> {
    let tag = random.bytes::<28>()?;
    let others: Vec<Incarnation> = wire.recorded().incarnations.iter().copied().collect();
    let position = u64::from(u32::from_be_bytes(random.bytes()?));
    let unknown = random.bytes::<16>()?;
    let all = others.iter().chain([&unknown]);
    let reports: Vec<PeerReport<'_>> = all
        .map(|incarnation| {
            (Binary(incarnation), u64::MAX - 1, [position, position], true, [position, position])
        })
        .take(60)
        .collect();
    insider.stay_member(wire, &tag, &reports)?;
    Ok(())
}

/// Publishes blocks whose stamps win forever, as events and as mirror entries.
fn put_future_blocks(
    wire: &Wire,
    insider: &mut Insider,
    others: &[Incarnation],
    random: &Random,
) -> Result<(), Box<dyn Error>> {
    let address = std::net::Ipv4Addr::from(random.bytes::<4>()?);
    let block = RuleDetails::new("hostile", UnixMillis(YEAR_3000))?;
    let change = Change::Network(NetworkChange::new(
        Rule::Block,
        Network::single(address.into()),
        Stamp::new(UnixMillis(YEAR_3000), 0, NodeId(666)),
        Some(Arc::new(block)),
    ));
    let mut body = Vec::new();
    encode_event(&Event::from(change.clone()), &mut body)?;
    let data = insider.frame(FrameKind::Data, None, &body)?;
    wire.put_to_all(&data)?;
    let entries = SyncMessage::Entries { round: 0, changes: vec![change; 100], more: false };
    put_to_each(wire, insider, others, FrameKind::Direct, &encode_direct(&entries.into())?)
}

/// Announces ten million entries, and answers each request with parts that always announce more.
fn endless_snapshot(wire: &Wire, insider: &mut Insider, number: u64) -> Result<(), Box<dyn Error>> {
    let mut tag = [7; 28];
    tag[..8].copy_from_slice(&10_000_000_u64.to_be_bytes());
    tag[24..].copy_from_slice(&mirror_key_id());
    insider.stay_member(wire, &tag, &[])?;
    let mut opener = Opener::keyed(&ClusterKey::from_bytes(&KEY), "mail", insider.incarnation);
    let requests: Vec<(Incarnation, DirectMessage)> = {
        let mut recorded = wire.recorded();
        let frames = std::mem::take(&mut recorded.frames);
        let opened = frames.iter().filter_map(|(_, frame)| opener.open(frame).ok());
        let direct = opened.filter(|(header, _)| header.kind == FrameKind::Direct);
        direct
            .filter_map(|(header, body)| {
                Some((header.incarnation, mailmesh_codec::decode_direct(&body).ok()?))
            })
            .collect()
    };
    for (peer, message) in requests {
        let (round, first) = match message {
            DirectMessage::Sync(
                SyncMessage::Request { round, first, .. }
                | SyncMessage::AskSymbols { round, first, .. },
            ) => (round, first),
            _ => continue,
        };
        for part in 0..1_000_u16 {
            let share = Share { ..first };
            let number = number as u16;
            let part = part.wrapping_add(number);
            let part = SyncMessage::Part { round, share, part, changes: Vec::new(), more: true };
            let frame =
                insider.frame(FrameKind::Direct, Some(peer), &encode_direct(&part.into())?)?;
            wire.put_to_one(peer, &frame)?;
        }
    }
    Ok(())
}

/// The id of the key of the mirrors' fingerprints, which only holders of the cluster key know.
fn mirror_key_id() -> [u8; 4] {
    let key = ClusterKey::from_bytes(&KEY).mirror_key("mail");
    mailmesh_state::fingerprint_key_id(key).to_be_bytes()
}

/// Starts nodes with a duplicate name, one after the other. Each is younger than the node that has
/// the name, so it must stop.
///
/// # Errors
/// If a node does not stop: nobody refused it, or it met no other node.
pub(crate) fn run_name_conflict(config: &str, stop: &AtomicBool) -> Result<u64, Box<dyn Error>> {
    // The nodes under attack use links without a proof too.
    let config = serde_json::json!({
        "@type": "Zenoh", "config": config, "mesh": { "links": "unproven" }
    });
    let config = config.to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sent = 0;
        while !stop.load(Ordering::Acquire) {
            let builder = Node::builder().name("a").key(ClusterKey::from_bytes(&KEY));
            let node = builder.coordinator(Coordinator::parse(&config)?).start().await?;
            sent += 1;
            let stopped = tokio::time::timeout(REFUSAL_TIMEOUT, node.stopped()).await;
            node.shutdown().await;
            if !matches!(stopped, Ok(StopReason::DuplicateName { .. })) {
                return Err(format!("a duplicate name was not refused: {stopped:?}").into());
            }
        }
        Ok(sent)
    })
}
