//! How far a sender may run ahead of its receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Time};

/// Before so much time passed nobody is set aside, whatever its clock.
const EXCLUSION_TIME: Duration = Duration::from_millis(400);

/// What each sender sent to each receiver since it first knew it.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    first_sends: BTreeMap<(Incarnation, Incarnation), FirstSends>,
}

/// Per lane: when the first event was sent to it, and what was sent before that.
#[derive(Debug, Clone)]
struct FirstSends {
    /// It was out of reach since, and need not be waited for.
    has_rejoined: bool,
    lanes: [Option<(Time, u64)>; 2],
}

impl Windows {
    /// A sender was told that a receiver takes part.
    pub(super) fn joined(&mut self, sender: Incarnation, receiver: Incarnation) {
        let first_sends = self.first_sends.entry((sender, receiver));
        first_sends
            .and_modify(|first_sends| first_sends.has_rejoined = true)
            .or_insert(FirstSends { has_rejoined: false, lanes: [None; 2] });
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
        let receivers =
            self.first_sends.range_mut(all).filter(|(_, first_sends)| !first_sends.has_rejoined);
        let awaited = receivers.filter_map(|((_, receiver), first_sends)| {
            let (since, start) = *first_sends.lanes[lane.index()].get_or_insert((now, last));
            (now.since(since) < EXCLUSION_TIME).then_some((*receiver, start))
        });
        awaited.collect()
    }
}
