//! Reads networks as lists write them.

pub(crate) mod length;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use mailmesh_events::Network;

use crate::secret_key::{excerpt, mask_keys};
use crate::words::{clean, words};

/// A network, and whether its text had host bits set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParsedNetwork {
    pub(crate) network: Network,
    pub(crate) has_host_bits: bool,
}

impl From<Network> for ParsedNetwork {
    fn from(network: Network) -> Self {
        Self { network, has_host_bits: false }
    }
}

/// Whether `inner` equals `outer` or is a part of it.
pub(crate) fn is_within(inner: Network, outer: Network) -> bool {
    inner.prefix_len() >= outer.prefix_len() && outer.contains(inner.address())
}

/// The network of a field, or the fault in the field. A field holds an address or prefix, with the
/// length also as a netmask (`192.0.2.0/255.255.255.0`), in brackets, or after a CrowdSec scope
/// (`Ip:`).
pub(crate) fn network(text: &str) -> Result<ParsedNetwork, String> {
    let text = clean(text);
    if let Some(parsed) = bare(text) {
        return Ok(parsed);
    }
    let after_scope = ["ip", "range"].into_iter().find_map(|scope| {
        let (before, after) = text.split_at_checked(scope.len())?;
        before.eq_ignore_ascii_case(scope).then_some(after)?.strip_prefix(':')
    });
    let unwrapped = after_scope.map(clean).unwrap_or(text);
    let without_brackets = unwrapped.strip_prefix('[').and_then(|rest| {
        let (address, rest) = rest.split_once(']')?;
        // The port of `[2001:db8::1]:25` must not become a part of the address.
        let is_whole = rest.is_empty() || rest.starts_with('/');
        is_whole.then(|| format!("{address}{rest}"))
    });
    bare(without_brackets.as_deref().unwrap_or(unwrapped)).ok_or_else(|| {
        if let Some(why) = zone_or_wildcard(text) {
            return why;
        }
        // The parser of `mailmesh_events` words the error, so that there is one wording.
        mask_keys(text).parse::<Network>().err().map_or_else(String::new, |error| error.to_string())
    })
}

/// The fault of an address with a zone (`fe80::1%eth0`) or a wildcard (`192.0.2.*`).
fn zone_or_wildcard(text: &str) -> Option<String> {
    let is_wildcard = |part: &str| matches!(part, "*" | "x" | "X");
    if let Some((address, _)) = text.trim_start_matches('[').split_once('%') {
        let is_address = address.parse::<IpNet>().is_ok() || address.parse::<IpAddr>().is_ok();
        return is_address.then(|| {
            format!(
                "`{}` has a zone (`%`), which only one host knows: write the address without it",
                excerpt(text)
            )
        });
    }
    if !text.contains(['*', 'x', 'X']) && !text.ends_with('.') {
        return None;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let count = parts.iter().take_while(|p| p.parse::<u8>().is_ok()).count();
    let is_rest = |part: &str| is_wildcard(part) || (part.is_empty() && count + 1 == parts.len());
    if (1..=3).contains(&count) && parts.len() <= 4 && parts[count..].iter().all(|p| is_rest(p)) {
        let network = network_of_leading_octets(&parts[..count].join("."))?;
        return Some(format!("`{}` is a wildcard: write {network}", excerpt(text)));
    }
    (text.contains('*')
        && text.contains(['.', ':'])
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b":.*/".contains(&b)))
    .then(|| format!("`{}` is a wildcard: write it as a prefix, like 192.0.2.0/24", excerpt(text)))
}

fn bare(text: &str) -> Option<ParsedNetwork> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(ParsedNetwork { network: net.into(), has_host_bits: net != net.trunc() });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Network::single(address).into());
    }
    let (address, mask) = text.split_once('/')?;
    network_with_netmask(address.parse().ok()?, mask.parse().ok()?)
}

