//! A network a line.

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use mailmesh_events::Network;

use crate::{Ends, Entry, List, ListError, bounded, check_line, network};

/// Most prefixes that a range becomes: any range is fewer.
const MAX_PREFIXES: usize = 256;

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
            continue;
        }
        let (field, reason) = split(line);
        if field.is_empty() {
            list.skipped += 1;
            continue;
        }
        match networks(field) {
            Ok(networks) => {
                for network in networks {
                    let (reason, origin) = (bounded(reason), Box::default());
                    list.push(Entry { line: number, network, reason, origin, ends: Ends::Never })?;
                }
            }
            Err(why) => list.refuse(number, why),
        }
    }
    Ok(list)
}

/// A line without its comment, and the comment.
fn split(line: &str) -> (&str, &str) {
    match line.find([';', '#']) {
        Some(at) => (line[..at].trim(), line[at + 1..].trim_matches([';', '#', ' ', '\t'])),
        None => (line.trim(), ""),
    }
}

/// The networks of a field: one, or those of a range like `192.0.2.1 - 192.0.2.9`.
fn networks(field: &str) -> Result<Vec<Network>, String> {
    let Some((first, last)) = field.split_once('-') else {
        return Ok(vec![network(field)?]);
    };
    let address = |text: &str| {
        let text = text.trim();
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", shown(text)))
    };
    let subnets = match (address(first)?, address(last)?) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => IpSubnets::from(Ipv4Subnets::new(a, b, 0)),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => IpSubnets::from(Ipv6Subnets::new(a, b, 0)),
        _ => return Err(format!("`{}` is not a range: its end is before its begin", shown(field))),
    };
    let networks: Vec<Network> = subnets.take(MAX_PREFIXES + 1).map(IpNet::into).collect();
    Ok(networks)
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
