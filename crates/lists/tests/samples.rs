//! Lists in the layouts and encodings that operators and other programs produce: each sample with
//! the result of reading it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::fmt::Write;
use std::path::Path;

use mailmesh_events::{Rule, UnixMillis};
use mailmesh_lists::*;
use proptest::prelude::*;

/// 2026-11-28T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_824_000_000);

fn terms() -> Terms {
    Terms { rule: Rule::Block, now: NOW, ttl: None, any_width: false, include_private: false }
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = Text::default();
    text.push(bytes).unwrap();
    text.finish().unwrap()
}

/// The result of reading a list, as one text: format, account, entries, bad lines, notes.
fn described(text: &str, terms: &Terms) -> String {
    let format = Format::guess(text);
    let mut list = read_for(terms.rule, text, format).unwrap();
    let left_out_networks = list.select_for_import(terms);
    assert_eq!(list.imported() + list.left_out.total(), list.units);
    if list.unit == Unit::Line {
        let is_old = text.contains('\r') && !text.contains('\n');
        let lines = if is_old { text.split('\r').count() } else { text.lines().count() };
        assert_eq!(list.units, lines);
    }
    let mut out = format!("{format:?} {}: {} imported", list.units, list.imported());
    for (reason, count) in list.left_out.iter() {
        write!(out, ", {count} {}", reason.name(list.rule())).unwrap();
    }
    for entry in &list.entries {
        write!(out, "\n{} {}", entry.line, entry.network).unwrap();
        match entry.ends {
            Ends::Never => {}
            Ends::After(left) => write!(out, " +{}s", left.as_secs()).unwrap(),
            Ends::At(at) => write!(out, " until {at}").unwrap(),
            Ends::Local(at) => {
                let shown = at.to_string();
                write!(out, " until {} local", shown.trim_end_matches('Z')).unwrap();
            }
        }
        if !entry.reason.is_empty() {
            write!(out, " ({})", entry.reason).unwrap();
        }
    }
    for bad in &list.bad {
        write!(out, "\nbad {}: {}", bad.line, bad.why).unwrap();
    }
    for note in &list.notes {
        write!(out, "\nnote {}: {}", note.line, note.what).unwrap();
    }
    for PrivateNetwork { line, network } in &left_out_networks.private {
        write!(out, "\nprivate {line}: {network}").unwrap();
    }
    out
}

/// `tests/samples.expected` has the right results. `WRITE_EXPECTED=1` writes it anew: read it
/// before you keep it.
#[test]
fn each_sample_gives_its_recorded_account() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let entries = std::fs::read_dir(dir.join("samples")).unwrap();
    let mut samples: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    samples.sort();
    let mut all = String::new();
    for sample in samples {
        let text = text_of(&std::fs::read(&sample).unwrap());
        let name = sample.file_name().unwrap().to_str().unwrap();
        writeln!(all, "== {name}\n{}", described(&text, &terms())).unwrap();
    }
    let path = dir.join("samples.expected");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &all).unwrap();
    }
    let right = std::fs::read_to_string(&path).unwrap();
    let of = |all: &str| all.split("== ").map(str::to_owned).collect::<Vec<_>>();
    for (is, right) in of(&all).into_iter().zip(of(&right)) {
        assert_eq!(is, right);
    }
    assert_eq!(all, right);
}

#[test]
fn the_terms_decide_which_entries_are_imported() {
    let text = "10.0.0.0/8\n127.0.0.1\n192.0.2.1\n0.0.0.0/1\n";
    let private = Terms { include_private: true, ..terms() };
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lines(described(text, &private))[..3],
        ["Plain 4: 2 imported, 1 private or reserved, 1 bad", "1 10.0.0.0/8", "3 192.0.2.1"]
    );
    // A list of networks to let in may name the operator's own, but no very wide ones.
    let allow = Terms { rule: Rule::Allow, ..terms() };
    assert_eq!(lines(described(text, &allow))[0], "Plain 4: 3 imported, 1 bad");
    let postfix = "192.0.2.9 OK\n192.0.2.0/24 REJECT\n";
    assert_eq!(
        lines(described(postfix, &allow)),
        ["Plain 2: 1 imported, 1 not let in", "1 192.0.2.9"]
    );
    // Of two reasons why a line is bad, the first is reported.
    let bad = lines(described("0.0.0.0/0 0.0.0.0/1\n", &terms()));
    assert_eq!((&*bad[0], bad.len()), ("Plain 1: 0 imported, 1 bad", 2));
    // A network on a bad line is no reason to leave out another line.
    let bad_after = lines(described("192.0.2.1\n192.0.2.1 0.0.0.0/0\n", &terms()));
    assert_eq!(bad_after[..2], ["Plain 2: 1 imported, 1 bad", "1 192.0.2.1"]);
    // Of two ends the later one counts, and a list that is given an end keeps its own.
    let twice = "network,ttl\n192.0.2.1,8h\n192.0.2.1,4h\n192.0.2.2,\n192.0.2.2,\n";
    let ttl = Terms { ttl: Some(std::time::Duration::from_secs(60)), ..terms() };
    assert_eq!(
        lines(described(twice, &ttl)),
        [
            "Csv 5: 2 imported, 1 heading or frame of the format, 2 duplicate",
            "2 192.0.2.1 +28800s",
            "5 192.0.2.2 +60s"
        ]
    );
}

