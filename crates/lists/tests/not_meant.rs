//! Lines that their source does not mean as a block: none becomes one, and each is counted.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;
use mailmesh_events::UnixMillis;
use mailmesh_lists::*;

#[test]
fn addresses_with_ports_or_netmasks_behind_a_comma_are_read() {
    check(&[
        ("192.0.2.9\n[2001:db8::1]:25\n", &["192.0.2.9"], &["1 bad", "[2001:db8::1]:25"]),
        ("2001:db9::1\n[2001:db8::]/64\n", &["2001:db8::/64", "2001:db9::1"], &[]),
        ("192.0.2.0,255.255.255.0\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0,192.0.2.255\n", &[], &["1 bad", "192.0.2.0-192.0.2.255"]),
        ("192.0.2.0 192.0.2.255\n", &[], &["1 bad", "192.0.2.0-192.0.2.255"]),
        ("192.0.2.1,198.51.100.7\n", &["192.0.2.1", "198.51.100.7"], &[]),
    ]);
}

#[test]
fn the_access_map_of_sendmail_is_read() {
    check(&[
        (
            "Connect:198.51.100.25\tRELAY\nConnect:198.51.100.26\tOK\n\
             Connect:198.51.100.27\tREJECT\nConnect:198.51.100.28 ERROR:5.7.1:550 no\n\
             Connect:198.51.100.29 \"550 no\"\nConnect:IPv6:2001:db8::7 DISCARD\n\
             GreetPause:198.51.100.30 5000\nFrom:x@example.org REJECT\n",
            &["198.51.100.27", "198.51.100.28", "198.51.100.29", "2001:db8::7"],
            &["2 not a ban", "2 other scope"],
        ),
        // The longest match decides, wherever it stands.
        (
            "Connect:192.0.2.0/30 REJECT\nConnect:192.0.2.2/31 RELAY\nConnect:192.0.2.3 REJECT\n",
            &["192.0.2.0/31", "192.0.2.3"],
            &["1 not a ban"],
        ),
        ("sshd: 192.0.2.7\nALL: 192.0.2.8\n", &["192.0.2.7", "192.0.2.8"], &[]),
    ]);
}

#[test]
fn sets_of_nftables_that_are_not_bans_are_left_out() {
    check(&[
        (
            "table inet f {\n map v { typeof ip saddr : verdict; elements = { 192.0.2.1 : accept, \
             192.0.2.2 : drop } }\n}\n",
            &[],
            &["1 other scope"],
        ),
        (
            "table inet f {\n set office {\n type ipv4_addr\n elements = { 192.0.2.1 }\n }\n \
             set bad {\n type ipv4_addr\n elements = { 192.0.2.2 }\n }\n chain input {\n \
             ip saddr @office accept\n ip saddr @bad drop\n }\n}\n",
            &["192.0.2.2"],
            &["1 not a ban", "`office`"],
        ),
        (
            "table inet f {\n set home {\n type ipv4_addr\n elements = { 192.0.2.1 }\n }\n \
             chain input {\n ip saddr != @home drop\n }\n}\n",
            &[],
            &["1 not a ban", "`home`"],
        ),
        (
            "table inet f {\n set meter {\n type ipv4_addr\n flags dynamic\n elements = { \
             192.0.2.1 limit rate over 10/minute burst 5 packets,\n 192.0.2.2 counter packets 3 \
             bytes 9 }\n }\n}\n",
            &["192.0.2.2"],
            &["`meter`"],
        ),
        (
            "add element filter allowed { 192.0.2.1 }\nadd element filter bad { 192.0.2.2 }\n",
            &["192.0.2.2"],
            &["1 not a ban"],
        ),
        (
            "{\"nftables\":[{\"set\":{\"name\":\"office\",\"type\":\"ipv4_addr\",\"elem\":\
             [\"192.0.2.1\"]}},{\"set\":{\"name\":\"bad\",\"type\":\"ipv4_addr\",\"elem\":\
             [\"192.0.2.2\",{\"elem\":{\"val\":\"192.0.2.3\",\"limit\":{\"rate\":1}}}]}},\
             {\"rule\":{\"expr\":[{\"match\":{\"op\":\"==\",\
             \"left\":{\"payload\":{\"protocol\":\"ip\",\"field\":\"saddr\"}},\
             \"right\":\"@office\"}},{\"accept\":null}]}}]}",
            &["192.0.2.2"],
            &["2 not a ban", "`office`"],
        ),
    ]);
}

