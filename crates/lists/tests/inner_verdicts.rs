//! Verdicts in inner objects of JSON, in further names of columns, and in rows that are headings:
//! none of them is passed over.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};

#[test]
fn a_verdict_in_an_inner_object_makes_its_entry_bad() {
    for inner in [
        "\"meta\":{\"whitelisted\":true}",
        "\"meta\":{\"deleted\":true}",
        "\"meta\":{\"simulated\":true}",
        "\"flags\":[\"allowed\"]",
        "\"flags\":[{\"allowed\":true}]",
        "\"actions\":[\"allow\"]",
        "\"labels\":{\"action\":\"allow\"}",
        "\"labels\":{\"action\":\"captcha\"}",
        "\"attributes\":{\"whitelist\":\"yes\"}",
        "\"threat\":{\"action\":\"allow\"}",
        "\"meta\":{\"note\":\"do not block\"}",
        "\"meta\":{\"deep\":{\"blocked\":false}}",
        "\"comments\":[\"ban lifted\"]",
    ] {
        let text = format!("{{\"ip\":\"192.0.2.7\",{inner}}}\n{{\"ip\":\"192.0.2.8\"}}\n");
        check(&[(&text, &["192.0.2.8"], &["1 bad", "beside the network"])]);
        let text = format!("[{{\"ip\":\"192.0.2.0/29\"}},{{\"ip\":\"192.0.2.4/30\",{inner}}}]");
        check(&[(&text, &["192.0.2.0/30"], &["1 bad"])]);
    }
    for inner in [
        "\"meta\":{\"whitelisted\":false}",
        "\"meta\":{\"country\":\"DE\",\"state\":\"OK\"}",
        "\"labels\":{\"action\":\"ban\"}",
        "\"flags\":[\"spam\"]",
        "\"checks\":{\"spf\":\"pass\"}",
    ] {
        let text = format!("{{\"ip\":\"192.0.2.7\",{inner}}}\n");
        check(&[(&text, &["192.0.2.7"], &[])]);
    }
    check_allow(&[
        ("{\"ip\":\"192.0.2.7\",\"labels\":{\"action\":\"deny\"}}\n", &[], &["1 bad"]),
        ("{\"ip\":\"192.0.2.7\",\"flags\":[\"blocked\"]}\n", &[], &["1 bad"]),
        ("{\"ip\":\"192.0.2.7\",\"meta\":{\"allowed\":false}}\n", &[], &["1 bad"]),
    ]);
}

#[test]
fn further_names_of_verdicts_are_known() {
    for (name, value) in [
        ("Released", "yes"),
        ("Unblock", "yes"),
        ("Débloqué", "oui"),
        ("unban", "true"),
        ("Freigeschaltet", "ja"),
        ("Desbloqueado", "sí"),
        ("Ignore", "yes"),
        ("Ignored", "1"),
        ("Exclude", "x"),
        ("Excluded", "true"),
        ("Bypass", "yes"),
        ("Skip", "yes"),
        ("reputation", "good"),
        ("reputation", "safe"),
        ("verdict_text", "allow"),
        ("type", "safe"),
        ("Abuse Confidence Score", "0%"),
        ("abuse_confidence_score", "0"),
    ] {
        let text = format!("ip,{name}\n192.0.2.7,{value}\n");
        check(&[(&text, &[], &["1 "])]);
    }
    check(&[
        ("ip,unban\n192.0.2.7,false\n", &["192.0.2.7"], &[]),
        ("ip,Ignore\n192.0.2.7,no\n192.0.2.8,\n", &["192.0.2.7", "192.0.2.8"], &[]),
        ("ip,Abuse Confidence Score\n192.0.2.7,97%\n", &["192.0.2.7"], &[]),
        ("ip,reputation\n192.0.2.7,bad\n192.0.2.8,-12\n", &["192.0.2.7", "192.0.2.8"], &[]),
    ]);
}

#[test]
fn a_row_or_comment_that_is_the_heading_of_exceptions_refuses_the_list() {
    for text in [
        "ip,reason\n192.0.2.7,x\nExceptions,\n192.0.2.8,y\n",
        "ip;reason\n192.0.2.7;x\nAusnahmen;\n192.0.2.8;y\n",
        "ip,reason\n192.0.2.7,x\nip,reason (ALLOWED)\n192.0.2.8,y\n",
        "192.0.2.7\n# the following are exempt\n192.0.2.8\n",
        "192.0.2.7\n## safe hosts ##\n192.0.2.8\n",
        "192.0.2.7\nExceptions\n192.0.2.8\n",
        "192.0.2.7\n# these are allowed:\n192.0.2.8\n",
    ] {
        check(&[(text, &[], &["line "])]);
    }
}

#[test]
fn exceptions_in_a_comment_are_cut_out() {
    let halves = ["198.51.100.4/31", "198.51.100.6"];
    check(&[
        (
            "198.51.100.4/30 # not 198.51.100.7, 198.51.100.8\n198.51.100.4/30\n",
            &halves,
            &["1 bad"],
        ),
        ("198.51.100.4/30 # not 198.51.100.7\n198.51.100.4/30\n", &halves, &["1 bad"]),
        ("198.51.100.4/30 # without 198.51.100.7 and .8\n198.51.100.4/30\n", &halves, &["1 bad"]),
        // A range that cannot be read is no exception.
        (
            "192.0.2.16/28\n192.0.2.30 - 192.0.2.20\n",
            &["192.0.2.16/28"],
            &["1 bad", "its end is before its begin"],
        ),
    ]);
}
