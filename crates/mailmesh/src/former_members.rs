//! Members that left recently. A key rotation does not reach them while they are off.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::NodeName;
use serde::Serialize;

use crate::members::as_millis;

/// A node that left is listed for this long.
const RETENTION: Duration = Duration::from_secs(3_600);
/// When the list is full, the node that left first is dropped.
const MAX_FORMER_MEMBERS: usize = 256;

/// A node that was a member within the last hour, since this node started, and is no member now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FormerMember {
    /// Name of the node.
    pub name: NodeName,
    /// Time since the node left. Serialised in milliseconds, as `left_ms_ago`.
    #[serde(rename = "left_ms_ago", serialize_with = "as_millis")]
    pub left_ago: Duration,
}

/// Leave time of each former member, on this node's monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct FormerMembers(BTreeMap<NodeName, Duration>);

impl FormerMembers {
    pub(crate) fn on_joined(&mut self, name: &NodeName) {
        self.0.remove(name);
    }

    pub(crate) fn on_left(&mut self, name: &NodeName, at: Duration) {
        self.drop_expired(at);
        if self.0.len() >= MAX_FORMER_MEMBERS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, left)| **left)
        {
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
        self.0.insert(name.clone(), at);
    }

    /// The former members, sorted by name.
    pub(crate) fn list(&mut self, now: Duration) -> Vec<FormerMember> {
        self.drop_expired(now);
        let former = |(name, left): (&NodeName, &Duration)| FormerMember {
            name: name.clone(),
            left_ago: now.saturating_sub(*left),
        };
        self.0.iter().map(former).collect()
    }

    fn drop_expired(&mut self, now: Duration) {
        self.0.retain(|_, left| now.saturating_sub(*left) < RETENTION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_former_member_is_listed_for_an_hour_or_until_it_is_back() {
        let mut former = FormerMembers::default();
        let at = Duration::from_secs;
        former.on_left(&name("a"), at(10));
        former.on_left(&name("b"), at(20));
        let listed = former.list(at(30));
        let listed: Vec<_> = listed.iter().map(|n| (n.name.as_str(), n.left_ago)).collect();
        assert_eq!(listed, [("a", at(20)), ("b", at(10))]);
        let written = serde_json::to_value(former.list(at(30)).remove(1)).unwrap();
        assert_eq!(written, serde_json::json!({ "name": "b", "left_ms_ago": 10_000 }));
        former.on_joined(&name("b"));
        assert_eq!(former.list(at(3_609)).len(), 1);
        assert_eq!(former.list(at(3_610)), []);
    }

    #[test]
    fn a_full_list_keeps_the_nodes_that_left_last() {
        let mut former = FormerMembers::default();
        for n in 0..1_000_u64 {
            former.on_left(&name(&format!("n{n}")), Duration::from_secs(n));
        }
        let listed = former.list(Duration::from_secs(1_000));
        assert_eq!(listed.len(), MAX_FORMER_MEMBERS);
        assert!(listed.iter().all(|node| node.left_ago <= Duration::from_secs(256)));
    }
}
