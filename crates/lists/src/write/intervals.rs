//! The addresses of one rule and family as disjoint intervals, each with its end.

use std::net::IpAddr;

use ipnet::IpNet;
use mailmesh_events::{Network, Rule, UnixMillis};

use super::Listed;
use crate::NEVER;

/// The addresses from `first` to `last`, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) first: u128,
    pub(super) last: u128,
    /// The latest end of the networks that contain these addresses.
    pub(super) end: UnixMillis,
}

/// The intervals of the networks of a rule, in order of address; the caller sorts `listed` in the
/// same order. An address is listed for as long as any network contains it.
pub(super) fn intervals_of(listed: &[Listed<'_>], rule: Rule, is_v4: bool) -> Vec<Interval> {
    let mut out = Intervals::default();
    // Networks nest or are disjoint: this stack holds those that contain the current address.
    let mut holders: Vec<Interval> = Vec::new();
    let listed = listed.iter().filter(|listed| listed.rule == rule);
    for listed in listed.filter(|listed| listed.network.address().is_ipv4() == is_v4) {
        let (first, last) = bounds(listed.network);
        while let Some(holder) = holders.pop_if(|holder| holder.last < first) {
            out.extend_to(holder.last, holder.end);
        }
        let mut end = listed.details.expires.unwrap_or(NEVER);
        match holders.last() {
            Some(holder) => {
                if let Some(before) = first.checked_sub(1) {
                    out.extend_to(before, holder.end);
                }
                end = end.max(holder.end);
            }
            None => out.next = Some(first),
        }
        holders.push(Interval { first, last, end });
    }
    while let Some(holder) = holders.pop() {
        out.extend_to(holder.last, holder.end);
    }
    if rule == Rule::Block { without_never_blocked(out.intervals, is_v4) } else { out.intervals }
}

#[derive(Default)]
struct Intervals {
    intervals: Vec<Interval>,
    /// The first address that is in no interval yet; `None` past the last possible address.
    next: Option<u128>,
}

impl Intervals {
    fn extend_to(&mut self, last: u128, end: UnixMillis) {
        let Some(first) = self.next.filter(|first| *first <= last) else { return };
        self.next = last.checked_add(1);
        match self.intervals.last_mut() {
            Some(before) if before.end == end && before.last.checked_add(1) == Some(first) => {
                before.last = last;
            }
            _ => self.intervals.push(Interval { first, last, end }),
        }
    }
}

/// Removes the loopback, which the mirror never blocks, and IPv4-mapped addresses, which the mirror
/// holds as IPv4.
fn without_never_blocked(intervals: Vec<Interval>, is_v4: bool) -> Vec<Interval> {
    const V4: &[(u128, u128)] = &[(0x7F00_0000, 0x7FFF_FFFF)];
    const V6: &[(u128, u128)] = &[(1, 1), (0xFFFF_0000_0000, 0xFFFF_FFFF_FFFF)];
    let mut left = intervals;
    for (first, last) in if is_v4 { V4 } else { V6 } {
        let cut = left.into_iter().flat_map(|interval| {
            if interval.last < *first || interval.first > *last {
                return [Some(interval), None];
            }
            let before =
                (interval.first < *first).then(|| Interval { last: first - 1, ..interval });
            let after = (interval.last > *last).then(|| Interval { first: last + 1, ..interval });
            [before, after]
        });
        left = cut.flatten().collect();
    }
    left
}

fn bounds(network: Network) -> (u128, u128) {
    let net = IpNet::new(network.address(), network.prefix_len());
    let last = net.map_or(network.address(), |net| net.broadcast());
    (number(network.address()), number(last))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

pub(super) fn address(number: u128, is_v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_v4 => std::net::Ipv4Addr::from(number).into(),
        _ => std::net::Ipv6Addr::from(number).into(),
    }
}

/// The first moment when the end of an entry may change the verdict on an address.
pub(super) fn first_change(listed: &[Listed<'_>]) -> Option<UnixMillis> {
    let mut first = NEVER;
    for is_v4 in [true, false] {
        let (blocked, allowed) =
            (intervals_of(listed, Rule::Block, is_v4), intervals_of(listed, Rule::Allow, is_v4));
        let mut allowed = allowed.into_iter().peekable();
        for block in blocked {
            // `next` is the first blocked address that is not known to be allowed.
            let mut next = Some(block.first);
            while let Some(allow) = allowed.next_if(|allow| allow.first <= block.last) {
                if allow.last < block.first {
                    continue;
                }
                if next.is_some_and(|next| next < allow.first) {
                    first = first.min(block.end);
                }
                // When the allowance ends before the block, the verdict changes.
                if allow.end < block.end {
                    first = first.min(allow.end);
                }
                next = allow.last.checked_add(1);
                if allow.last > block.last {
                    // The allowance reaches into the next block: its end is early, but safe.
                    first = first.min(allow.end);
                }
            }
            if next.is_some_and(|next| next <= block.last) {
                first = first.min(block.end);
            }
        }
    }
    (first != NEVER).then_some(first)
}
