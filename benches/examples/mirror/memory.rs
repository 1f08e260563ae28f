//! Memory per entry, including all tables.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use mailmesh_benches::corpus::{self, ADDRESSES, NOW};
use mailmesh_events::{Change, Network, NetworkChange, NodeId, Rule, Stamp};
use mailmesh_state::Mirror;

use crate::row::Row;

/// Resident memory of this process, in bytes.
fn resident() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096.0)
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    // Both stay allocated until the end: the allocator would reuse freed memory unnoticed.
    let before = resident()?;
    let map: dashmap::DashMap<IpAddr, ()> = (0..ADDRESSES).map(|n| (corpus::v4(n), ())).collect();
    let rival = (resident()? - before) / f64::from(ADDRESSES);
    let before = resident()?;
    let mirror = Mirror::new(NodeId(1), [7; 16]);
    // Apply entries one by one, as they arrive from other nodes; each has its own reason and
    // expiry.
    for n in 0..ADDRESSES {
        let stamp = Stamp::new(NOW, n as u16, NodeId(2));
        let (network, block) = (Network::single(corpus::v4(n)), Some(Arc::new(corpus::block(n))));
        let change = NetworkChange::new(Rule::Block, network, stamp, block);
        mirror.apply(&Change::Network(change), NOW);
    }
    let ours = (resident()? - before) / f64::from(ADDRESSES);
    drop((mirror, map));
    let row = Row::new("memory of an address", ours, "B", 100.0);
    Ok(vec![row.versus("DashMap, key and unit", rival)])
}
