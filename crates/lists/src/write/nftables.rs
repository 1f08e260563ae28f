//! Writes sets for nftables.

use std::fmt::{self, Write};
use std::time::Duration;

use ipnet::IpNet;
use mailmesh_events::{Rule, UnixMillis};

use super::Listed;
use super::intervals::{self, Interval};
use crate::NEVER;

/// The shortest timeout that is written: the kernel takes one below its tick as no timeout.
const MIN_TIMEOUT: Duration = Duration::from_millis(10);
/// The longest timeout that is written; nft refuses longer numbers. Beyond it, none is written.
const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Rules that accept allowed addresses first, then drop blocked ones, as the mirror decides.
const RULES: [&str; 6] = [
    "add chain inet mailmesh input { type filter hook input priority filter; policy accept; }",
    "flush chain inet mailmesh input",
    "add rule inet mailmesh input ip saddr @allowed4 accept",
    "add rule inet mailmesh input ip6 saddr @allowed6 accept",
    "add rule inet mailmesh input ip saddr @blocked4 drop",
    "add rule inet mailmesh input ip6 saddr @blocked6 drop",
];

/// Writes sets that replace the earlier ones in one transaction (`nft -f FILE`). A set takes no
/// overlapping elements, so addresses with different ends become separate elements. At each moment
/// a set contains the addresses of the networks that are live.
pub(super) fn write(live: &[Listed<'_>], now: UnixMillis, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "# The sets of `table inet mailmesh`, as of {now}: timeouts count from when")?;
    writeln!(out, "# they are loaded (`nft -f FILE`). Rules that use them, to load once:")?;
    for line in RULES {
        writeln!(out, "#   {line}")?;
    }
    writeln!(out, "table inet mailmesh")?;
    for (rule, name) in [(Rule::Allow, "allowed"), (Rule::Block, "blocked")] {
        for (is_v4, family, sort) in [(true, 4, "ipv4_addr"), (false, 6, "ipv6_addr")] {
            let set = format!("{name}{family}");
            writeln!(
                out,
                "add set inet mailmesh {set} {{ type {sort}; flags interval, timeout; }}"
            )?;
            writeln!(out, "flush set inet mailmesh {set}")?;
            for interval in intervals::intervals_of(live, rule, is_v4) {
                write!(out, "add element inet mailmesh {set} {{ ")?;
                element(&interval, is_v4, out)?;
                if interval.end != NEVER {
                    timeout(interval.end.since(now), out)?;
                }
                writeln!(out, " }}")?;
            }
        }
    }
    Ok(())
}

fn element(interval: &Interval, is_v4: bool, out: &mut impl Write) -> fmt::Result {
    let (first, last) = (interval.first, interval.last);
    let bits = if is_v4 { 32 } else { 128 };
    let host_bits = (last - first).checked_add(1).filter(|size| size.is_power_of_two());
    let host_bits = match host_bits {
        Some(size) => Some(size.trailing_zeros()),
        None if first == 0 && last == u128::MAX => Some(128),
        None => None,
    };
    let address = |number| intervals::address(number, is_v4);
    let prefix = host_bits.and_then(|host_bits| {
        let net = IpNet::new(address(first), u8::try_from(bits - host_bits).ok()?).ok()?;
        (net.network() == net.addr()).then_some(net)
    });
    match prefix {
        _ if first == last => write!(out, "{}", address(first)),
        Some(net) => write!(out, "{net}"),
        None => write!(out, "{}-{}", address(first), address(last)),
    }
}

/// Writes a timeout in the units of nft, so that each number has few digits.
fn timeout(left: Duration, out: &mut impl Write) -> fmt::Result {
    if left > MAX_TIMEOUT {
        return Ok(());
    }
    let left = left.max(MIN_TIMEOUT);
    write!(out, " timeout ")?;
    let seconds = left.as_secs();
    let parts = [
        (u128::from(seconds / 86_400), "d"),
        (u128::from(seconds / 3_600 % 24), "h"),
        (u128::from(seconds / 60 % 60), "m"),
        (u128::from(seconds % 60), "s"),
        (u128::from(left.subsec_millis()), "ms"),
    ];
    parts.iter().filter(|(n, _)| *n > 0).try_for_each(|(n, unit)| write!(out, "{n}{unit}"))
}
