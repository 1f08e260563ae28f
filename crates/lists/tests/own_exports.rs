//! Exports of this crate are read back equal, whatever their texts say, and nothing else is taken
//! for one.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;
use mailmesh_events::{Network, Rule, RuleDetails, UnixMillis};
use mailmesh_lists::*;

/// The export of one network.
fn exported(output: OutputFormat, rule: Rule, details: &RuleDetails) -> String {
    let network: Network = "203.0.113.5".parse().unwrap();
    let mut out = String::new();
    write(output, &[Listed { rule, network, details }], UnixMillis(2), &mut out).unwrap();
    out
}

fn details(reason: &str, origin: &str) -> RuleDetails {
    RuleDetails::new(reason, UnixMillis(1)).unwrap().with_origin(origin).unwrap()
}

/// Checks that the export of one network is read back equal, without its format being given.
fn check_read_back(output: OutputFormat, rule: Rule, details: &RuleDetails) {
    let text = exported(output, rule, details);
    let list =
        read_for(rule, &text, Format::guess(&text)).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!((&list.bad[..], &list.notes[..]), (&[][..], &[][..]), "{text}");
    let [entry] = &list.entries[..] else { panic!("{text}{list:?}") };
    assert_eq!((&*entry.reason, &*entry.origin), (details.reason(), details.origin()), "{text}");
    assert_eq!(entry.ends.moment(UnixMillis(0)), details.expires, "{text}");
}

#[test]
fn a_quote_in_a_json_text_does_not_hide_its_format() {
    for reason in ["user said \"don't\"", "O\"Brien's", "a\\\"'b", "'", "\"", "\\"] {
        check_read_back(OutputFormat::JsonLines, Rule::Block, &details(reason, "mx1"));
    }
    let crowdsec = r#"[{"decisions":[{"value":"192.0.2.7","scope":"Ip","type":"ban",
        "duration":"4h","scenario":"it is \"o'k\""}]}]"#;
    check(&[
        ("{\"ip\":\"192.0.2.7\",\"name\":\"O\\\"Brien's\"}\n", &["192.0.2.7"], &[]),
        (crowdsec, &["192.0.2.7"], &[]),
        // Python quotes a text with an apostrophe in double quotes.
        (
            "[{'it\\'s': ['192.0.2.7']}, {\"it's\": ['192.0.2.8']}]",
            &["192.0.2.7", "192.0.2.8"],
            &[],
        ),
    ]);
}

const TABLES: [OutputFormat; 2] = [OutputFormat::Csv, OutputFormat::JsonLines];

/// Texts that mean something in lists of other programs.
const TEXTS: [&str; 14] = [
    "",
    "whitelisted",
    "do not block",
    "until 2026-12-01",
    "2026-12-31T00:00:00Z",
    "31.12.2026",
    "1796000000",
    "4h",
    "198.51.100.14",
    "192.0.2.1, 192.0.2.9",
    "all except 192.0.2.9",
    "block",
    "allow",
    "never",
];

#[test]
fn an_export_is_read_back_equal_whatever_its_texts_say() {
    for text in TEXTS {
        for details in [details(text, "mx1"), details("spam", text), details(text, text)] {
            for (output, rule) in TABLES.map(|o| [(o, Rule::Block), (o, Rule::Allow)]).concat() {
                check_read_back(output, rule, &details);
                for end in [1_798_675_200_000, 9_000_000_000_000, 253_402_214_400_000] {
                    let details = details.clone().with_expiry(UnixMillis(end));
                    check_read_back(output, rule, &details);
                }
            }
        }
    }
}

#[test]
fn an_export_of_the_other_rule_is_refused_with_the_command_to_use() {
    let details = details("spam", "mx1");
    for output in [OutputFormat::Plain, OutputFormat::Csv, OutputFormat::JsonLines] {
        let text = exported(output, Rule::Allow, &details);
        for text in [text.clone(), format!("# ours\n{text}"), text.replace('\n', "\r\n")] {
            let format = Format::guess(&text);
            let refusal = read_for(Rule::Block, &text, format).unwrap_err().to_string();
            assert!(refusal.contains("mailmesh block import --allow FILE"), "{refusal}");
            assert_eq!(read_for(Rule::Allow, &text, format).unwrap().entries.len(), 1, "{text}");
        }
    }
    for output in TABLES {
        let text = exported(output, Rule::Block, &details);
        let refusal = read_for(Rule::Allow, &text, Format::guess(&text)).unwrap_err().to_string();
        assert!(refusal.contains("`mailmesh block import FILE`"), "{refusal}");
    }
    // Exports of both rules in one file, in either order.
    let plain = |rule| exported(OutputFormat::Plain, rule, &details);
    let both = plain(Rule::Block) + &plain(Rule::Allow);
    assert!(read(&both, Format::guess(&both)).is_err());
    // Another program's table with the mark, and a mark that says neither.
    check(&[
        ("ip;rule\n192.0.2.7;allow\n", &[], &["1 bad", "`allow` in `rule`"]),
        ("network,reason,origin,expires,rule\n192.0.2.7,x,vm,,\n", &[], &["1 bad", "`rule`"]),
        (
            r#"{"network":"192.0.2.7","reason":"x","origin":"vm","expires":null,"rule":1}"#,
            &[],
            &["1 bad", "`rule`"],
        ),
    ]);
}

