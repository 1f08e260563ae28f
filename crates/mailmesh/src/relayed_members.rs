//! The alarm about members whose frames arrive only through another member.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName};

use crate::alarm::{Alarm, AlarmChange};

/// Most members that one log line names.
const MAX_NAMED: usize = 8;

/// Members whose frames arrive only through a relay, until they arrive directly or the member
/// leaves.
#[derive(Debug, Default)]
pub(crate) struct RelayedMembers(BTreeMap<Incarnation, RelayedMember>);

#[derive(Debug)]
struct RelayedMember {
    name: NodeName,
    /// Name of the relaying member.
    via: String,
    alarm: Alarm,
}

impl RelayedMembers {
    /// Frames of the member `peer` now arrive only through `via`.
    pub(crate) fn on_relayed(&mut self, peer: Incarnation, name: &NodeName, via: &str) {
        let new =
            || RelayedMember { name: name.clone(), via: String::new(), alarm: Alarm::default() };
        via.clone_into(&mut self.0.entry(peer).or_insert_with(new).via);
    }

    /// Frames of the member arrive directly again. Returns its name if an alarm was raised.
    pub(crate) fn on_direct(&mut self, peer: Incarnation) -> Option<NodeName> {
        self.0.remove(&peer).filter(|member| member.alarm.is_raised()).map(|member| member.name)
    }

    /// The member left; no further alarm about it.
    pub(crate) fn on_left(&mut self, peer: Incarnation) {
        self.0.remove(&peer);
    }

    /// Returns the text of the alarm that is due at time `at` of a monotonic clock, if any.
    pub(crate) fn due_alarm(&mut self, at: Duration) -> Option<String> {
        let mut lines = Vec::new();
        for member in self.0.values_mut() {
            if member.alarm.update(true, at) == Some(AlarmChange::Raised) {
                lines.push(format!("{} (through {})", member.name, member.via));
            }
        }
        let more = lines.len().saturating_sub(MAX_NAMED);
        lines.truncate(MAX_NAMED);
        match (lines.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(lines.join(", ")),
            (false, _) => Some(format!("{} and {more} more", lines.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_short_relay_period_raises_no_alarm() {
        let mut relayed = RelayedMembers::default();
        let n2 = Incarnation([2; 16]);
        for second in 0..60 {
            relayed.on_relayed(n2, &name("n2"), "n3");
            assert_eq!(relayed.due_alarm(SECOND * second), None, "at {second} s");
            if second % 9 == 8 {
                assert_eq!(relayed.on_direct(n2), None);
            }
        }
    }

    #[test]
    fn members_relayed_for_10_s_are_named_in_one_line() {
        let mut relayed = RelayedMembers::default();
        for n in 0..12 {
            relayed.on_relayed(Incarnation([n; 16]), &name(&format!("n{n}")), "hub");
        }
        assert_eq!(relayed.due_alarm(SECOND), None);
        relayed.on_left(Incarnation([11; 16]));
        let text = relayed.due_alarm(SECOND * 11).unwrap();
        assert!(text.starts_with("n0 (through hub), n1 (through hub)"), "{text}");
        assert!(text.ends_with("n7 (through hub) and 3 more"), "{text}");
        assert_eq!(relayed.due_alarm(SECOND * 12), None);
        assert_eq!(relayed.on_direct(Incarnation([0; 16])), Some(name("n0")));
        assert_eq!(relayed.on_direct(Incarnation([11; 16])), None);
    }
}
