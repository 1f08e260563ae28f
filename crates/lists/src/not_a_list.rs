//! Recognised texts that are not lists: reading a part of one would block what it does not mean.

use crate::network::network;
use crate::secret_key::excerpt;
use crate::words::clean;
use crate::{ListError, MAX_EXAMINED_LINES};

/// Refuses a recognised text that is not a list, if possible with a command that prints a list.
pub(crate) fn refuse_known(text: &str) -> Result<(), ListError> {
    let lines = (1..).zip(text.lines().map(clean)).filter(|(_, line)| !line.is_empty());
    let mut lines = lines.take(MAX_EXAMINED_LINES);
    let mut content = lines.clone().filter(|(_, line)| !line.starts_with(['#', ';']));
    let refused = |why: String, command| Err(ListError::NotAList { why, command });
    let Some((number, first)) = content.next() else { return Ok(()) };
    if matches!(first, "Status: active" | "Status: inactive") {
        return refused("it is the rules that `ufw status` prints".to_owned(), UFW);
    }
    if is_of_iptables(first) {
        let why = format!("line {number}: `{}` is of the rules of iptables", excerpt(first));
        return refused(why, IPTABLES);
    }
    let small = first[..first.floor_char_boundary(64)].to_ascii_lowercase();
    if small.starts_with("rule name:") {
        let why = format!("line {number}: it is the rules that `netsh advfirewall` prints");
        return refused(why, NETSH);
    }
    if let Some((kind, command)) = kind_of_line(&small) {
        return refused(format!("line {number}: `{}` is of {kind}", excerpt(first)), command);
    }
    if small.starts_with("indicator type,indicator,") {
        let why = format!("line {number}: it is an export of OTX with all kinds of indicators");
        return refused(why, OTX);
    }
    let is_whois = ["inetnum:", "inet6num:", "netrange:", "route:", "route6:"];
    if is_whois.iter().any(|key| small.starts_with(key)) {
        let why = format!("line {number}: it is an answer of whois");
        return Err(ListError::NotThis { format: "list", why });
    }
    let is_item = |line: &str| line.strip_prefix("- ").is_some_and(|item| network(item).is_ok());
    if is_item(first) && content.clone().all(|(_, line)| is_item(line)) {
        return refused(format!("line {number}: it is a list of YAML"), YAML_LIST);
    }
    let next = content.next().map_or("", |(_, next)| next);
    if is_yaml(first, next) {
        let why = format!("line {number}: it is YAML: give the addresses as lines");
        return Err(ListError::NotThis { format: "list", why });
    }
    if !first.starts_with('<') || first.starts_with("<!--") {
        return Ok(());
    }
    let mut has = |tag: &str| lines.any(|(_, line)| line.to_ascii_lowercase().contains(tag));
    if small.starts_with("<!doctype html") || small.starts_with("<html") {
        refused("it is a page of HTML, perhaps of an error".to_owned(), "curl -fL URL")
    } else if has("<ipset") {
        refused("it is a set of firewalld in XML".to_owned(), FIREWALLD_SET)
    } else if small.starts_with("<zone") || text.contains("</zone>") {
        refused("it is a zone of firewalld in XML".to_owned(), FIREWALLD_ZONE)
    } else if small.starts_with("<?xml") {
        let why = "it is XML: give the addresses as lines".to_owned();
        Err(ListError::NotThis { format: "list", why })
    } else {
        Ok(())
    }
}

/// The kind of configuration that a line in small letters belongs to, and the command that makes a
/// list of it.
fn kind_of_line(small: &str) -> Option<(&'static str, &'static str)> {
    let words: Vec<&str> = small.split_whitespace().take(4).collect();
    let is_access_list = |words: &[&str]| match words {
        ["ip", "access-list", ..] | ["access-list", _, "permit" | "deny" | "remark", ..] => true,
        ["permit" | "deny", "ip" | "tcp" | "udp" | "icmp" | "host", ..] => true,
        [number, rest @ ..] => {
            number.bytes().all(|byte| byte.is_ascii_digit())
                && matches!(rest, ["permit" | "deny", ..])
        }
        [] => false,
    };
    Some(match words[..] {
        ["<requireall>" | "<requireany>" | "<requirenone>" | "order", ..]
        | ["require", "ip" | "not" | "all", ..]
        | ["deny" | "allow", "from", ..] => ("the access rules of Apache", APACHE),
        ["insert", "into" | "ignore", ..] => ("statements of SQL", SQL),
        _ if is_access_list(&words) => ("an access list of Cisco", CISCO),
        _ => return None,
    })
}

/// Whether the first two lines are YAML with keys: a key anywhere in YAML may qualify an address.
fn is_yaml(first: &str, next: &str) -> bool {
    let has_key = |line: &str| {
        line.strip_prefix("- ").is_some_and(|item| {
            let key = item.split_once(": ").map(|(key, _)| key);
            key.is_some_and(|key| key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c)))
        })
    };
    let is_section = first.ends_with(':') && next.starts_with("- ");
    first == "---" || has_key(first) || is_section
}

/// Whether a line belongs to `iptables-save`, or calls iptables in a script.
fn is_of_iptables(line: &str) -> bool {
    if matches!(line, "*filter" | "*raw" | "*mangle" | "*nat" | "*security") {
        return true;
    }
    let line = line.strip_prefix("sudo ").map_or(line, clean);
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let is_program =
        ["iptables", "ip6tables"].iter().any(|name| program == *name || program.starts_with(name));
    let is_rule = matches!(program, "-A" | "-I") && {
        // In ipset, the element follows the name, and no options stand before it.
        words.any(|word| matches!(word, "-s" | "-j" | "-d" | "-p" | "-m" | "-i"))
    };
    is_program || is_rule
}

/// Prints the addresses for which ufw denies all traffic.
const UFW: &str =
    r"ufw status | sed -nE 's/^Anywhere( \(v6\))? +(DENY|REJECT)( IN)? +([0-9a-f.:\/]+).*/\4/p'";
/// Prints the addresses for which rules drop all traffic; earlier rules are not considered.
const IPTABLES: &str =
    r"iptables-save | sed -nE 's/^-A [^ ]+ -s ([0-9a-f.:\/]+) -j (DROP|REJECT).*/\1/p'";
/// Prints the addresses that Apache denies, one a line.
const APACHE: &str = r"sed -nE 's/^ *(Deny from|Require not ip) +//Ip' FILE | tr -s ' ' '\n'";
/// Prints the single addresses that an access list denies; wildcard masks are left out.
const CISCO: &str = r"sed -nE 's/.*deny +(ip +)?(host +)?([0-9.]+)( +any.*)?$/\3/p' FILE";
/// Prints one column; the names are those of the database.
const SQL: &str = "mysql -N -e 'SELECT ip FROM TABLE' DATABASE";
/// Prints the items of a list.
const YAML_LIST: &str = "sed -nE 's/^ *- +//p' FILE";
/// Prints the column `Indicator` of the rows of addresses.
const OTX: &str = r#"awk -F, '$1 ~ /IPv[46]/ { gsub(/"/, "", $2); print $2 }' FILE"#;
/// Prints the remote addresses of one rule.
const NETSH: &str =
    "(Get-NetFirewallRule -DisplayName NAME | Get-NetFirewallAddressFilter).RemoteAddress";
const FIREWALLD_SET: &str = "firewall-cmd --permanent --ipset=NAME --get-entries";
const FIREWALLD_ZONE: &str = "firewall-cmd --permanent --zone=drop --list-sources";
