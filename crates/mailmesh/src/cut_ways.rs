//! The alarm about members that are heard only through another.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName};

use crate::alarm::{Alarm, Say};

/// Most members that a line names.
const NAMED: usize = 8;

/// Members that are heard only through another, until they are heard directly or leave.
#[derive(Debug, Default)]
pub(crate) struct CutWays(BTreeMap<Incarnation, CutWay>);

#[derive(Debug)]
struct CutWay {
    name: NodeName,
    /// The member that passes on what it sends.
    via: String,
    alarm: Alarm,
}

impl CutWays {
    /// The member `peer` is heard through `via` alone.
    pub(crate) fn on_relayed(&mut self, peer: Incarnation, name: &NodeName, via: &str) {
        let new = || CutWay { name: name.clone(), via: String::new(), alarm: Alarm::default() };
        via.clone_into(&mut self.0.entry(peer).or_insert_with(new).via);
    }

    /// The member is heard directly; gives its name if there was an alarm.
    pub(crate) fn on_direct(&mut self, peer: Incarnation) -> Option<NodeName> {
        self.0.remove(&peer).filter(|way| way.alarm.is_raised()).map(|way| way.name)
    }

    /// The member left, which is reported as such.
    pub(crate) fn on_left(&mut self, peer: Incarnation) {
        self.0.remove(&peer);
    }

    /// Looks `at` a time of a monotonic clock for which members the alarm is due, and gives what
    /// it says of them.
    pub(crate) fn due(&mut self, at: Duration) -> Option<String> {
        let mut due = Vec::new();
        for way in self.0.values_mut() {
            if way.alarm.note(true, at) == Some(Say::Raised) {
                due.push(format!("{} (through {})", way.name, way.via));
            }
        }
        let more = due.len().saturating_sub(NAMED);
        due.truncate(NAMED);
        match (due.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(due.join(", ")),
            (false, _) => Some(format!("{} and {more} more", due.join(", "))),
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
    fn a_way_that_is_cut_for_a_moment_is_no_alarm() {
        let mut ways = CutWays::default();
        let n2 = Incarnation([2; 16]);
        for second in 0..60 {
            ways.on_relayed(n2, &name("n2"), "n3");
            assert_eq!(ways.due(SECOND * second), None, "at {second} s");
            if second % 9 == 8 {
                assert_eq!(ways.on_direct(n2), None);
            }
        }
    }

    #[test]
    fn all_that_are_cut_for_ten_seconds_are_named_in_one_line() {
        let mut ways = CutWays::default();
        for n in 0..12 {
            ways.on_relayed(Incarnation([n; 16]), &name(&format!("n{n}")), "hub");
        }
        assert_eq!(ways.due(SECOND), None);
        ways.on_left(Incarnation([11; 16]));
        let said = ways.due(SECOND * 11).unwrap();
        assert!(said.starts_with("n0 (through hub), n1 (through hub)"), "{said}");
        assert!(said.ends_with("n7 (through hub) and 3 more"), "{said}");
        assert_eq!(ways.due(SECOND * 12), None);
        assert_eq!(ways.on_direct(Incarnation([0; 16])), Some(name("n0")));
        assert_eq!(ways.on_direct(Incarnation([11; 16])), None);
    }
}
