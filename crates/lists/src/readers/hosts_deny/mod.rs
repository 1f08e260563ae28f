//! `/etc/hosts.deny` (hosts_access(5), hosts_options(5)): daemons, clients and options, with colons
//! between; and Sendmail's access map, which looks similar.

mod sendmail_map;

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::exception::excepted;
use crate::list::{List, Unit};
use crate::network::{ParsedNetwork, network, network_of_leading_octets};
use crate::readers::comment::split_comment;
use crate::readers::logical_lines::{Joining, LogicalLine, logical_lines};
use crate::readers::section::refuse_in_comment;
use crate::secret_key::excerpt;
use crate::verdict::access_map::answered_rule;
use crate::verdict::list_name::is_for_other_rule;
use crate::words::{clean, words};
use crate::{ListError, MAX_EXAMINED_LINES, MAX_LINE, Reason};
use sendmail_map::{TAGS, is_tagged};

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    for LogicalLine { number, line, continued, is_too_long } in
        logical_lines(text, Joining::HostsAccess)
    {
        let line = clean(&line);
        list.begin_unit();
        refuse_in_comment(number, line, rule)?;
        if is_too_long {
            list.refuse(number, format_args!("it goes on for more than {MAX_LINE} bytes"));
        } else if !list.skip_without_content(number, line, &["#"]) {
            read_line(&mut list, number, line)?;
        }
        list.end_unit();
        list.count_continued(continued);
    }
    Ok(list)
}

/// Whether lines are of `hosts.deny`, rather than of a list that begins with metadata
/// (`Generated: 2026-11-27`).
pub(crate) fn is_hosts_deny<'a>(lines: impl Iterator<Item = &'a str>) -> bool {
    let (mut is_any, mut is_other, mut goes_on) = (false, false, false);
    for line in lines.take(MAX_EXAMINED_LINES) {
        if std::mem::replace(&mut goes_on, line.ends_with('\\')) {
            continue;
        }
        if line.get(..8).is_some_and(|tag| tag.eq_ignore_ascii_case("connect:")) {
            return true;
        }
        let is_address = words(line).next().is_some_and(|first| network(first).is_ok());
        is_other |= is_address;
        is_any |= !is_address && is_access_line(line);
    }
    is_any && !is_other
}

/// Daemons that are, or were, built with libwrap.
const DAEMONS: [&str; 54] = [
    "all",
    "sshd",
    "sshdfwd",
    "sftpd",
    "dropbear",
    "vsftpd",
    "proftpd",
    "pureftpd",
    "ftpd",
    "wuftpd",
    "telnetd",
    "rlogind",
    "rshd",
    "rexecd",
    "fingerd",
    "talkd",
    "ntalkd",
    "tftpd",
    "identd",
    "popd",
    "pop3",
    "pop3d",
    "pop3s",
    "imap",
    "imapd",
    "imaps",
    "imap3s",
    "ipop3d",
    "smtp",
    "smtpd",
    "smtps",
    "sendmail",
    "sm-mta",
    "postfix",
    "exim",
    "exim4",
    "qmail-smtpd",
    "dovecot",
    "courier",
    "cyrus",
    "slapd",
    "portmap",
    "rpcbind",
    "mountd",
    "nfsd",
    "statd",
    "lockd",
    "rquotad",
    "ypserv",
    "snmpd",
    "snmptrapd",
    "mysqld",
    "stunnel",
    "xinetd",
];

/// Whether a word may be a daemon: most words in a Windows, whois or log file are not.
fn is_daemon(word: &str) -> bool {
    let name = word.split_once('@').map_or(word, |(daemon, _)| daemon);
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let small = name.to_ascii_lowercase();
    let is_known = DAEMONS.contains(&&*small)
        || ["in.", "rpc.", "sshdfwd-"].iter().any(|begin| small.starts_with(begin));
    is_known && !name.is_empty() && name.chars().all(is_word)
}

fn is_access_line(line: &str) -> bool {
    let Some((daemons, clients)) = line.split_once(':') else { return false };
    let mut daemons = words(daemons).peekable();
    let has_space = clients.starts_with([' ', '\t'])
        || line.contains(" :")
        || words(clients_of(clients).0).next().is_some_and(|client| network(client).is_ok());
    daemons.peek().is_some()
        && daemons.all(|word| word == "EXCEPT" || is_daemon(word))
        && (has_space || line.starts_with("ALL:"))
        && network(line).is_err()
}

