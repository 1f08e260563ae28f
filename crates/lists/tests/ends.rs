//! Ends of entries, by whatever name and in whatever way people write them: none is lost, so that
//! no block holds for ever that was meant to end.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{NOW, check};
use mailmesh_events::UnixMillis;
use mailmesh_lists::*;

fn end_of(text: &str) -> Option<Ends> {
    read(text, Format::guess(text)).unwrap().entries.first().map(|entry| entry.ends)
}

/// The end of 2026-12-31.
const NEW_YEAR: UnixMillis = UnixMillis(1_798_761_600_000);

#[test]
fn columns_of_ends_are_known_in_many_languages() {
    for name in [
        "expires",
        "Expires On",
        "expires_at",
        "Expire Date",
        "Expiration",
        "Expiration Date",
        "Expiry-Time",
        "Valid until",
        "valid_to",
        "Until",
        "banned until",
        "unban_at",
        "End Date",
        "Ende",
        "bis",
        "Ablauf",
        "Ablaufdatum",
        "läuft ab",
        "gültig bis",
        "Gueltig bis",
        "gesperrt bis",
        "fin",
        "date de fin",
        "jusqu'au",
        "Jusqu’au",
        "date d'expiration",
        "expire le",
        "Caduca",
        "caducidad",
        "fecha de caducidad",
        "vencimiento",
        "hasta",
        "expira",
        "scadenza",
        "Data di scadenza",
        "scade il",
        "fino al",
        "validade",
        "até",
        "expira em",
        "Expires (UTC)",
        "expires_at_utc",
        "vervaldatum",
        "geldig tot",
        "removed_at",
    ] {
        // The name may say that its moments are of UTC.
        let is_in_utc = name.to_lowercase().contains("utc");
        let end = if is_in_utc { Ends::At(NEW_YEAR) } else { Ends::Local(NEW_YEAR) };
        for value in ["31.12.2026", "31/12/2026", "2026-12-31", "12/31/2026", "2026/12/31"] {
            let csv = format!("ip;{name}\n192.0.2.1;{value}\n");
            assert_eq!(end_of(&csv), Some(end), "{csv}");
            let json = format!("{{\"ip\":\"192.0.2.1\",\"{name}\":\"{value}\"}}\n");
            assert_eq!(end_of(&json), Some(end), "{json}");
        }
        check(&[(
            &format!("ip,{name}\n192.0.2.1,2020-01-01\n192.0.2.2,\n"),
            &["192.0.2.2"],
            &["1 ended"],
        )]);
    }
    for name in ["Dauer", "durée", "duree", "duración", "durata", "expires_in", "Ban Duration"] {
        let csv = format!("ip,{name}\n192.0.2.1,3600\n");
        let hour = std::time::Duration::from_secs(3_600);
        assert_eq!(end_of(&csv), Some(Ends::After(hour)), "{csv}");
    }
}

#[test]
fn days_that_may_be_months_are_not_guessed() {
    let row = |end: &str| format!("ip,expires\n192.0.2.1,{end}\n");
    for end in ["03/04/2026", "3/4/2027", "03-04-2027", "03/04/2027 12:00:00"] {
        check(&[(&row(end), &[], &["1 bad", end, "-03-04", "-04-03"])]);
    }
    for (end, day) in [
        ("13/04/2027", "2027-04-13"),
        ("04/13/2027", "2027-04-13"),
        ("4/4/2027", "2027-04-04"),
        ("1.2.2027", "2027-02-01"),
        ("2027.2.1", "2027-02-01"),
        ("13-4-2027 10:00:00", "2027-04-13T10:00:00"),
    ] {
        assert_eq!(end_of(&row(end)), end_of(&row(day)), "{end}");
        assert!(matches!(end_of(&row(end)), Some(Ends::Local(_))), "{end}");
    }
    check(&[
        (&row("32/12/2026"), &[], &["1 bad"]),
        (&row("31/02/2026"), &[], &["1 bad"]),
        (&row("soon"), &[], &["1 bad"]),
        (&row("31/12/26"), &[], &["1 bad"]),
    ]);
}

