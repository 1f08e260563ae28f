//! Tries the other keys of a node that no member answers: the others may have retired this node's
//! active key while the node was off. Links prove the active key, and no node opens frames sealed
//! with a retired key, so the node cannot learn this from others. Where links prove nothing, this
//! node may hear nodes that cannot open its frames; therefore only answers to its queries count.
//!
//! A trial changes no file and is limited in time. A member that answers during the trial has shown
//! that it is alive and opens this node's frames. If that member seals with the tried key, the node
//! activates the key.

use std::time::Duration;

use mailmesh_codec::KeyId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Seconds for which the node seals with its own key before each trial. Nodes that lack the other
/// keys can join during this time.
const REST_SECONDS: [u64; 4] = [10, 20, 40, 60];
/// Duration of a trial: the session is reopened, and the node looks for others.
const TRIAL_TIME: Duration = Duration::from_secs(10);
/// Duration of a trial with a key that the operator has just added on this node alone.
const ADDED_KEY_TRIAL_TIME: Duration = Duration::from_secs(30);

/// Time between a failed activation and the next one.
const ACTIVATION_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Decides when which key is tried.
#[derive(Debug, Default)]
pub(super) struct KeyTrials {
    schedule: Mutex<Schedule>,
    activation: Mutex<Activation>,
}

/// State of activating the others' key: one activation at a time, because the disk may hang.
#[derive(Debug, Default)]
struct Activation {
    is_under_way: bool,
    not_before: Option<Instant>,
}

impl Activation {
    /// Whether an activation starts now.
    fn begin(&mut self, now: Instant) -> bool {
        let begins = !self.is_under_way && self.not_before.is_none_or(|from| from <= now);
        self.is_under_way |= begins;
        begins
    }

    fn end(&mut self, has_failed: bool, now: Instant) {
        *self = Self {
            is_under_way: false,
            not_before: has_failed.then(|| now + ACTIVATION_RETRY_AFTER),
        };
    }
}

#[derive(Debug, Default)]
struct Schedule {
    added: Option<KeyId>,
    /// End of the current rest or trial.
    until: Option<Instant>,
    tries: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Try(KeyId),
    Revert,
}

impl KeyTrials {
    /// The operator has added a key on this node alone; it is tried at once.
    pub(super) fn on_added(&self, id: KeyId) {
        self.schedule.lock().added = Some(id);
    }

    /// A member has answered: no other key is tried.
    pub(super) fn on_answer(&self) {
        *self.schedule.lock() = Schedule::default();
    }

    /// The next step while no member answers. `others` are the keys that do not seal; `trial` is
    /// the key that is being tried. A pinned node tries no other key.
    pub(super) fn next_step(
        &self,
        others: &[KeyId],
        trial: Option<KeyId>,
        is_pinned: bool,
    ) -> Step {
        let mut schedule = self.schedule.lock();
        if is_pinned { schedule.end(trial) } else { schedule.step(Instant::now(), others, trial) }
    }

    /// Whether an activation of the others' key starts now: none is under way, and the last one
    /// has not just failed.
    pub(super) fn begin_activation(&self) -> bool {
        self.activation.lock().begin(Instant::now())
    }

    /// The activation has ended.
    pub(super) fn end_activation(&self, has_failed: bool) {
        self.activation.lock().end(has_failed, Instant::now());
    }
}

impl Schedule {
    /// The next step of a node that no member answers. `others` are the keys that do not seal.
    fn step(&mut self, now: Instant, others: &[KeyId], trial: Option<KeyId>) -> Step {
        if let Some(added) = self.added.take().filter(|added| others.contains(added)) {
            self.until = Some(now + ADDED_KEY_TRIAL_TIME);
            return Step::Try(added);
        }
        if others.is_empty() {
            return self.end(trial);
        }
        let rest = Duration::from_secs(REST_SECONDS[self.tries.min(REST_SECONDS.len() - 1)]);
        if now < *self.until.get_or_insert(now + rest) {
            return Step::Wait;
        }
        if trial.is_some() {
            self.until = Some(now + rest);
            return Step::Revert;
        }
        self.until = Some(now + TRIAL_TIME);
        let next = others[self.tries % others.len()];
        self.tries = self.tries.saturating_add(1);
        Step::Try(next)
    }

    /// Ends the trials.
    fn end(&mut self, trial: Option<KeyId>) -> Step {
        *self = Self::default();
        if trial.is_some() { Step::Revert } else { Step::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyId = KeyId([1; 8]);
    const B: KeyId = KeyId([2; 8]);

    #[test]
    fn a_node_tries_its_keys_in_turn_and_waits_longer_each_time() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        let (mut trial, mut seen) = (None, Vec::new());
        for second in 0..300 {
            match schedule.step(begin + Duration::from_secs(second), &[A, B], trial) {
                Step::Wait => continue,
                Step::Try(id) => trial = Some(id),
                Step::Revert => trial = None,
            }
            seen.push((second, trial));
        }
        let wanted = [
            (10, Some(A)),
            (20, None),
            (40, Some(B)),
            (50, None),
            (90, Some(A)),
            (100, None),
            (160, Some(B)),
            (170, None),
            (230, Some(A)),
            (240, None),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_key_added_on_this_node_is_tried_at_once_and_for_longer() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        schedule.added = Some(B);
        assert_eq!(schedule.step(begin, &[A, B], None), Step::Try(B));
        assert_eq!(schedule.step(begin + Duration::from_secs(29), &[A, B], Some(B)), Step::Wait);
        assert_eq!(schedule.step(begin + Duration::from_secs(30), &[A, B], Some(B)), Step::Revert);
        schedule.added = Some(KeyId([9; 8]));
        let retired = schedule.step(begin + Duration::from_secs(31), &[A, B], None);
        assert_eq!(retired, Step::Wait, "the key was retired in the meantime");
    }

    #[test]
    fn one_key_activation_runs_at_a_time_and_a_failure_delays_the_next() {
        let (mut activation, now) = (Activation::default(), Instant::now());
        assert_eq!(
            [activation.begin(now), activation.begin(now + ACTIVATION_RETRY_AFTER * 9)],
            [true, false]
        );
        activation.end(true, now);
        assert_eq!(
            [activation.begin(now), activation.begin(now + ACTIVATION_RETRY_AFTER)],
            [false, true]
        );
        activation.end(false, now);
        assert!(activation.begin(now));
    }

    #[test]
    fn a_node_with_one_key_makes_no_trial() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        for second in 0..100 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(schedule.step(now, &[], None), Step::Wait);
        }
        assert_eq!(schedule.step(begin, &[], Some(A)), Step::Revert);
    }
}
