//! The machine that wires the small ones together.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::control::{Control, Status, VERSION};
use crate::flow::Outstanding;
use crate::heartbeat::Heartbeat;
use crate::lobby::Lobby;
use crate::membership::{Context, Membership};
use crate::receive::Accepted;
use crate::repair::Repair;
use crate::{
    Counters, DeliveryError, Destination, Frame, FrameKind, Identity, Incarnation, Lane,
    MAX_EVENTS_PER_FRAME, Output, PeerInfo, Settings, Time,
};

/// What the bus says of the way to a peer. A hint: membership rests on frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The peer can be reached.
    Up,
    /// The peer can no longer be reached directly.
    Down,
}

/// One node's side of the protocol.
///
/// After each input, take every output with [`poll_output`](Self::poll_output)
/// (that is what bounds their queue) and call
/// [`handle_deadline`](Self::handle_deadline) at [`next_deadline`](Self::next_deadline).
/// Time must not go back between calls.
#[derive(Debug)]
pub struct Node {
    identity: Identity,
    settings: Settings,
    /// Number of the last event sent, per lane.
    positions: [u64; 2],
    /// Number of the last control or direct message sent.
    control_position: u64,
    heartbeat: Heartbeat,
    tag: Bytes,
    membership: Membership,
    lobby: Lobby,
    repair: Repair,
    outstanding: [Outstanding; 2],
    outputs: VecDeque<Output>,
    counters: Counters,
    has_left: bool,
    /// The elder node of our name, for which we must step back.
    elder: Option<Incarnation>,
}

impl Node {
    /// A node that begins now; its first output introduces it.
    #[must_use]
    pub fn new(identity: Identity, settings: Settings, now: Time) -> Self {
        let mut node = Self {
            identity,
            settings,
            positions: [0; 2],
            control_position: 0,
            heartbeat: Heartbeat::new(settings, now),
            tag: Bytes::new(),
            membership: Membership::new(settings),
            lobby: Lobby::default(),
            repair: Repair::new(settings, now),
            outstanding: Default::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            has_left: false,
            elder: None,
        };
        node.transmit(Destination::All, &Control::Hello(node.status()));
        node.heartbeat.on_heartbeat(now);
        node
    }

