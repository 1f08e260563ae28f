//! How far a sender may run ahead of its receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Time};

/// Before so much time passed nobody is set aside, whatever its clock.
const PATIENCE: Duration = Duration::from_millis(400);

/// What each sender sent to each receiver since it first knew it.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    begun: BTreeMap<(Incarnation, Incarnation), Begun>,
}

/// Per lane: when the first event was sent to it, and what was sent before that.
#[derive(Debug, Clone)]
struct Begun {
    /// It was out of reach since, and need not be waited for.
    was_away: bool,
    lanes: [Option<(Time, u64)>; 2],
}

impl Windows {
    /// A sender was told that a receiver takes part.
    pub(super) fn joined(&mut self, sender: Incarnation, receiver: Incarnation) {
        let begun = self.begun.entry((sender, receiver));
        begun
            .and_modify(|begun| begun.was_away = true)
            .or_insert(Begun { was_away: false, lanes: [None; 2] });
    }

    /// A sender sends after the event `last` of a lane: the receivers that it must not
    /// leave behind, and the event that each had at least when that began.
    pub(super) fn on_sending(
        &mut self,
        now: Time,
        sender: Incarnation,
        lane: Lane,
        last: u64,
    ) -> Vec<(Incarnation, u64)> {
        let all = (sender, Incarnation([0; 16]))..=(sender, Incarnation([255; 16]));
        let receivers = self.begun.range_mut(all).filter(|(_, begun)| !begun.was_away);
        let awaited = receivers.filter_map(|((_, receiver), begun)| {
            let (since, had) = *begun.lanes[lane.index()].get_or_insert((now, last));
            (now.since(since) < PATIENCE).then_some((*receiver, had))
        });
        awaited.collect()
    }
}
