//! Networks with a mask, a prefix length or a last address beside them.

use std::net::IpAddr;

use crate::field::{Parsed, clean, network, networks, range, shown};

/// The networks that every mask or length of a record gives; all of them must agree.
pub(crate) fn agreed(
    masks: &[&str],
    read: impl Fn(&str) -> Result<Vec<Parsed>, String>,
) -> Result<Vec<Parsed>, String> {
    let Some((first, others)) = masks.split_first() else { return read("") };
    let networks = read(first)?;
    for other in others {
        if read(other)? != networks {
            return Err(format!(
                "its lengths do not agree: `{}` and `{}`",
                shown(first),
                shown(other)
            ));
        }
    }
    Ok(networks)
}

/// The networks of a text with a mask or length beside it; a length in the text must agree.
pub(crate) fn of_length(text: &str, mask: &str) -> Result<Vec<Parsed>, String> {
    if mask.is_empty() {
        return networks(text);
    }
    let Some((address, _)) = text.split_once(['/', '-']) else {
        return spanned(text, "", mask);
    };
    let (read, [with_mask]) = (networks(text)?, [network(&format!("{}/{mask}", clean(address)))?]);
    if read.iter().map(|parsed| parsed.network).ne([with_mask.network]) {
        return Err(format!("`{}` and the length `{}` do not agree", shown(text), shown(mask)));
    }
    Ok(read)
}

/// The networks from `first` to `last`, or of `first` and a mask; if given, both must agree.
pub(crate) fn spanned(first: &str, last: &str, mask: &str) -> Result<Vec<Parsed>, String> {
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
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", shown(text)))
    };
    let networks = range(address(first)?, address(last)?)?;
    match with_mask {
        Some(parsed) if networks != [Parsed { has_host_bits: false, ..parsed }] => {
            Err(format!("{first} to {last} is not {}", parsed.network))
        }
        _ => Ok(networks),
    }
}
