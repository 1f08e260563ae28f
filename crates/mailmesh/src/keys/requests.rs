//! Key requests of this node to other nodes, and their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use mailmesh_events::{KeyAction, KeyMessage, KeysHeld};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::direct_sender::DirectSender;

/// A message may be lost, so the request is repeated at this interval.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// `ask` waits this long, then returns the answers that it has. A node without an answer is not in
/// the map.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Most requests open at a time.
const MAX_OPEN: usize = 16;

/// The open requests.
#[derive(Debug, Default)]
pub(crate) struct OutgoingRequests(Mutex<OpenRequests>);

#[derive(Debug, Default)]
struct OpenRequests {
    last: u32,
    requests: BTreeMap<u32, OpenRequest>,
}

#[derive(Debug)]
struct OpenRequest {
    waits_for: BTreeSet<Incarnation>,
    answers: BTreeMap<Incarnation, KeysHeld>,
    progress: Arc<Notify>,
}

impl OutgoingRequests {
    /// Sends a request to nodes and waits until all have answered or the timeout has passed. `None`
    /// if too many requests are open.
    pub(crate) async fn ask(
        &self,
        direct: &DirectSender,
        nodes: BTreeSet<Incarnation>,
        action: &KeyAction,
    ) -> Option<BTreeMap<Incarnation, KeysHeld>> {
        let progress = Arc::new(Notify::new());
        let number = {
            let mut open = self.0.lock();
            if open.requests.len() >= MAX_OPEN {
                return None;
            }
            open.last = open.last.wrapping_add(1);
            let number = open.last;
            let progress = progress.clone();
            let request = OpenRequest { waits_for: nodes, answers: BTreeMap::new(), progress };
            open.requests.insert(number, request);
            number
        };
        // When the caller drops the future, this guard closes the request too.
        let _close = CloseOnDrop { requests: self, number };
        let until = Instant::now() + ANSWER_TIMEOUT;
        while Instant::now() < until {
            let waits_for = self.0.lock().requests.get(&number)?.waits_for.clone();
            if waits_for.is_empty() {
                break;
            }
            let message = |to| (to, KeyMessage::Request { number, action: action.clone() });
            direct.send(waits_for.into_iter().map(message));
            let again = Instant::now() + RETRY_INTERVAL;
            while timeout(again.saturating_duration_since(Instant::now()), progress.notified())
                .await
                .is_ok()
                && !self.0.lock().requests.get(&number)?.waits_for.is_empty()
            {}
        }
        Some(std::mem::take(&mut self.0.lock().requests.get_mut(&number)?.answers))
    }

    /// Records an answer.
    pub(crate) fn on_answer(&self, from: Incarnation, number: u32, held: KeysHeld) {
        let mut open = self.0.lock();
        let Some(request) = open.requests.get_mut(&number) else { return };
        if request.waits_for.remove(&from) {
            request.answers.insert(from, held);
            request.progress.notify_one();
        }
    }
}

struct CloseOnDrop<'a> {
    requests: &'a OutgoingRequests,
    number: u32,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.requests.0.lock().requests.remove(&self.number);
    }
}
