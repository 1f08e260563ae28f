//! [`Endpoint`]: the state machine of one node, which connects the smaller ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::context::Context;
use crate::control::{Control, Status, VERSION};
use crate::flow::InFlight;
use crate::heartbeat::Heartbeat;
use crate::membership::{Membership, deadlines, failure, gossip, name_conflict};
use crate::planted::{Fault, planted};
use crate::receive::ReceiveStream;
use crate::repair::Repair;
use crate::token_bucket::TokenBucket;
use crate::unknown_senders::UnknownSenderBuffer;
use crate::{
    BULK_LEN, DeliveryCounters, DeliveryError, Destination, Frame, FrameKind, Identity,
    Incarnation, Lane, MAX_EVENTS_PER_FRAME, Output, PeerInfo, PerLane, Settings, Time,
};

/// A link change that the bus reports. It is only a hint: membership depends on frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The bus can reach the peer.
    Up,
    /// The bus can no longer reach the peer directly.
    Down,
}

/// Minimum time between two greetings of the same node.
const GREETING_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of nodes whose last greeting is remembered.
const MAX_GREETED: usize = 1024;

/// The protocol state machine of one node.
///
/// After each input, the caller takes every output with [`poll_output`](Self::poll_output), which
/// keeps the output queue bounded. It calls [`handle_deadline`](Self::handle_deadline) at
/// [`next_deadline`](Self::next_deadline). The time that the caller passes in must never decrease.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) identity: Identity,
    pub(crate) settings: Arc<Settings>,
    /// Number of the last event sent, per lane.
    pub(crate) positions: PerLane<u64>,
    /// Number of the last control, short direct or relay message sent.
    control_position: u64,
    /// Number of the last direct message sent that is longer than [`BULK_LEN`].
    bulk_position: u64,
    /// Number of the last status or probe answer sent.
    pub(crate) heartbeat_seq: u64,
    pub(crate) heartbeat: Heartbeat,
    tag: Bytes,
    pub(crate) membership: Membership,
    pub(crate) unknown_senders: UnknownSenderBuffer,
    pub(crate) repair: Repair,
    pub(crate) in_flight: PerLane<InFlight>,
    /// Limits how many nodes are admitted.
    admissions: TokenBucket,
    /// Limits how many nodes are greeted.
    greetings: TokenBucket,
    /// When each node was last greeted; at most [`MAX_GREETED`] nodes.
    greeted: BTreeMap<Incarnation, Time>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) counters: DeliveryCounters,
    pub(crate) has_left: bool,
    /// The node that keeps the name of this node, so this node must leave.
    pub(crate) winner: Option<Incarnation>,
}

impl Endpoint {
    /// An endpoint that starts at `now`. Its first output is the `Hello` that introduces it.
    #[must_use]
    pub fn new(identity: Identity, settings: impl Into<Arc<Settings>>, now: Time) -> Self {
        let settings = settings.into();
        let mut node = Self {
            identity,
            settings: settings.clone(),
            positions: PerLane::default(),
            control_position: 0,
            bulk_position: 0,
            heartbeat_seq: 0,
            heartbeat: Heartbeat::new(settings.clone(), now),
            tag: Bytes::new(),
            membership: Membership::new(settings.clone(), now),
            unknown_senders: UnknownSenderBuffer::default(),
            repair: Repair::new(settings.clone(), now),
            in_flight: Default::default(),
            admissions: TokenBucket::full(settings.admission_burst, now),
            greetings: TokenBucket::full(settings.admission_burst, now),
            greeted: BTreeMap::new(),
            outputs: VecDeque::new(),
            counters: DeliveryCounters::default(),
            has_left: false,
            winner: None,
        };
        let hello = Control::Hello(node.status(now));
        node.transmit(Destination::All, &hello);
        node.heartbeat.on_heartbeat(now);
        node
    }

