//! The mirrors of the nodes, as a server's driver keeps them.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Output};
use mailmesh_events::{Block, Change, Rule, SyncMessage, UnixMillis};
use mailmesh_state::StateError;

use super::{Item, Simulation};
use crate::mirrors::{self, Keeper, network};

/// How often a node looks after its mirror.
const TICK: Duration = Duration::from_millis(200);
/// Virtual time in which mirrors are equal once all faults are over, with changes that
/// clocks ahead of the time put off, and what is left.
const EQUAL_IN: Duration = Duration::from_secs(300);
/// What an equal cluster is watched for.
const QUIET: Duration = Duration::from_secs(10);
/// In which a change is everywhere.
const SPREAD: Duration = Duration::from_secs(3);
/// How far wrong clocks may move the time of a node whose own clock is right, in milliseconds:
/// clocks that are wrong by minutes may agree with it, and with each other.
const MOVED: u64 = 180_000;
/// A clock that nobody set since is compared in this.
const COMPARED: Duration = Duration::from_secs(15);

impl Simulation<'_> {
    /// Time of the cluster, as a node has it.
    fn cluster_time(&self, seat: usize) -> UnixMillis {
        let place = &self.seats[seat];
        let wall = self.world.wall(place.name, self.now.elapsed());
        let correction = place.keeper.as_ref().map_or(0, |keeper| keeper.correction);
        UnixMillis(wall.0.saturating_add_signed(correction))
    }

    pub(super) fn keep_mirror(&mut self, seat: usize, life: Incarnation) {
        if self.plan.mirrors {
            let writer = self.rng.u64(..);
            self.seats[seat].keeper = Some(Box::new(Keeper::new(life, writer)));
            self.tell_digest(seat);
            // Nodes do not look after their mirrors at the same moment.
            let phase = Duration::from_millis(37 * seat as u64 % TICK.as_millis() as u64);
            self.schedule(self.now + TICK + phase, Item::Tick { seat, life });
        }
    }

    /// Puts the mirror's digest on the heartbeats.
    fn tell_digest(&mut self, seat: usize) {
        let place = &mut self.seats[seat];
        if let (Some(node), Some(keeper)) = (&mut place.node, &place.keeper) {
            node.set_tag(keeper.tag());
        }
    }

    fn send_sync(&mut self, seat: usize, messages: Vec<(Incarnation, SyncMessage)>) {
        for (peer, message) in messages {
            let is_content =
                !matches!(message, SyncMessage::AskTime { .. } | SyncMessage::Time { .. });
            let body = self.world.pack(message);
            if let Some(node) = &mut self.seats[seat].node {
                if is_content {
                    self.world.says(node.identity().incarnation, self.now.elapsed());
                }
                // A peer that left meanwhile needs nothing.
                let _gone = node.send_direct(peer, body);
            }
        }
    }

    fn set_time(&mut self, seat: usize) {
        let elapsed = self.now.elapsed();
        let wall = self.world.wall(self.seats[seat].name, elapsed);
        if let Some(keeper) = &mut self.seats[seat].keeper {
            keeper.correction = keeper.clocks.estimate(wall, elapsed).correction_ms;
        }
    }

    fn ask_time(&mut self, seat: usize) {
        let at = self.now.elapsed();
        let Some(keeper) = &mut self.seats[seat].keeper else { return };
        let asked = at.as_micros() as u64;
        let due = keeper.clocks.due_queries(at).into_iter();
        let messages = due.map(|peer| (peer, SyncMessage::AskTime { asked })).collect();
        self.send_sync(seat, messages);
    }

    /// What is due from time to time.
    pub(super) fn tick(&mut self, seat: usize, life: Incarnation) -> Result<(), String> {
        if self.places.get(&life) != Some(&seat) {
            return Ok(());
        }
        self.schedule(self.now + TICK, Item::Tick { seat, life });
        if self.seats[seat].is_frozen(self.now) {
            return Ok(());
        }
        self.world.check_said()?;
        self.ask_time(seat);
        self.set_time(seat);
        let (now, at) = (self.cluster_time(seat), self.now.elapsed());
        let is_right = self.world.is_right(self.seats[seat].name);
        let Some(keeper) = &mut self.seats[seat].keeper else { return Ok(()) };
        if is_right && keeper.correction.unsigned_abs() > MOVED {
            let ms = keeper.correction;
            return Err(format!(
                "wrong clocks moved the time of {life:?}, which is right, by {ms} ms"
            ));
        }
        let is_changed = !keeper.mirror.sweep(now).is_empty();
        keeper.reconciler.on_deadline(at);
        let messages = keeper.reconciler.take_outgoing();
        self.send_sync(seat, messages);
        if is_changed {
            self.tell_digest(seat);
        }
        self.settle(seat)
    }

    /// What a node's mirror has to do with what the node says.
    pub(super) fn keep(&mut self, seat: usize, output: &Output) {
        let (now, at) = (self.cluster_time(seat), self.now.elapsed());
        let Some(keeper) = &mut self.seats[seat].keeper else { return };
        match output {
            Output::Deliver { from, lane: Lane::Urgent, first, count, .. } => {
                let numbers = *first..first + u64::from(*count);
                let changes = numbers.filter_map(|number| self.world.changes.get(&(*from, number)));
                changes.for_each(|change| drop(keeper.mirror.apply(change, now)));
                self.tell_digest(seat);
            }
            Output::Gap(gap) => keeper.reconciler.on_gap(gap.from),
            Output::Joined(peer) => {
                keeper.reconciler.on_joined(peer.incarnation);
                keeper.clocks.on_joined(peer.incarnation, peer.name.as_str(), at);
                self.ask_time(seat);
            }
            Output::Left { peer, .. } => {
                keeper.reconciler.on_left(peer.incarnation, at);
                keeper.clocks.on_left(peer.incarnation);
                self.set_time(seat);
            }
            Output::Tag { from, tag } => {
                if let Some(theirs) = mirrors::digest(tag) {
                    let ours = keeper.mirror.digest();
                    keeper.reconciler.on_digest(*from, theirs, ours, at);
                    let messages = keeper.reconciler.take_outgoing();
                    self.send_sync(seat, messages);
                }
            }
            Output::Direct { from, body } => {
                if let Some(message) = self.world.unpack(body) {
                    self.hear(seat, *from, message);
                }
            }
            _ => {}
        }
    }

    fn hear(&mut self, seat: usize, from: Incarnation, message: SyncMessage) {
        let (now, at) = (self.cluster_time(seat), self.now.elapsed());
        let wall = self.world.wall(self.seats[seat].name, at);
        let Some(keeper) = &mut self.seats[seat].keeper else { return };
        match message {
            SyncMessage::AskTime { asked } => {
                self.send_sync(seat, vec![(from, SyncMessage::Time { asked, now: wall })]);
            }
            SyncMessage::Time { asked, now: theirs } => {
                keeper.clocks.on_answer(from, Duration::from_micros(asked), theirs, at);
                self.set_time(seat);
            }
            message => {
                let Keeper { mirror, reconciler, .. } = &mut **keeper;
                let taken = reconciler.on_message(from, message, mirror, now, at);
                let messages = reconciler.take_outgoing();
                self.send_sync(seat, messages);
                if !taken.is_empty() {
                    self.tell_digest(seat);
                }
            }
        }
    }

    /// A node blocks the network of a key, for so long, or takes it off.
    pub(super) fn block(
        &mut self,
        seat: usize,
        key: u16,
        block: Option<Option<Duration>>,
    ) -> Result<(), String> {
        let now = self.cluster_time(seat);
        let place = &self.seats[seat];
        let (Some(node), Some(keeper)) = (&place.node, &place.keeper) else { return Ok(()) };
        if !node.may_send(Lane::Urgent) || place.is_frozen(self.now) || place.leaving.is_some() {
            return Ok(());
        }
        let (life, mirror) = (node.identity().incarnation, &keeper.mirror);
        let was_blocked = mirror.is_blocked(network(key).address(), now);
        let made = match block {
            Some(ttl) => {
                let block = Block::new("x", now).map_err(|error| error.to_string())?;
                let block = match ttl {
                    Some(ttl) => block.expiring_at(now.plus(ttl)),
                    None => block,
                };
                mirror.block(network(key), block, now)
            }
            None => mirror.remove(Rule::Block, network(key), now),
        };
        match made {
            Ok(change) => {
                self.world.replaces(life, &change, was_blocked);
                self.spread(seat, change)
            }
            Err(StateError::NotFound { .. } | StateError::Superseded) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn spread(&mut self, seat: usize, change: Change) -> Result<(), String> {
        self.tell_digest(seat);
        let Some(node) = &self.seats[seat].node else { return Ok(()) };
        let (life, number) = (node.identity().incarnation, node.position(Lane::Urgent) + 1);
        self.say(|| format!("{life:?} makes {change:?}"));
        self.world.made(life, number, change);
        self.report.changes += 1;
        self.publish(seat, Lane::Urgent, (1, 1))
    }

    /// The mirrors that live, with their seats.
    fn keepers(&self) -> impl Iterator<Item = (usize, &Keeper)> {
        let keepers = self.seats.iter().enumerate();
        keepers.filter_map(|(seat, place)| place.keeper.as_deref().map(|keeper| (seat, keeper)))
    }

    /// All faults are over: whether every mirror becomes the same, nothing is lost, and what
    /// is done from now on is in force everywhere, whatever the clocks say.
    pub(super) fn check_mirrors(&mut self) -> Result<(), String> {
        if !self.plan.mirrors {
            return Ok(());
        }
        let mut before = mirrors::latest(self.keepers().map(|(_, keeper)| keeper.mirror.content()));
        if self.plan.split_clocks {
            before.retain(|_, change| change.is_live() && change.expires().is_none());
        }
        self.become_equal()?;
        self.check_content()?;
        for (seat, keeper) in self.keepers() {
            let (mirror, now) = (&keeper.mirror, self.cluster_time(seat));
            let content = mirror.content();
            self.world.check_made(&content)?;
            // A node that is alone with a clock that is a day off forgets removals early.
            if !self.plan.split_clocks {
                let remembers = |life| {
                    let seat = self.places.get(&life);
                    seat.is_some_and(|seat| !self.world.was_astray(self.seats[*seat].name))
                };
                self.world.check_replaced(&content, remembers)?;
            }
            mirrors::check_kept(&before, mirror, now)?;
        }
        self.pass_until(self.now + COMPARED)?;
        for (seat, keeper) in self.keepers() {
            mirrors::check_lookups(&keeper.mirror, self.cluster_time(seat))?;
        }
        self.check_new_writes()?;
        self.check_quiet()
    }

    /// Mirrors with one digest hold the same, and remember nothing for nothing.
    fn check_content(&self) -> Result<(), String> {
        if self.plan.split_clocks {
            return Ok(());
        }
        let mut contents = self.keepers().map(|(_, keeper)| keeper.mirror.content());
        let Some(first) = contents.next() else { return Ok(()) };
        for content in contents {
            if let Some((one, other)) = first.iter().zip(&content).find(|(one, other)| one != other)
            {
                return Err(format!("of one digest there are {one:?} and {other:?}"));
            }
        }
        for (seat, keeper) in self.keepers().filter(|_| self.plan.many_ends && self.plan.liars == 0)
        {
            let now = self.cluster_time(seat);
            if let Some(change) = mirrors::remembered_for_nothing(&keeper.mirror, now) {
                return Err(format!("{change:?} has ended, replaced nothing, and is remembered"));
            }
        }
        Ok(())
    }

    /// Mirrors that are equal, and in which nothing ends, say nothing but their digests. A
    /// comparison may just be under way when they are watched: but not three times.
    fn check_quiet(&mut self) -> Result<(), String> {
        // Liars' digests are never equal, nor those of nodes that differ over the time.
        if self.plan.liars > 0 || self.plan.split_clocks {
            return Ok(());
        }
        let mut told = 0;
        for _ in 0..3 {
            self.become_equal()?;
            self.pass_until(self.now + SPREAD)?;
            if !self.all_are_equal() || self.keepers().any(|keeper| self.something_ends(keeper)) {
                return Ok(());
            }
            let before = self.world.told;
            self.pass_until(self.now + QUIET)?;
            told = self.world.told - before;
            if told == 0 {
                return Ok(());
            }
        }
        Err(format!("{told} messages between equal mirrors"))
    }

    fn something_ends(&self, (seat, keeper): (usize, &Keeper)) -> bool {
        let now = self.cluster_time(seat);
        let soon = now.0.saturating_sub(1_000)..now.plus(QUIET * 2).0;
        let mut ends = keeper.mirror.content().into_iter().filter_map(|change| change.expires());
        ends.any(|at| soon.contains(&at.0))
    }

    /// Whether mirrors are equal. Where no majority of clocks tells the time, they are as far
    /// as it does not matter: in the entries that never end.
    fn all_are_equal(&self) -> bool {
        let mut mirrors = self.keepers().map(|(_, keeper)| &keeper.mirror);
        let Some(first) = mirrors.next() else { return true };
        if self.plan.split_clocks {
            let first = mirrors::endless(first);
            return mirrors.all(|mirror| mirrors::endless(mirror) == first);
        }
        mirrors.all(|mirror| mirror.digest() == first.digest())
    }

    fn become_equal(&mut self) -> Result<(), String> {
        let until = self.now + EQUAL_IN;
        while !self.all_are_equal() {
            if self.now >= until {
                let digests: Vec<_> = self.keepers().map(|(_, k)| k.mirror.digest()).collect();
                return Err(format!("the mirrors stay different: {digests:?}"));
            }
            self.pass_until(self.now + TICK)?;
        }
        Ok(())
    }

    /// What one writes acts everywhere at once, and ends when it should; of two writes the
    /// later wins; also if one of the writers' clocks is minutes off.
    fn check_new_writes(&mut self) -> Result<(), String> {
        let wrong = self.world.most_wrong().unwrap_or(0);
        let right = (wrong + 1) % self.plan.nodes;
        let seat_of = |simulation: &Self, name| {
            let keepers = simulation.keepers().map(|(seat, _)| seat);
            keepers.into_iter().find(|seat| simulation.seats[*seat].name == name)
        };
        for (key, (one, other)) in [(201, (wrong, right)), (202, (right, wrong))] {
            let (Some(one), Some(other)) = (seat_of(self, one), seat_of(self, other)) else {
                continue;
            };
            self.block(one, key, Some(None))?;
            self.pass_until(self.now + SPREAD)?;
            self.expect_blocked(key, true)?;
            self.block(other, key, None)?;
            self.pass_until(self.now + SPREAD)?;
            self.expect_blocked(key, false)?;
            if self.plan.split_clocks {
                // Nobody knows when it ends.
                continue;
            }
            self.block(one, key + 2, Some(Some(SPREAD * 2)))?;
            self.pass_until(self.now + SPREAD)?;
            self.expect_blocked(key + 2, true)?;
            self.pass_until(self.now + SPREAD * 2)?;
            self.expect_blocked(key + 2, false)?;
        }
        Ok(())
    }

    fn expect_blocked(&self, key: u16, blocked: bool) -> Result<(), String> {
        for (seat, keeper) in self.keepers() {
            let now = self.cluster_time(seat);
            if keeper.mirror.is_blocked(network(key).address(), now) != blocked {
                let name = self.seats[seat].name;
                return Err(format!(
                    "n{name} has {:?}, blocked should be {blocked}",
                    keeper.mirror.lookup(network(key).address(), now)
                ));
            }
        }
        Ok(())
    }
}
