//! Writes lists in the formats that other programs read.

mod intervals;
mod nftables;

use std::fmt::{self, Write};

use mailmesh_events::{Network, PrintableJson, Rule, RuleDetails, UnixMillis, is_unprintable};

use crate::OutputFormat;
use crate::exported::{EXCEPTIONS, FIELDS, RULE, word_of};

/// A network to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Whether the network is blocked or allowed.
    pub rule: Rule,
    /// The network.
    pub network: Network,
    /// The mirror's entry with its reason, origin and end.
    pub details: &'a RuleDetails,
}

/// Writes a list as of `now`, without entries that have ended. For plain, CSV and JSON lines pass
/// entries of one rule only: these formats mark the rule, and an import refuses the other one. The
/// nftables sets and the Postfix table hold both rules, and an allowed network wins.
///
/// # Errors
/// The errors of `out`.
pub fn write(
    format: OutputFormat,
    listed: &[Listed<'_>],
    now: UnixMillis,
    out: &mut impl Write,
) -> fmt::Result {
    let live = live(listed, now);
    match format {
        OutputFormat::Plain => plain(&live, out),
        OutputFormat::Csv => csv(&live, out),
        OutputFormat::JsonLines => json_lines(&live, out),
        OutputFormat::Nftables => nftables::write(&live, now, out),
        OutputFormat::Postfix => postfix(&live, now, out),
    }
}

/// The moment by which the caller must export a table for [`OutputFormat::Postfix`] again, because
/// the end of an entry may change a verdict; `None` if there is no such end.
///
/// This is for Postfix alone. CSV, JSON lines and sets of nftables carry the end of each entry. A
/// plain list carries none: its reader must export it again to see entries end.
#[must_use]
pub fn postfix_stale_at(listed: &[Listed<'_>], now: UnixMillis) -> Option<UnixMillis> {
    intervals::first_change(&live(listed, now))
}

/// The entries that have not ended, in order of address, wider networks first.
fn live<'a>(listed: &[Listed<'a>], now: UnixMillis) -> Vec<Listed<'a>> {
    let mut live: Vec<Listed<'_>> =
        listed.iter().copied().filter(|listed| !listed.details.is_expired(now)).collect();
    live.sort_by_key(|listed| (listed.network, listed.rule));
    live
}

fn csv(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    writeln!(out, "{},{RULE}", FIELDS.join(","))?;
    for Listed { rule, network, details } in live {
        let expires = details.expires.map(|at| at.to_string()).unwrap_or_default();
        let (reason, origin) = (quoted(details.reason()), quoted(details.origin()));
        writeln!(out, "{network},{reason},{origin},{expires},{}", word_of(*rule))?;
    }
    Ok(())
}

/// Quotes a field of CSV (RFC 4180, section 2). Control characters become spaces, as the reader of
/// CSV does too. Overrides of text direction and a leading `=` stay: a character to defuse them
/// would become a part of the text.
fn quoted(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    if text.contains([',', '"', '#']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Writes all fields of each entry, so that no reader takes a text for more than a text.
fn json_lines(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    let [network_key, reason_key, origin_key, expires_key] = FIELDS;
    for Listed { rule, network, details } in live {
        let expires = details.expires.map(|at| at.to_string());
        let line = serde_json::json!({
            network_key: network,
            reason_key: details.reason(),
            origin_key: details.origin(),
            expires_key: expires,
            RULE: word_of(*rule),
        });
        writeln!(out, "{}", PrintableJson(line))?;
    }
    Ok(())
}

/// Writes one network a line. Blocks have no line besides, since programs read such a list line by
/// line; a list of exceptions says what it is, so that no reader blocks them.
fn plain(live: &[Listed<'_>], out: &mut impl Write) -> fmt::Result {
    if live.iter().any(|listed| listed.rule == Rule::Allow) {
        writeln!(out, "{EXCEPTIONS}")?;
    }
    live.iter().try_for_each(|listed| writeln!(out, "{}", listed.network))
}

/// Writes a Postfix `cidr:` table (cidr_table(5)). The first match decides, so allowed networks
/// come first, and longer prefixes before shorter ones.
fn postfix(live: &[Listed<'_>], now: UnixMillis, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "# A cidr: table of blocked clients, in main.cf:")?;
    writeln!(
        out,
        "#   smtpd_client_restrictions = check_client_access cidr:/etc/postfix/mailmesh"
    )?;
    writeln!(out, "# Postfix reads it anew with `postfix reload`.")?;
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
    for Listed { rule, network, details } in lines {
        match rule {
            Rule::Allow => writeln!(out, "{network} DUNNO")?,
            Rule::Block => match reply(details.reason()) {
                reason if reason.is_empty() => writeln!(out, "{network} REJECT")?,
                reason => writeln!(out, "{network} REJECT {reason}")?,
            },
        }
    }
    Ok(())
}

/// A reason as the text of a reply to a client: ASCII (RFC 5321, section 4.2), without a leading
/// status code (RFC 3463), which Postfix would take for the code of its own reply.
fn reply(reason: &str) -> String {
    let reason = reason.replace(is_unprintable, " ");
    let mut text = reason.trim();
    loop {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (code, joined) = first.split_once('-').unwrap_or((first, ""));
        let next = if joined.is_empty() { rest.trim_start() } else { &text[code.len() + 1..] };
        let next_word = next.split(' ').next().unwrap_or_default();
        // A number of three digits may belong to the reason, unless a status code follows.
        let is_code = is_status(first) || (is_reply_code(code) && is_status(next_word));
        if !is_code {
            break;
        }
        text = next;
    }
    if !text.contains(|c: char| c.is_ascii_alphanumeric()) {
        return String::new();
    }
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// Whether a word is an enhanced status code such as `4.7.1`.
fn is_status(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|p| matches!(p.len(), 1..=3) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(parts.next(), Some("2" | "4" | "5"))
        && is_number(parts.next())
        && is_number(parts.next())
        && parts.next().is_none()
}

fn is_reply_code(word: &str) -> bool {
    word.len() == 3
        && word.starts_with(['2', '4', '5'])
        && word.bytes().all(|byte| byte.is_ascii_digit())
}
