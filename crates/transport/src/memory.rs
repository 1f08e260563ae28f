//! The bus within one process, and the faults that tests inject on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;

use crate::{Address, Bus, BusFuture, Channel, IngressSender, TransportError};

/// Joins the [`MemoryBus`]es of one process, and injects faults between them for tests.
///
/// A fault applies to one direction between two nodes. It may be set before either node joins, and
/// holds until one of them leaves. Frames that a fault drops are lost silently, as on a network,
/// and counted.
#[derive(Debug, Clone, Default)]
pub struct MemoryHub {
    state: Arc<Mutex<HubState>>,
}

#[derive(Debug, Default)]
struct HubState {
    nodes: BTreeMap<Incarnation, IngressSender>,
    /// Directions with a fault, by sender and receiver.
    faults: BTreeMap<(Incarnation, Incarnation), Fault>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Fault {
    cut: bool,
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    percent: u8,
    /// State of a SplitMix64 generator, one for each direction: the fate of the n-th frame of a
    /// direction does not depend on the frames of other directions.
    random: u64,
}

impl MemoryHub {
    /// A hub without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bus of a node. Frames that arrive for the node go to `ingress`.
    #[must_use]
    pub fn join(&self, incarnation: Incarnation, ingress: IngressSender) -> MemoryBus {
        let mut notices = Vec::new();
        let mut state = self.state.lock();
        for (other, sender) in &state.nodes {
            if !state.is_cut(incarnation, *other) {
                notices.push((sender.clone(), incarnation));
            }
            if !state.is_cut(*other, incarnation) {
                notices.push((ingress.clone(), *other));
            }
        }
        state.nodes.insert(incarnation, ingress);
        drop(state);
        notices.iter().for_each(|(sender, peer)| sender.link(*peer, Link::Up));
        MemoryBus { hub: self.clone(), incarnation }
    }

    /// Drops every frame from `from` to `to`. Neither node is notified.
    pub fn cut(&self, from: Incarnation, to: Incarnation) {
        self.state.lock().faults.entry((from, to)).or_default().cut = true;
    }

    /// Lets frames from `from` to `to` through again, and notifies `to` that `from` can be reached.
    /// Dropped frames stay lost. Does nothing if the direction was not cut.
    pub fn heal(&self, from: Incarnation, to: Incarnation) {
        let mut state = self.state.lock();
        let Some(fault) = state.faults.get_mut(&(from, to)) else { return };
        let was_cut = std::mem::take(&mut fault.cut);
        if fault.loss.is_none() {
            state.faults.remove(&(from, to));
        }
        let healed = was_cut && state.nodes.contains_key(&from);
        let sender = state.nodes.get(&to).filter(|_| healed).cloned();
        drop(state);
        if let Some(sender) = sender {
            sender.link(from, Link::Up);
        }
    }

    /// Drops `percent` of the frames from `from` to `to`, drawn from `seed`: the same seed drops
    /// the same frames, counted from now. 0 ends the loss; more than 100 counts as 100.
    pub fn lose(&self, from: Incarnation, to: Incarnation, percent: u8, seed: u64) {
        let mut state = self.state.lock();
        let fault = state.faults.entry((from, to)).or_default();
        fault.loss = (percent > 0).then_some(Loss { percent, random: seed });
        if fault.loss.is_none() && !fault.cut {
            state.faults.remove(&(from, to));
        }
    }

    /// Removes a node from the hub as if its process had been killed. Its puts are refused, no
    /// frame reaches it, and the other nodes are notified that its link closed.
    pub fn close(&self, incarnation: Incarnation) {
        let mut state = self.state.lock();
        if state.nodes.remove(&incarnation).is_none() {
            return;
        }
        let others = state.nodes.iter().filter(|(other, _)| !state.is_cut(incarnation, **other));
        let others: Vec<_> = others.map(|(_, sender)| sender.clone()).collect();
        state.faults.retain(|(from, to), _| *from != incarnation && *to != incarnation);
        drop(state);
        others.iter().for_each(|sender| sender.link(incarnation, Link::Down));
    }

    /// Frames that faults have dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }
}

impl HubState {
    /// The receivers of the node's next frame, without those whose fault drops it.
    fn receivers(
        &mut self,
        from: Incarnation,
        to: Address,
    ) -> Result<Vec<IngressSender>, TransportError> {
        let Self { nodes, faults, dropped } = self;
        if !nodes.contains_key(&from) {
            return Err(TransportError::Closed);
        }
        let is_for = |node: Incarnation| match to {
            Address::One(peer) => node == peer,
            Address::All => node != from,
        };
        let mut receivers = Vec::new();
        for (node, sender) in nodes.iter().filter(|(node, _)| is_for(**node)) {
            if faults.get_mut(&(from, *node)).is_some_and(Fault::drops_next) {
                *dropped += 1;
            } else {
                receivers.push(sender.clone());
            }
        }
        Ok(receivers)
    }

