//! The mirrors of the nodes, their wall clocks, and the messages that the simulation carries for
//! them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use mailmesh_delivery::Incarnation;
use mailmesh_events::{
    Change, ChangeKey, CodedSymbol, DirectMessage, MirrorDigest, Network, NodeId, Rule,
    RuleDetails, Share, Stamp, SyncMessage, UnixMillis,
};
use mailmesh_state::{ClusterClock, Mirror, ReconcileConfig, Reconciler};

use crate::plan::FIRST_SINGLE_USE_KEY;

/// The time of right wall clocks at the start of a run.
const EPOCH: UnixMillis = UnixMillis(1_800_000_000_000);

/// Most mirror messages of a node in one second: a full token bucket of answers, and the node's own
/// queries and pushes.
const MAX_MESSAGES_PER_SECOND: usize = 9_000;

/// 20 hours: almost the lifetime of a tombstone.
const FAR_OFF_MS: u64 = 20 * 3_600_000;

/// The mirror of one incarnation, with the parts that keep it in sync.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) mirror: Mirror,
    pub(crate) reconciler: Reconciler<Incarnation>,
    pub(crate) clocks: ClusterClock<Incarnation>,
    /// Milliseconds from the wall clock of the node to cluster time.
    pub(crate) correction: i64,
}

impl Replica {
    pub(crate) fn new(incarnation: Incarnation, writer: u64) -> Self {
        Self {
            mirror: Mirror::new(NodeId(writer), [5; 16]),
            reconciler: Reconciler::new(incarnation, ReconcileConfig::default()),
            clocks: ClusterClock::default(),
            correction: 0,
        }
    }

    pub(crate) fn tag(&self) -> Bytes {
        let MirrorDigest { entries, set_hash, key_id } = self.mirror.digest();
        [&entries.to_be_bytes()[..], &set_hash.to_be_bytes(), &key_id.to_be_bytes()].concat().into()
    }
}

/// Parses the mirror digest in the tag of a heartbeat.
pub(crate) fn digest(tag: &[u8]) -> Option<MirrorDigest> {
    let (entries, rest) = tag.split_first_chunk()?;
    let (set_hash, key_id) = rest.split_first_chunk()?;
    Some(MirrorDigest {
        entries: u64::from_be_bytes(*entries),
        set_hash: u128::from_be_bytes(*set_hash),
        key_id: u32::from_be_bytes(key_id.try_into().ok()?),
    })
}

/// State of all mirrors together: the messages and changes that frames carry, what the mirrors may
/// contain, and the wall clocks. Frames carry the number of a message instead of its encoding,
/// which the codec tests.
#[derive(Debug, Default)]
pub(crate) struct MirrorWorld {
    /// Changes that events carry, by sender and event number.
    pub(crate) changes: BTreeMap<(Incarnation, u64), Change>,
    messages: Vec<DirectMessage>,
    /// Every change that a node or a liar made.
    made: BTreeSet<(ChangeKey, Stamp)>,
    /// Per key, the latest change that replaced another one where it was made, and its maker.
    /// Nothing older may come back while the maker is alive.
    replaced: BTreeMap<ChangeKey, (Incarnation, Stamp)>,
    /// Milliseconds that the wall clock of a machine is ahead. A machine has the number of its
    /// node.
    offset_ms: BTreeMap<usize, i64>,
    /// Machines whose wall clock was ever off by more than [`FAR_OFF_MS`].
    far_off: BTreeSet<usize>,
    /// Messages about content so far.
    pub(crate) message_count: u64,
    /// Times of the messages about content that each node sent within the last second.
    recent_messages: BTreeMap<Incarnation, VecDeque<Duration>>,
    flooding_node: Option<Incarnation>,
}

impl MirrorWorld {
    /// Stores a message and returns the bytes that refer to it.
    pub(crate) fn store_message(&mut self, message: impl Into<DirectMessage>) -> Bytes {
        let message = message.into();
        if matches!(message, DirectMessage::Sync(_)) {
            self.message_count += 1;
        }
        self.messages.push(message);
        (self.messages.len() as u64 - 1).to_be_bytes().to_vec().into()
    }

