//! An IP address or prefix in canonical form.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::EventError;

/// An IP address or prefix in canonical form: host bits are zero, and an IPv4
/// address mapped into IPv6 (RFC 4291, section 2.5.5.2) is the IPv4 address.
///
/// ```
/// use mailmesh_events::Network;
///
/// let network: Network = "192.0.2.77/24".parse()?;
/// assert_eq!(network.to_string(), "192.0.2.0/24");
/// let mapped: Network = "::ffff:192.0.2.7".parse()?;
/// assert_eq!(mapped.to_string(), "192.0.2.7");
/// assert!(network.contains("::ffff:192.0.2.1".parse().unwrap()));
/// # Ok::<(), mailmesh_events::EventError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// The widest IPv4 prefix accepted without force.
    pub const WIDEST_V4: u8 = 8;
    /// The widest IPv6 prefix accepted without force.
    pub const WIDEST_V6: u8 = 16;

    /// The network of a single address.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        Self(IpNet::from(canonical(address)))
    }

    /// The network of `prefix_len` bits that contains `address`.
    ///
    /// # Errors
    /// [`EventError::BadNetwork`] if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, EventError> {
        IpNet::new(address, prefix_len)
            .map(Self::from)
            .map_err(|_| EventError::BadNetwork { text: format!("{address}/{prefix_len}") })
    }

    /// The first address, with zero host bits.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }

    /// The prefix length in bits.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether the network is a single address.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether the network contains `address`; a mapped IPv4 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&canonical(address))
    }

    /// The width limit of the address family, if the prefix is wider.
    pub(crate) fn exceeded_width_limit(&self) -> Option<u8> {
        let widest = match self.0 {
            IpNet::V4(_) => Self::WIDEST_V4,
            IpNet::V6(_) => Self::WIDEST_V6,
        };
        (self.prefix_len() < widest).then_some(widest)
    }

    /// Refuses the loopback, and very wide prefixes unless `limit` is [`WidthLimit::Lifted`].
    pub(crate) fn check_blockable(&self, limit: WidthLimit) -> Result<(), EventError> {
        if let (WidthLimit::Enforced, Some(limit)) = (limit, self.exceeded_width_limit()) {
            return Err(EventError::TooWide { network: self.to_string(), limit });
        }
        let loopback: IpNet = match self.0 {
            IpNet::V4(_) => IpNet::V4(Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)),
            IpNet::V6(_) => IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        };
        if self.0.contains(&loopback) || loopback.contains(&self.0) {
            return Err(EventError::Loopback { network: self.to_string() });
        }
        Ok(())
    }
}

/// Whether prefixes wider than [`Network::WIDEST_V4`] and [`Network::WIDEST_V6`] are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WidthLimit {
    Enforced,
    Lifted,
}

/// The IPv4 address of an IPv4-mapped IPv6 address; any other address as it is.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl From<IpNet> for Network {
    fn from(net: IpNet) -> Self {
        if let IpNet::V6(v6) = net
            && let IpAddr::V4(v4) = canonical(IpAddr::V6(v6.addr()))
            && let Some(prefix_len) = v6.prefix_len().checked_sub(96)
            && let Ok(v4) = Ipv4Net::new(v4, prefix_len)
        {
            return Self(IpNet::V4(v4.trunc()));
        }
        Self(net.trunc())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self::single(address)
    }
}

impl FromStr for Network {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let text = text.trim();
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Self::from)
            .map_err(|_| EventError::BadNetwork { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Network {
    /// A single address is shown without its prefix length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_prefixes_become_ipv4_prefixes() {
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        // Wider than the mapped range, so it stays an IPv6 prefix.
        assert_eq!(network("::ffff:0:0/90").to_string(), "::ffc0:0:0/90");
    }

    #[test]
    fn the_loopback_and_very_wide_prefixes_are_not_blockable() {
        for text in ["127.0.0.1", "127.0.0.0/8", "::1", "::ffff:127.0.0.1"] {
            let error = network(text).check_blockable(WidthLimit::Lifted).unwrap_err();
            assert!(matches!(error, EventError::Loopback { .. }), "{text}: {error}");
        }
        for text in ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2001::/15"] {
            let error = network(text).check_blockable(WidthLimit::Enforced).unwrap_err();
            assert!(matches!(error, EventError::TooWide { .. }), "{text}: {error}");
        }
        // The whole address space contains the loopback.
        assert!(network("0.0.0.0/0").check_blockable(WidthLimit::Lifted).is_err());
        assert!(network("2001::/15").check_blockable(WidthLimit::Lifted).is_ok());
        assert!(network("10.0.0.0/8").check_blockable(WidthLimit::Enforced).is_ok());
    }

    #[test]
    fn the_error_quotes_a_text_that_is_not_a_network() {
        let error = "10.0.0.0/33".parse::<Network>().unwrap_err().to_string();
        assert!(error.contains("`10.0.0.0/33` is not an IP address or prefix"), "{error}");
    }

    proptest! {
        #[test]
        fn text_round_trips(address: IpAddr, len in 0u8..=128) {
            if let Ok(network) = Network::new(address, len) {
                prop_assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
                prop_assert!(network.contains(network.address()));
            }
        }
    }
}
