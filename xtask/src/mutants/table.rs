//! The planted faults.

/// A fault planted in a copy of a file of the delivery core, or of the mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// What the core then does.
    pub(crate) what: &'static str,
    /// The crate it is in.
    pub(crate) core: Core,
    /// In its `src`.
    pub(crate) file: &'static str,
    /// Occurs exactly once there.
    pub(crate) original: &'static str,
    pub(crate) replacement: &'static str,
}

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    Delivery,
    /// The same, with seeds in which members lie.
    AmongLiars,
    /// With seeds in which nodes keep mirrors.
    State,
    /// The same, with members that lie.
    StateAmongLiars,
}

impl Core {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivery | Self::AmongLiars => "delivery",
            Self::State | Self::StateAmongLiars => "state",
        }
    }
}

const fn mutation(
    name: &'static str,
    what: &'static str,
    file: &'static str,
    original: &'static str,
    replacement: &'static str,
) -> Mutation {
    Mutation { name, what, core: Core::Delivery, file, original, replacement }
}

const fn among_liars(
    name: &'static str,
    what: &'static str,
    file: &'static str,
    original: &'static str,
    replacement: &'static str,
) -> Mutation {
    Mutation { name, what, core: Core::AmongLiars, file, original, replacement }
}

const fn of_mirror(
    name: &'static str,
    what: &'static str,
    file: &'static str,
    original: &'static str,
    replacement: &'static str,
) -> Mutation {
    Mutation { name, what, core: Core::State, file, original, replacement }
}

const fn of_mirror_among_liars(
    name: &'static str,
    what: &'static str,
    file: &'static str,
    original: &'static str,
    replacement: &'static str,
) -> Mutation {
    Mutation { name, what, core: Core::StateAmongLiars, file, original, replacement }
}

