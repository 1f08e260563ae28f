//! A reason or comment that says the opposite of the list keeps its network out, in each format:
//! the line is bad or no ban, and no wider entry blocks the network.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{imported, imported_for};
use mailmesh_events::Rule;

/// Reasons that say that a network is not, or no longer, to be blocked.
const NOT_BLOCKED: [&str; 44] = [
    "DO NOT BLOCK",
    "do not block",
    "please do not ever block",
    "never block",
    "Don't block!",
    "Don’t ban",
    "must not be banned",
    "no longer blocked",
    "not yet blocked",
    "nicht sperren",
    "bitte nicht blockieren",
    "niemals sperren",
    "Sperren verboten? Nein: nicht sperren",
    "keine Sperre",
    "ne pas bloquer",
    "ne jamais bloquer",
    "no bloquear",
    "nunca bloquear",
    "non bloccare",
    "não bloquear",
    "niet blokkeren",
    "nie blokować",
    "ban lifted",
    "block was removed",
    "Sperre aufgehoben",
    "Sperre wurde am Montag aufgehoben",
    "blocage levé",
    "bloqueo eliminado",
    "was blocked",
    "previously banned",
    "war gesperrt",
    "ignore",
    "ignored",
    "excluded",
    "ausgenommen",
    "Office (allowed)",
    "office - whitelisted",
    "office: permit",
    "status=allowed",
    "office is whitelisted",
    "customer, please allow",
    "false positive",
    "unblocked on request",
    "on the whitelist",
];

/// Reasons of blocks that have words of verdicts in them.
const BLOCKED: [&str; 15] = [
    "relay not permitted",
    "user not allowed because account is locked",
    "not on the whitelist",
    "not whitelisted",
    "blocked",
    "ban",
    "listed in zen.spamhaus.org",
    "no reverse DNS, blocked",
    "connection closed, blocked",
    "tried to bypass the filter",
    "open relay",
    "spam not stopped",
    "password accepted for root from 5 places",
    "untrusted",
    "f2b-dovecot",
];

/// Reasons that say that a network is not, or no longer, to be let in.
const NOT_ALLOWED: [&str; 12] = [
    "DO NOT ALLOW",
    "do not whitelist",
    "not allowed",
    "never trust",
    "no longer trusted",
    "spammer - blocked",
    "office (banned)",
    "nicht erlauben",
    "ne pas autoriser",
    "no permitir",
    "access revoked",
    "blocked since May",
];

/// A list with a wide network, and the same text behind one of its addresses, in each format.
fn lists(text: &str) -> Vec<String> {
    let json = text.replace('"', "\\\"");
    vec![
        format!("203.0.113.0/24\n203.0.113.7 # {text}\n"),
        format!("ip,reason\n203.0.113.0/24,x\n203.0.113.7,{}\n", quoted(text)),
        format!("ip,reason,note\n203.0.113.0/24,x,x\n203.0.113.7,x,{}\n", quoted(text)),
        format!("203.0.113.0/24,x,\n203.0.113.7,{},\n", quoted(text)),
        format!(
            "{{\"ip\":\"203.0.113.0/24\"}}\n{{\"ip\":\"203.0.113.7\",\"reason\":\"{json}\"}}\n"
        ),
        format!(
            "[{{\"ip\":\"203.0.113.0/24\"}},{{\"ip\":\"203.0.113.7\",\"comment\":\"{json}\"}}]"
        ),
        format!(
            "{{\"ip\":\"203.0.113.0/24\"}}\n\
             {{\"network\":\"203.0.113.7\",\"reason\":\"{json}\",\"expires\":null}}\n"
        ),
        format!("create b hash:net\nadd b 203.0.113.0/24\nadd b 203.0.113.7 comment \"{text}\"\n"),
        format!("add element f b {{ 203.0.113.0/24, 203.0.113.7 comment \"{text}\" }}\n"),
        format!(
            "/ip firewall address-list\nadd address=203.0.113.0/24 list=b\nadd address=203.0.113.7 \
             list=b comment=\"{text}\"\n"
        ),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Further lists, which only block.
fn lists_of_blocks(text: &str) -> Vec<String> {
    vec![
        format!("deny 203.0.113.7; # {text}\n"),
        format!("ALL: 203.0.113.7 # {text}\n"),
        format!("203.0.113.7 REJECT # {text}\n"),
        format!("203.0.113.7 REJECT spam # {text}\n"),
        format!("203.0.113.7 1; # {text}\n"),
    ]
}

/// Whether an import takes the address, alone or in a wider network.
fn takes(networks: &[String]) -> bool {
    let address = "203.0.113.7".parse().unwrap();
    networks.iter().any(|n| n.parse::<mailmesh_events::Network>().unwrap().contains(address))
}

#[test]
fn a_reason_that_says_not_to_block_keeps_its_network_out() {
    let mut faults = String::new();
    for text in NOT_BLOCKED {
        for list in lists(text).into_iter().chain(lists_of_blocks(text)) {
            let (networks, report) = imported(&list);
            let is_told = report.contains("bad ") || report.contains("not a ban");
            if takes(&networks) || !is_told {
                faults += &format!("---\n{list}{report}\n");
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn a_reason_that_says_not_to_allow_keeps_its_network_out() {
    let mut faults = String::new();
    for text in NOT_ALLOWED {
        for list in lists(text) {
            let list = list.replace("comment\":", "reason\":");
            let (networks, report) = imported_for(Rule::Allow, &list);
            let is_told = report.contains("bad ") || report.contains("not a ban");
            if takes(&networks) || !is_told {
                faults += &format!("---\n{list}{report}\n");
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn a_reason_of_a_block_may_have_words_of_verdicts_in_it() {
    let mut faults = String::new();
    for text in BLOCKED {
        for list in lists(text).into_iter().chain(lists_of_blocks(text)) {
            let (networks, report) = imported(&list);
            if !takes(&networks) || report.contains("bad ") {
                faults += &format!("---\n{list}{networks:?} {report}\n");
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn the_fault_of_such_a_reason_says_what_to_do() {
    let (_, report) = imported("203.0.113.7 # do not block\n");
    assert!(report.contains("`do not block` may say that it is not meant"), "{report}");
    assert!(report.contains("take the line out"), "{report}");
}

/// The text behind `REJECT` goes to the client; the answer itself states the verdict.
#[test]
fn the_text_of_an_answer_to_a_client_is_no_verdict() {
    for text in ["ask to be unblocked", "you are not whitelisted", "do not block us for this"] {
        let (networks, report) = imported(&format!("203.0.113.7 REJECT {text}\n"));
        assert_eq!(networks, ["203.0.113.7"], "{text}: {report}");
    }
}

#[test]
fn a_comment_that_denies_what_follows_refuses_the_list() {
    for comment in ["do not block", "nie blokować", "must not be banned:", "bans lifted today"] {
        let (networks, report) = imported(&format!("# {comment}\n203.0.113.7\n"));
        assert!(networks.is_empty() && report.contains("line 1"), "{comment}: {report}");
    }
}
