//! Tables of mail servers, ranges with numbers behind them and logs: lines whose meaning depends on
//! others, and formats that look like another.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;
use mailmesh_events::Rule;
use mailmesh_lists::*;

#[test]
fn parts_of_addresses_are_keys_of_access_maps() {
    check(&[
        ("192.0.2 REJECT\n", &["192.0.2.0/24"], &[]),
        ("192.0.2\tREJECT\n198.51.100.7\tREJECT\n", &["192.0.2.0/24", "198.51.100.7"], &[]),
        ("198.51 550 go away\n", &["198.51.0.0/16"], &[]),
        ("45 REJECT\n", &["45.0.0.0/8"], &[]),
        ("10 REJECT\n", &[], &["1 private or reserved"]),
        // The most specific key decides, wherever it stands.
        ("192.0.2 REJECT\n192.0.2.1 OK\n", &COMPLEMENT, &["1 not a ban"]),
        ("192.0.2.1 OK\n192.0.2 REJECT\n", &COMPLEMENT, &["1 not a ban"]),
        ("192.0.2 OK\n192.0.2.1 REJECT\n", &["192.0.2.1"], &["1 not a ban"]),
        ("192.0.2.1 REJECT\n192.0.2 OK\n", &["192.0.2.1"], &["1 not a ban"]),
        ("Connect:192.0.2 REJECT\n", &["192.0.2.0/24"], &[]),
        ("Connect:192.0.2 REJECT\nConnect:192.0.2.1 OK\n", &COMPLEMENT, &["1 not a ban"]),
        (
            "Connect:192.0.2.1 OK\n192.0.2 REJECT\n10 REJECT\nexample.org REJECT\n",
            &COMPLEMENT,
            &["1 not a ban", "1 other scope", "1 private"],
        ),
        (
            "192.0.2.1 REJECT\nexample.org REJECT\na@example.org OK\n",
            &["192.0.2.1"],
            &["2 other scope"],
        ),
        // No part of an address.
        ("192.0.2\n", &[], &["1 bad"]),
        ("256.0.2 REJECT\n", &[], &["1 bad"]),
        ("192.0.02 REJECT\n", &[], &["1 bad"]),
        ("45 550 no\n", &[], &["1 bad"]),
        ("45 drop\n", &[], &["1 bad"]),
    ]);
}

/// 192.0.2.0/24 without 192.0.2.1.
const COMPLEMENT: [&str; 8] = [
    "192.0.2.0",
    "192.0.2.128/25",
    "192.0.2.16/28",
    "192.0.2.2/31",
    "192.0.2.32/27",
    "192.0.2.4/30",
    "192.0.2.64/26",
    "192.0.2.8/29",
];

#[test]
fn an_unknown_action_keeps_its_network_out_of_a_wider_block() {
    for action in [
        "some_class",
        "permit_auth_destination",
        "reject_unauth_destination",
        "check_sender_access hash:/etc/postfix/x",
        "REDIRECT a@example.org",
        "reject_rbl_client x",
        "LOCAL",
    ] {
        let text = format!("192.0.2.1 {action}\n192.0.2.0/24 REJECT\n");
        check(&[(&text, &COMPLEMENT, &[])]);
        // The first line that matches decides.
        let text = format!("192.0.2.0/24 REJECT\n192.0.2.1 {action}\n");
        let (read, _) = common::imported(&text);
        assert!(read.contains(&"192.0.2.0/24".to_owned()), "{text}");
    }
    check(&[
        ("if 192.0.2.0/25\n192.0.2.1 OK\nendif\n192.0.2.0/24 REJECT\n", &COMPLEMENT, &["3 bad"]),
        ("192.0.2.1\n  OK\n192.0.2.0/24 REJECT\n", &COMPLEMENT, &["1 not a ban", "1 continued"]),
        // Outside of a network the search ends: no later line counts there.
        (
            "!192.0.2.0/24 DUNNO\n192.0.2.7 REJECT\n198.51.100.0/24 REJECT\n",
            &["192.0.2.7"],
            &["2 bad", "!"],
        ),
        ("!192.0.2.0/24 REJECT\n198.51.100.0/24 REJECT\n", &["198.51.100.0/24"], &["1 bad"]),
        // A list that is no table has no such order.
        ("192.0.2.1 spam\n192.0.2.0/24\n", &["192.0.2.0/24"], &["1 bad"]),
    ]);
}

