//! Reads networks, ends and reasons as lists write them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use mailmesh_events::{Network, UnixMillis, limits};

use crate::key::hidden;
use crate::verdict::name_of;
use crate::{Ends, moment};

/// The text without white space, byte-order marks and zero-width spaces at both ends. Files that
/// were concatenated have byte-order marks in the middle.
pub(crate) fn clean(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// The first 80 characters of a text for a message; parts that may be a secret key are masked.
pub(crate) fn shown(text: &str) -> String {
    hidden(text).chars().take(80).collect()
}

/// A text of a list on one line, cut to `limits::TEXT_LEN` bytes.
pub(crate) fn bounded(text: &str) -> Box<str> {
    let text = clean(text);
    let mut end = text.len().min(limits::TEXT_LEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
}

/// Whether a text consists of addresses only: such a text is not a reason.
pub(crate) fn is_addresses(text: &str) -> bool {
    let mut words = words(text).peekable();
    words.peek().is_some() && words.all(|word| network(word).is_ok())
}

/// The words of a text, separated by white space and commas.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}'));
    words.filter(|word| !word.is_empty())
}

/// A network, and whether its text had host bits set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) network: Network,
    pub(crate) has_host_bits: bool,
}

impl From<Network> for Parsed {
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
pub(crate) fn network(text: &str) -> Result<Parsed, String> {
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
        hidden(text).parse::<Network>().err().map_or_else(String::new, |error| error.to_string())
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
                shown(text)
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
        let network = part(&parts[..count].join("."))?;
        return Some(format!("`{}` is a wildcard: write {network}", shown(text)));
    }
    (text.contains('*')
        && text.contains(['.', ':'])
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b":.*/".contains(&b)))
    .then(|| format!("`{}` is a wildcard: write it as a prefix, like 192.0.2.0/24", shown(text)))
}

fn bare(text: &str) -> Option<Parsed> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(Parsed { network: net.into(), has_host_bits: net != net.trunc() });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Network::single(address).into());
    }
    let (address, mask) = text.split_once('/')?;
    masked(address.parse().ok()?, mask.parse().ok()?)
}

/// The network of an address and a netmask, or of an address and a wildcard (inverse) mask.
pub(crate) fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Parsed> {
    let bits = u32::from(mask);
    let len = match mask.octets()[0] {
        255 if bits.leading_ones() + bits.trailing_zeros() == 32 => bits.leading_ones(),
        0 if bits != 0 && bits.leading_zeros() + bits.trailing_ones() == 32 => bits.leading_zeros(),
        _ => return None,
    };
    let network = Network::new(address.into(), u8::try_from(len).ok()?).ok()?;
    Some(Parsed { network, has_host_bits: network.address() != IpAddr::V4(address) })
}

/// The network of all addresses that begin with these one to three numbers (`192.0.2`).
pub(crate) fn part(text: &str) -> Option<Network> {
    let count = text.split('.').count();
    let len = u8::try_from(count * 8).ok().filter(|len| *len < 32)?;
    let address: Ipv4Addr = format!("{text}{}", ".0".repeat(4 - count)).parse().ok()?;
    Network::new(address.into(), len).ok()
}

/// Reads two adjacent addresses. Gives `None` if they are separate addresses, the network if the
/// second is the mask of the first, and a fault if they may be the bounds of one network.
pub(crate) fn pair(first: &str, second: &str) -> Option<Result<Parsed, String>> {
    let (first, second): (IpAddr, IpAddr) = (first.parse().ok()?, second.parse().ok()?);
    if let (IpAddr::V4(address), IpAddr::V4(mask)) = (first, second)
        && let Some(parsed) = masked(address, mask)
    {
        return Some(Ok(parsed));
    }
    let [one] = *range(first, second).ok()? else { return None };
    let host_bits = if first.is_ipv4() { 32 } else { 128 } - one.network.prefix_len();
    // Two neighbours are the same addresses either way.
    (host_bits > 1).then(|| {
        Err(format!(
            "`{first}` and `{second}` may be a range: write {first}-{second}, or two lines"
        ))
    })
}

