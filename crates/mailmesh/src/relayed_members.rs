//! The alarm about members that are heard only through another.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName};

use crate::alarm::{Alarm, AlarmChange};

/// Most members that a line names.
const MAX_NAMED: usize = 8;

/// Members that are heard only through another, until they are heard directly or leave.
#[derive(Debug, Default)]
pub(crate) struct RelayedMembers(BTreeMap<Incarnation, RelayedMember>);

#[derive(Debug)]
struct RelayedMember {
    name: NodeName,
    /// The member that passes on what it sends.
    via: String,
    alarm: Alarm,
}

impl RelayedMembers {
    /// The member `peer` is heard through `via` alone.
    pub(crate) fn on_relayed(&mut self, peer: Incarnation, name: &NodeName, via: &str) {
        let new =
            || RelayedMember { name: name.clone(), via: String::new(), alarm: Alarm::default() };
        via.clone_into(&mut self.0.entry(peer).or_insert_with(new).via);
    }

    /// The member is heard directly; gives its name if there was an alarm.
    pub(crate) fn on_direct(&mut self, peer: Incarnation) -> Option<NodeName> {
        self.0.remove(&peer).filter(|member| member.alarm.is_raised()).map(|member| member.name)
    }

    /// The member left, which is reported as such.
    pub(crate) fn on_left(&mut self, peer: Incarnation) {
        self.0.remove(&peer);
    }

    /// Looks `at` a time of a monotonic clock for which members the alarm is due_alarm, and gives what
    /// it says of them.
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
    fn x_for_a_moment_is_no_alarm() {
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
    fn all_that_are_cut_for_ten_seconds_are_named_in_one_line() {
        let mut relayed = RelayedMembers::default();
        for n in 0..12 {
            relayed.on_relayed(Incarnation([n; 16]), &name(&format!("n{n}")), "hub");
        }
        assert_eq!(relayed.due_alarm(SECOND), None);
        relayed.on_left(Incarnation([11; 16]));
        let said = relayed.due_alarm(SECOND * 11).unwrap();
        assert!(said.starts_with("n0 (through hub), n1 (through hub)"), "{said}");
        assert!(said.ends_with("n7 (through hub) and 3 more"), "{said}");
        assert_eq!(relayed.due_alarm(SECOND * 12), None);
        assert_eq!(relayed.on_direct(Incarnation([0; 16])), Some(name("n0")));
        assert_eq!(relayed.on_direct(Incarnation([11; 16])), None);
    }
}
