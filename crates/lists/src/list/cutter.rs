//! Cuts the exceptions of a list out of its entries.

use std::collections::HashMap;

use ipnet::IpNet;
use mailmesh_events::Network;

use super::exceptions::Exception;
use crate::Entry;
use crate::network::is_within;

/// Upper bound on the steps of cutting exceptions out of the entries of one list.
const MAX_STEPS: usize = 100_000_000;

/// Cuts the exceptions of a list out of its entries.
pub(super) struct Cutter<'a> {
    /// In order of address, wider networks first.
    exceptions: &'a [Exception],
    by_network: HashMap<Network, Vec<&'a Exception>>,
    /// The steps left for this list; bounds the run time.
    steps: usize,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(exceptions: &'a [Exception]) -> Self {
        let mut by_network: HashMap<Network, Vec<&Exception>> = HashMap::new();
        for exception in exceptions {
            by_network.entry(exception.network).or_default().push(exception);
        }
        Self { exceptions, by_network, steps: MAX_STEPS }
    }

    /// The parts of an entry outside of the exceptions; `None` if the steps run out.
    pub(super) fn cut(&mut self, entry: &Entry) -> Option<Vec<Network>> {
        let is_meant = |e: &Exception| e.applies_to(entry.unit);
        let outer = (0..=entry.network.prefix_len())
            .filter_map(|len| Network::new(entry.network.address(), len).ok());
        for network in outer {
            let same = self.by_network.get(&network).into_iter().flatten();
            let decides = |e: &Exception| e.takes_narrower() || network == entry.network;
            if same.into_iter().any(|e| is_meant(e) && decides(e)) {
                return Some(Vec::new());
            }
        }
        let first = self.exceptions.partition_point(|e| e.network < entry.network);
        let mut pieces = vec![entry.network];
        for exception in &self.exceptions[first..] {
            if !entry.network.contains(exception.network.address()) {
                break;
            }
            self.steps = self.steps.checked_sub(pieces.len() + 128)?;
            let within = pieces.iter().position(|piece| is_within(exception.network, *piece));
            let (true, Some(at)) = (is_meant(exception), within) else { continue };
            let mut piece = pieces.swap_remove(at);
            while piece != exception.network {
                let (left, right) = halves(piece)?;
                let is_left = is_within(exception.network, left);
                let (with, other) = if is_left { (left, right) } else { (right, left) };
                pieces.push(other);
                piece = with;
            }
        }
        pieces.sort();
        Some(pieces)
    }
}

fn halves(network: Network) -> Option<(Network, Network)> {
    let net = IpNet::new(network.address(), network.prefix_len()).ok()?;
    let mut halves = net.subnets(network.prefix_len() + 1).ok()?;
    Some((halves.next()?.into(), halves.next()?.into()))
}
