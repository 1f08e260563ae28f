//! Bounds how far a sender may run ahead of its receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, PerLane, Time};

/// No receiver is excluded from flow control before this time, by any clock.
const EXCLUSION_TIME: Duration = Duration::from_millis(400);

/// Per pair of sender and receiver, when the sender first sent to the receiver.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    first_sends: BTreeMap<(Incarnation, Incarnation), FirstSends>,
}

/// The first sends to a receiver.
#[derive(Debug, Clone)]
struct FirstSends {
    /// The receiver was out of reach and came back; the sender need not wait for it.
    has_rejoined: bool,
    lanes: PerLane<Option<FirstSend>>,
}

#[derive(Debug, Clone, Copy)]
struct FirstSend {
    at: Time,
    /// The last event before it.
    after: u64,
}

impl Windows {
    /// A sender admits a receiver.
    pub(super) fn joined(&mut self, sender: Incarnation, receiver: Incarnation) {
        let first_sends = self.first_sends.entry((sender, receiver));
        first_sends
            .and_modify(|first_sends| first_sends.has_rejoined = true)
            .or_insert(FirstSends { has_rejoined: false, lanes: PerLane::default() });
    }

    /// A sender publishes after the event `last` of a lane. Returns the receivers that it must not
    /// leave a window behind, with the event from which each receiver counts.
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
            let first_send = FirstSend { at: now, after: last };
            let FirstSend { at, after } = *first_sends.lanes[lane].get_or_insert(first_send);
            (now.since(at) < EXCLUSION_TIME).then_some((*receiver, after))
        });
        awaited.collect()
    }
}
