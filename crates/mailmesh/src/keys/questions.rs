//! Questions to other nodes about their keys, and the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use mailmesh_events::{KeyAction, KeysHeld, SyncMessage};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::direct_sender::DirectSender;

/// A message may be lost: the question is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// Who has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most questions at a time.
const OPEN: usize = 16;

/// What this node waits for.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u32,
    questions: BTreeMap<u32, Question>,
}

#[derive(Debug)]
struct Question {
    waits_for: BTreeSet<Incarnation>,
    answers: BTreeMap<Incarnation, KeysHeld>,
    progress: Arc<Notify>,
}

impl Questions {
    /// Puts a question to nodes, until all have answered or some do not; `None` if too many
    /// are open.
    pub(crate) async fn ask(
        &self,
        direct: &DirectSender,
        nodes: BTreeSet<Incarnation>,
        action: &KeyAction,
    ) -> Option<BTreeMap<Incarnation, KeysHeld>> {
        let progress = Arc::new(Notify::new());
        let number = {
            let mut open = self.0.lock();
            if open.questions.len() >= OPEN {
                return None;
            }
            open.last = open.last.wrapping_add(1);
            let number = open.last;
            let progress = progress.clone();
            let question = Question { waits_for: nodes, answers: BTreeMap::new(), progress };
            open.questions.insert(number, question);
            number
        };
        // Also if nobody waits any more.
        let _close = Close { questions: self, number };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let waits_for = self.0.lock().questions.get(&number)?.waits_for.clone();
            if waits_for.is_empty() {
                break;
            }
            let message = |to| (to, SyncMessage::AskKeys { number, action: action.clone() });
            direct.send(waits_for.into_iter().map(message));
            let again = Instant::now() + RETRY;
            while timeout(again.saturating_duration_since(Instant::now()), progress.notified())
                .await
                .is_ok()
                && !self.0.lock().questions.get(&number)?.waits_for.is_empty()
            {}
        }
        Some(std::mem::take(&mut self.0.lock().questions.get_mut(&number)?.answers))
    }

    /// An answer came.
    pub(crate) fn on_answer(&self, from: Incarnation, number: u32, held: KeysHeld) {
        let mut open = self.0.lock();
        let Some(question) = open.questions.get_mut(&number) else { return };
        if question.waits_for.remove(&from) {
            question.answers.insert(from, held);
            question.progress.notify_one();
        }
    }
}

struct Close<'a> {
    questions: &'a Questions,
    number: u32,
}

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.questions.0.lock().questions.remove(&self.number);
    }
}
