//! Moments without a time zone, words for "no end", years of two digits, entries that have ended,
//! and columns that are not what an operator takes them for.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{NOW, check};
use mailmesh_events::{Rule, UnixMillis};
use mailmesh_lists::*;

fn list_of(text: &str) -> List {
    read(text, Format::guess(text)).unwrap()
}

fn end_of(text: &str) -> Option<Ends> {
    list_of(text).entries.first().map(|entry| entry.ends)
}

/// 2026-12-31T23:59:00Z.
const LAST_MINUTE: UnixMillis = UnixMillis(1_798_761_540_000);
/// The end of 2026-12-31.
const NEW_YEAR: UnixMillis = UnixMillis(1_798_761_600_000);

#[test]
fn every_end_without_a_zone_can_be_moved_into_one() {
    for (text, moment) in [
        ("31.12.2026 23:59", LAST_MINUTE),
        ("2026-12-31T23:59:00", LAST_MINUTE),
        ("2026-12-31 23:59", LAST_MINUTE),
        ("31.12.2026", NEW_YEAR),
        ("2026-12-31", NEW_YEAR),
        ("31/12/2026", NEW_YEAR),
    ] {
        for list in [
            format!("ip;expires\n192.0.2.1;{text}\n"),
            format!("ip,Gültig bis\n192.0.2.1,\"{text}\"\n"),
            format!("192.0.2.1,spam,{text}\n"),
            format!("192.0.2.1\tspam\t{text}\n"),
            format!("{{\"ip\": \"192.0.2.1\", \"expires\": \"{text}\"}}\n"),
            format!("ip,from,to\n192.0.2.1,2026-11-01,{text}\n"),
            format!("network,end\n192.0.2.1,{text}\n"),
        ] {
            assert_eq!(end_of(&list), Some(Ends::Local(moment)), "{list}");
            assert!(!list_of(&list).has_host_time, "{list}");
            let mut list = list_of(&list);
            assert_eq!(list.in_zone(|local| UnixMillis(local.0 - 3_600_000)), 1);
            assert_eq!(list.entries[0].ends, Ends::At(UnixMillis(moment.0 - 3_600_000)));
        }
    }
    for text in [
        "2026-12-31T23:59:00Z",
        "2026-12-31 23:59 UTC",
        "31.12.2026 23:59 GMT",
        "2027-01-01T00:59:00+01:00",
        "2026-12-31 18:59:00 -0500",
        "1798761540",
    ] {
        let list = format!("ip,expires\n192.0.2.1,{text}\n");
        assert_eq!(end_of(&list), Some(Ends::At(LAST_MINUTE)), "{list}");
    }
    // The name of the column says the zone.
    for name in ["Expires (UTC)", "expires_at_utc", "valid until GMT"] {
        let list = format!("ip,{name}\n192.0.2.1,2026-12-31 23:59\n");
        assert_eq!(end_of(&list), Some(Ends::At(LAST_MINUTE)), "{list}");
        let list = format!("[{{\"ip\": \"192.0.2.1\", \"{name}\": \"2026-12-31 23:59\"}}]");
        assert_eq!(end_of(&list), Some(Ends::At(LAST_MINUTE)), "{list}");
    }
    // fail2ban prints the time of its host.
    let list = list_of("192.0.2.1 \t2026-12-31 22:59:00 + 3600 = 2026-12-31 23:59:00\n");
    assert!(list.has_host_time && list.entries[0].ends == Ends::Local(LAST_MINUTE));
    // A start without a zone gives an end without one.
    let list = "192.0.2.1|sshd|2026-12-31 22:59:00|3600\n192.0.2.2|sshd|2026-12-31 22:59:00|3600\n";
    assert_eq!(end_of(list), Some(Ends::Local(LAST_MINUTE)));
}

#[test]
fn words_for_no_end_are_known_in_many_languages() {
    for word in [
        "never",
        "Nie",
        "niemals",
        "UNBEFRISTET",
        "dauerhaft",
        "permanent",
        "Jamais",
        "permanente",
        "nunca",
        "mai",
        "indefinido",
        "illimité",
        "kein Ende",
        "n/a",
        "-",
        "nooit",
        "aldrig",
        "nigdy",
        "indefinitely",
        "sans fin",
        "unlimited",
        "keine",
        "sempre",
    ] {
        for (list, ends) in [
            (format!("ip;bis\n192.0.2.1;{word}\n"), Ends::Never),
            (format!("ip;Dauer\n192.0.2.1;{word}\n"), Ends::Never),
            (format!("{{\"ip\": \"192.0.2.1\", \"expires\": \"{word}\"}}\n"), Ends::Never),
        ] {
            assert_eq!(end_of(&list), Some(ends), "{list}");
        }
    }
    check(&[("ip;bis\n192.0.2.1;bald\n", &[], &["1 bad", "`bald` is no end"])]);
}