    /// Numbers the next `count` events of `lane` and returns their frame. The caller must put the
    /// frame on the bus, addressed to all, before the next frame of the same lane. This function
    /// does not check [`may_send`](Self::may_send).
    ///
    /// # Errors
    /// [`DeliveryError::Count`] unless `count` is 1 to [`MAX_EVENTS_PER_FRAME`];
    /// [`DeliveryError::HasLeft`] after [`leave`](Self::leave); [`DeliveryError::Exhausted`] if the
    /// lane has no numbers left.
    pub fn send(
        &mut self,
        now: Time,
        lane: Lane,
        count: u16,
        body: Bytes,
    ) -> Result<Frame, DeliveryError> {
        if self.has_left {
            return Err(DeliveryError::HasLeft);
        }
        if !(1..=MAX_EVENTS_PER_FRAME).contains(&count) {
            return Err(DeliveryError::Count { count, limit: MAX_EVENTS_PER_FRAME });
        }
        let position = &mut self.positions[lane];
        let last = position.checked_add(count.into()).ok_or(DeliveryError::Exhausted)?;
        let first = *position + 1;
        *position = last;
        self.counters.sent += u64::from(count);
        self.heartbeat.on_event_sent(now);
        let (incarnation, kind) = (self.identity.incarnation, FrameKind::Data(lane));
        let frame = Frame { incarnation, to: None, kind, first, count, body, wire: None };
        self.membership.on_sending(now, lane, first - 1);
        let in_flight = &mut self.in_flight[lane];
        in_flight.on_sent(now, last, frame.window_cost());
        in_flight.forget(2 * self.settings.window as u64);
        self.membership.on_sent(now, lane, in_flight);
        self.repair.keep_sent(lane, frame.clone());
        Ok(frame)
    }

    /// Whether flow control lets the caller send in `lane`. If not, the caller should wait, since
    /// receivers would drop the frames. The lane opens when the receivers acknowledge, or when
    /// receivers that acknowledge nothing are excluded.
    #[must_use]
    pub fn may_send(&self, lane: Lane) -> bool {
        self.membership.may_send(lane, &self.in_flight[lane])
    }

    /// Sends an opaque message of the layer above to one peer: at most once, in no order, and never
    /// retransmitted.
    ///
    /// # Errors
    /// [`DeliveryError::NotAMember`] if `to` is not a member; [`DeliveryError::HasLeft`] after
    /// [`leave`](Self::leave).
    pub fn send_direct(&mut self, to: Incarnation, body: Bytes) -> Result<(), DeliveryError> {
        if self.has_left {
            return Err(DeliveryError::HasLeft);
        }
        if self.membership.get(to).is_none() {
            return Err(DeliveryError::NotAMember);
        }
        let is_bulk = body.len() > BULK_LEN;
        let kind = if is_bulk { FrameKind::Bulk } else { FrameKind::Direct };
        self.push_frame(Destination::One(to), kind, body);
        Ok(())
    }

    /// Sets the opaque tag that heartbeats carry. Bytes past [`Settings::max_tag`] are cut off.
    pub fn set_tag(&mut self, mut tag: Bytes) {
        tag.truncate(self.settings.max_tag);
        self.tag = tag;
    }

    /// Handles a change of the link to a peer.
    pub fn handle_link(&mut self, now: Time, incarnation: Incarnation, link: Link) {
        if self.has_left || incarnation == self.identity.incarnation {
            return;
        }
        match link {
            Link::Up => {
                if self.may_greet(now, incarnation) {
                    let hello = Control::Hello(self.status(now));
                    self.transmit(Destination::One(incarnation), &hello);
                }
            }
            Link::Down => {
                self.with_members(now, |members, ctx| {
                    failure::on_link_down(members, incarnation, ctx)
                });
            }
        }
    }