#[test]
fn ends_after_the_year_2200_are_bad_or_no_end() {
    let row = |end: &str| format!("ip,expires\n192.0.2.1,{end}\n");
    for end in ["2200-01-01", "2300-01-01T00:00:00Z", "9998-12-31", "9999999999"] {
        check(&[(&row(end), &[], &["1 bad"])]);
    }
    assert!(matches!(end_of(&row("2199-06-01")), Some(Ends::Local(_))));
    // The last day that a database has.
    for end in ["9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31 23:59:59"] {
        assert_eq!(end_of(&row(end)), Some(Ends::Never), "{end}");
    }
    check(&[(&row("1970-01-01T00:00:00Z"), &[], &["1 ended"])]);
}

#[test]
fn dates_under_unknown_names_are_bad() {
    check(&[
        // A name that says nothing: every date is refused, with the name.
        ("ip,Foo\n192.0.2.1,2026-12-31\n192.0.2.2,\n", &["192.0.2.2"], &["1 bad", "`Foo`"]),
        ("ip,Foo\n192.0.2.1,03/04/2027\n", &[], &["1 bad", "`Foo`", "`expires`"]),
        ("ip,Foo\n192.0.2.1,31.12.2026 10:00\n", &[], &["1 bad"]),
        ("ip,Foo\n192.0.2.1,\"Thu, 31 Dec 2026 10:00:00 GMT\"\n", &[], &["1 bad"]),
        ("ip,Foo\n192.0.2.1,Dec 31 2026\n", &[], &["1 bad"]),
        ("[{\"ip\":\"192.0.2.1\",\"foo\":\"2026-12-31T00:00:00Z\"}]", &[], &["1 bad", "`foo`"]),
        ("ip,Foo\n192.0.2.1,bar 12\n", &["192.0.2.1"], &["not used: Foo"]),
        // A name that says that it is an end, in a unit that is not known.
        ("ip,ttl_months\n192.0.2.1,3\n", &[], &["1 bad", "`ttl_months`"]),
        ("ip,ban expiry (UTC)\n192.0.2.1,x\n", &[], &["1 bad"]),
        ("{\"ip\":\"192.0.2.1\",\"ban\":{\"expires\":\"2026-12-31\"}}\n", &[], &["1 bad", "`ban`"]),
        // First and last sight are none.
        (
            "ip,first_seen,Last Seen,created_at,lastReportedAt,erstellt,fecha de creación\n\
             192.0.2.1,2026-11-01,2026-11-02,2026-11-03,2026-11-04,2026-11-05,2026-11-06\n",
            &["192.0.2.1"],
            &[],
        ),
        ("ip,expires,foo\n192.0.2.1,2026-12-31,2026-11-01\n", &["192.0.2.1"], &[]),
        ("ip,expires,foo\n192.0.2.1,never,2026-11-01\n", &["192.0.2.1"], &[]),
        ("ip,is_expired,never_expires\n192.0.2.1,false,true\n", &["192.0.2.1"], &[]),
        // A moment without more: if it is to come, it is an end.
        ("date,ip\n2026-11-20,192.0.2.1\n2026-12-20,192.0.2.2\n", &["192.0.2.1"], &["1 bad"]),
        ("timestamp,ip\n1795800000,192.0.2.1\n1798800000,192.0.2.2\n", &["192.0.2.1"], &["1 bad"]),
        ("{\"ip\":\"192.0.2.1\",\"date\":\"2026-12-20\"}\n", &[], &["1 bad", "2026-12-2"]),
        ("ip,comment\n192.0.2.1,2026-11-20\n192.0.2.2,31.12.2026\n", &["192.0.2.1"], &["1 bad"]),
        ("192.0.2.1 # 2026-11-20\n192.0.2.2 # 31.12.2026\n", &["192.0.2.1"], &["1 bad"]),
        // From and until.
        ("ip,from,to\n192.0.2.1,2026-11-01,2026-11-20\n", &[], &["1 ended"]),
    ]);
}

