//! Lists as other programs read them.

use std::fmt::{self, Write};

use mailmesh_events::{Block, Network, PrintableJson, Rule, UnixMillis, is_unprintable};

use crate::OutputFormat;

/// A network to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Blocked or allowed.
    pub rule: Rule,
    /// The network.
    pub network: Network,
    /// What is known of it.
    pub block: &'a Block,
}

/// Writes a list, as of `now`; what has ended is left out. Plain, CSV and JSON lines have
/// what is listed under one rule and are read back as such, so give them one; the set for
/// nftables and the table for Postfix tell the two apart, and allowing wins.
///
/// # Errors
/// Those of `out`.
pub fn write(
    format: OutputFormat,
    listed: &[Listed<'_>],
    now: UnixMillis,
    out: &mut impl Write,
) -> fmt::Result {
    let mut live: Vec<Listed<'_>> =
        listed.iter().copied().filter(|listed| !listed.block.is_expired(now)).collect();
    live.sort_by_key(|listed| (listed.network, listed.rule));
    match format {
        OutputFormat::Plain => live.iter().try_for_each(|l| writeln!(out, "{}", l.network)),
        OutputFormat::Csv => csv(&live, out),
        OutputFormat::JsonLines => json_lines(&live, out),
        OutputFormat::Nftables => nftables(&live, now, out),
        OutputFormat::Postfix => postfix(&live, out),
    }
}

fn csv(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    writeln!(out, "network,reason,origin,expires")?;
    for Listed { network, block, .. } in live {
        let expires = block.expires.map(|at| at.to_string()).unwrap_or_default();
        let (reason, origin) = (quoted(block.reason()), quoted(block.origin()));
        writeln!(out, "{network},{reason},{origin},{expires}")?;
    }
    Ok(())
}

/// A field of CSV (RFC 4180, section 2). A control character is a space, as which it is read.
/// Overrides of direction stay, and so does `=` at the beginning: with another character before
/// it, another text would be read.
fn quoted(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    if text.contains([',', '"', '#']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn json_lines(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    for Listed { network, block, .. } in live {
        let mut line = serde_json::json!({ "network": network });
        for (name, text) in [("reason", block.reason()), ("origin", block.origin())] {
            if !text.is_empty() {
                line[name] = text.into();
            }
        }
        if let Some(at) = block.expires {
            line["expires"] = at.to_string().into();
        }
        writeln!(out, "{}", PrintableJson(line))?;
    }
    Ok(())
}

/// Sets that replace those of before in one transaction: `nft -f FILE`. A set holds no
/// network inside another, so these are left out.
fn nftables(live: &[Listed<'_>], now: UnixMillis, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "# The sets of `table inet mailmesh`; refer to them in rules of that table.")?;
    writeln!(out, "table inet mailmesh")?;
    for (rule, name) in [(Rule::Allow, "allowed"), (Rule::Block, "blocked")] {
        for (is_v4, family, sort) in [(true, 4, "ipv4_addr"), (false, 6, "ipv6_addr")] {
            let set = format!("{name}{family}");
            writeln!(
                out,
                "add set inet mailmesh {set} {{ type {sort}; flags interval, timeout; }}"
            )?;
            writeln!(out, "flush set inet mailmesh {set}")?;
            let of_set =
                live.iter().filter(|l| l.rule == rule && l.network.address().is_ipv4() == is_v4);
            // In order of address, wider first: what is inside another follows it.
            let mut outer: Option<Network> = None;
            for Listed { network, block, .. } in of_set {
                if outer.is_some_and(|outer| outer.contains(network.address())) {
                    continue;
                }
                outer = Some(*network);
                write!(out, "add element inet mailmesh {set} {{ {network}")?;
                if let Some(at) = block.expires {
                    // To the second, and not shorter.
                    write!(out, " timeout {}s", at.since(now).as_millis().div_ceil(1_000))?;
                }
                writeln!(out, " }}")?;
            }
        }
    }
    Ok(())
}

/// A `cidr:` table (Postfix, cidr_table(5)): the first line that matches decides, so that
/// those allowed come first, and longer prefixes before shorter ones.
fn postfix(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    let mut lines = live.to_vec();
    lines.sort_by_key(|l| {
        let is_allowed = l.rule == Rule::Allow;
        (!is_allowed, u8::MAX - l.network.prefix_len(), l.network)
    });
    for Listed { rule, network, block } in lines {
        match rule {
            Rule::Allow => writeln!(out, "{network} DUNNO")?,
            Rule::Block if block.reason().is_empty() => writeln!(out, "{network} REJECT")?,
            Rule::Block => {
                let reason = block.reason().replace(is_unprintable, " ");
                writeln!(out, "{network} REJECT {}", reason.trim())?;
            }
        }
    }
    Ok(())
}