/// The networks of a field: one network, or those of a range like `192.0.2.1 - 192.0.2.9`.
pub(crate) fn networks(field: &str) -> Result<Vec<Parsed>, String> {
    let Some((first, last)) = field.split_once('-') else {
        return Ok(vec![network(field)?]);
    };
    let address = |text: &str| {
        let text = clean(text);
        text.parse::<IpAddr>().map_err(|_| format!("`{}` is not an IP address", shown(text)))
    };
    range(address(first)?, address(last)?)
}

/// Upper bound on the prefixes of one range; every range needs fewer.
const MAX_PREFIXES: usize = 256;

/// The networks that cover a range exactly.
pub(crate) fn range(first: IpAddr, last: IpAddr) -> Result<Vec<Parsed>, String> {
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

/// Whether a text is a number and nothing else, such as a score.
pub(crate) fn is_number(text: &str) -> bool {
    text.len() <= 20
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.parse::<f64>().is_ok()
}

/// How to read a bare number as an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// Time since 1970, in the unit that [`moment_of`] finds.
    Moment,
    /// Seconds from now, unless the number is as large as a moment.
    Seconds,
}

/// 2001-09-09 in seconds since 1970: smaller numbers are not read as moments.
const FIRST_MOMENT: u64 = 1_000_000_000;
/// 2200-01-01 in seconds since 1970: larger numbers are not read as seconds.
const LAST_MOMENT: u64 = 7_258_118_400;

/// 9999-12-31 in seconds since 1970.
const LAST_DAY: u64 = 253_402_214_400;

/// Whether a text says that there is no end.
pub(crate) fn is_no_end(text: &str) -> bool {
    matches!(text, "" | "-" | "--" | "-1" | "\u{2013}" | "\u{2014}" | "\u{221e}")
        || (text.contains(char::is_alphabetic) && NO_END.contains(&name_of(text).as_str()))
}

/// Words for "no end", in the form of [`name_of`].
const NO_END: [&str; 68] = [
    "never",
    "null",
    "nil",
    "none",
    "no",
    "na",
    "permanent",
    "permanently",
    "perm",
    "forever",
    "indefinite",
    "indefinitely",
    "infinite",
    "infinity",
    "unlimited",
    "always",
    "noend",
    "noexpiry",
    "noexpiration",
    "doesnotexpire",
    "neverexpires",
    // German.
    "nie",
    "niemals",
    "unbefristet",
    "dauerhaft",
    "unbegrenzt",
    "endlos",
    "ewig",
    "fürimmer",
    "furimmer",
    "kein",
    "keine",
    "keines",
    "keinende",
    "keinablauf",
    "ohne",
    "ohneende",
    // French.
    "jamais",
    "permanente",
    "illimite",
    "illimitee",
    "indefini",
    "definitif",
    "aucun",
    "aucune",
    "sansfin",
    "toujours",
    // Spanish, Portuguese, Italian.
    "nunca",
    "indefinido",
    "ilimitado",
    "siempre",
    "sinfin",
    "ninguno",
    "ninguna",
    "mai",
    "sempre",
    "illimitato",
    "indefinito",
    "nessuno",
    "nessuna",
    "semprevalido",
    // Dutch, Scandinavian languages, Polish, Czech.
    "nooit",
    "onbeperkt",
    "altijd",
    "aldrig",
    "aldri",
    "nigdy",
    "nikdy",
];

/// The moment of a number. The unit (s, ms, µs or ns) is the one that puts it in 2001 to 2199.
pub(crate) fn moment_of(number: u64) -> Option<UnixMillis> {
    let units_in_second = [1, 1_000, 1_000_000, 1_000_000_000];
    let unit = units_in_second
        .into_iter()
        .find(|units| (FIRST_MOMENT..LAST_MOMENT).contains(&(number / units)))?;
    Some(UnixMillis(if unit == 1 { number * 1_000 } else { number / (unit / 1_000) }))
}