#[test]
fn names_of_sets_are_compared_by_words() {
    let text = |name: &str| format!("add {name} 192.0.2.1\n");
    for name in ["f2b-dovecot-password", "compass", "shallow", "untrusted", "unsafe", "disallowed"]
    {
        check(&[(&text(name), &["192.0.2.1"], &[])]);
    }
    for name in ["allowed4", "whitelist", "sshwhitelist", "my-allow-v4", "pass", "sshAllow", "safe"]
    {
        check(&[(&text(name), &[], &["1 not a ban"])]);
    }
}

#[test]
fn scripts_that_remove_elements_are_refused() {
    check(&[
        (
            "add element inet f bad { 192.0.2.1, 192.0.2.2 }\n\
             delete element inet f bad { 192.0.2.1 }\n",
            &[],
            &["line 2", "delete element", "nft list ruleset"],
        ),
        ("add element inet f bad { 192.0.2.1 }\nflush set inet f bad\n", &[], &["line 2"]),
        ("flush set inet f bad\nadd element inet f bad { 192.0.2.1 }\n", &["192.0.2.1"], &[]),
        ("add bad 192.0.2.1\ndel bad 192.0.2.1\n", &[], &["line 2", "ipset save"]),
        ("add bad 192.0.2.1\nflush bad\n", &[], &["line 2"]),
        ("add tmp 192.0.2.1\nswap tmp bad\ndestroy tmp\n", &["192.0.2.1"], &[]),
        ("add tmp 192.0.2.1\nswap tmp allowlist\ndestroy tmp\n", &[], &["line 2", "allowlist"]),
    ]);
}

#[test]
fn rules_and_lines_of_other_firewalls_are_counted() {
    check(&[
        (
            "table inet f {\n chain input {\n ip saddr 203.0.113.5 drop\n ct state new accept\n \
             }\n}\n",
            &[],
            &["1 rule, not read"],
        ),
        ("table <bad> { 192.0.2.1, 198.51.100.2 }\n", &[], &["1 bad", "192.0.2.1"]),
        ("set policy-options prefix-list bad 192.0.2.0/24\n", &[], &["1 bad", "192.0.2.0/24"]),
        ("set firewall group network-group x network 192.0.2.0/24\n", &[], &["1 bad"]),
        (
            "Status: active\n\nTo                         Action      From\n\
             --                         ------      ----\n\
             Anywhere                   DENY        192.0.2.7\n\
             22/tcp                     ALLOW       192.0.2.8\n",
            &[],
            &["ufw status", "sed"],
        ),
    ]);
}

#[test]
fn fractions_and_other_units_of_ends_are_read() {
    let at = |end: &str| {
        let list = read(&format!("ip,ttl\n192.0.2.7,{end}\n"), Format::Csv).unwrap();
        list.entries.first().map(|entry| entry.ends)
    };
    let is_right = |end: &str, seconds: u64| {
        matches!(at(end), Some(Ends::After(left)) if left.as_secs() == seconds) || at(end).is_none()
    };
    assert!(is_right("1.5 hours", 5_400), "{:?}", at("1.5 hours"));
    assert!(is_right("2.5 days", 216_000), "{:?}", at("2.5 days"));
    assert!(is_right("90.5 minutes", 5_430), "{:?}", at("90.5 minutes"));
    assert!(at("3h59m57.4s").is_some() && is_right("3h59m57.4s", 14_397));
    let moment = Some(Ends::At(UnixMillis(1_801_396_800_000)));
    for same in ["1801396800", "1801396800000", "1801396800000000", "1801396800000000000"] {
        assert_eq!(at(same), moment, "{same}");
    }
    for absurd in ["9999999999", "253402300799", "18013968000000", "18446744073709551615"] {
        assert_eq!(at(absurd), None, "{absurd}");
    }
}

#[test]
fn the_value_after_an_address_decides_whether_it_is_blocked() {
    for no in
        ["0", "0;", "good", "false", "white", "permit_mynetworks", "no-block", "allow", "ok", "no"]
    {
        for separator in [" ", "\t", "  "] {
            let text = format!("192.0.2.7{separator}{no}\n");
            check(&[(&text, &[], &["1 not a ban"])]);
        }
    }
    for yes in ["1", "true", "bad", "deny", "1;"] {
        check(&[(&format!("192.0.2.7 {yes}\n"), &["192.0.2.7"], &[])]);
        check(&[(&format!("192.0.2.7\t{yes}\n"), &["192.0.2.7"], &[])]);
    }
    check(&[("192.0.2.7,0\n192.0.2.8,1\n", &["192.0.2.8"], &["1 not a ban"])]);
}

