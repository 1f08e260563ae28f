//! Networks that a ruleset lets in before it drops are cut out of those that it drops, and the
//! other way round for lists to let in.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};

/// 192.0.2.8/29 without 192.0.2.9.
const WITHOUT_9: [&str; 3] = ["192.0.2.10/31", "192.0.2.12/30", "192.0.2.8"];

/// A ruleset of nft with these rules in a chain.
fn nft(rules: &str) -> String {
    format!(
        "table inet f {{\n set good {{\n type ipv4_addr\n elements = {{ 192.0.2.9 }}\n }}\n \
         set bad {{\n type ipv4_addr\n flags interval\n elements = {{ 192.0.2.8/29 }}\n }}\n \
         chain c {{\n{rules}\n }}\n}}\n"
    )
}

/// An export of RouterOS with these rules.
fn routeros(rules: &str) -> String {
    format!(
        "/ip firewall address-list\nadd address=192.0.2.9 list=good\nadd address=192.0.2.8/29 \
         list=bad\n/ip firewall filter\n{rules}\n"
    )
}

#[test]
fn a_set_that_is_accepted_before_the_drop_is_cut_out() {
    for rules in [
        "ip saddr @good accept\nip saddr @bad drop",
        "ip saddr @good counter accept\nip saddr @bad counter drop",
        "ip saddr @good tcp dport 25 accept\nip saddr @bad drop",
        "ip saddr @good return; ip saddr @bad reject",
        "ip saddr @bad drop\n}\nchain other {\nip saddr @good accept",
        "ip saddr { 192.0.2.9, 203.0.113.1 } accept\nip saddr @bad drop",
        "ip saddr 192.0.2.9 accept\nip saddr @bad drop",
        "ip saddr 192.0.2.9-192.0.2.9 accept\nip saddr @bad drop",
        "ip saddr @good jump allowed\nip saddr @bad drop",
    ] {
        check(&[(&nft(rules), &WITHOUT_9, &["not a ban"])]);
    }
    // The rule for a set that is named `good` is not needed where addresses stand in rules.
    for rules in [
        "ip saddr @bad ip saddr != 192.0.2.9 drop",
        "ip saddr 192.0.2.9 accept\nip saddr @bad drop",
        "ip saddr { 192.0.2.9-192.0.2.9 } accept\nip saddr @bad drop",
    ] {
        let text = nft(rules).replace("elements = { 192.0.2.9 }", "");
        check(&[(&text, &WITHOUT_9, &["1 rule, not read"])]);
    }
    check(&[(
        &nft("ip saddr @bad drop\nip saddr @good accept"),
        &["192.0.2.8/29"],
        &["note 4: the set `good` is not read as bans: a rule of the text lets it in"],
    )]);
    let json = "{\"nftables\":[{\"set\":{\"name\":\"good\",\"type\":\"ipv4_addr\",\"elem\":\
                [\"192.0.2.9\"]}},{\"set\":{\"name\":\"bad\",\"type\":\"ipv4_addr\",\"elem\":\
                [{\"prefix\":{\"addr\":\"192.0.2.8\",\"len\":29}}]}},{\"rule\":{\"chain\":\"c\",\
                \"expr\":[{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"ip\",\
                \"field\":\"saddr\"}},\"right\":\"@good\"}},{\"accept\":null}]}},{\"rule\":{\
                \"chain\":\"c\",\"expr\":[{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\
                \"protocol\":\"ip\",\"field\":\"saddr\"}},\"right\":\"@bad\"}},\
                {\"drop\":null}]}}]}";
    check(&[(json, &WITHOUT_9, &["not a ban"])]);
    let direct =
        json.replace("\"@good\"", "{\"set\":[{\"prefix\":{\"addr\":\"192.0.2.9\",\"len\":32}}]}");
    let direct = direct.replace("\"elem\":[\"192.0.2.9\"]", "\"elem\":[]");
    check(&[(&direct, &WITHOUT_9, &["1 rule, not read"])]);
    check(&[(
        &routeros(
            "add chain=input action=accept src-address-list=good\nadd chain=input action=drop \
             src-address-list=bad",
        ),
        &WITHOUT_9,
        &["not a ban"],
    )]);
    check(&[(
        &routeros(
            "add chain=input action=accept src-address=192.0.2.9\nadd chain=input action=drop \
             src-address-list=bad\nadd chain=input action=drop src-address-list=good disabled=yes",
        ),
        &WITHOUT_9,
        &["rule, not read"],
    )]);
    check(&[(
        &routeros(
            "add chain=input action=drop src-address-list=bad\nadd chain=input action=accept \
             src-address-list=good",
        ),
        &["192.0.2.8/29"],
        &["not a ban"],
    )]);
}

#[test]
fn a_set_that_is_dropped_before_the_accept_is_cut_out_of_a_list_to_let_in() {
    let text = nft("ip saddr @good drop\nip saddr @bad accept");
    check_allow(&[(&text, &WITHOUT_9, &["a rule of the text drops it"])]);
    let text = nft("ip saddr @bad accept\nip saddr @good drop");
    check_allow(&[(&text, &["192.0.2.8/29"], &["a rule of the text drops it"])]);
    // One rule accepts the set, another drops it: it is clear for neither list.
    let text = nft("ip saddr @bad tcp dport 25 accept\nip saddr @bad drop");
    check_allow(&[(&text, &["192.0.2.9"], &["not let in"])]);
}

#[test]
fn a_set_whose_name_says_that_it_is_let_in_is_cut_out() {
    check(&[
        (
            "create whitelist hash:net\nadd whitelist 192.0.2.9\ncreate bad hash:net\nadd bad \
             192.0.2.8/29\n",
            &WITHOUT_9,
            &["1 not a ban"],
        ),
        (
            "add element f bad { 192.0.2.8/29 }\nadd element f allowed { 192.0.2.9 }\n",
            &WITHOUT_9,
            &["1 not a ban"],
        ),
        (
            "/ip firewall address-list\nadd address=192.0.2.8/29 list=bad\nadd address=192.0.2.9 \
             list=trusted\n",
            &WITHOUT_9,
            &["1 not a ban"],
        ),
    ]);
}

#[test]
fn an_exception_that_ends_is_noted() {
    let text = nft("ip saddr @good accept\nip saddr @bad drop")
        .replace("{ 192.0.2.9 }", "{ 192.0.2.9 timeout 1h expires 5m }");
    check(&[(&text, &WITHOUT_9, &["note 4: it is let in for 300 s only, but cut out for good"])]);
}
