//! Lists as other programs read them.

mod intervals;
mod nftables;

use std::fmt::{self, Write};

use mailmesh_events::{Block, Network, PrintableJson, Rule, UnixMillis, is_unprintable};

use crate::OutputFormat;
use crate::free_text::may_say_end;

/// A network to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Blocked or allowed.
    pub rule: Rule,
    /// The network.
    pub network: Network,
    /// The entry of the mirror: reason, origin, end.
    pub block: &'a Block,
}

/// Writes a list as of `now`, without entries that have ended. Plain, CSV and JSON lines have
/// the entries of one rule and are read back as such, so give them one. The sets for nftables and
/// the table for Postfix tell the two rules apart, and allowing wins.
///
/// # Errors
/// Those of `out`.
pub fn write(
    format: OutputFormat,
    listed: &[Listed<'_>],
    now: UnixMillis,
    out: &mut impl Write,
) -> fmt::Result {
    let live = live(listed, now);
    match format {
        OutputFormat::Plain => live.iter().try_for_each(|l| writeln!(out, "{}", l.network)),
        OutputFormat::Csv => csv(&live, out),
        OutputFormat::JsonLines => json_lines(&live, out),
        OutputFormat::Nftables => nftables::write(&live, now, out),
        OutputFormat::Postfix => postfix(&live, now, out),
    }
}

/// The moment until which an export in this format gives the mirror's verdict on each address: for
/// a format without ends, the first end that may change a verdict. Export again by then.
#[must_use]
pub fn stale_at(
    format: OutputFormat,
    listed: &[Listed<'_>],
    now: UnixMillis,
) -> Option<UnixMillis> {
    match format {
        OutputFormat::Postfix => intervals::first_change(&live(listed, now)),
        _ => None,
    }
}

/// The entries that are live, in order of address, wider networks first.
fn live<'a>(listed: &[Listed<'a>], now: UnixMillis) -> Vec<Listed<'a>> {
    let mut live: Vec<Listed<'_>> =
        listed.iter().copied().filter(|listed| !listed.block.is_expired(now)).collect();
    live.sort_by_key(|listed| (listed.network, listed.rule));
    live
}

/// The names of what is written of an entry, in CSV and JSON.
pub(crate) const EXPORTED: [&str; 4] = ["network", "reason", "origin", "expires"];

fn csv(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    writeln!(out, "{}", EXPORTED.join(","))?;
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
        } else if may_say_end(block.reason()) {
            // Without this the reason would be read as an end.
            line["expires"] = serde_json::Value::Null;
        }
        writeln!(out, "{}", PrintableJson(line))?;
    }
    Ok(())
}

/// A `cidr:` table (Postfix, cidr_table(5)): the first line that matches decides, so that
/// those allowed come first, and longer prefixes before shorter ones.
fn postfix(live: &[Listed<'_>], now: UnixMillis, out: &mut impl Write) -> fmt::Result {
    if let Some(first) = intervals::first_change(live) {
        writeln!(out, "# As of {now}. A Postfix table cannot expire entries: export it again")?;
        let why = "when the first verdict changes, and more often to include new blocks";
        writeln!(out, "# by {first}, {why}.")?;
    }
    // The mirror never blocks the loopback.
    for loopback in ["127.0.0.0/8", "::1"] {
        let loopback: Network = loopback.parse().map_err(|_| fmt::Error)?;
        let has_it = |l: &Listed<'_>| {
            l.rule == Rule::Block
                && (l.network.contains(loopback.address())
                    || loopback.contains(l.network.address()))
        };
        if live.iter().any(has_it) {
            writeln!(out, "{loopback} DUNNO")?;
        }
    }
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
