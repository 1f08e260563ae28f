//! Waits until a condition holds, or until nodes agree.

use std::collections::BTreeSet;
use std::time::Duration;

use mailmesh_delivery::Incarnation;
use tokio::time::{sleep, timeout};

use super::TestError;
use crate::Node;

/// Default time limit of waits, in tokio's time.
pub(crate) const CONVERGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval at which a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits up to 30 s of tokio's time until `is_so` returns `true`.
///
/// # Errors
/// [`TestError::TimedOut`] with `what`.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), TestError> {
    let waited = timeout(CONVERGE_TIMEOUT, async {
        while !is_so() {
            sleep(POLL_INTERVAL).await;
        }
    });
    waited.await.map_err(|_| TestError::TimedOut { what: what.to_owned(), after: CONVERGE_TIMEOUT })
}

/// Waits until `differences` returns none.
pub(crate) async fn agree(
    limit: Duration,
    differences: impl Fn() -> Vec<String>,
) -> Result<(), TestError> {
    let waited = timeout(limit, async {
        while !differences().is_empty() {
            sleep(POLL_INTERVAL).await;
        }
    });
    if waited.await.is_ok() {
        return Ok(());
    }
    Err(TestError::NotConverged { after: limit, differences: differences() })
}

/// The differences between `awake` nodes in members and mirrors. They may or may not have `frozen`
/// nodes as members.
pub(crate) fn differences(awake: &[Node], frozen: &BTreeSet<Incarnation>) -> Vec<String> {
    let mut differences = Vec::new();
    for node in awake {
        let members = node.members();
        for other in awake.iter().filter(|other| other.incarnation() != node.incarnation()) {
            if !members.iter().any(|member| member.incarnation == other.incarnation()) {
                differences.push(format!(
                    "{} does not have {} as a member",
                    node.name(),
                    other.name()
                ));
            }
        }
        for member in members {
            let is_awake = awake.iter().any(|other| other.incarnation() == member.incarnation);
            if !is_awake && !frozen.contains(&member.incarnation) {
                let (name, incarnation) = (&member.name, member.incarnation);
                differences.push(format!(
                    "{} still has {name} ({incarnation}) as a member, which has ended",
                    node.name()
                ));
            }
        }
    }
    let mirrors: Vec<_> = awake.iter().map(Node::status).collect();
    if mirrors.windows(2).any(|two| two[0].mirror_fingerprint != two[1].mirror_fingerprint) {
        let of_each = mirrors.iter().map(|status| {
            let (name, entries) = (&status.name, status.mirror_entries);
            format!("{name} has {entries} entries ({})", status.mirror_fingerprint)
        });
        differences.push(format!("mirrors differ: {}", of_each.collect::<Vec<_>>().join(", ")));
    }
    differences
}
