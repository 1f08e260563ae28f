//! The members that lie.

use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Destination, FrameKind, Incarnation, Lane};
use mailmesh_events::{Share, SyncMessage};

use super::{Item, Simulation};
use crate::liar::Victim;
use crate::mirrors;
use crate::network::Packet;
use crate::plan::Flood;

/// How often one gives a sign of life.
const BEAT: Duration = Duration::from_millis(200);
/// Their places in the network come after all seats.
const PLACES: usize = usize::MAX / 2;
/// For how many milliseconds one sends the same again and again.
const FLOOD: u32 = 600;
/// So many questions come to a mirror in a millisecond: many more than it answers.
const QUESTIONS: u32 = 30;
/// What another is said to have sent besides what it did.
const MADE_UP: u64 = 50;

/// What a liar sends again and again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flooding {
    seat: usize,
    to: Incarnation,
    of: Incarnation,
    flood: Flood,
    /// Milliseconds that are left.
    left: u32,
}

impl Simulation<'_> {
    /// All that there is to lie about: who lives, or did.
    fn victims(&self) -> Vec<Victim> {
        let victims = self.oracle.lives().map(|(life, name, lives)| {
            let positions = Lane::ALL.map(|lane| self.oracle.last_published(life, lane));
            Victim { life, name: format!("n{name}"), lives, positions }
        });
        victims.collect()
    }

    /// It stays a member.
    pub(super) fn lie_of_itself(&mut self, which: usize) {
        self.schedule(self.now + BEAT, Item::LieOfItself { which });
        let (victims, key) = (self.victims(), self.key_of_mirrors());
        let Some(liar) = self.liars.get_mut(which) else { return };
        for (to, packet) in liar.signs_of_life(&mut self.rng, &victims, &key) {
            self.carry_lie(which, to, &packet);
        }
    }

    /// It tells a node something.
    pub(super) fn lie(&mut self, seat: usize, lie: u64) {
        let Some(node) = self.seats[seat].node.as_ref() else { return };
        let to = node.identity().incarnation;
        let mut rng = Rng::with_seed(lie);
        let which = rng.usize(..self.liars.len().max(1));
        let (victims, recorded) = (self.victims(), self.network.recorded(rng.u32(..)));
        let about_mirrors = self.plan.mirrors && rng.u8(..3) == 0;
        let content = about_mirrors.then(|| {
            let lie = mirrors::lie(&mut rng, seat);
            self.world.lied(&lie);
            self.world.pack(lie)
        });
        let Some(liar) = self.liars.get_mut(which) else { return };
        let packet = match content {
            Some(content) => liar.direct(to, content),
            None => liar.lie(&mut rng, to, &victims, recorded.map(|packet| packet.frame)),
        };
        self.report.lies += 1;
        self.carry_lie(which, Destination::One(to), &packet);
    }

    /// It begins to send a node the same again and again.
    pub(super) fn begin_flood(&mut self, node: usize, of: usize, flood: Flood) {
        let life = |seat: usize| Some(self.seats[seat].node.as_ref()?.identity().incarnation);
        let (Some(to), Some(of)) = (life(node), life(of)) else { return };
        let sent = Lane::ALL.map(|lane| self.oracle.last_published(of, lane) + MADE_UP);
        let Some(liar) = self.liars.first_mut() else { return };
        if flood == Flood::Lacks {
            let packet = liar.has_heard(to, of, sent);
            self.carry_lie(0, Destination::One(to), &packet);
        }
        self.flood(Flooding { seat: node, to, of, flood, left: FLOOD });
    }

    pub(super) fn flood(&mut self, flooding: Flooding) {
        let Flooding { seat, to, of, flood, left } = flooding;
        let is_mute = flood == Flood::Questions && !self.plan.mirrors;
        if left == 0 || is_mute || self.places.get(&to) != Some(&seat) {
            return;
        }
        let (next, left) = (self.now + Duration::from_millis(1), left - 1);
        self.schedule(next, Item::Flood(Flooding { left, ..flooding }));
        let Some(liar) = self.liars.first_mut() else { return };
        let packets: Vec<Packet> = match flood {
            Flood::Lacks => Lane::ALL.map(|lane| liar.lacks(to, of, lane)).into(),
            Flood::Questions => {
                let first = Share { bits: 0, index: 0 };
                let ask = SyncMessage::AskSymbols { round: 1, first, shares: 1, from: 0, count: 1 };
                (0..QUESTIONS).map(|_| liar.direct(to, self.world.pack(ask.clone()))).collect()
            }
        };
        self.report.lies += 1;
        for packet in packets {
            self.carry_lie(0, Destination::One(to), &packet);
        }
    }

    /// A node says something to a liar: a question to its mirror gets an answer that never ends.
    pub(super) fn ask_liar(&mut self, life: Incarnation, packet: &Packet) {
        let Some(which) = self.liars.iter().position(|liar| liar.life() == life) else { return };
        let (to, rng) = (packet.frame.incarnation, &mut self.rng);
        let question = self.world.unpack(&packet.frame.body);
        let is_direct = packet.frame.kind == FrameKind::Direct;
        let answer =
            question.filter(|_| is_direct).and_then(|ask| mirrors::endless_answer(rng, ask));
        if let Some(answer) = answer {
            let content = self.world.pack(answer);
            let packet = self.liars[which].direct(to, content);
            self.carry_lie(which, Destination::One(to), &packet);
        }
    }

    /// How the digests of mirrors end: with the name of their key.
    fn key_of_mirrors(&self) -> Vec<u8> {
        let tag = self.seats.iter().find_map(|seat| Some(seat.keeper.as_ref()?.tag()));
        tag.map_or(vec![0; 4], |tag| tag[24..].to_vec())
    }

    fn carry_lie(&mut self, which: usize, to: Destination, packet: &Packet) {
        self.carry(PLACES + which, to, packet);
    }
}
