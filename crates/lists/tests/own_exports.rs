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
    write(output, &[Listed { rule, network, block: details }], UnixMillis(2), &mut out).unwrap();
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
