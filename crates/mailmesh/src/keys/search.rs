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
const RESTS: [u64; 4] = [10, 20, 40, 60];
/// How long a try lasts: the session is opened anew, and others are looked for.
const TRY: Duration = Duration::from_secs(10);
/// The same with a key that the operator has just added on this node alone.
const TRY_ADDED: Duration = Duration::from_secs(30);

/// How long after an activation that failed the next may begin.
const AGAIN: Duration = Duration::from_secs(10);

/// When which key is tried.
#[derive(Debug, Default)]
pub(super) struct Search {
    turns: Mutex<Turns>,
    settling: Mutex<Settling>,
}

/// Activates the key that the others seal with: one at a time, since the disk may hang.
#[derive(Debug, Default)]
struct Settling {
    is_under_way: bool,
    not_before: Option<Instant>,
}

impl Settling {
    /// Whether an activation begins now.
    fn begin(&mut self, now: Instant) -> bool {
        let begins = !self.is_under_way && self.not_before.is_none_or(|from| from <= now);
        self.is_under_way |= begins;
        begins
    }

    fn end(&mut self, has_failed: bool, now: Instant) {
        *self = Self { is_under_way: false, not_before: has_failed.then(|| now + AGAIN) };
    }
}

#[derive(Debug, Default)]
struct Turns {
    added: Option<KeyId>,
    /// When the present turn ends.
    until: Option<Instant>,
    tries: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Stay,
    Try(KeyId),
    Back,
}

impl Search {
    /// The operator has added a key on this node alone: it is tried at once.
    pub(super) fn added(&self, id: KeyId) {
        self.turns.lock().added = Some(id);
    }
}

impl Turns {
    /// Of a node that nobody answers; `others` are the keys that do not seal.
    fn step(&mut self, now: Instant, others: &[KeyId], trial: Option<KeyId>) -> Turn {
        if let Some(added) = self.added.take().filter(|added| others.contains(added)) {
            self.until = Some(now + TRY_ADDED);
            return Turn::Try(added);
        }
        if others.is_empty() {
            return self.end(trial);
        }
        let rest = Duration::from_secs(RESTS[self.tries.min(RESTS.len() - 1)]);
        if now < *self.until.get_or_insert(now + rest) {
            return Turn::Stay;
        }
        if trial.is_some() {
            self.until = Some(now + rest);
            return Turn::Back;
        }
        self.until = Some(now + TRY);
        let next = others[self.tries % others.len()];
        self.tries = self.tries.saturating_add(1);
        Turn::Try(next)
    }

    /// Nothing is to be searched for.
    fn end(&mut self, trial: Option<KeyId>) -> Turn {
        *self = Self::default();
        if trial.is_some() { Turn::Back } else { Turn::Stay }
    }
}

/// What is due every second.
pub(super) fn tick(service: &Arc<KeyService>) {
    let keys = &service.keyring;
    let (ids, trial) = (keys.ids(), keys.trial());
    if service.replication.time.has_an_answer() {
        *service.search.turns.lock() = Turns::default();
        if let Some(trial) = trial {
            settle(service, trial);
        }
        return;
    }
    let turn = {
        let mut turns = service.search.turns.lock();
        if service.convergence.is_pinned() {
            turns.end(trial)
        } else {
            turns.step(Instant::now(), ids.get(1..).unwrap_or_default(), trial)
        }
    };
    match turn {
        Turn::Stay => {}
        Turn::Try(id) => {
            tracing::info!("nobody answers this node; it tries cluster key {id} for a while");
            keys.seal_with(Some(id));
        }
        Turn::Back => keys.seal_with(None),
    }
}

/// Somebody answers meanwhile: the key that it seals with stays. Until it has said which, all
/// goes on as it is.
fn settle(service: &Arc<KeyService>, trial: KeyId) {
    let keys = &service.keyring;
    let theirs = service.replication.keys_of_peers();
    let theirs: Vec<u32> = theirs.into_iter().map(|(_, key)| key).collect();
    if theirs.contains(&keys.active_fingerprint_key_id()) {
        keys.seal_with(None);
    } else if theirs.iter().any(|name| keys.id_by_fingerprint_key_id(*name) == Some(trial))
        && service.search.settling.lock().begin(Instant::now())
    {
        tracing::warn!("the other nodes seal with cluster key {trial}: so does this one");
        let service = service.clone();
        tokio::spawn(async move {
            let done = service.act(KeyAction::Activate(trial.0)).await;
            if let Err(error) = &done {
                tracing::error!(%error, "the cluster key was not activated");
            }
            service.search.settling.lock().end(done.is_err(), Instant::now());
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
        let (mut turns, begin) = (Turns::default(), Instant::now());
        let (mut trial, mut seen) = (None, Vec::new());
        for second in 0..300 {
            match turns.step(begin + Duration::from_secs(second), &[A, B], trial) {
                Turn::Stay => continue,
                Turn::Try(id) => trial = Some(id),
                Turn::Back => trial = None,
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
        let (mut turns, begin) = (Turns::default(), Instant::now());
        turns.added = Some(B);
        assert_eq!(turns.step(begin, &[A, B], None), Turn::Try(B));
        assert_eq!(turns.step(begin + Duration::from_secs(29), &[A, B], Some(B)), Turn::Stay);
        assert_eq!(turns.step(begin + Duration::from_secs(30), &[A, B], Some(B)), Turn::Back);
        turns.added = Some(KeyId([9; 8]));
        let unknown = turns.step(begin + Duration::from_secs(31), &[A, B], None);
        assert_eq!(unknown, Turn::Stay, "it was retired meanwhile");
    }

    #[test]
    fn one_activation_is_under_way_at_a_time_and_one_that_failed_waits() {
        let (mut settling, now) = (Settling::default(), Instant::now());
        assert_eq!([settling.begin(now), settling.begin(now + AGAIN * 9)], [true, false]);
        settling.end(true, now);
        assert_eq!([settling.begin(now), settling.begin(now + AGAIN)], [false, true]);
        settling.end(false, now);
        assert!(settling.begin(now));
    }

    #[test]
    fn a_node_of_one_key_tries_none() {
        let (mut turns, begin) = (Turns::default(), Instant::now());
        for second in 0..100 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(turns.step(now, &[], None), Turn::Stay);
        }
        assert_eq!(turns.step(begin, &[], Some(A)), Turn::Back);
    }
}
