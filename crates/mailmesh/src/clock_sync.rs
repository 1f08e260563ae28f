//! Queries the clocks of the members and adjusts the cluster time.

use std::sync::Arc;

use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::{ClockMessage, UnixMillis};

use crate::cluster_time::ClusterTime;
use crate::direct_sender::DirectSender;

#[derive(Debug)]
pub(crate) struct ClockSync {
    time: Arc<ClusterTime>,
    direct: DirectSender,
}

impl ClockSync {
    pub(crate) fn new(time: Arc<ClusterTime>, direct: DirectSender) -> Self {
        Self { time, direct }
    }

    /// Queries the members that are due, and adjusts the cluster time. Runs every second.
    pub(crate) fn tick(&self) {
        self.query();
        self.adjust();
    }

    pub(crate) fn on_joined(&self, peer: Incarnation, name: &NodeName) {
        self.time.on_joined(peer, name);
        self.query();
    }

    pub(crate) fn on_left(&self, peer: Incarnation) {
        self.time.on_left(peer);
        self.adjust();
    }

    pub(crate) fn on_message(&self, from: Incarnation, message: ClockMessage) {
        match message {
            ClockMessage::Query { asked } => self.answer(from, asked),
            ClockMessage::Answer { asked, now } => self.on_answer(from, asked, now),
            _ => {}
        }
    }

    /// Answers a member's query. `asked` is the member's mark, which the answer returns.
    fn answer(&self, from: Incarnation, asked: u64) {
        let now = self.time.wall();
        self.direct.send([(from, ClockMessage::Answer { asked, now })]);
    }

    fn on_answer(&self, from: Incarnation, asked: u64, theirs: UnixMillis) {
        self.time.on_answer(from, asked, theirs);
        self.adjust();
    }

    fn query(&self) {
        let (due, asked) = self.time.due_queries();
        self.direct.send(due.into_iter().map(|peer| (peer, ClockMessage::Query { asked })));
    }

    fn adjust(&self) {
        self.time.adjust(|| self.direct.member_names());
    }
}