    fn is_cut(&self, from: Incarnation, to: Incarnation) -> bool {
        self.faults.get(&(from, to)).is_some_and(|fault| fault.cut)
    }
}

impl Fault {
    /// Whether the fault drops the next frame.
    fn drops_next(&mut self) -> bool {
        self.cut || self.loss.as_mut().is_some_and(Loss::drops_next)
    }
}

impl Loss {
    fn drops_next(&mut self) -> bool {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 100 < self.percent.into()
    }
}

/// A bus within one process: for tests, and for a server that runs alone.
#[derive(Debug)]
pub struct MemoryBus {
    hub: MemoryHub,
    incarnation: Incarnation,
}

impl Bus for MemoryBus {
    fn put(&self, to: Address, _channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        // Receivers handle the frame in this call: not under the lock of the hub.
        let receivers = self.hub.state.lock().receivers(self.incarnation, to)?;
        receivers.iter().for_each(|sender| sender.frame(frame.clone()));
        Ok(())
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.hub.close(self.incarnation);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        self.hub.close(self.incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IngressQueue;
    use crate::ingress::Arrival;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);

    fn join(hub: &MemoryHub, incarnation: Incarnation) -> (MemoryBus, IngressQueue) {
        let (sender, ingress) = IngressQueue::new();
        (hub.join(incarnation, sender), ingress)
    }

    /// The arrivals, one word each.
    fn arrived(ingress: &mut IngressQueue) -> Vec<String> {
        let word = |arrival| match arrival {
            Arrival::Frame(frame) => String::from_utf8_lossy(&frame).into_owned(),
            Arrival::Link(_, link) => format!("{link:?}"),
        };
        std::iter::from_fn(|| ingress.pop().map(word)).collect()
    }

    fn put(bus: &MemoryBus, frame: &str) {
        bus.put(Address::All, Channel::Control, Bytes::copy_from_slice(frame.as_bytes())).unwrap();
    }

    #[test]
    fn a_cut_drops_messages_silently_and_heal_tells_the_receiver() {
        let hub = MemoryHub::new();
        let ((a, mut to_a), (b, mut to_b)) = (join(&hub, A), join(&hub, B));
        assert_eq!((arrived(&mut to_a), arrived(&mut to_b)), (words("Up"), words("Up")));
        hub.cut(A, B);
        put(&a, "lost");
        put(&b, "heard");
        assert_eq!((arrived(&mut to_a), arrived(&mut to_b)), (words("heard"), vec![]));
        assert_eq!(hub.dropped(), 1);
        hub.heal(A, B);
        hub.heal(A, B);
        put(&a, "again");
        assert_eq!((arrived(&mut to_a), arrived(&mut to_b)), (vec![], words("Up again")));
    }

    #[test]
    fn a_cut_set_before_the_nodes_join_holds_until_one_leaves() {
        let hub = MemoryHub::new();
        hub.cut(A, B);
        let (_b, mut to_b) = join(&hub, B);
        let (a, mut to_a) = join(&hub, A);
        put(&a, "lost");
        assert_eq!((arrived(&mut to_a), arrived(&mut to_b)), (words("Up"), vec![]));
        // A cut direction hides the end of the link too.
        hub.close(A);
        assert!(arrived(&mut to_b).is_empty());
        let put_after = a.put(Address::All, Channel::Control, Bytes::new());
        assert!(matches!(put_after, Err(TransportError::Closed)));
        let (_a, _to_a) = join(&hub, A);
        hub.close(A);
        assert_eq!(arrived(&mut to_b), words("Up Down"));
    }

    #[test]
    fn a_seed_drops_the_same_frames_each_time_at_about_the_given_rate() {
        let fates = |percent, seed| {
            let hub = MemoryHub::new();
            let ((a, _to_a), (_b, mut to_b)) = (join(&hub, A), join(&hub, B));
            hub.lose(A, B, percent, seed);
            for i in 0..1_000 {
                put(&a, &i.to_string());
            }
            hub.lose(A, B, 0, seed);
            put(&a, "end");
            let arrived = arrived(&mut to_b);
            assert_eq!(hub.dropped() as usize + arrived.len(), 1_002, "Up, 1,000 frames, end");
            arrived
        };
        assert_eq!(fates(30, 7), fates(30, 7));
        assert_ne!(fates(30, 7), fates(30, 8));
        assert!((600..800).contains(&fates(30, 7).len()));
        assert_eq!(fates(100, 7), words("Up end"));
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }
}