/// Reads an end: a moment, or a duration such as `4h30m`.
pub(crate) fn ends(text: &str, bare: Bare) -> Result<Ends, String> {
    let text = clean(text);
    if is_no_end(text) {
        return Ok(Ends::Never);
    }
    if bare == Bare::Seconds {
        refuse_thousands(text)?;
    }
    let whole = text.split_once('.').filter(|(_, part)| part.bytes().all(|b| b.is_ascii_digit()));
    if let Ok(number) = whole.map_or(text, |(whole, _)| whole).parse::<u64>() {
        return match moment_of(number) {
            Some(moment) => Ok(Ends::At(moment)),
            None if number >= FIRST_MOMENT => {
                Err(format!("`{number}` is no moment between 2001 and 2200, in any unit"))
            }
            None if bare == Bare::Seconds => Ok(Ends::After(Duration::from_secs(number))),
            None => Err(format!("`{number}` is no moment: seconds since 1970 are expected")),
        };
    }
    // CrowdSec lists an expired decision with the time since its end, as a negative duration.
    if let Some(past) = text.strip_prefix('-')
        && duration(past).is_ok()
    {
        return Ok(Ends::After(Duration::ZERO));
    }
    if let Some((moment, has_zone)) = moment::read_zoned(text) {
        let seconds = moment.0 / 1_000;
        // Databases write the latest date they can hold for "no end".
        return if seconds < LAST_MOMENT {
            Ok(if has_zone { Ends::At(moment) } else { Ends::Local(moment) })
        } else if seconds >= LAST_DAY {
            Ok(Ends::Never)
        } else {
            let wrong = "is later than the year 2200; leave it empty if there is no end";
            Err(format!("`{}` {wrong}", shown(text)))
        };
    }
    if let Some(why) = moment::ambiguous(text) {
        return Err(why);
    }
    if let Ok(left) = duration(text) {
        return Ok(Ends::After(left));
    }
    let text: String = shown(text).chars().take(40).collect();
    Err(format!(
        "`{text}` is no end: expected like 2026-12-31T12:00:00Z, 31.12.2026, 1798718400 or 4h30m"
    ))
}

/// Refuses a number such as `3.600`: the point may be a thousands separator.
fn refuse_thousands(text: &str) -> Result<(), String> {
    let Some((whole, part)) = text.split_once('.') else { return Ok(()) };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (1..=3).contains(&whole.len()) && part.len() == 3 && is_number(whole) && is_number(part) {
        return Err(format!(
            "`{text}` may be {whole}{part} or {whole}: write it without the point"
        ));
    }
    Ok(())
}

/// The end after a duration whose unit, in milliseconds, the name of the column gives.
pub(crate) fn ends_after(text: &str, unit: u64) -> Result<Ends, String> {
    let text = clean(text);
    refuse_thousands(text)?;
    if !is_number(text) {
        return ends(text, Bare::Seconds);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let of_whole = whole.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    // At most six decimals, so that the product does not overflow.
    let part = &part[..part.len().min(6)];
    let of_part = part.parse::<u64>().unwrap_or(0) * unit / 10_u64.pow(part.len() as u32);
    match of_whole.filter(|millis| millis / 1_000 < FIRST_MOMENT) {
        Some(millis) => Ok(Ends::After(Duration::from_millis(millis + of_part))),
        None => Err(format!("`{}` is longer than any block lasts", shown(text))),
    }
}

/// Whether a text is a prefix length as written behind an address (`/24`).
pub(crate) fn is_length(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|digits| {
        (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a text is a netmask or a wildcard (inverse) mask.
pub(crate) fn is_netmask(text: &str) -> bool {
    text.parse().is_ok_and(|mask| masked(Ipv4Addr::UNSPECIFIED, mask).is_some())
}

/// Whether a text in a column without a name looks like an end, even one that cannot be read.
pub(crate) fn may_be_end(text: &str) -> bool {
    moment::is_date(text) || ends(text, Bare::Moment).is_ok_and(|ends| ends != Ends::Never)
}

/// Reads a duration such as `4h30m`, or in the form of Go, `3h59m57.4s`. Fractions of a second are
/// dropped.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    // Only fractions of a second may be dropped: `1.5 hours` must fail.
    let whole = text.split_once('.').and_then(|(whole, part)| {
        let unit = part.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        matches!(unit, "s" | "sec" | "secs" | "second" | "seconds").then(|| format!("{whole}s"))
    });
    humantime::parse_duration(whole.as_deref().unwrap_or(text))
}