    /// Counts a message about content that a node sends.
    pub(crate) fn count_message(&mut self, node: Incarnation, at: Duration) {
        let times = self.recent_messages.entry(node).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| *first + Duration::from_secs(1) <= at) {
            times.pop_front();
        }
        if times.len() > MAX_MESSAGES_PER_SECOND {
            self.flooding_node = Some(node);
        }
    }

    /// Checks that no node sent more messages about content in a second than its peers allow.
    pub(crate) fn check_message_rate(&self) -> Result<(), String> {
        self.flooding_node.map_or(Ok(()), |node| {
            Err(format!(
                "{node:?} sends more than {MAX_MESSAGES_PER_SECOND} mirror messages in one second"
            ))
        })
    }

    pub(crate) fn load_message(&self, body: &[u8]) -> Option<DirectMessage> {
        let number = u64::from_be_bytes(body.try_into().ok()?);
        self.messages.get(usize::try_from(number).ok()?).cloned()
    }

    /// Records a change that a node makes and publishes as the event of this number.
    pub(crate) fn record_change(&mut self, by: Incarnation, number: u64, change: Change) {
        self.made.insert((change.key(), change.stamp()));
        self.changes.insert((by, number), change);
    }

    /// Records whether a change replaced another entry or nothing where it was made.
    pub(crate) fn record_replacement(
        &mut self,
        by: Incarnation,
        change: &Change,
        replaces_one: bool,
    ) {
        let (key, stamp) = (change.key(), change.stamp());
        match self.replaced.get(&key) {
            Some((_, known)) if *known >= stamp => {}
            _ if replaces_one => drop(self.replaced.insert(key, (by, stamp))),
            _ => drop(self.replaced.remove(&key)),
        }
    }

    /// Checks that no replaced entry came back while the node that replaced it is alive.
    pub(crate) fn check_replaced(
        &self,
        content: &[Change],
        is_alive: impl Fn(Incarnation) -> bool,
    ) -> Result<(), String> {
        for change in content {
            if let Some((by, stamp)) = self.replaced.get(&change.key())
                && change.stamp() < *stamp
                && is_alive(*by)
            {
                return Err(format!("{change:?} is back, although {by:?} replaced it"));
            }
        }
        Ok(())
    }

    /// Sets the wall clock of a machine to be this far ahead.
    pub(crate) fn set_clock(&mut self, machine: usize, offset_ms: i64) {
        self.offset_ms.insert(machine, offset_ms);
        if offset_ms.unsigned_abs() > FAR_OFF_MS {
            self.far_off.insert(machine);
        }
    }

    /// Whether the wall clock of a machine was ever off by almost the lifetime of a tombstone.
    pub(crate) fn was_far_off(&self, machine: usize) -> bool {
        self.far_off.contains(&machine)
    }

    /// Whether the wall clock of a machine is right.
    pub(crate) fn is_correct(&self, machine: usize) -> bool {
        self.offset_ms.get(&machine).is_none_or(|offset_ms| *offset_ms == 0)
    }

    /// Records the entries of a lie. Mirrors take them, since their sender has the key.
    pub(crate) fn record_lie(&mut self, message: &SyncMessage) {
        if let SyncMessage::Entries { changes, .. } | SyncMessage::Part { changes, .. } = message {
            self.made.extend(changes.iter().map(|change| (change.key(), change.stamp())));
        }
    }

    /// The time that the wall clock of a machine shows.
    pub(crate) fn wall_clock(&self, machine: usize, elapsed: Duration) -> UnixMillis {
        let offset_ms = self.offset_ms.get(&machine).copied().unwrap_or(0);
        UnixMillis(EPOCH.plus(elapsed).0.saturating_add_signed(offset_ms))
    }

    /// The machine whose wall clock is off the most; `None` if all are right.
    pub(crate) fn most_wrong_machine(&self) -> Option<usize> {
        let wrong = self.offset_ms.iter().filter(|(_, offset_ms)| **offset_ms != 0);
        wrong.max_by_key(|(_, offset_ms)| offset_ms.unsigned_abs()).map(|(machine, _)| *machine)
    }

    /// Checks that every entry of a mirror was made by a node or a liar.
    pub(crate) fn check_origin(&self, content: &[Change]) -> Result<(), String> {
        let invented = content.iter().find(|c| !self.made.contains(&(c.key(), c.stamp())));
        invented.map_or(Ok(()), |change| Err(format!("no node made {change:?}")))
    }
}

/// The network of a key.
pub(crate) fn network(key: u16) -> Network {
    let [high, low] = key.to_be_bytes();
    Network::single(Ipv4Addr::new(198, 51, 100_u8.wrapping_add(high), low).into())
}

/// The live entries that never expire.
pub(crate) fn entries_without_expiry(mirror: &Mirror) -> BTreeSet<(ChangeKey, Stamp)> {
    let content = mirror.content().into_iter();
    let entries_without_expiry =
        content.filter(|change| change.is_live() && change.expires().is_none());
    entries_without_expiry.map(|change| (change.key(), change.stamp())).collect()
}