#[test]
fn exports_without_the_mark_of_their_rule_are_read() {
    let csv = "network,reason,origin,expires\n192.0.2.7,whitelisted,vm,\n\
               192.0.2.8,\"a, b\",vm,2026-12-31T00:00:00Z\n";
    let jsonl = r#"{"network":"192.0.2.7","reason":"whitelisted","origin":"","expires":null}
                   {"network":"192.0.2.8","reason":"spam","expires":"2026-12-31T00:00:00Z"}"#;
    for text in [csv, jsonl] {
        check(&[(text, &["192.0.2.7", "192.0.2.8"], &[])]);
        let of_allow = read_for(Rule::Allow, text, Format::guess(text)).unwrap();
        assert_eq!(of_allow.entries.len(), 2, "{of_allow:?}");
    }
}

#[test]
fn rows_that_this_crate_does_not_write_are_read_as_those_of_others() {
    let table = |row: &str| format!("network,reason,origin,expires\n{row}\n");
    check(&[
        // Another separator, and names in a comment.
        (
            "network;reason;origin;expires\n192.0.2.9;spam until 31.12.2026;x;\n\
             192.0.2.7;whitelisted;office;\n",
            &[],
            &["1 bad", "1 not a ban", "until 31.12.2026"],
        ),
        ("network\treason\torigin\texpires\n192.0.2.7\twhitelisted\tx\t\n", &[], &["1 not a ban"]),
        (
            "# network,reason,origin,expires\n192.0.2.10,until 2026-12-01,manual,\n",
            &[],
            &["1 bad", "until 2026-12-01"],
        ),
        // Ends in other forms than an export has.
        (&table("192.0.2.7,whitelisted,vm,4h"), &[], &["1 not a ban"]),
        (&table("192.0.2.7,whitelisted,vm,never"), &[], &["1 not a ban"]),
        (&table("192.0.2.7,whitelisted,vm,31.12.2026"), &[], &["1 not a ban"]),
        (&table("192.0.2.7,whitelisted,vm,2026-12-31T00:00:00+01:00"), &[], &["1 not a ban"]),
        // Columns that were shifted.
        (&table("198.51.100.11,spam, 2026-12-31T00:00:00Z,"), &[], &["1 bad", "2026-12-31"]),
        (&table("198.51.100.11,spam,until 2026-12-31,"), &[], &["1 bad", "2026-12-31"]),
        (&table("198.51.100.11,spam,24h,"), &[], &["1 bad", "24h"]),
        (&table("198.51.100.12,2026-12-31T00:00:00Z,vm,"), &[], &["1 bad", "2026-12-31"]),
        (&table("198.51.100.12,4h,vm,"), &[], &["1 bad", "4h"]),
        (&table("198.51.100.13,198.51.100.14,vm,"), &[], &["1 bad", "address"]),
        (&table("198.51.100.15,whitelisted,198.51.100.16,"), &[], &["1 not a ban"]),
        // A network in another form.
        (&table("!192.0.2.128/25,x,vm,\n192.0.2.0/24,x,vm,"), &["192.0.2.0/25"], &["1 bad"]),
        (&table("192.0.2.7-192.0.2.8,whitelisted,vm,"), &[], &["1 not a ban"]),
        (
            r#"{"network":"192.0.2.7","reason":["allow"],"origin":"vm","expires":null}"#,
            &[],
            &["1 not a ban"],
        ),
        (
            r#"{"network":"192.0.2.7","reason":"whitelisted","origin":{"a":1},"expires":null}"#,
            &[],
            &["1 not a ban"],
        ),
        (
            concat!(
                r#"{"network":"192.0.2.7","reason":"x","#,
                r#""origin":"2026-12-31T00:00:00Z","expires":null}"#,
            ),
            &[],
            &["1 bad", "2026-12-31"],
        ),
        (
            r#"{"network":"192.0.2.7","reason":"whitelisted","origin":"","expires":"4h"}"#,
            &[],
            &["1 not a ban"],
        ),
    ]);
}