/// Every planted fault: what a receiver does wrong, then a sender, then their peers, then
/// what a lie may do, then a mirror.
pub(crate) const MUTATIONS: &[Mutation] = &[
    mutation(
        "nothing-asked-for",
        "what is missing is never asked for",
        "membership.rs",
        "ctx.send.push(ask);",
        "drop(ask);",
    ),
    mutation(
        "last-of-hole-not-asked-for",
        "a request leaves out the last event of a hole",
        "receive.rs",
        "last: self.hole_end() - 1, tries",
        "last: self.hole_end() - 2, tries",
    ),
    mutation(
        "delivered-twice",
        "events that were delivered are delivered again",
        "receive.rs",
        "if end <= self.next || self.held.contains_key(&first) {
            return Accepted::Duplicate;
        }
        if first < self.next && first > self.delivered && !self.overlaps_held(self.next, end) {",
        "if self.held.contains_key(&first) {
            return Accepted::Duplicate;
        }
        if first < self.next {
            out.push(Released::Data(frame));
            return Accepted::Fresh;
        }
        if first < self.next && first > self.delivered && !self.overlaps_held(self.next, end) {",
    ),
    mutation(
        "lane-forgotten",
        "holes of one lane are never looked at",
        "membership.rs",
        "for lane in Lane::ALL {
            let mut released = Vec::new();
            let lives",
        "for lane in [Lane::Urgent] {
            let mut released = Vec::new();
            let lives",
    ),
    mutation(
        "held-lost",
        "what is held behind a hole is dropped when the hole is filled",
        "receive.rs",
        "self.delivered = self.next - 1;
            out.push(Released::Data(frame));",
        "self.delivered = self.next - 1;",
    ),
    mutation(
        "gap-in-silence",
        "a hole is given up without a gap",
        "receive.rs",
        "out.push(Released::Missed { first: self.next, missed: end - self.next });",
        "",
    ),
    mutation(
        "gap-too-short",
        "a gap counts one event too few",
        "receive.rs",
        "missed: end - self.next }",
        "missed: (end - self.next).max(2) - 1 }",
    ),
    mutation(
        "reorder-unbounded",
        "what is held behind a hole has no bound",
        "receive.rs",
        "if self.held_bytes + cost > self.settings.reorder_bytes {",
        "if self.held_bytes + cost > usize::MAX {",
    ),
    mutation(
        "return-as-new",
        "a peer that was out of reach is taken in as new",
        "departed.rs",
        "Memory::Failed(peer)
            }",
        "drop(peer);
                Memory::None
            }",
    ),
    mutation(
        "ended-life-taken-in",
        "late frames of a life that said goodbye bring it back",
        "departed.rs",
        "let peer = (reason != LeaveReason::Bye).then(|| Box::new(peer));",
        "let _ = reason;
        let peer = Some(Box::new(peer));",
    ),
    mutation(
        "goodbye-with-holes",
        "who says goodbye leaves at once, whatever of it is missing",
        "ending.rs",
        "(may_leave && peer.is_complete()).then_some(ending.reason)",
        "(may_leave && (ending.reason == LeaveReason::Bye || peer.is_complete())).then_some(ending.reason)",
    ),
    mutation(
        "relayed-heard-directly",
        "a frame that another passed on counts as heard from its sender",
        "input.rs",
        "Path::Via(via) if is_new => members.on_relayed(now, from, via, ctx),",
        "Path::Via(_) if is_new => members.on_heard(now, from, ctx),",
    ),
    mutation(
        "ring-forgets",
        "a sender keeps only some of its frames, and says nothing of that",
        "repair.rs",
        "self.sent[lane.index()].push(frame, self.settings.replay_bytes);",
        "if frame.first % 5 != 0 {
            self.sent[lane.index()].push(frame, self.settings.replay_bytes);
        }",
    ),
    mutation(
        "ring-unbounded",
        "what a sender keeps has no bound",
        "replay_ring.rs",
        "while self.bytes > limit &&",
        "while self.bytes > limit.max(1 << 40) &&",
    ),
    mutation(
        "relay-ring-unbounded",
        "what a receiver keeps for others has no bound",
        "received.rs",
        "while self.bytes > limit
",
        "while self.bytes > limit.max(1 << 40)
",
    ),
    mutation(
        "heartbeat-without-positions",
        "heartbeats do not say how much was sent",
        "node.rs",
        "positions: self.positions,
            tag:",
        "positions: [0; 2],
            tag:",
    ),
    mutation(
        "window-ignored",
        "a lane never closes",
        "flow.rs",
        "self.is_far_behind(sent, settings)
            || (!self.set_aside && self.pace.is_full(self.unconfirmed(sent)))",
        "settings.window == 0
            || (sent.total > 1 << 60 && self.pace.is_full(self.unconfirmed(sent)))",
    ),
    mutation(
        "pace-never-gives-way",
        "the congestion window of who is slow keeps a lane closed for as long as that is there",
        "congestion.rs",
        "(self.full_since, self.gave_way) = (None, Some((now, confirmed)));",
        "let _ = (confirmed, now);",
    ),
    mutation(
        "never-set-aside",
        "a receiver that confirms nothing keeps a lane closed for as long as it is there",
        "membership.rs",
        "let overdue = confirmed.deadline(are_idle, sent, &self.settings) <= now;",
        "let overdue = confirmed.deadline(are_idle, sent, &self.settings) <= now
            && self.settings.max_tag == 0;",
    ),
    mutation(
        "younger-twin-stays",
        "a node does not ask whether who bears its name is alive",
        "namesake.rs",
        "ctx.send.push((Destination::One(incarnation), Control::Probe { nonce }));",
        "",
    ),
    mutation(
        "dead-kept-alive",
        "old news of a peer count as a sign of life",
        "rumour.rs",
        "if beat > peer.beat && peer.is_plausible(beat, now) {",
        "if beat >= peer.beat && peer.is_plausible(beat, now) {",
    ),
    mutation(
        "last-words-not-asked-for",
        "the others are not asked what they have of who died",
        "ending.rs",
        "let mut others: BTreeSet<_> = others.map(|(who, _)| *who).collect();",
        "let mut others: BTreeSet<_> = others.map(|(who, _)| *who).take(0).collect();",
    ),
    mutation(
        "rumours-not-believed",
        "what others say a peer has sent never counts",
        "receive.rs",
        "self.announced = self.announced.max(rumour.position);",
        "self.announced = self.announced.max(rumour.position.min(0));",
    ),
    mutation(
        "leaves-unconfirmed",
        "a node says goodbye whatever the others have of what it sent",
        "flow.rs",
        "(!self.has(last)).then(|| self",
        "(self.has(last) && last > u64::MAX / 2).then(|| self",
    ),
    mutation(
        "holders-not-noted",
        "only its sender is asked for an event",
        "rumour.rs",
        "peer.holders.note(from, told.positions);",
        "",
    ),
    mutation(
        "lacks-ignored",
        "who says that it lacks an event is asked for it again and again",
        "rumour.rs",
        "peer.holders.lacks(from, lane, before);",
        "let _ = (from, before);",
    ),
    mutation(
        "follower-not-served",
        "who asked to have a stream passed on gets nothing of it",
        "membership.rs",
        "ctx.relay.push((*to, frame.for_others()));",
        "let _ = (to, &mut *ctx);",
    ),
    mutation(
        "departed-not-told-of",
        "who was out of reach while another ended is not told how far that one came",
        "departed.rs",
        "told.into_iter().map(|(_, known)|",
        "told.into_iter().take(0).map(|(_, known)|",
    ),
    among_liars(
        "liars-believed-of-the-living",
        "what others say a node has sent that lives is given up after a while",
        "receive.rs",
        "self.give_up_hole(if lives { self.said + 1 } else { u64::MAX }, out);",
        "self.give_up_hole(u64::MAX, out);",
    ),
    among_liars(
        "liars-believed-of-the-returned",
        "who is back is not asked how much it has sent",
        "rumour.rs",
        "stream.on_answer(now, position);",
        "stream.on_position(now, position);",
    ),
    among_liars(
        "liars-start-the-clock",
        "what was awaited on others' word is given up as soon as its sender says it sent it",
        "receive.rs",
        "            self.hole = None;
        }
        self.said",
        "        }
        self.said",
    ),
    among_liars(
        "lacks-hasten-every-request",
        "each message about an open hole has its events asked for at once",
        "receive.rs",
        "let at = hole.hastened.map_or(now, |before| now.max(before + pause));",
        "let at = hole.hastened.map_or(now, |before| now.max(before + pause * 0));",
    ),
    of_mirror(
        "mirror-not-compared",
        "a digest that differs is taken for the same",
        "reconcile/mod.rs",
        "if theirs == ours {",
        "if theirs.entries > 0 {",
    ),
    of_mirror(
        "mirror-question-not-repeated",
        "a question that got lost is not asked again",
        "reconcile/mod.rs",
        "        if exchange.attempts >= self.timing.attempts {
            return self.finish(End::GivenUp, at);
        }",
        "        if exchange.attempts > 0 {
            return;
        }",
    ),
    of_mirror(
        "mirror-removal-forgotten",
        "a removal leaves no tombstone",
        "mirror.rs",
        "        self.observers.tell(Observed::Changed(change));
        Ok(true)",
        "        if !change.is_live() {
            writer.entries.sweep(UnixMillis(u64::MAX), 1);
        }
        self.observers.tell(Observed::Changed(change));
        Ok(true)",
    ),
    of_mirror(
        "mirror-removal-still-listed",
        "a lookup finds what was removed",
        "lookup/mod.rs",
        "self.current.load().of(rule).set(&Listing::new(rule, network, None));",
        "let _still_listed = &self.current;",
    ),
    of_mirror(
        "mirror-ended-not-remembered",
        "what expires in the place of another is not remembered",
        "entries/mod.rs",
        "if row.has_replaced() {",
        "if row.has_replaced() && row.end == 0 {",
    ),
    of_mirror(
        "mirror-ended-for-good",
        "what a wrong time had ended stays ended",
        "mirror.rs",
        "if now.plus(BACK) >= writer.ended_by {",
        "if now.plus(BACK) >= writer.ended_by || now.0 != 0 {",
    ),
    of_mirror(
        "mirror-own-clock",
        "a node goes by its own clock",
        "cluster_clock.rs",
        "        Judgement { correction: zero.saturating_sub(own), is_agreed, ahead }",
        "        Judgement { correction: zero.saturating_sub(own) * 0, is_agreed, ahead }",
    ),
    of_mirror(
        "mirror-mean-of-two-clocks",
        "of clocks that differ without a majority the mean counts",
        "cluster_clock.rs",
        "if is_agreed { all }",
        "if is_agreed || !zeros.is_empty() { all }",
    ),
    of_mirror(
        "mirror-ended-comes-back",
        "a comparison brings back as over what has just ended and replaced nothing",
        "mirror/merge.rs",
        "change.expires().is_some_and(|end| end <= now && now < end.plus(JUST_ENDED))",
        "change.expires().is_some_and(|end| end < now && now < end.plus(JUST_ENDED * 0))",
    ),
    of_mirror(
        "mirror-future-refused",
        "a change that a clock days ahead stamped is not taken",
        "mirror/merge.rs",
        "self.counters[AHEAD].fetch_add(1, Ordering::Relaxed);",
        "return Applied::Stale;",
    ),
    of_mirror_among_liars(
        "mirror-content-not-hashed",
        "two contents of one stamp have the same digest",
        "entries/row.rs",
        "text: *self.texts.derived(row.text),",
        "text: ContentHash::default(),",
    ),
    of_mirror_among_liars(
        "mirror-first-content-stays",
        "of two contents of one stamp each node keeps the one that came first",
        "version.rs",
        "one.stamp().cmp(&other.stamp()).then_with(|| compare_contents(one, other))",
        "one.stamp().cmp(&other.stamp()).then_with(|| compare_contents(one, one))",
    ),
    of_mirror_among_liars(
        "mirror-exchange-without-end",
        "an exchange that goes on and on keeps a node from all other mirrors",
        "reconcile/mod.rs",
        "exchange.peer == peer || at < exchange.began + TURN",
        "exchange.peer == peer || at < exchange.began + TURN * 1_000",
    ),
    of_mirror_among_liars(
        "mirror-answers-without-bound",
        "a peer gets as many answers as it asks for",
        "reconcile/answers.rs",
        "let enough = self.budget >= parts;",
        "let enough = self.budget >= parts || parts < 2.0;",
    ),
];
