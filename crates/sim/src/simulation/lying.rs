//! The members that lie.

use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Destination, Lane};

use super::{Item, Simulation};
use crate::liar::Victim;
use crate::mirrors;
use crate::network::Packet;

/// How often one gives a sign of life.
const BEAT: Duration = Duration::from_millis(200);
/// Their places in the network come after all seats.
const PLACES: usize = usize::MAX / 2;

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
    pub(super) fn lie(&mut self, node: usize, lie: u64) {
        let Some(node) = self.seats[node].node.as_ref() else { return };
        let to = node.identity().incarnation;
        let mut rng = Rng::with_seed(lie);
        let which = rng.usize(..self.liars.len().max(1));
        let (victims, recorded) = (self.victims(), self.network.recorded(rng.u32(..)));
        let about_mirrors = self.plan.mirrors && rng.u8(..3) == 0;
        let content = about_mirrors.then(|| {
            let lie = mirrors::lie(&mut rng);
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

    /// How the digests of mirrors end: with the name of their key.
    fn key_of_mirrors(&self) -> Vec<u8> {
        let tag = self.seats.iter().find_map(|seat| Some(seat.keeper.as_ref()?.tag()));
        tag.map_or(vec![0; 4], |tag| tag[24..].to_vec())
    }

    fn carry_lie(&mut self, which: usize, to: Destination, packet: &Packet) {
        self.carry(PLACES + which, to, packet);
    }
}