#[test]
fn a_row_is_left_out_if_a_column_says_not_blocked() {
    for (name, no, yes) in [
        ("status", "allowed", "blocked"),
        ("status", "inactive", "active"),
        ("status", "whitelist", ""),
        ("status", "expired", "new"),
        ("Status", "Disabled", "Enabled"),
        ("policy", "allow", "deny"),
        ("policy", "no", "yes"),
        ("blocked", "false", "true"),
        ("blocked", "0", "1"),
        ("enabled", "no", "yes"),
        ("active", "0", "1"),
        ("reason", "whitelist", "not on the whitelist"),
        ("reason", "whitelisted", "spam"),
        ("list", "allowlist", "blocklist"),
        ("type", "AllowedIp", "BlockedIp"),
        ("deleted", "true", "false"),
        ("classification", "benign", "malicious"),
        ("mode", "whitelist", "blacklist"),
        ("abuseConfidenceScore", "0", "100"),
    ] {
        let text = format!("ip,{name},note\n192.0.2.7,{no},\n192.0.2.8,{yes},\n");
        check(&[(&text, &["192.0.2.8"], &["1 not a ban"])]);
    }
}

#[test]
fn keys_that_mean_not_blocked_leave_out_their_network() {
    for (no, yes) in [
        ("\"blocked\":false", "\"blocked\":true"),
        ("\"mode\":\"whitelist\"", "\"mode\":\"blacklist\""),
        ("\"status\":\"expired\"", "\"status\":\"active\""),
        ("\"deleted\":true", "\"deleted\":false"),
        ("\"classification\":\"benign\"", "\"classification\":\"malicious\""),
        ("\"abuseConfidenceScore\":0", "\"abuseConfidenceScore\":90"),
        ("\"@type\":\"AllowedIp\"", "\"@type\":\"BlockedIp\""),
    ] {
        let text = format!("{{\"ip\":\"192.0.2.7\",{no}}}\n{{\"ip\":\"192.0.2.8\",{yes}}}\n");
        check(&[(&text, &["192.0.2.8"], &["1 not a ban"])]);
        let text = format!("[{{\"ip\":\"192.0.2.7\",{no}}},{{\"ip\":\"192.0.2.8\",{yes}}}]");
        check(&[(&text, &["192.0.2.8"], &["1 not a ban"])]);
    }
    check(&[("{\"ip\":\"192.0.2.7\",\"valid_to_time\":\"2020-01-01\"}\n", &[], &["1 ended"])]);
}

#[test]
fn exceptions_are_cut_out_of_wider_networks() {
    check(&[
        ("192.0.2.0/31\n!192.0.2.1\n", &["192.0.2.0"], &["1 not a ban"]),
        ("!192.0.2.1\n192.0.2.0/31\n", &["192.0.2.0"], &["1 not a ban"]),
        (
            "198.51.100.8 permit_mynetworks\n198.51.100.8/31 REJECT\n",
            &["198.51.100.9"],
            &["1 not a ban"],
        ),
        // nginx and HAProxy: the longest match decides, wherever it stands.
        ("192.0.2.0/31 1;\n192.0.2.1 0;\n", &["192.0.2.0"], &["1 not a ban"]),
        ("192.0.2.0/31 0;\n192.0.2.1 1;\n", &["192.0.2.1"], &["1 not a ban"]),
    ]);
}

#[test]
fn destinations_are_not_banned() {
    check(&[
        ("dst_ip,reason\n192.0.2.1,spam\n", &[], &["1 other scope"]),
        ("destination,note\n192.0.2.1,x\n", &[], &["1 other scope"]),
        ("src,dst\n192.0.2.7,198.51.100.1\n", &["192.0.2.7"], &[]),
        ("source,destination\n192.0.2.7,198.51.100.1\n", &["192.0.2.7"], &[]),
        ("dest_ip,src_ip\n198.51.100.1,192.0.2.7\n", &["192.0.2.7"], &[]),
        ("{\"dst_ip\":\"192.0.2.1\"}\n", &[], &["1 other scope"]),
        ("{\"src_ip\":\"192.0.2.7\",\"dest_ip\":\"198.51.100.1\"}\n", &["192.0.2.7"], &[]),
    ]);
}

