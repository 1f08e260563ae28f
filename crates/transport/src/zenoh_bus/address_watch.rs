//! Decides when the host's addresses have changed so that the session must be reopened. No I/O and
//! no clock: the addresses and the time are passed in.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::coordinator::HostAddresses;

/// How often the host's addresses are read.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the addresses must be unchanged before a change is reported: in one change of a
/// network, addresses disappear and others appear at different times.
const SETTLE_TIME: Duration = Duration::from_millis(800);
/// Minimum time between two reopened sessions, however often an interface goes up and down.
const MIN_REOPEN_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of addresses in a log line.
const MAX_NAMED_ADDRESSES: usize = 8;

/// The addresses that the session announces, and the addresses seen since.
#[derive(Debug)]
pub(super) struct AddressWatch {
    announced: BTreeSet<IpAddr>,
    /// The addresses last seen, and since when they are unchanged.
    seen: Option<(BTreeSet<IpAddr>, Instant)>,
    /// When the session was last reopened after a change.
    reopened: Option<Instant>,
}

/// A change after which the session must be reopened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AddressChange {
    gone: Vec<IpAddr>,
    new: Vec<IpAddr>,
}

impl AddressWatch {
    /// `announced` are the addresses when the session was opened.
    pub(super) fn new(announced: BTreeSet<IpAddr>) -> Self {
        Self { announced, seen: None, reopened: None }
    }

    /// Records the host's addresses now. A change is reported once; the caller then reopens the
    /// session.
    pub(super) fn observe(&mut self, now: Instant, host: &HostAddresses) -> Option<AddressChange> {
        let since = match &self.seen {
            Some((seen, since)) if *seen == host.usable => *since,
            _ => now,
        };
        self.seen = Some((host.usable.clone(), since));
        // A session without an address reaches no node, so reopening helps only once there is an
        // address. If the old address returns, nothing has changed.
        let is_needed = !host.usable.is_empty() && host.differ_from(&self.announced);
        let is_early = now < since + SETTLE_TIME
            || self.reopened.is_some_and(|at| now < at + MIN_REOPEN_INTERVAL);
        if !is_needed || is_early {
            return None;
        }
        let gone = self.announced.iter().copied().filter(|ip| !host.has(*ip)).collect();
        let new = host.usable.difference(&self.announced).copied().collect();
        self.announced.clone_from(&host.usable);
        self.reopened = Some(now);
        Some(AddressChange { gone, new })
    }
}

impl fmt::Display for AddressChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (change, addresses) in [("gone", &self.gone), ("new", &self.new)] {
            if addresses.is_empty() {
                continue;
            }
            write!(f, "{separator}{change}")?;
            for ip in addresses.iter().take(MAX_NAMED_ADDRESSES) {
                write!(f, " {ip}")?;
            }
            if addresses.len() > MAX_NAMED_ADDRESSES {
                write!(f, " and {} more", addresses.len() - MAX_NAMED_ADDRESSES)?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(addresses: &[&str]) -> HostAddresses {
        HostAddresses::with(addresses)
    }

    fn at_start(addresses: &[&str]) -> AddressWatch {
        AddressWatch::new(host(addresses).usable)
    }

    /// The seconds at which a change is reported, with one sighting per second.
    fn reported(watch: &mut AddressWatch, sightings: &[&[&str]]) -> Vec<usize> {
        let start = Instant::now();
        let mut at = Vec::new();
        for (second, addresses) in sightings.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            if watch.observe(now, &host(addresses)).is_some() {
                at.push(second);
            }
        }
        at
    }

    #[test]
    fn unchanged_addresses_cause_no_report() {
        let mut watch = at_start(&["192.0.2.1", "2001:db8::1"]);
        assert_eq!(reported(&mut watch, &[&["192.0.2.1", "2001:db8::1"][..]; 100]), [0; 0]);
    }

    #[test]
    fn a_change_is_reported_once_when_it_has_settled() {
        let mut watch = at_start(&["192.0.2.1"]);
        let (old, new) = (&["192.0.2.1"][..], &["192.0.2.9"][..]);
        let both = &["192.0.2.1", "192.0.2.9"][..];
        assert_eq!(reported(&mut watch, &[old, both, new, new, new, new]), [3]);
    }

    #[test]
    fn an_address_that_returns_or_has_no_successor_is_not_reported() {
        let mut watch = at_start(&["192.0.2.1"]);
        let (old, none) = (&["192.0.2.1"][..], &[][..]);
        assert_eq!(reported(&mut watch, &[old, none, none, none, old, old, old]), [0; 0]);
    }

    #[test]
    fn a_flapping_interface_reopens_rarely_and_is_followed_in_the_end() {
        let mut watch = at_start(&["192.0.2.1"]);
        let (old, new) = (&["192.0.2.1"][..], &["192.0.2.9"][..]);
        let mut sightings: Vec<&[&str]> = (0..60).map(|n| [old, new][n % 2]).collect();
        assert_eq!(reported(&mut watch, &sightings), [0; 0], "it never settles");
        sightings = (0..60).map(|n| [old, old, new, new][n % 4]).collect();
        let at = reported(&mut at_start(&["192.0.2.1"]), &sightings);
        assert!(at.len() <= 6 && at.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{at:?}");
        sightings.extend([new; 12]);
        let mut watch = at_start(&["192.0.2.1"]);
        reported(&mut watch, &sightings);
        assert_eq!(watch.announced, host(new).usable);
    }

    #[test]
    fn the_text_of_a_change_is_bounded() {
        let change = |gone: &[&str], new: &[&str]| {
            let list = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
            AddressChange { gone: list(gone), new: list(new) }.to_string()
        };
        assert_eq!(change(&["192.0.2.1"], &["192.0.2.9"]), "gone 192.0.2.1, new 192.0.2.9");
        assert_eq!(change(&[], &["2001:db8::1"]), "new 2001:db8::1");
        assert!(change(&["192.0.2.1"; 20], &[]).ends_with(" and 12 more"));
    }
}
