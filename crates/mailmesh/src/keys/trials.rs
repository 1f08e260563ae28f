//! A node that nobody answers, and that accepts several keys, tries in turn to link and seal with
//! each: the others may have retired the key that it seals with while it was away. Links prove the
//! key that seals, and frames of a retired key are opened by nobody, so neither can tell it.
//! Where links prove nothing, this node may hear nodes that cannot open its frames; so only their
//! answers count.
//!
//! A try changes no file, and ends after a while. A member that answers meanwhile has shown that
//! it opens what this node seals, and lives now; if it seals with that key, the key is activated.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_codec::KeyId;
use mailmesh_events::KeyAction;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::service::KeyService;

/// How long a node seals with its own key before each try. A node that lacks the other keys is
/// taken in then.
const REST_SECONDS: [u64; 4] = [10, 20, 40, 60];
/// How long a try lasts: the session is opened anew, and others are looked for.
const TRIAL_TIME: Duration = Duration::from_secs(10);
/// The same with a key that the operator has just added on this node alone.
const ADDED_KEY_TRIAL_TIME: Duration = Duration::from_secs(30);

/// How long after an activation that failed the next may begin.
const ACTIVATION_RETRY_AFTER: Duration = Duration::from_secs(10);

/// When which key is tried.
#[derive(Debug, Default)]
pub(super) struct KeyTrials {
    schedule: Mutex<Schedule>,
    activation: Mutex<Activation>,
}

/// Activates the key that the others seal with: one at a time, since the disk may hang.
#[derive(Debug, Default)]
struct Activation {
    is_under_way: bool,
    not_before: Option<Instant>,
}

impl Activation {
    /// Whether an activation begins now.
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
    /// When the present turn ends.
    until: Option<Instant>,
    tries: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    Try(KeyId),
    Revert,
}

impl KeyTrials {
    /// The operator has added a key on this node alone: it is tried at once.
    pub(super) fn on_added(&self, id: KeyId) {
        self.schedule.lock().added = Some(id);
    }
}

impl Schedule {
    /// Of a node that nobody answers; `others` are the keys that do not seal.
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

    /// Nothing is to be searched for.
    fn end(&mut self, trial: Option<KeyId>) -> Step {
        *self = Self::default();
        if trial.is_some() { Step::Revert } else { Step::Wait }
    }
}

/// What is due every second.
pub(super) fn tick(service: &Arc<KeyService>) {
    let keys = &service.keyring;
    let (ids, trial) = (keys.ids(), keys.trial());
    if service.replication.time.has_an_answer() {
        *service.trials.schedule.lock() = Schedule::default();
        if let Some(trial) = trial {
            activate_trial(service, trial);
        }
        return;
    }
    let step = {
        let mut schedule = service.trials.schedule.lock();
        if service.majority.is_pinned() {
            schedule.end(trial)
        } else {
            schedule.step(Instant::now(), ids.get(1..).unwrap_or_default(), trial)
        }
    };
    match step {
        Step::Wait => {}
        Step::Try(id) => {
            tracing::info!("nobody answers this node; it tries cluster key {id} for a while");
            keys.seal_with(Some(id));
        }
        Step::Revert => keys.seal_with(None),
    }
}

/// Somebody answers meanwhile: the key that it seals with stays. Until it has said which, all
/// goes on as it is.
fn activate_trial(service: &Arc<KeyService>, trial: KeyId) {
    let keys = &service.keyring;
    let peer_keys = service.replication.keys_of_peers();
    let peer_keys: Vec<u32> = peer_keys.into_iter().map(|(_, key)| key).collect();
    if peer_keys.contains(&keys.active_fingerprint_name()) {
        keys.seal_with(None);
    } else if peer_keys.iter().any(|name| keys.id_by_fingerprint_name(*name) == Some(trial))
        && service.trials.activation.lock().begin(Instant::now())
    {
        tracing::warn!("the other nodes seal with cluster key {trial}: so does this one");
        let service = service.clone();
        tokio::spawn(async move {
            let done = service.act(KeyAction::Activate(trial.0)).await;
            if let Err(error) = &done {
                tracing::error!(%error, "the cluster key was not activated");
            }
            service.trials.activation.lock().end(done.is_err(), Instant::now());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyId = KeyId([1; 8]);
    const B: KeyId = KeyId([2; 8]);

    #[test]
    fn keys_are_tried_in_turn_and_ever_more_rarely() {
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
    fn a_key_that_was_added_here_is_tried_at_once_and_for_longer() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        schedule.added = Some(B);
        assert_eq!(schedule.step(begin, &[A, B], None), Step::Try(B));
        assert_eq!(schedule.step(begin + Duration::from_secs(29), &[A, B], Some(B)), Step::Wait);
        assert_eq!(schedule.step(begin + Duration::from_secs(30), &[A, B], Some(B)), Step::Revert);
        schedule.added = Some(KeyId([9; 8]));
        let retired = schedule.step(begin + Duration::from_secs(31), &[A, B], None);
        assert_eq!(retired, Step::Wait, "it was retired meanwhile");
    }

    #[test]
    fn one_activation_is_under_way_at_a_time_and_one_that_failed_waits() {
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
    fn a_node_of_one_key_tries_none() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        for second in 0..100 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(schedule.step(now, &[], None), Step::Wait);
        }
        assert_eq!(schedule.step(begin, &[], Some(A)), Step::Revert);
    }
}
