//! Ends in notations that are not read, or in places that nothing reads: their lines are bad.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;

/// Checks that no text is imported, and that each has a bad line.
fn all_bad(texts: &[String]) {
    let cases: Vec<common::Case<'_>> =
        texts.iter().map(|text| (&**text, &[][..], &["1 bad"][..])).collect();
    check(&cases);
}

#[test]
fn a_short_day_with_a_short_year_is_a_date() {
    for day in ["1.12.26", "1-12-26", "01.12.26"] {
        all_bad(&[
            format!("192.0.2.7;spam;{day}\n"),
            format!("IP;Sperre bis\n192.0.2.7;{day}\n"),
            format!("192.0.2.7 # {day}\n"),
            format!("192.0.2.7 # Spam ({day})\n"),
            format!("192.0.2.7 # bis {day}\n"),
            format!("ip,col\n192.0.2.7,{day}\n"),
        ]);
    }
    check(&[
        ("192.0.2.7 # version 1.12.27\n", &["192.0.2.7"], &[]),
        ("ip,agent version\n192.0.2.7,1.12.22\n", &["192.0.2.7"], &[]),
    ]);
}

#[test]
fn what_may_be_an_end_in_a_column_of_another_name_is_bad() {
    for value in [
        "12/2026",
        "12.2026",
        "2026-12",
        "1.12.",
        "20261201",
        "1-Dec-26",
        "5 Dec",
        "5. Dezember",
        "Dec 2026",
        "dic. 2026",
        "in 3 days",
        "in 3 Tagen",
        "1796000000",
        "1796000000000",
        "2026\u{2011}12\u{2011}01",
        "2026\u{2013}12\u{2013}01",
        "temporary",
        "befristet",
        "+7d",
    ] {
        all_bad(&[
            format!("ip;Frist\n192.0.2.7;{value}\n"),
            format!("ip;col\n192.0.2.7;{value}\n"),
            format!("{{\"ip\":\"192.0.2.7\",\"col\":\"{value}\"}}\n"),
            format!("{{\"ip\":\"192.0.2.7\",\"x\":{{\"col\":\"{value}\"}}}}\n"),
            format!("192.0.2.7,spam,,{value}\n"),
            format!("192.0.2.7,spam,US,{value}\n"),
        ]);
    }
    for value in ["12", "2026", "US", "SBL1", "12/20", "443", "may be", "80/443", "4.7.1", "1.5"] {
        let text = format!("ip,col\n192.0.2.7,{value}\n");
        check(&[(&text, &["192.0.2.7"], &["not used: col"])]);
    }
}

#[test]
fn a_number_that_may_be_a_moment_is_not_taken_for_a_score() {
    for number in ["1796000000", "1796000000000", "20261205"] {
        all_bad(&[
            format!("192.0.2.7 {number}\n"),
            format!("192.0.2.7\t{number}\n"),
            format!("192.0.2.7\tspam\t\t{number}\n"),
            format!("192.0.2.7,{number}\n"),
            format!("192.0.2.7,spam,,{number}\n"),
            format!("192.0.2.7 ; {number}\n"),
            format!("192.0.2.7 # t={number}\n"),
            format!("192.0.2.7 # end={number}\n"),
            format!("192.0.2.7 # spam, {number}\n"),
        ]);
    }
    all_bad(&["192.0.2.7 # end=1790000000\n".to_owned(), "192.0.2.7,spam,20261205\n".to_owned()]);
    check(&[
        ("192.0.2.7\t9\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # t=1790000000\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # ticket 12345678\n", &["192.0.2.7"], &[]),
    ]);
}

#[test]
fn a_verdict_or_end_beyond_the_third_column_is_bad() {
    for value in ["24h", "1796000000", "whitelisted", "allow", "expired", "2 days", "unban"] {
        all_bad(&[
            format!("192.0.2.7,spam,,{value}\n"),
            format!("192.0.2.7,US,0,{value}\n"),
            format!("192.0.2.7|spam||{value}\n"),
        ]);
    }
    check(&[
        ("192.0.2.7\tspam\t\tallow\n", &[], &["1 not a ban"]),
        ("192.0.2.7\tspam\t\texpired\n", &[], &["1 bad"]),
        ("192.0.2.7\tspam\t\t24h\n", &[], &["1 bad"]),
        ("192.0.2.7,spam,,US\n", &["192.0.2.7"], &["beyond the third"]),
        ("192.0.2.0/24,spam,,ban\n192.0.2.128/25,spam,,allow\n", &["192.0.2.0/25"], &["1 bad"]),
    ]);
}

#[test]
fn an_end_in_words_is_bad() {
    for comment in [
        "temp block for one week",
        "one week ban",
        "temporary ban",
        "temporary",
        "expires tomorrow",
        "valid until December",
        "until Friday",
        "gesperrt bis morgen",
        "2026-11-28 +7d",
        "banned for a month",
    ] {
        all_bad(&[format!("192.0.2.7 # {comment}\n"), format!("ip,reason\n192.0.2.7,{comment}\n")]);
    }
    all_bad(&[
        "ip,ban\n192.0.2.7,temporary\n".to_owned(),
        "{\"ip\":\"192.0.2.7\",\"temporary\":true}\n".to_owned(),
        "{\"ip\":\"192.0.2.7\",\"permanent\":false}\n".to_owned(),
        "ip;permanent\n192.0.2.7;nein\n".to_owned(),
    ]);
    check(&[
        ("{\"ip\":\"192.0.2.7\",\"temporary\":false}\n", &["192.0.2.7"], &[]),
        ("{\"ip\":\"192.0.2.7\",\"permanent\":true}\n", &["192.0.2.7"], &[]),
        ("{\"ip\":\"192.0.2.7\",\"temporary\":true,\"ttl\":60}\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # spam until further notice\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # temporary failures\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # banned: 10 tries a minute\n", &["192.0.2.7"], &[]),
        ("192.0.2.7 # permanent ban\n", &["192.0.2.7"], &[]),
    ]);
}
