//! Networks with a mask, a prefix length or a last address beside them.

use std::net::IpAddr;

use crate::network::{ParsedNetwork, network, networks, networks_of_range};
use crate::secret_key::excerpt;
use crate::words::clean;

/// The networks that every mask or length of a record gives; all of them must agree.
pub(crate) fn read_with_lengths(
    masks: &[&str],
    read: impl Fn(&str) -> Result<Vec<ParsedNetwork>, String>,
) -> Result<Vec<ParsedNetwork>, String> {
    let Some((first, others)) = masks.split_first() else { return read("") };
    let networks = read(first)?;
    for other in others {
        if read(other)? != networks {
            return Err(format!(
                "its lengths do not agree: `{}` and `{}`",
                excerpt(first),
                excerpt(other)
            ));
        }
    }
    Ok(networks)
}

/// The networks of a text with a mask or length beside it; a length in the text must agree.
pub(crate) fn networks_with_length(text: &str, mask: &str) -> Result<Vec<ParsedNetwork>, String> {
    if mask.is_empty() {
        return networks(text);
    }
    let Some((address, _)) = text.split_once(['/', '-']) else {
        return networks_between(text, "", mask);
    };
    let (read, [with_mask]) = (networks(text)?, [network(&format!("{}/{mask}", clean(address)))?]);
    if read.iter().map(|parsed| parsed.network).ne([with_mask.network]) {
        return Err(format!("`{}` and the length `{}` do not agree", excerpt(text), excerpt(mask)));
    }
    Ok(read)
}

/// The networks from `first` to `last`, or of `first` and a mask; if given, both must agree.
pub(crate) fn networks_between(
    first: &str,
    last: &str,
    mask: &str,
) -> Result<Vec<ParsedNetwork>, String> {
    let with_mask = if mask.is_empty() {
        None
    } else {
        let prefix = format!("{first}/{mask}");
        Some(network(&prefix)?)
    };
    if last.is_empty() {
        return match with_mask {
            Some(parsed) => Ok(vec![parsed]),
            None => Ok(vec![network(first)?]),
        };
    }
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", excerpt(text)))
    };
    let networks = networks_of_range(address(first)?, address(last)?)?;
    match with_mask {
        Some(parsed) if networks != [ParsedNetwork { has_host_bits: false, ..parsed }] => {
            Err(format!("{first} to {last} is not {}", parsed.network))
        }
        _ => Ok(networks),
    }
}
