//! A duration beside the begin of its entry counts from there, and an end in two columns is one.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::check;
use mailmesh_events::UnixMillis;
use mailmesh_lists::*;

fn end_of(text: &str) -> Ends {
    let list = read(text, Format::guess(text)).unwrap();
    let [entry] = &list.entries[..] else { panic!("{text}{list:?}") };
    entry.ends
}

/// A table with one row, and the same entry in JSON.
fn forms(names: &str, row: &str) -> [String; 2] {
    let fields = names.split(',').zip(row.split(','));
    let fields = fields.map(|(name, value)| format!("\"{name}\":\"{value}\""));
    let json = format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","));
    [format!("{names}\n{row}\n"), json]
}

/// 2026-11-27T17:20:00Z.
const BEGIN: u64 = 1_795_800_000_000;

#[test]
fn a_duration_counts_from_the_begin_beside_it() {
    for (names, begin) in [
        ("ip,timeofban,bantime", "1795800000"),
        ("ip,created_at,ttl", "2026-11-27T17:20:00Z"),
        ("ip,created_at,expires_in", "1795800000"),
        ("ip,banned_at,ban_seconds", "2026-11-27 17:20:00 UTC"),
        ("ip,banned_at,ban_time", "1795800000"),
        ("ip,timestamp,duration", "2026-11-27T18:20:00+01:00"),
        ("ip,start,duration", "2026-11-27T17:20:00Z"),
        ("ip,from,lasts", "2026-11-27T17:20:00Z"),
        ("ip,blocked since,Dauer (s)", "2026-11-27T17:20:00Z"),
        ("ip,erstellt,Sperrdauer", "2026-11-27T17:20:00Z"),
        ("ip,added,timeout", "1795800000"),
    ] {
        for text in forms(names, &format!("192.0.2.7,{begin},864000")) {
            let end = UnixMillis(BEGIN + 864_000_000);
            assert_eq!(end_of(&text), Ends::At(end), "{text}");
        }
        for text in forms(names, &format!("192.0.2.7,{begin},3600")) {
            check(&[(&text, &[], &["1 ended"])]);
        }
    }
    // The begin without a zone, in two columns, and as a day.
    let local = UnixMillis(BEGIN).plus(Duration::from_secs(864_000));
    for text in forms("ip,created_at,ttl", "192.0.2.7,2026-11-27 17:20:00,864000") {
        assert_eq!(end_of(&text), Ends::Local(local), "{text}");
    }
    for text in forms("ip,date,time,ttl", "192.0.2.7,2026-11-27,17:20:00,10d") {
        assert_eq!(end_of(&text), Ends::Local(local), "{text}");
    }
    for text in forms("ip,date,ttl", "192.0.2.7,2026-11-20,24h") {
        check(&[(&text, &[], &["1 ended"])]);
    }
}

#[test]
fn a_duration_without_a_begin_counts_from_the_import() {
    let after = |seconds| Ends::After(Duration::from_secs(seconds));
    for (names, row) in [
        ("ip,ttl", "192.0.2.7,3600"),
        ("ip,created_at,time_left", "192.0.2.7,2026-11-20,3600"),
        ("ip,created_at,remaining_seconds", "192.0.2.7,2026-11-20,3600"),
        ("ip,created_at,ttl", "192.0.2.7,,3600"),
        ("ip,country,ttl", "192.0.2.7,US,1h"),
    ] {
        for text in forms(names, row) {
            assert_eq!(end_of(&text), after(3_600), "{text}");
            check(&[(&text, &["192.0.2.7"], &[])]);
        }
    }
    // CrowdSec prints what is left of a decision.
    let decision = r#"[{"created_at":"2026-11-20T00:00:00Z","decisions":[{"value":"192.0.2.7",
        "scope":"Ip","type":"ban","duration":"1h"}]}]"#;
    assert_eq!(end_of(decision), after(3_600));
}

#[test]
fn a_duration_beside_several_moments_is_unclear() {
    for (names, row) in [
        ("ip,created_at,updated_at,banned_at,ttl", "192.0.2.7,2026-11-01,2026-11-01,2026-11-20,1h"),
        // A sighting is no begin, but the duration may count from there.
        ("ip,last_seen,ttl", "192.0.2.7,2026-11-20,3600"),
        ("ip,created_at,expires", "192.0.2.7,2026-11-20,1h"),
    ] {
        for text in forms(names, row) {
            check(&[(&text, &[], &["1 bad"])]);
        }
    }
    for text in forms("ip,last_seen,ttl", "192.0.2.7,2026-11-27,30d") {
        check(&[(&text, &["192.0.2.7"], &[])]);
    }
}