    /// Does everything that is due at `now`. Calling before or after
    /// [`next_deadline`](Self::next_deadline) does no harm.
    pub fn handle_deadline(&mut self, now: Time) {
        if self.has_left {
            return;
        }
        self.with_members(now, |members, ctx| deadlines::on_deadline(members, now, ctx));
        for lane in Lane::ALL {
            let sent = &self.in_flight[lane];
            self.counters.receivers_excluded += self.membership.exclude_overdue(now, lane, sent);
        }
        if self.heartbeat.due() <= now {
            let mut status = self.status(now);
            if self.heartbeat.takes_digest(now, self.membership.len()) {
                status.digest = gossip::digest(&mut self.membership, now);
            }
            self.transmit(Destination::All, &Control::Heartbeat(status));
            self.heartbeat.on_heartbeat(now);
            self.counters.heartbeats += 1;
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next; `None` after the node has
    /// left.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.has_left {
            return None;
        }
        let blocked = |lane: Lane| self.membership.blocked_deadline(lane, &self.in_flight[lane]);
        let blocked = Lane::ALL.into_iter().filter_map(blocked);
        Some(blocked.chain(self.membership.deadline()).fold(self.heartbeat.due(), Time::min))
    }

    /// Until when to wait before [`leave`](Self::leave), so that the last events are not lost with
    /// this node. `None` once waiting is pointless: each peer has acknowledged everything, or has
    /// acknowledged nothing for [`Settings::lag_timeout`].
    ///
    /// Ask again after each input: the time moves on as peers acknowledge. An upper bound is up to
    /// the caller ([`Settings::linger`]).
    #[must_use]
    pub fn drain_until(&self, now: Time) -> Option<Time> {
        let awaited = |lane: Lane| {
            self.membership.unacked_until(lane, self.positions[lane], &self.in_flight[lane])
        };
        let until = Lane::ALL.into_iter().filter_map(awaited).max();
        until.filter(|until| *until > now && !self.has_left)
    }