#[test]
fn a_year_of_two_digits_is_bad_and_the_fault_lists_other_forms() {
    for end in ["31.12.26", "31/12/26", "31-12-26", "31.12.26 23:59"] {
        let words = [end, "has two digits", "31.01.2027", "2027-01-31T12:00:00Z"];
        check(&[(&format!("ip;bis\n192.0.2.1;{end}\n"), &[], &words)]);
    }
    // Nor is it lost in a column of another name, or in a comment.
    check(&[
        ("ip;Foo\n192.0.2.1;31.12.26\n", &[], &["1 bad", "`Foo`"]),
        ("ip;Foo\n192.0.2.1;10.15.70\n", &[], &["1 bad", "`Foo`"]),
        ("ip;Datum\n192.0.2.1;31.12.26\n192.0.2.2;01.11.26\n", &["192.0.2.2"], &["1 bad"]),
        ("ip;Kommentar\n192.0.2.1;gesperrt bis 31.12.26\n", &[], &["1 bad"]),
        ("192.0.2.1 # until 31/12/26\n", &[], &["1 bad"]),
    ]);
}

#[test]
fn columns_of_reasons_are_known_in_many_languages() {
    for name in [
        "Bemerkung",
        "Sperrgrund",
        "Kommentar",
        "Anmerkung",
        "Beschreibung",
        "motivo",
        "raison",
        "Commentaire",
        "Remarque",
        "comentario",
        "razón",
        "descripción",
        "commento",
        "descrizione",
        "observação",
        "reden",
        "opmerking",
        "Ban Reason",
        "remarks",
    ] {
        let list = list_of(&format!("ip;{name}\n192.0.2.1;spam\n"));
        assert_eq!(&*list.entries[0].reason, "spam", "{name}");
        // As in a column `reason`, a word may say that it is no block.
        check(&[(&format!("ip;{name}\n192.0.2.1;whitelisted\n"), &[], &["1 not a ban"])]);
    }
}

#[test]
fn a_note_says_how_a_score_is_used() {
    let said = "abuseConfidenceScore: only 0 is looked at; entries of any score are blocked";
    check(&[
        (
            "ipAddress,countryCode,abuseConfidenceScore\n192.0.2.1,US,5\n192.0.2.2,US,0\n",
            &["192.0.2.1"],
            &["1 not a ban", "not used: countryCode", said],
        ),
        (
            "[{\"ipAddress\": \"192.0.2.1\", \"abuseConfidenceScore\": 5}]",
            &["192.0.2.1"],
            &["note 1", said],
        ),
        ("ip,score,risk\n192.0.2.1,5,2\n", &["192.0.2.1"], &["not used: score, risk"]),
    ]);
}

#[test]
fn an_import_reports_ended_entries_with_line_and_end() {
    let text = "ip,expires\n192.0.2.1,2020-01-01T00:00:00Z\n192.0.2.2,\n192.0.2.3,2021-01-01\n";
    let mut list = list_of(text);
    let left_out = list.select_for_import(&Terms { now: NOW, ..Terms::default() });
    let lines: Vec<_> = left_out.ended.iter().map(|ended| ended.line).collect();
    assert_eq!((lines, left_out.ended_count), (vec![2, 4], 2));
    assert_eq!(left_out.ended[0].network.to_string(), "192.0.2.1");
    assert_eq!(left_out.ended[0].end.to_string(), "2020-01-01T00:00:00Z");
    // As many as bad lines are kept.
    let rows: String =
        (0..500).map(|n| format!("10.0.{}.{},x,2020-01-01\n", n / 250, n % 250)).collect();
    let mut list = read_for(Rule::Allow, &rows, Format::Csv).unwrap();
    let left_out =
        list.select_for_import(&Terms { rule: Rule::Allow, now: NOW, ..Terms::default() });
    assert_eq!((left_out.ended.len(), left_out.ended_count), (MAX_BAD, 500));
}

#[test]
fn a_workbook_is_refused_with_the_format_to_save() {
    /// The begin of an entry of a zip: its signature, 22 bytes, two lengths, the name.
    fn zip(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend([0; 22]);
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(name.bytes());
        bytes.extend(content);
        bytes
    }
    let error = |bytes: &[u8], part: usize| {
        let mut text = Text::default();
        let pushed = bytes.chunks(part).try_for_each(|part| text.push(part));
        pushed.and_then(|()| text.finish().map(|_| ())).unwrap_err().to_string()
    };
    let ods = b"application/vnd.oasis.opendocument.spreadsheet";
    for bytes in [
        zip("[Content_Types].xml", &[0; 600]),
        zip("_rels/.rels", &[0; 600]),
        zip("xl/workbook.xml", b""),
        zip("docProps/app.xml", b"x"),
        zip("mimetype", ods),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0".to_vec(),
    ] {
        for part in [1, 7, 4096] {
            let said = error(&bytes, part);
            assert!(said.contains("a workbook of a spreadsheet: save it as CSV"), "{said}");
        }
    }
    for bytes in [zip("list.txt", b"192.0.2.1"), b"PK\x03\x04".to_vec(), zip("a/xl/b", &[1; 600])] {
        for part in [1, 7, 4096] {
            let said = error(&bytes, part);
            assert!(said.contains("(zip); unpack it first: `unzip -p "), "{said}");
        }
    }
}
