//! Hosts whose firewall admits only the packets that operators allow.

use super::testbed::{Start, Testbed, observe_each, sees_members};
use super::{DISCOVERY_TIMEOUT, Verdict};
use crate::faults::run_length::RunLength;

/// Nodes find each other by multicast although the firewalls drop the replies to their queries.
pub(in crate::faults) fn between(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    let config = "{ listen: { endpoints: ['tcp/0.0.0.0:7447'] } }";
    let ids = ["n1", "n2", "n3"];
    (0..ids.len()).try_for_each(|host| testbed.network().firewall(host))?;
    let nodes =
        (0..).zip(ids).map(|(host, id)| testbed.start(&Start::new(host, id).configured(config)));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let nodes: Vec<_> = nodes.iter().collect();
    let claim = "all nodes see each other through TCP and UDP port 7447";
    verdict.eventually(claim, DISCOVERY_TIMEOUT, || {
        observe_each(&nodes, |node| sees_members(node, &nodes))
    });
    Ok(())
}