fn read_line(list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
    let (field, comment) = match line.find('#') {
        Some(_) => split_comment(line),
        None => (line, ""),
    };
    // Sendmail's access map also has keys without a tag.
    let all: Vec<&str> = words(field).take(3).collect();
    if let Some((first, rest)) = all.split_first()
        && answered_rule(rest).is_some()
        && !is_tagged(first)
    {
        return sendmail_map::read_line(list, number, field);
    }
    let Some((daemons, rest)) = field.split_once(':') else {
        list.refuse(number, "it is no line of `hosts.deny`: `daemons : clients` is expected");
        return Ok(());
    };
    if let Some(tag) = TAGS.iter().find(|tag| tag.eq_ignore_ascii_case(daemons)) {
        return if *tag == "Connect" {
            sendmail_map::read_line(list, number, rest)
        } else {
            list.leave_out(Reason::OtherScope);
            Ok(())
        };
    }
    let (clients, options) = clients_of(rest);
    AccessRule { number, daemons, clients, options, comment }.add_to(list)
}

/// A line of `hosts.deny`.
struct AccessRule<'a> {
    number: usize,
    daemons: &'a str,
    clients: &'a str,
    options: &'a str,
    comment: &'a str,
}

impl AccessRule<'_> {
    fn add_to(&self, list: &mut List) -> Result<(), ListError> {
        // `Allow: 192.0.2.7` belongs to another kind of list.
        if is_for_other_rule(self.daemons, list.rule()) {
            list.leave_out(Reason::OtherAction);
            return Ok(());
        }
        let other = if list.rule() == Rule::Block { "allow" } else { "deny" };
        if self.options.split(':').any(|option| clean(option).eq_ignore_ascii_case(other)) {
            list.leave_out(Reason::OtherAction);
            // The first match decides: later lines do not apply to these networks.
            let networks =
                words(self.clients).filter_map(|client| network_of_client(client).ok().flatten());
            return networks
                .map(|parsed| parsed.network)
                .try_for_each(|network| list.except_in_later_units(network));
        }
        if words(self.clients).chain(words(self.daemons)).any(|word| word == "EXCEPT") {
            list.refuse(self.number, "it has exceptions (`EXCEPT`)");
            return list.except_all_everywhere(&excepted(self.clients));
        }
        if let Some(word) = words(self.daemons).find(|word| !is_daemon(word)) {
            self.count_unknown_daemon(list, word);
            return Ok(());
        }
        self.add_clients(list)
    }

    /// Counts a line of another kind of list, or of a daemon that is not known.
    fn count_unknown_daemon(&self, list: &mut List, daemon: &str) {
        let is_network =
            |client: &str| network_of_client(client).is_ok_and(|parsed| parsed.is_some());
        if !words(self.clients).any(is_network) {
            list.leave_out(Reason::OtherScope);
            return;
        }
        let why = format!(
            "`{}` is no daemon that is known: it may be of another list; write `ALL`, if it is one",
            excerpt(daemon)
        );
        list.refuse(self.number, why);
    }

    fn add_clients(&self, list: &mut List) -> Result<(), ListError> {
        let mut networks = Vec::new();
        for client in words(self.clients) {
            match network_of_client(client) {
                Ok(Some(parsed)) => networks.push(parsed),
                // A host name, a user or `ALL`.
                Ok(None) => list.leave_out(Reason::OtherScope),
                Err(why) => list.refuse(self.number, why),
            }
        }
        let bare = Candidate::bare(self.number, &networks);
        Candidate { reason: self.comment, origin: "hosts.deny", ..bare }
            .add_if_meant_or_named(clean(self.daemons), list)
    }
}

/// The clients, and the text behind the first colon outside of brackets.
fn clients_of(rest: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let at = rest.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b':' && depth == 0
    });
    at.map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]))
}

fn network_of_client(client: &str) -> Result<Option<ParsedNetwork>, String> {
    if let Ok(parsed) = network(client) {
        return Ok(Some(parsed));
    }
    // `192.0.2.` means all addresses that begin with these numbers.
    if let Some(network) = client.strip_suffix('.').and_then(network_of_leading_octets) {
        return Ok(Some(network.into()));
    }
    if client.starts_with(|c: char| c.is_ascii_digit() || c == '[') {
        return network(client).map(Some);
    }
    Ok(None)
}
