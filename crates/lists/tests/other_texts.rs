//! Texts that are no lists are named with the command that makes a list of them, and rows and ends
//! in uncommon forms are read or bad.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};
use mailmesh_lists::ListError;

#[test]
fn rules_of_servers_and_routers_are_named_with_the_command_that_makes_a_list() {
    check(&[
        ("Require ip 192.0.2.7\nRequire not ip 192.0.2.8\n", &[], &["Apache", "sed -nE", "FILE"]),
        ("<RequireAll>\nRequire all granted\nRequire not ip 192.0.2.8\n", &[], &["Apache"]),
        ("Order deny,allow\nDeny from 192.0.2.7\n", &[], &["Apache", "Deny from"]),
        ("Deny from 192.0.2.7 192.0.2.8\n", &[], &["Apache"]),
        ("access-list 10 deny 192.0.2.7\n", &[], &["Cisco", "sed -nE"]),
        ("ip access-list extended BAD\n deny ip host 192.0.2.7 any\n", &[], &["Cisco"]),
        ("deny ip host 192.0.2.7 any\npermit ip any any\n", &[], &["Cisco"]),
        ("10 deny 192.0.2.7\n", &[], &["Cisco"]),
        ("INSERT INTO bans VALUES ('192.0.2.7');\n", &[], &["SQL", "SELECT ip FROM"]),
        ("- 192.0.2.7\n- 192.0.2.8\n", &[], &["list of YAML", "sed -nE 's/^ *- +//p' FILE"]),
        ("Indicator type,Indicator,Description\nIPv4,192.0.2.7,x\n", &[], &["OTX", "awk -F,"]),
    ]);
    check_allow(&[("- 192.0.2.7\n", &[], &["list of YAML"])]);
    // Lists that begin alike.
    check(&[
        ("deny 192.0.2.7;\nallow 192.0.2.8;\n", &["192.0.2.7"], &[]),
        ("192.0.2.0/31\n- 192.0.2.1\n", &["192.0.2.0"], &[]),
    ]);
}

#[test]
fn the_zero_time_of_go_is_no_end() {
    check(&[
        (r#"[{"ip":"192.0.2.7","expires":"0001-01-01T00:00:00Z"}]"#, &["192.0.2.7"], &[]),
        ("ip,expires\n192.0.2.7,0001-01-01T00:00:00Z\n", &["192.0.2.7"], &[]),
    ]);
}

#[test]
fn a_last_row_with_an_open_quote_is_bad() {
    let words = &["1 bad", "a quote begins in it that does not end"];
    for text in ["ip,reason\n192.0.2.7,\"open", "ip,reason\n192.0.2.7,\"open\n"] {
        check(&[(text, &[], words)]);
    }
    for text in ["ip,reason\n192.0.2.7,\"shut\"", "ip,reason\n192.0.2.7,x", "ip\n192.0.2.7\n\n"] {
        check(&[(text, &["192.0.2.7"], &[])]);
    }
}

#[test]
fn the_advice_of_an_error_is_not_masked() {
    let command = r"sed -nE 's/([0-9a-f.:\/]+)/\1/p'";
    let error = ListError::NotAList { why: "line 1: `c2VjcmV0`".to_owned(), command };
    let shown = error.show_quotes(|quote| "*".repeat(quote.len())).to_string();
    assert!(shown.contains(command) && !shown.contains("c2Vj"), "{shown}");
}
