//! Blank values and check marks in columns and keys of verdicts: no row without a mark is blocked
//! where other rows are marked.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};

const BLANKS: [&str; 8] = ["", " ", "-", "none", "n/a", "null", "NULL", "\\N"];

#[test]
fn a_check_mark_says_that_a_network_is_blocked_and_a_blank_that_it_is_not() {
    for name in ["gesperrt", "Blocked", "ban", "bloqué", "listed", "aktiv", "enabled", "valid"] {
        for mark in ["x", "X", "✓", "✔", "TRUE"] {
            for blank in BLANKS {
                let text = format!("IP;{name}\n192.0.2.7;{mark}\n192.0.2.8;{blank}\n192.0.2.9;x\n");
                check(&[(&text, &["192.0.2.7", "192.0.2.9"], &["1 "])]);
            }
        }
    }
    check(&[
        ("ip,blocked\n192.0.2.7,TRUE\n192.0.2.8,\n192.0.2.9,FALSE\n", &["192.0.2.7"], &["2 not"]),
        ("ip,blocked\n192.0.2.7,n/a\n", &[], &["1 bad", "`blocked` says `n/a`"]),
    ]);
}

#[test]
fn a_placeholder_is_no_state() {
    for value in ["none", "-", "n/a", "null", "undefined"] {
        let text = format!("ip,status\n192.0.2.7,{value}\n192.0.2.8,active\n192.0.2.9,\n");
        check(&[(&text, &["192.0.2.8", "192.0.2.9"], &["1 bad", "`status`"])]);
    }
    check(&[("ip,city,state\n192.0.2.7,Paris,-\n", &["192.0.2.7"], &[])]);
}

#[test]
fn a_blank_key_of_a_verdict_is_no_ban() {
    for key in [
        "\"banned\":null",
        "\"blocked\":\"\"",
        "\"ban\":\"none\"",
        "\"active\":null",
        "\"active\":\"\"",
        "\"block\":\"-\"",
        "\"banned\":[]",
        "\"is_blocked\":\"n/a\"",
    ] {
        let text = format!("{{\"ip\":\"192.0.2.7\",{key}}}\n{{\"ip\":\"192.0.2.8\"}}\n");
        check(&[(&text, &["192.0.2.8"], &["1 "])]);
        let text = format!("[{{\"ip\":\"192.0.2.7\",{key}}},{{\"ip\":\"192.0.2.8\"}}]");
        check(&[(&text, &["192.0.2.8"], &["1 "])]);
    }
}

#[test]
fn a_blank_says_that_a_network_is_not_let_in() {
    for name in ["allowed", "whitelisted", "trusted", "erlaubt", "active"] {
        for blank in BLANKS {
            let text = format!("ip,{name}\n192.0.2.7,yes\n192.0.2.8,{blank}\n");
            check_allow(&[(&text, &["192.0.2.7"], &["1 "])]);
            // A blank is no reason to let a network in.
            if name != "active" && blank != "none" {
                check(&[(&text, &["192.0.2.8"], &["1 not a ban"])]);
            }
        }
    }
    check_allow(&[("{\"ip\":\"192.0.2.7\",\"allowed\":null}\n", &[], &["1 not let in"])]);
}
