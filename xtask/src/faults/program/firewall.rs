//! Hosts that let in no more than an operator opens.

use super::site::{Site, Start, each, hears};
use super::{MEETING, Verdict};
use crate::faults::pace::Pace;

/// Nodes find each other by multicast though answers to their questions are dropped.
pub(in crate::faults) fn between(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    let config = "{ listen: { endpoints: ['tcp/0.0.0.0:7447'] } }";
    let ids = ["n1", "n2", "n3"];
    (0..ids.len()).try_for_each(|host| site.network().firewall(host))?;
    let nodes =
        (0..).zip(ids).map(|(host, id)| site.start(&Start::new(host, id).configured(config)));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let nodes: Vec<_> = nodes.iter().collect();
    let what = "all hear each other through TCP and UDP port 7447";
    verdict.eventually(what, MEETING, || each(&nodes, |node| hears(node, &nodes)));
    Ok(())
}