#[test]
fn dates_in_columns_without_names_are_read_or_bad() {
    assert_eq!(end_of("192.0.2.1,31/12/2026\n"), Some(Ends::Local(NEW_YEAR)));
    assert_eq!(end_of("192.0.2.1\t31/12/2026\n"), Some(Ends::Local(NEW_YEAR)));
    assert_eq!(end_of("192.0.2.1\tspam\t31/12/2026\n"), Some(Ends::Local(NEW_YEAR)));
    check(&[
        ("192.0.2.1,03/04/2027\n", &[], &["1 bad", "03/04/2027"]),
        ("192.0.2.1,spam,03/04/2027\n", &[], &["1 bad", "03/04/2027"]),
        ("192.0.2.1,spam,US,2026-12-31\n", &[], &["1 bad"]),
        ("192.0.2.1,spam,,2026-12-31\n", &[], &["1 bad", "2026-12-31"]),
        ("192.0.2.1\t03/04/2027\n", &[], &["1 bad"]),
        ("192.0.2.1\tspam\t\t2026-12-31\n", &[], &["1 bad"]),
        ("192.0.2.1 2026-12-31\n", &[], &["1 bad"]),
        ("192.0.2.1;spam;US;2026-12-31\n", &[], &["1 bad"]),
    ]);
    assert!(NEW_YEAR > NOW);
}

#[test]
fn ends_in_inner_objects_and_other_places_are_found() {
    check(&[
        // A comment that says it.
        ("192.0.2.1 # until 2026-12-31\n", &[], &["1 bad", "until 2026-12-31"]),
        ("192.0.2.1 ; expires 31.12.2026, spam\n", &[], &["1 bad"]),
        ("ip,note\n192.0.2.1,gesperrt bis 31/12/2026\n", &[], &["1 bad"]),
        ("192.0.2.1 # until 2026-11-20\n", &[], &["1 bad", "until 2026-11-20"]),
        ("192.0.2.1 # seen 2026-12-31\n", &["192.0.2.1"], &[]),
        ("ip,note,ttl\n192.0.2.1,until 2026-12-31,4h\n", &["192.0.2.1"], &[]),
        // An object in the place of a text, as MongoDB exports a date.
        ("{\"ip\":\"192.0.2.1\",\"expires\":{\"$date\":\"2026-12-31\"}}\n", &[], &["1 bad"]),
        ("{\"ip\":\"192.0.2.1\",\"ttl\":[60]}\n", &[], &["1 bad", "`ttl`"]),
        ("{\"ip\":\"192.0.2.1\",\"action\":[\"allow\"]}\n", &[], &["1 bad", "`action`"]),
        ("{\"ip\":\"192.0.2.1\",\"tags\":[\"x\"],\"expires\":null}\n", &["192.0.2.1"], &[]),
        // A row that is cut off before its end.
        ("ip,reason,expires\n192.0.2.1,x\n192.0.2.2,y,\n", &["192.0.2.2"], &["1 bad", "fewer"]),
        ("ip,expires,reason\n192.0.2.1,2027-01-01\n", &["192.0.2.1"], &[]),
        ("ip,reason\n192.0.2.1,x,2026-12-31\n", &[], &["1 bad", "more columns"]),
        ("ip,reason\n192.0.2.1,x, y\n", &["192.0.2.1"], &[]),
        ("ip,banned_at\n192.0.2.1,2026-11-01\n192.0.2.2,2026-12-31\n", &["192.0.2.1"], &["1 bad"]),
        // No date: a word that begins like a month.
        ("ip,Foo\n192.0.2.1,Marriott 12 2024\n", &["192.0.2.1"], &[]),
        ("ip,Foo\n192.0.2.1,12 March 2027\n", &[], &["1 bad"]),
    ]);
}