#[test]
fn a_column_named_type_decides_only_by_words_of_crowdsec() {
    check(&[
        (
            "ip,type,duration\n192.0.2.1,ssh-bruteforce,4h\n192.0.2.2,ipv4,4h\n\
             192.0.2.3,ban,4h\n192.0.2.4,captcha,4h\n",
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            &["1 not a ban"],
        ),
        (
            "scope,value,type\nip,192.0.2.1,ssh-bruteforce\nip,192.0.2.2,throttle\n",
            &["192.0.2.1"],
            &["1 not a ban"],
        ),
    ]);
}

#[test]
fn rows_of_fail2ban_and_stopforumspam_are_read_or_bad() {
    check(&[
        (
            "192.0.2.7|sshd|1795820000|86400|1|{}\n192.0.2.8|sshd|1795820000|-1|1|{}\n\
             192.0.2.9|sshd|1795820000|60|1|{}\n",
            &["192.0.2.7", "192.0.2.8"],
            &["1 ended"],
        ),
        ("192.0.2.7,sshd,1795820000,-1\n", &[], &["1 bad", "name the columns"]),
        ("\"192.0.2.7\",\"5\",\"2026-11-20 10:00:00\"\n", &[], &["1 bad", "name the columns"]),
    ]);
}

#[test]
fn lists_with_misleading_words_are_still_read() {
    check(&[
        // A counter of an element, and a comment with signs in it, make no map.
        (
            "table inet f {\n set bad {\n type ipv4_addr\n elements = { 192.0.2.1 comment \
             \"a : b . c limit\" }\n }\n chain c {\n ip saddr @bad counter drop comment \"accept \
             all\"\n }\n}\n",
            &["192.0.2.1"],
            &[],
        ),
        // A rule that drops a set makes its name void.
        (
            "table inet f {\n set passers {\n type ipv4_addr\n elements = { 192.0.2.1 }\n }\n set \
             ignored {\n type ipv4_addr\n elements = { 192.0.2.2 }\n }\n chain c {\n ip saddr \
             @ignored drop\n }\n}\n",
            &["192.0.2.1", "192.0.2.2"],
            &[],
        ),
        ("define bad = { 192.0.2.1 }\n", &[], &["1 bad"]),
        ("ip,country,state\n192.0.2.1,US,OK\n", &["192.0.2.1"], &[]),
        ("ip,score,comment\n192.0.2.1,0,x\n192.0.2.2,90,ok\n", &["192.0.2.1"], &["1 not a ban"]),
        ("{\"ip\":\"192.0.2.1\",\"source\":\"192.0.2.9\"}\n", &["192.0.2.1"], &[]),
        ("{\"source\":\"192.0.2.9\",\"reason\":\"x\"}\n", &["192.0.2.9"], &[]),
        ("ip,source\n192.0.2.1,feed\n", &["192.0.2.1"], &[]),
        ("!192.0.2.0/24 REJECT\n198.51.100.1 REJECT\n", &["198.51.100.1"], &["1 bad"]),
        ("192.0.2.7\tFALSE\n192.0.2.8\tBad\n", &["192.0.2.8"], &["1 not a ban"]),
        ("192.0.2.7 spam\n192.0.2.8\n", &["192.0.2.8"], &["1 bad"]),
        (
            "# first_seen_utc,dst_ip,dst_port,c2_status\n\"2026-11-01\",\"192.0.2.1\",\"443\",\
             \"offline\"\n",
            &["192.0.2.1"],
            &[],
        ),
        ("add element f bad { 192.0.2.1 }\ndelete table f\n", &[], &["line 2"]),
        ("flush ruleset\nadd element f bad { 192.0.2.1 }\n", &["192.0.2.1"], &[]),
        ("delete table f\nadd element f bad { 192.0.2.1 }\n", &["192.0.2.1"], &[]),
        (
            "table inet f {\n set bad {\n type ipv4_addr\n elements = { 192.0.2.1,\n \
             192.0.2.2 }\n }\n}\ndelete element inet f bad { 192.0.2.2 }\n",
            &[],
            &["line 8"],
        ),
        ("192.0.2.0\t192.0.2.255\t24\t9\tname\n", &["192.0.2.0/24"], &[]),
    ]);
}
