//! The entries that `mailmesh watch` prints: those of an inbox, and the changes of the mirror.

use mailmesh::{Error, Event, Filter, Inbox, Kind, MirrorUpdate, MirrorWatch, Node};
use serde_json::{Value, json};

/// Kinds whose events only a watch of the mirror receives.
const MIRROR_KINDS: [Kind; 3] = [Kind::Network, Kind::Certificate, Kind::Value];

/// The source of the entries for one client of the control socket.
pub(super) struct Watcher {
    inbox: Inbox,
    mirror: MirrorWatch,
    /// Kinds of changes to report.
    mirror_kinds: Vec<Kind>,
    /// Whether the present entries, which are not reported, were read.
    has_state: bool,
}

impl Watcher {
    /// Watches events and changes of these kinds, or of all kinds if `kinds` is empty.
    pub(super) fn new(node: &Node, kinds: Vec<Kind>) -> Result<Self, Error> {
        let (mirror_kinds, event_kinds): (Vec<_>, Vec<_>) =
            kinds.iter().partition(|kind| MIRROR_KINDS.contains(kind));
        let (filter, mirror_kinds) = match kinds.is_empty() {
            true => (Filter::all(), MIRROR_KINDS.to_vec()),
            false => (Filter::kinds(event_kinds)?, mirror_kinds),
        };
        let (mirror, inbox) = (node.watch(), node.inbox(filter));
        Ok(Self { inbox, mirror, mirror_kinds, has_state: false })
    }

    /// Waits for the next entry, with its text and its JSON. `None` once the node has stopped and
    /// everything was read. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            let update = tokio::select! {
                Some(incoming) = self.inbox.recv() => {
                    return Some(json!({"text": incoming.to_string(), "entry": incoming}));
                }
                Some(update) = self.mirror.recv() => update,
                else => return None,
            };
            if let Some(entry) = self.mirror_entry(update) {
                return Some(entry);
            }
        }
    }

    fn mirror_entry(&mut self, update: MirrorUpdate) -> Option<Value> {
        let (kind, text, change) = match update {
            MirrorUpdate::State(_) => {
                let is_first = !std::mem::replace(&mut self.has_state, true);
                let text = "mirror: changes were dropped";
                let entry = json!({"text": text, "entry": {"type": "changes-dropped"}});
                return (!is_first).then_some(entry);
            }
            MirrorUpdate::Changed(change) => ("changed", format!("mirror: {change}"), change),
            MirrorUpdate::Expired(change) => {
                ("expired", format!("mirror: expired: {change}"), change)
            }
            MirrorUpdate::Ending(change, days) => {
                ("ending", format!("mirror: expires within {days} days: {change}"), change)
            }
            _ => return None,
        };
        let event = Event::from(change);
        let is_wanted = self.mirror_kinds.contains(&event.kind());
        is_wanted.then(|| json!({"text": text, "entry": {"type": kind, "data": event}}))
    }
}
