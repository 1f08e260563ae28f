//! Reconnects lost peers soon after the network has recovered, where links do not prove the cluster
//! key.
//!
//! Zenoh looks for peers by multicast every 8 s, so a healed path may be unused that long. While a
//! member is lost, this module scouts more often, and introduces the peers that answer from a
//! network of this host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use if_addrs::{IfAddr, Interface};
use mailmesh_secrets::redact;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use zenoh::config::WhatAmI;
use zenoh::scouting::Hello;

use super::introduce::{Introducer, UnlinkedNode};
use super::lost_peers::LostPeers;
use crate::coordinator::zenoh_config;

/// Maximum number of peers introduced after one scan, because any host of the network may answer.
/// The others answer the next scan.
const MAX_INTRODUCED: usize = 16;
/// How long after the loss of a member the scans are fast.
const FAST_SCAN_FOR: Duration = Duration::from_secs(300);
/// Interval between two scans, at first and later. It grows with the number of peers.
const SCAN_INTERVALS: [Duration; 2] = [Duration::from_millis(600), Duration::from_secs(7)];
/// How long one scan waits for answers.
const ANSWER_WAIT: Duration = Duration::from_millis(400);

/// Scans for lost members until it is dropped.
#[derive(Debug)]
pub(super) struct Reconnector(JoinHandle<()>);

impl Reconnector {
    /// Starts on the caller's runtime. Without multicast scouting no peer can be found; Zenoh
    /// itself retries the endpoints of the configuration. Without gossip no peer can be introduced.
    pub(super) fn start(introducer: Introducer, lost_peers: Arc<LostPeers>) -> Self {
        Self(tokio::spawn(async move {
            if !introducer.settings.discovers(false) {
                return;
            }
            loop {
                lost_peers.wait_for_loss().await;
                scan_while_lost(&introducer, &lost_peers).await;
            }
        }))
    }
}

impl Drop for Reconnector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn scan_while_lost(introducer: &Introducer, lost_peers: &LostPeers) {
    while let Some(missing_for) = lost_peers.shortest_absence()
        && !introducer.session.is_closed()
    {
        if let Err(error) = scan_once(introducer).await {
            let error = redact(&error.to_string());
            tracing::debug!(error, "a scan for lost peers failed; Zenoh looks for them too");
        }
        let peers = introducer.linked_zids().await.len() as u32;
        sleep(SCAN_INTERVALS[usize::from(missing_for > FAST_SCAN_FOR)] * (1 + peers / 8)).await;
    }
}

/// Scouts once, and introduces the peers that this node is not linked to.
async fn scan_once(introducer: &Introducer) -> zenoh::Result<()> {
    let config = zenoh_config(&introducer.settings, None, None)?;
    let scout = zenoh::scout(WhatAmI::Peer, config).await?;
    let (mut own, mut unlinked) = (None, BTreeMap::new());
    let linked = introducer.linked_zids().await;
    let networks = if_addrs::get_if_addrs().unwrap_or_default();
    let until = Instant::now() + ANSWER_WAIT;
    while let Ok(Ok(hello)) = tokio::time::timeout_at(until, scout.recv_async()).await {
        if hello.zid() == introducer.session.zid() {
            own = Some(hello);
        } else if !linked.contains(&hello.zid()) && unlinked.len() < MAX_INTRODUCED {
            let endpoints = near(&hello, &networks);
            if !endpoints.is_empty() {
                unlinked.insert(hello.zid(), UnlinkedNode { zid: hello.zid(), endpoints });
            }
        }
    }
    // Dropping the scout waits for its task with a timer. That must not happen in this runtime,
    // which may be shutting down.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(scout);
        let _receiver_may_be_gone = ended.send(());
    });
    let _ended = end.await;
    let (Some(own), false) = (own, unlinked.is_empty()) else { return Ok(()) };
    let unlinked: Vec<UnlinkedNode> = unlinked.into_values().collect();
    introducer.introduce(&near(&own, &networks), &unlinked).await;
    Ok(())
}

/// The endpoints of an answer whose address is in a network of this host: an answer may name any
/// host and port.
fn near(hello: &Hello, networks: &[Interface]) -> Vec<String> {
    let locators = hello.locators().iter().map(ToString::to_string);
    let is_near = |locator: &String| {
        let address = locator.split_once('/').map_or("", |(_, address)| address);
        let address = address.split(['?', '#']).next().unwrap_or_default();
        address.parse::<SocketAddr>().is_ok_and(|a| networks.iter().any(|n| has(n, a.ip())))
    };
    locators.filter(is_near).collect()
}

fn has(network: &Interface, address: IpAddr) -> bool {
    match (&network.addr, address) {
        (IfAddr::V4(own), IpAddr::V4(v4)) => {
            let mask = u32::from(own.netmask);
            u32::from(own.ip) & mask == u32::from(v4) & mask
        }
        (IfAddr::V6(own), IpAddr::V6(v6)) => {
            let mask = u128::from(own.netmask);
            u128::from(own.ip) & mask == u128::from(v6) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_network_is_not_near() {
        let lo =
            if_addrs::get_if_addrs().unwrap().into_iter().find(Interface::is_loopback).unwrap();
        let is_near = |address: &str| has(&lo, address.parse().unwrap());
        let of_lo = ["127.0.0.1", "127.9.9.9", "::1"].map(is_near);
        assert!(of_lo.contains(&true));
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::2"] {
            assert!(!is_near(address), "{address}");
        }
    }
}
