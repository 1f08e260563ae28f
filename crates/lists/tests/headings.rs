//! An end in a comment above networks holds for the networks below it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::check;
use mailmesh_events::UnixMillis;
use mailmesh_lists::*;

fn ends_of(text: &str) -> Vec<Ends> {
    let list = read(text, Format::guess(text)).unwrap();
    assert_eq!(list.bad, [], "{text}");
    list.entries.iter().map(|entry| entry.ends).collect()
}

/// The end of 2026-12-01.
const DECEMBER: Ends = Ends::Local(UnixMillis(1_796_169_600_000));
const DAY: Ends = Ends::After(Duration::from_secs(86_400));

#[test]
fn networks_below_a_comment_take_the_end_that_it_states() {
    for (comment, ends) in [
        ("# until 2026-12-01:", DECEMBER),
        ("# expires 2026-12-01", DECEMBER),
        ("; gesperrt bis 01.12.2026", DECEMBER),
        ("## --- valid until: 2026-12-01 --- ##", DECEMBER),
        ("expires: 2026-12-01", DECEMBER),
        ("# 24h bans", DAY),
        ("// blocked for 24h", DAY),
        ("# ttl=24h", DAY),
        ("# until 2026-12-01T10:00:00Z", Ends::At(UnixMillis(1_796_119_200_000))),
    ] {
        let plain = format!("{comment}\n192.0.2.1\n192.0.2.2 ; spam\n\n192.0.2.3\n");
        assert_eq!(ends_of(&plain), [ends, ends, Ends::Never], "{plain}");
        let plain = format!("192.0.2.3\n{comment}\n# ticket 5\n\n192.0.2.1\n# next\n192.0.2.2\n");
        if comment.starts_with(['#', ';', '/']) {
            assert_eq!(ends_of(&plain), [Ends::Never, ends, Ends::Never], "{plain}");
        }
        let csv = format!("ip,reason,ttl\n{comment}\n192.0.2.1,x,\n192.0.2.2,x,4h\n");
        if comment.starts_with('#') {
            let own = Ends::After(Duration::from_secs(14_400));
            assert_eq!(ends_of(&csv), [ends, own], "{csv}");
        }
    }
    let nginx = "# until 2026-12-01\ndeny 192.0.2.1;\n";
    assert_eq!(ends_of(nginx), [DECEMBER]);
}

#[test]
fn networks_below_a_comment_with_an_unclear_end_are_bad() {
    for comment in [
        "until 03/04/2027",
        "until 1.12.26",
        "one week ban",
        "expires tomorrow",
        "valid until December",
        "24h bans from 2026-11-28",
        "until 5 Dec 2026",
    ] {
        let text = format!("# {comment}\n192.0.2.1\n192.0.2.2\n\n192.0.2.3\n");
        check(&[(&text, &["192.0.2.3"], &["2 bad", "the comment above it", "`expires`"])]);
    }
    check(&[("# until 2026-12-01\n# until 2026-12-05\n192.0.2.1\n", &[], &["1 bad"])]);
    check(&[("# until 2026-11-01\n192.0.2.1\n", &[], &["1 ended"])]);
}

#[test]
fn other_comments_above_networks_state_no_end() {
    for comment in [
        "blocked in the last 24h",
        "Blocked last 24 hours",
        "updated every 24h",
        "2026-11-20",
        "Generated 2026-11-28",
        "192.0.2.9 until 2026-12-01",
        "Version 1.10.22",
    ] {
        let text = format!("# {comment}\n192.0.2.1\n");
        assert_eq!(ends_of(&text), [Ends::Never], "{text}");
    }
    let drop = "; Spamhaus DROP List\n; Last-Modified: Fri, 27 Nov 2026 14:00:00 GMT\n\
                ; Expires: Sat, 28 Nov 2026 14:00:00 GMT\n192.0.2.0/25 ; SBL1\n";
    assert_eq!(ends_of(drop), [Ends::Never]);
}
