//! Byzantine members: their heartbeats, lies and floods.

use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Destination, FrameKind, Incarnation, Lane, PerLane};
use mailmesh_events::{Share, SyncMessage};

use super::{Simulation, Task};
use crate::liar::KnownNode;
use crate::mirrors;
use crate::network::Packet;
use crate::plan::Flood;

/// Time between two heartbeats of a liar.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// Liars use numbers after those of all hosts as senders on the network.
const FIRST_LIAR_ID: usize = usize::MAX / 2;
/// Length of a flood, in milliseconds.
const FLOOD_MS: u32 = 600;
/// Mirror queries per millisecond of a flood: far more than a mirror answers.
const QUERIES_PER_MS: u32 = 30;
/// Events that a liar claims another node has sent, beyond the real ones.
const INVENTED_EVENTS: u64 = 50;

/// A flood that is not over.
#[derive(Debug, Clone, Copy)]
pub(super) struct OngoingFlood {
    host_id: usize,
    to: Incarnation,
    about: Incarnation,
    flood: Flood,
    /// Milliseconds until the flood ends.
    remaining_ms: u32,
}

impl Simulation<'_> {
    /// All nodes, alive or not, as liars know them.
    fn known_nodes(&self) -> Vec<KnownNode> {
        let known_nodes = self.oracle.incarnations().map(|(incarnation, name, is_alive)| {
            let positions = PerLane::from_fn(|lane| self.oracle.last_published(incarnation, lane));
            KnownNode { incarnation, name: format!("n{name}"), is_alive, positions }
        });
        known_nodes.collect()
    }

    /// Keeps the liar a member.
    pub(super) fn send_liar_heartbeat(&mut self, liar_index: usize) {
        self.schedule(self.now + HEARTBEAT_INTERVAL, Task::LiarHeartbeat { liar_index });
        let (known_nodes, key) = (self.known_nodes(), self.digest_key_id());
        let Some(liar) = self.liars.get_mut(liar_index) else { return };
        for (to, packet) in liar.heartbeats(&mut self.rng, &known_nodes, &key) {
            self.transmit_lie(liar_index, to, &packet);
        }
    }

    /// Sends one lie to a node.
    pub(super) fn lie(&mut self, host_id: usize, lie: u64) {
        let Some(endpoint) = self.hosts[host_id].endpoint.as_ref() else { return };
        let to = endpoint.identity().incarnation;
        let mut rng = Rng::with_seed(lie);
        let liar_index = rng.usize(..self.liars.len().max(1));
        let (known_nodes, recorded) = (self.known_nodes(), self.network.recorded(rng.u32(..)));
        let about_mirrors = self.plan.mirrors && rng.u8(..3) == 0;
        let content = about_mirrors.then(|| {
            let lie = mirrors::lie(&mut rng, host_id);
            self.world.record_lie(&lie);
            self.world.store_message(lie)
        });
        let Some(liar) = self.liars.get_mut(liar_index) else { return };
        let packet = match content {
            Some(content) => liar.direct(to, content),
            None => liar.lie(&mut rng, to, &known_nodes, recorded.map(|packet| packet.frame)),
        };
        self.report.lies += 1;
        self.transmit_lie(liar_index, Destination::One(to), &packet);
    }

    /// Starts a flood.
    pub(super) fn begin_flood(&mut self, node: usize, peer: usize, flood: Flood) {
        let incarnation =
            |host_id: usize| Some(self.hosts[host_id].endpoint.as_ref()?.identity().incarnation);
        let (Some(to), Some(about)) = (incarnation(node), incarnation(peer)) else { return };
        let sent =
            PerLane::from_fn(|lane| self.oracle.last_published(about, lane) + INVENTED_EVENTS);
        let Some(liar) = self.liars.first_mut() else { return };
        if flood == Flood::Unavailable {
            let packet = liar.report_sent(to, about, sent);
            self.transmit_lie(0, Destination::One(to), &packet);
        }
        self.continue_flood(OngoingFlood {
            host_id: node,
            to,
            about,
            flood,
            remaining_ms: FLOOD_MS,
        });
    }

    pub(super) fn continue_flood(&mut self, ongoing: OngoingFlood) {
        let OngoingFlood { host_id, to, about, flood, remaining_ms } = ongoing;
        let has_no_target = flood == Flood::MirrorQueries && !self.plan.mirrors;
        if remaining_ms == 0 || has_no_target || self.host_of.get(&to) != Some(&host_id) {
            return;
        }
        let (next, remaining_ms) = (self.now + Duration::from_millis(1), remaining_ms - 1);
        self.schedule(next, Task::Flood(OngoingFlood { remaining_ms, ..ongoing }));
        let Some(liar) = self.liars.first_mut() else { return };
        let packets: Vec<Packet> = match flood {
            Flood::Unavailable => {
                Lane::ALL.map(|lane| liar.relay_unavailable(to, about, lane)).into()
            }
            Flood::MirrorQueries => {
                let first = Share { bits: 0, index: 0 };
                let ask = SyncMessage::AskSymbols { round: 1, first, shares: 1, from: 0, count: 1 };
                (0..QUERIES_PER_MS)
                    .map(|_| liar.direct(to, self.world.store_message(ask.clone())))
                    .collect()
            }
        };
        self.report.lies += 1;
        for packet in packets {
            self.transmit_lie(0, Destination::One(to), &packet);
        }
    }

    /// A node sends to a liar. A query to the liar's mirror gets an answer that never ends.
    pub(super) fn answer_as_liar(&mut self, incarnation: Incarnation, packet: &Packet) {
        let Some(liar_index) = self.liars.iter().position(|liar| liar.incarnation() == incarnation)
        else {
            return;
        };
        let (to, rng) = (packet.frame.incarnation, &mut self.rng);
        let question = self.world.load_message(&packet.frame.body);
        let is_direct = packet.frame.kind == FrameKind::Direct;
        let answer =
            question.filter(|_| is_direct).and_then(|ask| mirrors::unending_answer(rng, ask));
        if let Some(answer) = answer {
            let content = self.world.store_message(answer);
            let packet = self.liars[liar_index].direct(to, content);
            self.transmit_lie(liar_index, Destination::One(to), &packet);
        }
    }

    /// The last bytes of a mirror digest: the key id.
    fn digest_key_id(&self) -> Vec<u8> {
        let tag = self.hosts.iter().find_map(|host_id| Some(host_id.replica.as_ref()?.tag()));
        tag.map_or(vec![0; 4], |tag| tag[24..].to_vec())
    }

    fn transmit_lie(&mut self, liar_index: usize, to: Destination, packet: &Packet) {
        self.transmit(FIRST_LIAR_ID + liar_index, to, packet);
    }
}
