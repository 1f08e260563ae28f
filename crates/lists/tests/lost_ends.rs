//! Ends, durations, lengths of prefixes and begins that stand where nothing reads them: none is
//! lost in silence.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use std::fmt::Write;
use std::time::Duration;

use common::{NOW, check, imported};
use mailmesh_events::UnixMillis;
use mailmesh_lists::*;

fn ends_of(text: &str) -> Vec<Ends> {
    let list = read(text, Format::guess(text)).unwrap();
    list.entries.iter().map(|entry| entry.ends).collect()
}

/// Checks that of each text nothing is taken without an end, and that a bad line says why.
fn none_lost(texts: &[&str]) {
    let mut faults = String::new();
    for text in texts {
        let mut list = read(text, Format::guess(text)).unwrap();
        list.select_for_import(&Terms { now: NOW, ..Terms::default() });
        let has_end = |entry: &Entry| entry.ends != Ends::Never;
        if !list.entries.iter().all(has_end) || list.entries.is_empty() == list.bad.is_empty() {
            write!(faults, "\n---\n{text}\n{list:?}\n").unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

fn after(seconds: u64) -> Ends {
    Ends::After(Duration::from_secs(seconds))
}

#[test]
fn a_comment_that_states_an_end_makes_its_line_bad() {
    let comments = [
        "expires=2026-12-31",
        "until:2026-12-31",
        "expires Thu, 31 Dec 2026 10:00:00 GMT",
        "expires Dec 31 2026",
        "until 1798761599",
        "until=1798761599000",
        "ttl=3600",
        "ttl: 3600",
        "expires in 4h",
        "expires: 2026-12-31",
        "bis 31.12.26",
        "until 31/12/26",
        "temp ban 24h",
        "temporary ban, 2 days",
        "banned for 3600 secs",
        "24h ban",
        "expires 2026-12-31T10:00:00Z.",
        "[expires 2026-12-31]",
        "spam [until 2026-12-31]",
        "exp 31-Dec-2026",
        "until \"2026-12-31\"",
        "until '31 December 2026'",
        "remove after 2026-12-31",
        "delete on 2026-12-31",
        "temporary, end: 2026-12-31",
        "scade il 31/12/2026",
        "expires on: 2026/12/31",
        "valid to 2026-12-31",
        "do 2026-12-31",
        "jusqu'au 31 décembre 2026",
        "bis 31. Dezember 2026",
        "hasta el 31 de diciembre de 2026",
        "expires 12/2026",
        // The source says that it has ended.
        "until 2026-11-20",
        "24h",
        "3600 s",
        "31.12.26",
        "31/12/26",
        "Dec 31 2026",
        "1798761599",
        "spam; 31.12.26",
        "spam, 31/12/2026",
        "spam; 4h",
        "block until: Dec 31",
        "until end of 2026",
        "unban on Dec 31st 2026",
        "for 3 days",
        "spam (24h)",
        "drop for 1 week",
        "lifted 2026-12-31",
        "2026-11-01 - 2026-12-31",
    ];
    let lines: Vec<String> = comments
        .iter()
        .flat_map(|comment| {
            [
                format!("192.0.2.1 # {comment}\n"),
                format!("192.0.2.1 ; {comment}\n"),
                format!("ip\treason\n192.0.2.1\t{comment}\n"),
                format!("[{{\"ip\":\"192.0.2.1\",\"comment\":{comment:?}}}]"),
            ]
        })
        .collect();
    none_lost(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_comment_without_an_end_is_not_taken_for_one() {
    for comment in [
        "SBL123456",
        "spam until further notice",
        "lfd: (sshd) Failed SSH login from 192.0.2.1 (US/United States/-): 5 in the last 3600 secs \
         - Mon Nov 23 12:00:00 2026",
        "5 failures in 10m",
        "seen 2026-12-31",
        "2026-11-20",
        "20 Nov 2026",
        "added 01/11/26",
        "550 5.7.26 unauthenticated",
        "version 1.10.22",
        "ticket 1798",
        "ban 12",
        "to 192.0.2.9",
        "do not remove",
        "port 25 for 100 hosts",
        "connection timeout after 30",
        "time 10:00",
    ] {
        let text = format!("192.0.2.1 # {comment}\n");
        check(&[(&text, &["192.0.2.1"], &[])]);
    }
}

#[test]
fn the_refusal_of_a_short_year_names_the_forms_that_are_read() {
    let forms = "2027-01-31, 31.01.2027";
    check(&[
        ("192.0.2.1;spam;31.12.26\n", &[], &["1 bad", "two digits", forms]),
        ("192.0.2.1;spam;31/12/26\n", &[], &["1 bad", "two digits", forms]),
        ("192.0.2.1,spam,31/12/26\n", &[], &["1 bad", "two digits"]),
        ("192.0.2.1,31.12.26\n", &[], &["1 bad", "two digits"]),
        ("192.0.2.1\tspam\t31-12-26\n", &[], &["1 bad", "two digits"]),
        ("ip,expires\n192.0.2.1,31.12.26\n192.0.2.2,soon\n", &[], &["2 bad", "two digits"]),
        ("ip;Foo\n192.0.2.1;31.12.26\n", &[], &["1 bad", "`Foo`"]),
        ("192.0.2.1;spam;x;31.12.26\n", &[], &["1 bad", "31.12.26"]),
        ("192.0.2.1;spam;4h\n192.0.2.2;spam\n", &["192.0.2.1", "192.0.2.2"], &[]),
    ]);
}

#[test]
fn durations_are_read_in_the_unit_of_their_name() {
    for (name, value, seconds) in [
        ("Sperrdauer (h)", "24", 86_400),
        ("Dauer in Stunden", "24", 86_400),
        ("Sperrzeit", "24h", 86_400),
        ("durée (min)", "24", 1_440),
        ("duration (minutes)", "24", 1_440),
        ("duration_minutes", "1.5", 90),
        ("ban_minutes", "60", 3_600),
        ("ban_seconds", "60", 60),
        ("ttl_ms", "60000", 60),
        ("durationMs", "60000", 60),
        ("expire_in_hours", "4", 14_400),
        ("expires in days", "2", 172_800),
        ("ban time (h)", "4h", 14_400),
        ("block_period", "1 day", 86_400),
        ("czas blokady", "24h", 86_400),
        ("Czas trwania", "14400", 14_400),
        ("lasts", "24h", 86_400),
        ("ban_length", "24h", 86_400),
        ("time_to_live", "3600", 3_600),
        ("duración (horas)", "2", 7_200),
        ("durata (giorni)", "1", 86_400),
    ] {
        let csv = format!("ip;Foo;{name}\n192.0.2.1;x;{value}\n");
        assert_eq!(ends_of(&csv), [after(seconds)], "{csv}");
        let json = format!("{{\"ip\":\"192.0.2.1\",\"{name}\":\"{value}\"}}\n");
        assert_eq!(ends_of(&json), [after(seconds)], "{json}");
    }
    for name in ["last_day", "Last valid date", "ban_end", "valid until (UTC)"] {
        let csv = format!("ip,{name}\n192.0.2.1,2026-12-31\n");
        assert!(matches!(ends_of(&csv)[..], [Ends::At(_) | Ends::Local(_)]), "{csv}");
    }
    check(&[
        ("ip,ttl_minutes\n192.0.2.1,x\n", &[], &["1 bad", "`x`"]),
        ("ip,ttl_minutes\n192.0.2.1,\n192.0.2.2,never\n", &["192.0.2.1", "192.0.2.2"], &[]),
        ("ip,ttl (m)\n192.0.2.1,30\n", &[], &["1 bad", "`ttl (m)`"]),
        ("Adres IP;Powód;Czas trwania\n192.0.2.1;x;14400\n", &["192.0.2.1"], &[]),
        // Names that are not known, and a number that may be a duration.
        ("Gniazdo;Co;Trwanie\n192.0.2.1;x;14400\n", &[], &["2 bad"]),
    ]);
}

#[test]
fn ends_under_unknown_names_are_bad() {
    let mut texts: Vec<String> = Vec::new();
    for (name, value) in [
        ("ban", "24h"),
        ("ban_end_first", "2026-12-31"),
        ("hours", "24"),
        ("minutes_left", "30"),
        ("validity", "3600"),
        ("seconds", "60"),
        ("period", "4h"),
        ("period", "3600"),
        ("for", "4h"),
        ("lease", "4h"),
        ("foo", "24h"),
        ("foo", "3600 s"),
        ("foo", "2 Stunden"),
        ("foo", "1 jour"),
        ("foo", "3 giorni"),
        ("foo", "P1D"),
        ("foo", "1d 00:00:10"),
        ("foo", "expires 2026-12-31"),
        ("foo", "31 grudnia 2026"),
    ] {
        texts.push(format!("ip,{name}\n192.0.2.1,{value}\n"));
        texts.push(format!("{{\"ip\":\"192.0.2.1\",\"{name}\":\"{value}\"}}\n"));
    }
    for json in [
        r#""ban_seconds":[60]"#,
        r#""window":{"from":"2026-11-01","to":"2026-12-31"}"#,
        r#""valid":{"until_date":"2026-12-31"}"#,
        r#""banned":true,"ban":{"length":"4h"}"#,
        r#""meta":{"a":{"expires":"2026-12-31"}}"#,
        r#""meta":[{"ttl":60}]"#,
        r#""dates":["2026-11-01","2026-12-31"]"#,
        r#""tags":["expires 2026-12-31"]"#,
        r#""seconds":60"#,
        r#""time":1798761599"#,
    ] {
        texts.push(format!("{{\"ip\":\"192.0.2.1\",{json}}}\n"));
        texts.push(format!("[{{\"ip\":\"192.0.2.1\",{json}}}]"));
    }
    none_lost(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    check(&[
        ("ip,uptime\n192.0.2.1,3d\n", &["192.0.2.1"], &["uptime"]),
        ("ip,last_seen\n192.0.2.1,3d\n", &["192.0.2.1"], &[]),
        ("ip,note\n192.0.2.1,2 hosts\n", &["192.0.2.1"], &[]),
        (
            "[{\"ip\":\"192.0.2.1\",\"meta\":{\"created\":\"2026-11-01\",\"is_expired\":false}}]",
            &["192.0.2.1"],
            &["not used: meta"],
        ),
    ]);
}

#[test]
fn the_note_of_unused_keys_covers_all_records() {
    let records = [r#"{"ip":"192.0.2.1","x":1}"#, r#"{"ip":"192.0.2.2","y":2}"#];
    for text in [format!("{}\n", records.join("\n")), format!("[{}]", records.join(","))] {
        check(&[(&text, &["192.0.2.1", "192.0.2.2"], &["keys that are not used: x, y"])]);
    }
}

#[test]
fn a_prefix_length_is_read_from_a_column_of_its_own() {
    for names in [
        "network,prefix",
        "ip,cidr",
        "address,cidr",
        "ip,subnet",
        "address,netblock",
        "ip,prefixlen",
        "ip,mask",
        "start,mask",
    ] {
        for length in ["24", "/24", "255.255.255.0"] {
            let csv = format!("{names}\n192.0.2.0,{length}\n");
            check(&[(&csv, &["192.0.2.0/24"], &[])]);
            let (first, second) = names.split_once(',').unwrap();
            let json = format!("[{{\"{first}\":\"192.0.2.0\",\"{second}\":\"{length}\"}}]");
            check(&[(&json, &["192.0.2.0/24"], &[])]);
        }
    }
    check(&[
        ("[{\"ip\":\"192.0.2.0\",\"cidr\":24}]", &["192.0.2.0/24"], &[]),
        ("192.0.2.0\t/24\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0 /24\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0,/24\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0,/24,spam\n", &["192.0.2.0/24"], &[]),
        ("192.0.2.0;/24;spam\n", &[], &["1 bad", "/24"]),
        ("192.0.2.0|/24|spam\n", &["192.0.2.0/24"], &[]),
        // They agree, or the line is bad.
        ("network,prefix\n192.0.2.0/24,24\n", &["192.0.2.0/24"], &[]),
        ("network,prefix\n192.0.2.0/24,25\n", &[], &["1 bad", "192.0.2.0/24", "25"]),
        ("network,mask\n192.0.2.0/24,16\n", &[], &["1 bad"]),
        ("ip,cidr,mask\n192.0.2.0,24,25\n", &[], &["1 bad"]),
        ("ip,cidr\n192.0.2.0,33\n", &[], &["1 bad", "33"]),
        ("ip,cidr\n,24\n", &[], &["1 bad"]),
        // The length of the network that the address is announced in, perhaps.
        ("ip,cidr\n192.0.2.7,24\n", &[], &["1 bad", "`192.0.2.7`", "`24`"]),
        ("ip,netmask\n192.0.2.7,255.255.255.0\n", &["192.0.2.0/24"], &["host bits"]),
        ("ip,cidr\n192.0.2.1,192.0.2.0/24\n", &["192.0.2.1"], &[]),
        ("ip,score\n192.0.2.1,24\n", &["192.0.2.1"], &["not used: score"]),
    ]);
}

#[test]
fn a_duration_with_an_ambiguous_decimal_point_is_bad() {
    for value in ["3.600", "86.400"] {
        check(&[
            (&format!("IP;Grund;Dauer\n192.0.2.1;x;{value}\n"), &[], &["1 bad", value, "may be"]),
            (&format!("{{\"ip\":\"192.0.2.1\",\"ttl\":{value}}}\n"), &[], &["1 bad", "may be"]),
            (&format!("ip;Dauer (h)\n192.0.2.1;{value}\n"), &[], &["1 bad", "may be"]),
        ]);
    }
    assert_eq!(ends_of("ip,ttl\n192.0.2.1,60.5\n"), [after(60)]);
}

#[test]
fn a_block_that_begins_later_is_not_in_force() {
    let not_yet = "begins later";
    for name in
        ["from", "valid_from", "start", "Start date", "gültig ab", "begins", "not before", "ab"]
    {
        let csv = format!("ip,{name},until\n192.0.2.1,2027-01-01,2027-12-31\n");
        check(&[(&csv, &[], &["1 bad", not_yet, "2027-01-01"])]);
        let json = format!("[{{\"ip\":\"192.0.2.1\",\"{name}\":\"2027-01-01T00:00:00Z\"}}]");
        check(&[(&json, &[], &["1 bad", not_yet])]);
        let begun = format!("ip,{name},until\n192.0.2.1,2026-11-01,2027-12-31\n");
        check(&[(&begun, &["192.0.2.1"], &[])]);
        assert!(matches!(ends_of(&begun)[..], [Ends::Local(_)]), "{begun}");
    }
    check(&[
        ("ip,start,end\n192.0.2.1,2027-01-01,2027-12-31\n", &[], &["1 bad", not_yet]),
        ("ip,from,to\n192.0.2.1,2027-01-01,2027-12-31\n", &[], &["1 bad", not_yet]),
        ("ip,from\n192.0.2.1,1798761599\n", &[], &["1 bad", not_yet]),
        // Today, and a clock ahead of UTC.
        ("ip,from\n192.0.2.1,2026-11-28\n", &["192.0.2.1"], &[]),
        ("ip,from\n192.0.2.1,2026-11-28 09:00\n", &["192.0.2.1"], &[]),
        ("ip,from\n192.0.2.1,2026-11-28T09:00:00Z\n", &[], &["1 bad", not_yet]),
        // A sight that is to come is something else.
        ("ip,last_seen\n192.0.2.1,2026-12-31\n", &[], &["1 bad"]),
        ("ip,last_seen\n192.0.2.1,2026-11-28\n", &["192.0.2.1"], &[]),
    ]);
}

#[test]
fn faults_state_the_error_and_the_remedy() {
    check(&[
        ("fe80::1%eth0\n", &[], &["1 bad", "zone"]),
        ("[2001:db8::3%eth0]\n", &[], &["1 bad", "zone"]),
        ("192.0.2.*\n", &[], &["1 bad", "wildcard: write 192.0.2.0/24"]),
        ("192.0.*.*\n", &[], &["1 bad", "write 192.0.0.0/16"]),
        ("192.0.2.x\n", &[], &["1 bad", "write 192.0.2.0/24"]),
        ("192.0.2.\n", &[], &["1 bad", "write 192.0.2.0/24"]),
        ("2001:db8:*\n", &[], &["1 bad", "wildcard"]),
        ("*.example.org\n192.0.2.1\n", &["192.0.2.1"], &["1 bad"]),
        // A section of a list of lines is no JSON.
        ("[blacklist]\n192.0.2.1\n", &["192.0.2.1"], &["1 heading"]),
        ("[Blocked hosts]\n192.0.2.1\n", &["192.0.2.1"], &["1 heading"]),
        ("[whitelist]\n192.0.2.1\n", &[], &["[whitelist]"]),
        ("[192.0.2.1]\n", &["192.0.2.1"], &[]),
        ("[null]\n", &[], &["1 bad"]),
        (
            concat!(
                r#"{"type":"bundle","objects":[{"type":"indicator","#,
                r#""pattern":"[ipv4-addr:value = '192.0.2.5']"},"#,
                r#"{"type":"ipv4-addr","value":"192.0.2.6"}]}"#,
            ),
            &[],
            &["2 bad", "pattern of STIX"],
        ),
        // The width as listed, not that of the parts that exceptions leave.
        ("128.0.0.0/1\n!192.0.2.7\n", &[], &["1 bad", "128.0.0.0/1 is wider", "`--force`"]),
    ]);
    let wide = imported("0.0.0.0/0\n").1;
    assert!(!wide.contains("any_width"), "{wide}");
}

#[test]
fn two_ends_of_an_entry_agree_or_are_bad() {
    let (ten, midnight) = (UnixMillis(1_796_119_200_000), UnixMillis(1_796_169_600_000));
    for (text, end) in [
        ("ip,expires date,expires time\n192.0.2.7,2026-12-01,10:00\n", ten),
        ("ip;gültig bis;Ablaufzeit\n192.0.2.7;01.12.2026;10:00:00\n", ten),
        ("ip,expires date,expires time\n192.0.2.7,2026-12-01,\n", midnight),
        ("ip,expires,until\n192.0.2.7,2026-12-01,01.12.2026\n", midnight),
        ("ip,expires,until\n192.0.2.7,never,2026-12-01\n", midnight),
    ] {
        assert_eq!(ends_of(text), [Ends::Local(end)], "{text}");
    }
    check(&[
        ("ip,expires,expires\n192.0.2.7,2026-12-31,2026-11-01\n", &[], &["1 bad", "two ends"]),
        ("ip,expires,deleted_at\n192.0.2.7,2026-12-31,2026-11-01\n", &[], &["1 bad", "two ends"]),
        ("ip,expires,until\n192.0.2.7,2026-12-31,soon\n", &[], &["1 bad", "`soon`"]),
        ("ip,ttl,timeout\n192.0.2.7,1h,2h\n", &[], &["1 bad", "two ends"]),
        ("ip,ttl,ttl_minutes\n192.0.2.7,1h,60\n", &["192.0.2.7"], &[]),
        ("ip,expires date,expires time\n192.0.2.7,,10:00\n", &[], &["1 bad", "10:00"]),
        (
            "{\"ip\":\"192.0.2.7\",\"expires\":\"2026-12-31\",\"unban_at\":\"2026-12-01\"}\n",
            &[],
            &["1 bad", "two ends"],
        ),
        (
            "{\"ip\":\"192.0.2.7\",\"expires\":\"2026-12-31\",\"duration\":\"4h\"}\n",
            &["192.0.2.7"],
            &[],
        ),
    ]);
}