/// The network of an address and a netmask, or of an address and a wildcard (inverse) mask.
pub(crate) fn network_with_netmask(address: Ipv4Addr, mask: Ipv4Addr) -> Option<ParsedNetwork> {
    let bits = u32::from(mask);
    let len = match mask.octets()[0] {
        255 if bits.leading_ones() + bits.trailing_zeros() == 32 => bits.leading_ones(),
        0 if bits != 0 && bits.leading_zeros() + bits.trailing_ones() == 32 => bits.leading_zeros(),
        _ => return None,
    };
    let network = Network::new(address.into(), u8::try_from(len).ok()?).ok()?;
    Some(ParsedNetwork { network, has_host_bits: network.address() != IpAddr::V4(address) })
}

/// The network of all addresses that begin with these one to three numbers (`192.0.2`).
pub(crate) fn network_of_leading_octets(text: &str) -> Option<Network> {
    let count = text.split('.').count();
    let len = u8::try_from(count * 8).ok().filter(|len| *len < 32)?;
    let address: Ipv4Addr = format!("{text}{}", ".0".repeat(4 - count)).parse().ok()?;
    Network::new(address.into(), len).ok()
}

/// Reads two adjacent addresses. Gives `None` if they are separate addresses, the network if the
/// second is the mask of the first, and a fault if they may be the bounds of one network.
pub(crate) fn network_of_pair(first: &str, second: &str) -> Option<Result<ParsedNetwork, String>> {
    let (first, second): (IpAddr, IpAddr) = (first.parse().ok()?, second.parse().ok()?);
    if let (IpAddr::V4(address), IpAddr::V4(mask)) = (first, second)
        && let Some(parsed) = network_with_netmask(address, mask)
    {
        return Some(Ok(parsed));
    }
    let [one] = *networks_of_range(first, second).ok()? else { return None };
    let host_bits = if first.is_ipv4() { 32 } else { 128 } - one.network.prefix_len();
    // Two neighbours are the same addresses either way.
    (host_bits > 1).then(|| {
        Err(format!(
            "`{first}` and `{second}` may be a range: write {first}-{second}, or two lines"
        ))
    })
}

/// The networks of a field: one network, or those of a range like `192.0.2.1 - 192.0.2.9`.
pub(crate) fn networks(field: &str) -> Result<Vec<ParsedNetwork>, String> {
    let Some((first, last)) = field.split_once('-') else {
        return Ok(vec![network(field)?]);
    };
    let address = |text: &str| {
        let text = clean(text);
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", excerpt(text)))
    };
    networks_of_range(address(first)?, address(last)?)
}

/// Upper bound on the prefixes of one range; every range needs fewer.
const MAX_PREFIXES: usize = 256;

/// The networks that cover a range exactly.
pub(crate) fn networks_of_range(first: IpAddr, last: IpAddr) -> Result<Vec<ParsedNetwork>, String> {
    let subnets = match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => IpSubnets::from(Ipv4Subnets::new(a, b, 0)),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => IpSubnets::from(Ipv6Subnets::new(a, b, 0)),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
            return Err(format!("`{first}-{last}` is not a range: its end is before its begin"));
        }
        _ => return Err(format!("`{first}-{last}` is not a range: one is IPv4, one is IPv6")),
    };
    Ok(subnets.take(MAX_PREFIXES + 1).map(|net| Network::from(net).into()).collect())
}

/// Whether a text is a prefix length as written behind an address (`/24`).
pub(crate) fn is_length(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|digits| {
        (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a text is a netmask or a wildcard (inverse) mask.
pub(crate) fn is_netmask(text: &str) -> bool {
    text.parse().is_ok_and(|mask| network_with_netmask(Ipv4Addr::UNSPECIFIED, mask).is_some())
}

/// Whether a text consists of addresses only: such a text is not a reason.
pub(crate) fn is_addresses(text: &str) -> bool {
    let mut words = words(text).peekable();
    words.peek().is_some() && words.all(|word| network(word).is_ok())
}

/// Whether a line contains an address or a part of one.
pub(crate) fn mentions_network(line: &str) -> bool {
    let is_between = |c: char| c.is_whitespace() || ",;()<>\"'=".contains(c);
    let mut words = line.split(is_between).map(|word| word.trim_matches(['.', ':', '-']));
    let mut numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.any(|word| networks(word).is_ok() || word.contains("::"))
        || numbers.any(|word| network(word.trim_matches('.')).is_ok())
}