    /// Gives the next `count` events of `lane` their numbers. Put the frame on
    /// the bus, to all, before the next one of the same lane.
    ///
    /// # Errors
    /// [`DeliveryError::Count`] unless 1 to [`MAX_EVENTS_PER_FRAME`] events;
    /// [`DeliveryError::HasLeft`]; [`DeliveryError::Exhausted`].
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
        let position = &mut self.positions[lane.index()];
        let last = position.checked_add(count.into()).ok_or(DeliveryError::Exhausted)?;
        let first = *position + 1;
        *position = last;
        self.counters.sent += u64::from(count);
        self.heartbeat.on_event_sent(now);
        let (incarnation, kind) = (self.identity.incarnation, FrameKind::Data(lane));
        let frame = Frame { incarnation, kind, first, count, body };
        self.membership.on_sending(now, lane, first - 1);
        let outstanding = &mut self.outstanding[lane.index()];
        outstanding.on_sent(last, frame.body.len());
        outstanding.forget(2 * self.settings.window as u64);
        self.repair.keep(lane, frame.clone());
        Ok(frame)
    }

    /// Whether the receivers keep up with a lane. While they do not, more should not
    /// be sent: it would be lost at them. A lane opens when they confirm, or when
    /// those that confirm nothing are set aside.
    #[must_use]
    pub fn is_open(&self, lane: Lane) -> bool {
        self.membership.is_open(lane, &self.outstanding[lane.index()])
    }

    /// Sends a message of the layer above to one peer: at most once, in no order.
    ///
    /// # Errors
    /// [`DeliveryError::NotAMember`], [`DeliveryError::HasLeft`].
    pub fn send_direct(&mut self, to: Incarnation, body: Bytes) -> Result<(), DeliveryError> {
        if self.has_left {
            return Err(DeliveryError::HasLeft);
        }
        if self.membership.get(to).is_none() {
            return Err(DeliveryError::NotAMember);
        }
        self.push_frame(Destination::One(to), FrameKind::Direct, body);
        Ok(())
    }

    /// Sets what rides on heartbeats; the first [`Settings::max_tag`] bytes count.
    pub fn set_tag(&mut self, mut tag: Bytes) {
        tag.truncate(self.settings.max_tag);
        self.tag = tag;
    }

    /// A frame came.
    pub fn handle_frame(&mut self, now: Time, frame: Frame) {
        if self.has_left || frame.incarnation == self.identity.incarnation {
            return;
        }
        match frame.kind {
            FrameKind::Control => self.handle_control(now, &frame),
            FrameKind::Data(_) | FrameKind::Direct => self.handle_payload(now, frame),
        }
    }

    /// The bus noticed a change of the way to a peer.
    pub fn handle_link(&mut self, now: Time, incarnation: Incarnation, link: Link) {
        if self.has_left || incarnation == self.identity.incarnation {
            return;
        }
        match link {
            Link::Up => {
                self.transmit(Destination::One(incarnation), &Control::Hello(self.status()));
            }
            Link::Down => {
                self.with_members(now, |members, ctx| members.on_link_down(now, incarnation, ctx));
            }
        }
    }

    /// Time has come to [`next_deadline`](Self::next_deadline). Calling early
    /// or late does no harm.
    pub fn handle_deadline(&mut self, now: Time) {
        if self.has_left {
            return;
        }
        self.with_members(now, |members, ctx| members.on_deadline(now, ctx));
        for lane in Lane::ALL {
            let sent = &self.outstanding[lane.index()];
            self.counters.set_aside += self.membership.set_aside(now, lane, sent);
        }
        if self.heartbeat.due() <= now {
            self.transmit(Destination::All, &Control::Heartbeat(self.status()));
            self.heartbeat.on_heartbeat(now);
            self.counters.heartbeats += 1;
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline); `None` once the
    /// node has left.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.has_left {
            return None;
        }
        let lag = |lane: Lane| self.membership.lag_deadline(lane, &self.outstanding[lane.index()]);
        let lags = Lane::ALL.into_iter().filter_map(lag);
        Some(lags.chain(self.membership.deadline()).fold(self.heartbeat.due(), Time::min))
    }

    /// Says goodbye. Nothing is sent or handled afterwards.
    pub fn leave(&mut self) {
        if !self.has_left {
            let (positions, elder) = (self.positions, self.elder);
            self.transmit(Destination::All, &Control::Bye { positions, elder });
            self.has_left = true;
        }
    }

    /// The next thing to do or know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The live peers.
    pub fn peers(&self) -> impl Iterator<Item = &PeerInfo> {
        self.membership.iter().map(|peer| &peer.info)
    }

    /// Number of live peers.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.membership.len()
    }

    /// Number of the last event sent in a lane.
    #[must_use]
    pub fn position(&self, lane: Lane) -> u64 {
        self.positions[lane.index()]
    }

    /// Number of the last event of a peer's lane that was delivered or reported
    /// missing; `None` for who is not a member.
    #[must_use]
    pub fn peer_position(&self, peer: Incarnation, lane: Lane) -> Option<u64> {
        self.membership.get(peer).map(|peer| peer.streams[lane.index()].position())
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bytes of sent frames kept for who missed some.
    #[must_use]
    pub fn replay_bytes(&self) -> usize {
        self.repair.bytes()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn handle_payload(&mut self, now: Time, frame: Frame) {
        let from = frame.incarnation;
        if self.membership.get(from).is_none() {
            self.counters.unknown_sender += self.lobby.keep(frame, self.settings.lobby_bytes);
            return;
        }
        self.membership.on_heard(now, from);
        let Some(peer) = self.membership.get_mut(from) else {
            return;
        };
        let lane = match frame.kind {
            FrameKind::Data(lane) => lane,
            FrameKind::Direct | FrameKind::Control => {
                if peer.controls.accept(frame.first) {
                    self.outputs.push_back(Output::Direct { from, body: frame.body });
                } else {
                    self.counters.replayed += 1;
                }
                return;
            }
        };
        let in_range = frame.first.checked_add(frame.count.into()).is_some();
        if frame.count == 0 || frame.first == 0 || !in_range {
            self.counters.malformed += 1;
            return;
        }
        let mut released = Vec::new();
        let stream = peer.stream(lane);
        match stream.on_data(now, frame.first, frame.count, frame.body, &mut released) {
            Accepted::Fresh => {}
            Accepted::Duplicate => self.counters.duplicates += 1,
            Accepted::NoRoom => self.counters.reorder_dropped += 1,
            Accepted::Malformed => self.counters.malformed += 1,
        }
        self.with_members(now, |members, ctx| {
            if let Some(peer) = members.get_mut(from) {
                ctx.release(peer, lane, released);
            }
            members.remove_finished(from, ctx);
        });
    }

    fn handle_control(&mut self, now: Time, frame: &Frame) {
        let from = frame.incarnation;
        let Some(control) = Control::decode(&frame.body) else {
            self.counters.malformed += 1;
            return;
        };
        if let Some(peer) = self.membership.get_mut(from) {
            if !peer.controls.accept(frame.first) {
                self.counters.replayed += 1;
                return;
            }
            self.membership.on_heard(now, from);
        }
        match control {
            Control::Hello(status) | Control::Heartbeat(status)
                if status.name == self.identity.name =>
            {
                self.with_members(now, |members, ctx| members.on_twin(now, from, &status, ctx));
            }
            Control::Hello(status) => {
                self.transmit(Destination::One(from), &Control::Heartbeat(self.status()));
                self.handle_status(now, frame, status);
            }
            Control::Heartbeat(status) => {
                // So that a newcomer knows us before our next event.
                if self.membership.get(from).is_none() {
                    self.transmit(Destination::One(from), &Control::Heartbeat(self.status()));
                }
                self.handle_status(now, frame, status);
            }
            Control::Bye { positions, .. } if positions.contains(&u64::MAX) => {
                self.counters.malformed += 1;
            }
            Control::Bye { positions, elder } => {
                let bye = (positions, elder);
                self.with_members(now, |members, ctx| members.on_bye(now, from, bye, ctx));
            }
            Control::Probe { nonce } => {
                self.transmit(Destination::One(from), &Control::ProbeAnswer { nonce });
            }
            Control::Ack { positions } => self.handle_ack(now, from, positions),
            Control::Nak { lane, first, last } => self.repair(now, from, lane, first, last),
            Control::Gone { lane, before } => {
                self.with_members(now, |members, ctx| {
                    members.on_gone(now, from, (lane, before), ctx)
                });
            }
            Control::ProbeAnswer { nonce } => {
                let own = self.identity.clone();
                let elder = self.with_members(now, |members, ctx| {
                    members.on_probe_answer(from, nonce, &own, ctx)
                });
                self.elder = self.elder.or(elder);
            }
        }
    }

    /// A member confirms what it has taken.
    fn handle_ack(&mut self, now: Time, from: Incarnation, positions: [u64; 2]) {
        let Some(peer) = self.membership.get_mut(from) else { return };
        for lane in Lane::ALL {
            let i = lane.index();
            let (last, sent) = (self.positions[i], &self.outstanding[i]);
            peer.confirmed[i].on_ack(positions[i], last, sent, &self.settings, now);
        }
    }

    /// Sends again what a member asked for.
    fn repair(&mut self, now: Time, to: Incarnation, lane: Lane, first: u64, last: u64) {
        if self.membership.get(to).is_none() || first == 0 || last < first {
            self.counters.malformed += 1;
            return;
        }
        let (gone, frames) = self.repair.answer(now, lane, first, last);
        let to = Destination::One(to);
        if let Some(gone) = gone {
            self.transmit(to, &gone);
        }
        self.counters.replayed_frames += frames.len() as u64;
        self.outputs.extend(frames.into_iter().map(|frame| Output::Transmit { to, frame }));
    }

    fn handle_status(&mut self, now: Time, frame: &Frame, status: Status) {
        let from = frame.incarnation;
        if status.positions.contains(&u64::MAX) || status.tag.len() > self.settings.max_tag {
            self.counters.malformed += 1;
            return;
        }
        let (is_new, ours) = (self.membership.get(from).is_none(), self.positions);
        if is_new && !self.membership.may_introduce(from, frame.first) {
            self.counters.replayed += 1;
            return;
        }
        if !self.with_members(now, |members, ctx| members.introduce(now, from, &status, ours, ctx))
        {
            return;
        }
        if is_new {
            if let Some(peer) = self.membership.get_mut(from) {
                peer.controls.accept(frame.first);
            }
            for waiting in self.lobby.take(from) {
                self.handle_payload(now, waiting);
            }
        }
        if let Some(peer) = self.membership.get_mut(from) {
            for (stream, position) in peer.streams.iter_mut().zip(status.positions) {
                stream.on_position(now, position);
            }
            self.outputs.push_back(Output::Tag { from, tag: status.tag });
        }
    }

    fn with_members<R>(
        &mut self,
        now: Time,
        f: impl FnOnce(&mut Membership, &mut Context<'_>) -> R,
    ) -> R {
        let mut send = Vec::new();
        let mut ctx = Context {
            outputs: &mut self.outputs,
            counters: &mut self.counters,
            send: &mut send,
            nonce: nonce(self.identity.incarnation, self.control_position),
            now,
            settings: self.settings,
        };
        let result = f(&mut self.membership, &mut ctx);
        for (to, control) in send {
            self.transmit(to, &control);
        }
        result
    }

    fn status(&self) -> Status {
        Status {
            version: VERSION,
            name: self.identity.name.clone(),
            started_ms: self.identity.started_ms,
            positions: self.positions,
            tag: self.tag.clone(),
        }
    }

    fn transmit(&mut self, to: Destination, control: &Control) {
        self.push_frame(to, FrameKind::Control, control.encode().into());
    }

    fn push_frame(&mut self, to: Destination, kind: FrameKind, body: Bytes) {
        self.control_position += 1;
        let (incarnation, first) = (self.identity.incarnation, self.control_position);
        let frame = Frame { incarnation, kind, first, count: 0, body };
        self.outputs.push_back(Output::Transmit { to, frame });
    }
}

/// A number that no other probe of ours has, nor most likely of anybody's.
fn nonce(incarnation: Incarnation, position: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = incarnation.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ position.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
