//! Counts refused frames, and raises an alarm if refusals last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mailmesh_codec::CodecError;
use mailmesh_transport::OtherKeys;
use parking_lot::Mutex;

use crate::alarm::{AlarmChange, Recurrence};
use crate::status::Refused;

/// Refused frames by reason. A reason that recurs for 10 s raises an alarm.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Notified of each frame that no key opens.
    other_keys: OtherKeys,
    counts: [AtomicU64; REASONS],
    reasons: Mutex<[ReasonState; REASONS]>,
    /// Messages with unrequested entries beyond the limit.
    excess_pushes: AtomicU64,
}

/// State of one reason as of the last tick.
#[derive(Debug, Default)]
struct ReasonState {
    recurrence: Recurrence,
    total: u64,
    /// The error of the first refusal in the current span.
    error: Option<CodecError>,
}

const REASONS: usize = 6;

fn reason_index(error: &CodecError) -> usize {
    match error {
        CodecError::NotAuthentic => 0,
        CodecError::NotSealed => 1,
        CodecError::NoKey => 2,
        CodecError::Version { .. } => 3,
        CodecError::RateLimited => 4,
        _ => 5,
    }
}

/// After a frame under another key, its sender counts as present for this long.
const OTHER_KEY_TIMEOUT: Duration = Duration::from_secs(60);

impl Refusals {
    pub(crate) fn new(other_keys: OtherKeys) -> Self {
        Self { other_keys, ..Self::default() }
    }

    /// Whether a frame under another key was received in the last minute. The sender may be a node
    /// of this cluster or a stranger that imitates one.
    pub(crate) fn hears_another_key(&self) -> bool {
        self.other_keys.heard_ago().is_some_and(|ago| ago < OTHER_KEY_TIMEOUT)
    }

    pub(crate) fn count(&self, error: &CodecError) {
        let reason = reason_index(error);
        if *error == CodecError::NotAuthentic {
            self.other_keys.note();
        }
        self.counts[reason].fetch_add(1, Ordering::Relaxed);
        let mut reasons = self.reasons.lock();
        if reasons[reason].error.is_none() {
            reasons[reason].error = Some(error.clone());
        }
    }

    /// Updates the alarms at time `at` of a monotonic clock.
    pub(crate) fn tick(&self, at: Duration) {
        let mut reasons = self.reasons.lock();
        for (reason, count) in reasons.iter_mut().zip(&self.counts) {
            let total = count.load(Ordering::Relaxed);
            let happened = total > std::mem::replace(&mut reason.total, total);
            match (reason.recurrence.update(happened, at), &reason.error) {
                (Some(AlarmChange::Raised), Some(error)) => {
                    let hint = match error {
                        CodecError::NotAuthentic => {
                            "; if this node has no members, the others may have another key: give \
                             it \
                             theirs with `mailmesh key add --here FILE` (`mailmesh key list`)"
                        }
                        _ => "",
                    };
                    tracing::warn!(total, "frames have been refused for 10 s: {error}{hint}");
                }
                (Some(AlarmChange::Ended), Some(error)) => {
                    tracing::info!(
                        total,
                        "no frame has been refused for a minute; before: {error}"
                    );
                }
                _ => {}
            }
            if !reason.recurrence.is_ongoing() {
                reason.error = None;
            }
        }
    }

    pub(crate) fn count_excess_push(&self) {
        self.excess_pushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Refused {
        let read = |reason: usize| self.counts[reason].load(Ordering::Relaxed);
        Refused {
            not_authentic: read(0),
            not_sealed: read(1),
            no_key: read(2),
            other_version: read(3),
            not_tried: read(4),
            malformed: read(5),
            pushes: self.excess_pushes.load(Ordering::Relaxed),
        }
    }
}