/// Texts of the parts that lists have.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "192.0.2.1",
        "192.0.2.0/24",
        "10.0.0.1/8",
        "2001:db8::1",
        "192.0.2.1-192.0.2.9",
        "nonsense",
        "127.0.0.1",
        "0.0.0.0/0",
        "\n",
        "\r\n",
        "\n",
        "\n",
        " ",
        ",",
        ";",
        "\t",
        "\"",
        "'",
        "# ",
        "[",
        "]",
        "{",
        "}",
        ":",
        "network",
        "ip",
        "ttl",
        "reason",
        "4h",
        "-4h",
        "100",
        "1577836800",
        "ban",
        "captcha",
        "OK",
        "REJECT",
        "add b ",
        "create b hash:net",
        "nomatch",
        "set b {",
        "elements = { ",
        "type ipv4_addr",
        "timeout 1h",
        "\"decisions\":[",
        "\"value\":\"192.0.2.1\"",
        "\"nftables\":[",
        "ALL: ",
        "if",
        "endif",
        "|",
        "null",
        "\u{feff}",
        "\r",
        "\\",
        "sep=;",
        "Name: b",
        "Members:",
        " + 600 = 2026-12-07 23:00:10",
        " 2026-12-07 23:00:00",
        "Banned IP list:",
        "deny ",
        "allow all;",
        "add list=b address=",
        "/ip firewall address-list\n",
        "/ip firewall filter\n",
        " timeout=1d 00:00:10",
        "\\\n",
        "192.0.2 REJECT\n",
        "!192.0.2.0/24 DUNNO\n",
        "some_class",
        "31/12/2026",
        "03/04/2027",
        "expires",
        "date",
        "from",
        "to",
        "Generated: x\n",
        "\"prefixes\":[",
        "\"hooks\":[",
        "\"ip\":\"192.0.2.1\"",
        "192.0.2.0-192.0.2.255",
    ]);
    prop::collection::vec(
        prop_oneof![4 => part.prop_map(str::to_owned), 1 => "[ -~ä\n]{0,6}"],
        0..60,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_numbers_add_up_to_the_lines_of_the_file(text in text(), rule in any::<bool>()) {
        let rule = if rule { Rule::Block } else { Rule::Allow };
        let text = text.trim_start_matches('\u{feff}');
        let is_old = text.contains('\r') && !text.contains('\n');
        let normal = if is_old { text.replace('\r', "\n") } else { text.to_owned() };
        let every = Format::ALL.into_iter().map(|(_, format)| format);
        for format in every.chain([Format::guess(text)]) {
            let Ok(mut list) = read_for(rule, text, format) else { continue };
            if list.unit == Unit::Line {
                prop_assert_eq!(list.units, normal.lines().count(), "{:?} {:?}", format, text);
            }
            let bad = list.bad.len();
            prop_assert_eq!(bad, list.bad_count().min(MAX_BAD));
            list.select_for_import(&Terms { rule, ..terms() });
            prop_assert_eq!(list.bad.len(), list.bad_count().min(MAX_BAD));
            prop_assert!(list.left_out.total() <= list.units, "{:?} {:?}", format, text);
            let mut units: Vec<usize> = list.entries.iter().map(|entry| entry.unit).collect();
            units.dedup();
            prop_assert_eq!(list.imported(), units.len(), "{:?} {:?}", format, text);
            for entry in &list.entries {
                prop_assert!(entry.reason.parse::<mailmesh_events::Network>().is_err());
                let at_least_one_line = normal.lines().count().max(1);
                prop_assert!((1..=at_least_one_line).contains(&entry.line));
                prop_assert!(entry.ends.moment(NOW).is_none_or(|end| end > NOW));
            }
        }
    }
}