    /// The peers that have not acknowledged everything. After this node has left, they can get the
    /// missing events only from other peers.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &PeerInfo> {
        self.membership.unacknowledged(self.positions)
    }

    /// Says goodbye to all. Afterwards the endpoint sends nothing and ignores its inputs.
    pub fn leave(&mut self) {
        if !self.has_left {
            let (positions, winner) = (self.positions, self.winner);
            self.transmit(Destination::All, &Control::Bye { positions, winner });
            self.has_left = true;
        }
    }

    /// Takes the next output, in order; `None` when there is none left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The members, without this node.
    pub fn peers(&self) -> impl Iterator<Item = &PeerInfo> {
        self.membership.iter().map(|peer| &peer.info)
    }

    /// Number of members, without this node.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.membership.len()
    }

    /// Number of the last event sent in a lane; 0 before the first.
    #[must_use]
    pub fn position(&self, lane: Lane) -> u64 {
        self.positions[lane]
    }

    /// Number of the last event of a peer's lane that was delivered or reported missing; `None` if
    /// the peer is not a member.
    #[must_use]
    pub fn peer_position(&self, peer: Incarnation, lane: Lane) -> Option<u64> {
        self.membership.get(peer).map(|peer| peer.streams[lane].position())
    }

    /// Name, incarnation and start time of this node.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bytes of sent frames kept for retransmission, both lanes together.
    #[must_use]
    pub fn replay_bytes(&self) -> usize {
        self.repair.sent_bytes()
    }

    /// Bytes of received frames kept for peers that cannot get them from the sender.
    #[must_use]
    pub fn relay_bytes(&self) -> usize {
        self.repair.received_bytes()
    }

    /// Bytes held behind a hole in the stream that holds the most.
    #[must_use]
    pub fn reorder_bytes(&self) -> usize {
        let streams = self.membership.iter().flat_map(|peer| &peer.streams);
        streams.map(ReceiveStream::held_bytes).max().unwrap_or(0)
    }

    /// Bytes of frames kept from senders that are not introduced yet.
    #[must_use]
    pub fn unknown_sender_bytes(&self) -> usize {
        self.unknown_senders.bytes()
    }

    /// The counters since the start of this endpoint.
    #[must_use]
    pub fn counters(&self) -> DeliveryCounters {
        self.counters
    }

    /// Whether this node may greet `peer` now; a refusal is counted. The limit per node protects
    /// the shared one: an attacker that replays frames of one incarnation cannot use up the
    /// greetings of other nodes.
    pub(crate) fn may_greet(&mut self, now: Time, peer: Incarnation) -> bool {
        let Settings { admission_burst, admission_rate, .. } = *self.settings;
        let is_recent = |at: &Time| now < *at + GREETING_INTERVAL;
        if self.greeted.get(&peer).is_some_and(is_recent) {
            self.counters.admissions_deferred += 1;
            return false;
        }
        if self.greeted.len() >= MAX_GREETED {
            self.greeted.retain(|_, at| is_recent(at));
        }
        if self.greeted.len() < MAX_GREETED {
            self.greeted.insert(peer, now);
        }
        let may = self.greetings.try_take_one(now, admission_rate, admission_burst);
        self.counters.admissions_deferred += u64::from(!may);
        may
    }

    /// Whether this node may admit one more node now; a refusal is counted.
    pub(crate) fn may_admit(&mut self, now: Time) -> bool {
        let Settings { admission_burst, admission_rate, .. } = *self.settings;
        let may = self.admissions.try_take_one(now, admission_rate, admission_burst);
        self.counters.admissions_deferred += u64::from(!may);
        may
    }

    /// Runs `f` on the membership, then sends the messages and relays the frames that `f` queued.
    pub(crate) fn with_members<R>(
        &mut self,
        now: Time,
        f: impl FnOnce(&mut Membership, &mut Context<'_>) -> R,
    ) -> R {
        let (mut send, mut relay) = Default::default();
        let mut ctx = Context {
            outputs: &mut self.outputs,
            counters: &mut self.counters,
            repair: &mut self.repair,
            send: &mut send,
            relay: &mut relay,
            own: self.identity.incarnation,
            nonce: nonce(self.identity.incarnation, self.control_position),
            now,
            settings: &self.settings,
        };
        let result = f(&mut self.membership, &mut ctx);
        for (to, control) in send {
            self.transmit(to, &control);
        }
        for (to, frame) in relay {
            if self.repair.take_relay_budget(now, &frame) {
                self.relay(to, frame);
            }
        }
        result
    }

    /// The current status of this node, with the next heartbeat number.
    pub(crate) fn status(&mut self, now: Time) -> Status {
        self.heartbeat_seq += 1;
        let hides_positions = planted(Fault::HeartbeatWithoutPositions);
        Status {
            version: VERSION,
            name: self.identity.name.clone(),
            started_ms: self.identity.started_ms,
            positions: if hides_positions { PerLane::default() } else { self.positions },
            tag: self.tag.clone(),
            heartbeat_seq: self.heartbeat_seq,
            digest: Vec::new(),
            established: name_conflict::established(&self.membership, now),
        }
    }

    pub(crate) fn transmit(&mut self, to: Destination, control: &Control) {
        self.push_frame(to, FrameKind::Control, control.encode().into());
    }

    /// Queues a frame of another node for the peer `to`.
    pub(crate) fn relay(&mut self, to: Incarnation, frame: Frame) {
        self.counters.relayed_frames += 1;
        self.control_position += 1;
        self.outputs.push_back(Output::Relay { to, number: self.control_position, frame });
    }

    fn push_frame(&mut self, to: Destination, kind: FrameKind, body: Bytes) {
        let position = match kind {
            FrameKind::Bulk => &mut self.bulk_position,
            _ => &mut self.control_position,
        };
        *position += 1;
        let (incarnation, first) = (self.identity.incarnation, *position);
        let recipient = match to {
            Destination::One(peer) => Some(peer),
            Destination::All => None,
        };
        let frame = Frame { incarnation, to: recipient, kind, first, count: 0, body, wire: None };
        self.outputs.push_back(Output::Transmit { to, frame });
    }
}

/// The nonce of the probes that one input causes. Each probe sent advances `position`, so two
/// inputs never use the same nonce. Nonces of different nodes most likely differ too.
fn nonce(incarnation: Incarnation, position: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = incarnation.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ position.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