#[test]
fn a_range_with_a_number_is_not_taken_for_emule() {
    check(&[
        ("192.0.2.0-192.0.2.255,85\n", &["192.0.2.0/24"], &["`85`"]),
        ("192.0.2.0-192.0.2.255,85,US\n", &[], &["1 bad", "US"]),
        ("192.0.2.0-192.0.2.255,85,Example Org\n", &[], &["1 bad"]),
        // A score, or an access level that lets in.
        ("192.0.2.0-192.0.2.255,200\n", &[], &["1 bad", "p2p"]),
        ("192.0.2.0-192.0.2.255,0\n", &[], &["1 bad", "p2p"]),
        ("192.0.2.0-192.0.2.255,200,Example\n", &[], &["1 bad", "p2p"]),
        ("192.0.2.0 - 192.0.2.255 , 000 , Example\n", &["192.0.2.0/24"], &["", ""]),
        ("192.0.2.0 - 192.0.2.255 , 200 , Example\n", &[], &["1 not a ban"]),
        ("192.000.002.000-192.000.002.255,000,Example\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0-192.0.2.255,100,Example\n198.51.100.0-198.51.100.255,000,x\n", &[], &["2 bad"]),
        ("range,score\n192.0.2.0-192.0.2.255,200\n", &["192.0.2.0/24"], &["not used: score"]),
    ]);
    assert_eq!(Format::guess("192.0.2.0 - 192.0.2.255 , 100 , x\n"), Format::P2p);
}

#[test]
fn lines_that_look_like_another_format_are_read_as_meant() {
    check(&[
        ("Generated: 2026-11-27\n192.0.2.1\n", &["192.0.2.1"], &["1 heading"]),
        ("Last updated: Mon Nov 23\nVersion: 3\n192.0.2.1 ; x\n", &["192.0.2.1"], &["2 heading"]),
        ("Source : example.org\n192.0.2.0/24\n", &["192.0.2.0/24"], &["1 heading"]),
        ("Generated: x\nsshd: 192.0.2.1\n", &["192.0.2.1"], &["1 other scope"]),
        ("ALL: evil.example.org\nsshd : 192.0.2.1\n", &["192.0.2.1"], &["1 other scope"]),
        ("sshd: .example.org\n", &[], &["1 other scope"]),
        ("Whitelist:\n192.0.2.1\n", &[], &["`Whitelist:`"]),
        ("Allowed: mail servers\n192.0.2.1\n", &[], &["Allowed"]),
        (
            "Generated: 2026-11-27\nreason,ip,ttl\nspam,192.0.2.1,-4h\n",
            &[],
            &["2 heading", "1 ended"],
        ),
        ("SPF: ip4:192.0.2.9\n192.0.2.1\n", &["192.0.2.1"], &["1 bad"]),
        ("Allow: 192.0.2.1\nsshd: 192.0.2.2\n", &["192.0.2.2"], &["1 not a ban"]),
        ("192.0.2.1\nNote: x\n", &["192.0.2.1"], &["1 bad"]),
        ("Generated: by 192.0.2.9\n192.0.2.1\n", &["192.0.2.1"], &["1 bad"]),
    ]);
}

#[test]
fn sources_of_logs_are_read_and_destinations_left_out() {
    check(&[
        ("from,to\n192.0.2.7,198.51.100.1\n", &[], &["1 bad", "`src` and `dst`"]),
        ("from,to\n192.0.2.0,192.0.2.255\n", &[], &["1 bad", "`start` and `end`"]),
        ("date,from,to,proto\n2026-11-20,192.0.2.7,192.0.2.8,tcp\n", &[], &["1 bad"]),
        ("from_ip,to_ip\n192.0.2.7,198.51.100.1\n", &[], &["1 bad"]),
        ("{\"from\":\"192.0.2.7\",\"to\":\"198.51.100.1\"}\n", &[], &["1 bad", "`dst`"]),
        ("src,from,to\n192.0.2.7,198.51.100.1,198.51.100.2\n", &["192.0.2.7"], &[]),
        ("start,end\n192.0.2.0,192.0.2.255\n", &["192.0.2.0/24"], &[]),
        ("ip_from,ip_to\n192.0.2.0,192.0.2.255\n", &["192.0.2.0/24"], &[]),
        // Names that are not known: two addresses on a row may be such, too.
        ("attacker,victim\n192.0.2.7,198.51.100.1\n", &[], &["2 bad"]),
        ("local,remote\n192.0.2.7,198.51.100.1\n", &[], &["2 bad"]),
        ("client,server,note\n192.0.2.7,198.51.100.1,x\n", &[], &["2 bad"]),
        ("attacker;victim\n192.0.2.7;198.51.100.1\n", &[], &["bad"]),
        ("attacker\tvictim\n192.0.2.7\t198.51.100.1\n", &[], &["2 bad"]),
        ("attacker victim\n192.0.2.7 198.51.100.1\n", &[], &["2 bad"]),
        ("192.0.2.5, 192.0.2.6\n", &["192.0.2.5", "192.0.2.6"], &[]),
    ]);
}

#[test]
fn a_table_is_read_for_the_networks_that_it_lets_in() {
    let text = "192.0.2 OK\n192.0.2.7 REJECT\n";
    let list = read_for(Rule::Allow, text, Format::guess(text)).unwrap();
    let mut list = list;
    list.select_for_import(&Terms { rule: Rule::Allow, ..Terms::default() });
    assert_eq!((list.entries.len(), list.left_out.total()), (8, 1));
}
