//! Masks of sets: the kernel stores and matches each element as a network of one length.

use mailmesh_events::Network;

use crate::network::{ParsedNetwork, network_with_netmask};
use crate::secret_key::excerpt;

/// The mask of a set.
#[derive(Debug, Clone, Default)]
pub(super) enum ElementMask {
    #[default]
    None,
    /// The prefix length of each element.
    Length(u8),
    /// Why no prefix length follows from the mask.
    Unclear(String),
}

impl ElementMask {
    /// The mask in the options of a set.
    pub(super) fn of(options: &[&str]) -> Self {
        let is_name =
            |option: &&str| matches!(option.trim_start_matches("--"), "netmask" | "bitmask");
        let Some(at) = options.iter().position(is_name) else {
            return Self::None;
        };
        let mask = options.get(at + 1).copied().unwrap_or_default();
        let of_mask = || {
            let mask =
                mask.parse().ok().filter(|mask: &std::net::Ipv4Addr| mask.octets()[0] > 0)?;
            let parsed = network_with_netmask(std::net::Ipv4Addr::UNSPECIFIED, mask)?;
            Some(parsed.network.prefix_len())
        };
        let length = mask.parse().ok().or_else(of_mask).filter(|length| *length > 0);
        length.map_or_else(
            || {
                Self::Unclear(format!(
                    "its set has `{} {}`, from which no network follows: list the networks",
                    options[at],
                    excerpt(mask)
                ))
            },
            Self::Length,
        )
    }

    /// The networks that the kernel matches for an element.
    pub(super) fn widen(&self, networks: Vec<ParsedNetwork>) -> Result<Vec<ParsedNetwork>, String> {
        let length = match self {
            Self::None => return Ok(networks),
            Self::Length(length) => *length,
            Self::Unclear(why) => return Err(why.clone()),
        };
        let widened = networks.into_iter().map(|parsed| {
            let network = parsed.network;
            if network.prefix_len() <= length {
                return Ok(parsed);
            }
            let wide = Network::new(network.address(), length).map_err(|why| why.to_string())?;
            Ok(wide.into())
        });
        let mut widened = widened.collect::<Result<Vec<ParsedNetwork>, String>>()?;
        // The parts of a range may lie in one network.
        widened.dedup_by_key(|parsed| parsed.network);
        Ok(widened)
    }
}