/// The latest change of each key in any of the mirrors.
pub(crate) fn latest(contents: impl Iterator<Item = Vec<Change>>) -> BTreeMap<ChangeKey, Change> {
    let mut latest: BTreeMap<ChangeKey, Change> = BTreeMap::new();
    for change in contents.flatten() {
        match latest.get_mut(&change.key()) {
            Some(held) if held.stamp() >= change.stamp() => {}
            Some(held) => *held = change,
            None => drop(latest.insert(change.key(), change)),
        }
    }
    latest
}

/// Checks that the mirror lost nothing that any mirror had before. Each entry is as late as before,
/// unless the earlier one has expired.
pub(crate) fn check_kept(
    before: &BTreeMap<ChangeKey, Change>,
    mirror: &Mirror,
    now: UnixMillis,
) -> Result<(), String> {
    let held = latest(std::iter::once(mirror.content()));
    for (key, change) in before {
        let is_kept = held.get(key).is_some_and(|held| held.stamp() >= change.stamp());
        if !is_kept && change.expires().is_none_or(|at| at > now) {
            return Err(format!("lost: {change:?}; the mirror has {:?}", held.get(key)));
        }
    }
    Ok(())
}

/// A useless or harmful message to a mirror: a block from the year 3000 that has one stamp and two
/// contents, requests for everything, or unrequested answers that never end.
pub(crate) fn lie(rng: &mut Rng, node: usize) -> SyncMessage {
    let (round, first) = (rng.u32(..), Share { bits: 0, index: 0 });
    let year_3000 = UnixMillis(32_503_680_000_000);
    let change = || {
        // Each node gets only one of the contents, so only a comparison of mirrors shows both.
        let reason = if node.is_multiple_of(2) { "liar" } else { "another" };
        let block = RuleDetails::new(reason, year_3000).ok()?;
        // A key that the nodes do not use.
        Mirror::new(NodeId(u64::MAX), [5; 16]).block(network(250), block, year_3000).ok()
    };
    let changes = Vec::from_iter(change());
    match rng.u8(..5) {
        0 => SyncMessage::Request { round, first, shares: 1 },
        1 => SyncMessage::AskSymbols { round, first, shares: 1, from: 0, count: 1_024 },
        2 => {
            let items = (0..rng.usize(..1_024)).map(|_| rng.u64(..)).collect();
            SyncMessage::AskEntries { round, items }
        }
        3 => SyncMessage::Entries { round: rng.u32(..3), changes, more: true },
        _ => {
            let part = rng.u16(..);
            SyncMessage::Part { round: rng.u32(..3), share: first, part, changes, more: true }
        }
    }
}

/// The answer of a liar to a query about its mirror. It differs each time and is never the last
/// one.
pub(crate) fn unending_answer(rng: &mut Rng, question: DirectMessage) -> Option<SyncMessage> {
    let DirectMessage::Sync(question) = question else { return None };
    let (changes, more) = (Vec::new(), true);
    match question {
        SyncMessage::Request { round, first, .. } => {
            Some(SyncMessage::Part { round, share: first, part: rng.u16(..1_000), changes, more })
        }
        SyncMessage::AskSymbols { round, first, shares, from, count } => {
            let symbol = |_| CodedSymbol { sum: rng.u64(..), check: rng.u32(..), count: 1 };
            let symbols = (0..u32::from(shares) * u32::from(count)).map(symbol).collect();
            Some(SyncMessage::Symbols { round, first, from, count, symbols })
        }
        SyncMessage::AskEntries { round, .. } => {
            Some(SyncMessage::Entries { round, changes, more })
        }
        _ => None,
    }
}

/// An expired entry that the mirror still has although its network was blocked only once, so that
/// the entry replaced nothing.
pub(crate) fn needless_memory(mirror: &Mirror, now: UnixMillis) -> Option<Change> {
    let once = |change: &Change| match change.key() {
        ChangeKey::Network { network: key, .. } => key >= network(FIRST_SINGLE_USE_KEY),
        _ => false,
    };
    let swept = Duration::from_secs(1);
    let ended = |change: &Change| change.expires().is_some_and(|at| at.plus(swept) <= now);
    mirror.content().into_iter().find(|change| ended(change) && once(change))
}

/// Checks that lookups agree with the content.
pub(crate) fn check_lookups(mirror: &Mirror, now: UnixMillis) -> Result<(), String> {
    for change in mirror.content() {
        let ChangeKey::Network { rule: Rule::Block, network } = change.key() else { continue };
        let is_live = change.is_live() && change.expires().is_none_or(|at| at > now);
        if mirror.is_blocked(network.address(), now) != is_live {
            return Err(format!("a lookup says {} for {change:?}", !is_live));
        }
    }
    Ok(())
}
