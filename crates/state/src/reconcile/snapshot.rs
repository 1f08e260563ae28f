//! Taking over the whole content of a peer, part by part.

use std::collections::BTreeMap;

use mailmesh_events::{ChangeKey, SyncMessage};

use super::Timing;

/// A request for a window of parts, then the next window, until the last part. Parts each
/// name the key they end with, so what changes meanwhile shifts nothing. Parts that get
/// lost are asked for again.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Number of the next part, and the key it begins after.
    next: u32,
    after: Option<ChangeKey>,
    /// Parts asked for.
    window_left: u32,
    /// Parts that came ahead of `next`, and the keys that what follows them begins
    /// after. At most a window of them.
    ahead: BTreeMap<u32, Option<ChangeKey>>,
}

/// What a part led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Parts are still awaited; whether one came that was.
    Waits {
        progress: bool,
    },
    /// The next window is to be asked for.
    Ask,
    Complete,
}

impl Snapshot {
    /// Asks for the next window.
    pub(super) fn request(&mut self, round: u32, timing: &Timing) -> SyncMessage {
        self.window_left = timing.window;
        SyncMessage::Request { round, part: self.next, after: self.after.clone() }
    }

    pub(super) fn on_part(
        &mut self,
        part: u32,
        more_after: Option<ChangeKey>,
        timing: &Timing,
    ) -> Step {
        if part >= self.next && self.ahead.len() < timing.window as usize {
            self.ahead.insert(part, more_after);
        }
        let before = self.next;
        while let Some(more_after) = self.ahead.remove(&self.next) {
            self.next += 1;
            self.window_left = self.window_left.saturating_sub(1);
            if more_after.is_none() {
                return Step::Complete;
            }
            self.after = more_after;
        }
        if self.window_left == 0 { Step::Ask } else { Step::Waits { progress: self.next > before } }
    }
}
