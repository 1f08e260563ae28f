//! Lists past a limit: each is refused with its line and the limit, and takes no more memory than
//! any other.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::io::Write;

use allocation_counter::measure;
use mailmesh_lists::*;

/// A length far beyond any limit on a part of a list.
const HUGE: usize = 16 << 20;
/// Most memory at a time for a list of no good entry.
const MEMORY: u64 = 1 << 20;

fn read_bounded(what: &str, text: &str, format: Format) -> Result<List, ListError> {
    let mut result = None;
    let used = measure(|| result = Some(read(text, format)));
    assert!(used.bytes_max < MEMORY, "{what}: {} bytes", used.bytes_max);
    result.unwrap()
}

/// The list, whose line `line` is bad for a reason with these words; a line after it is read.
fn assert_bad_line(what: &str, text: &str, format: Format, line: usize, words: &[&str]) {
    let list = read_bounded(what, text, format).unwrap();
    let bad = &list.bad[0];
    assert_eq!(
        (list.bad_count(), bad.line, list.entries.len()),
        (1, line, 1),
        "{what}: {}",
        bad.why
    );
    words.iter().for_each(|word| assert!(bad.why.contains(word), "{what}: {}", bad.why));
}

fn assert_refused(what: &str, text: &str, format: Format, words: &[&str]) {
    let error = read_bounded(what, text, format).unwrap_err().to_string();
    words.iter().for_each(|word| assert!(error.contains(word), "{what}: {error}"));
}

#[test]
fn a_line_or_field_past_the_limit_is_a_bad_line() {
    let limit = MAX_LINE.to_string();
    let huge = "x".repeat(HUGE);
    let words = ["bytes, the limit", &limit];
    assert_bad_line(
        "plain",
        &format!("# c\n{huge}\n192.0.2.7\n"),
        Format::Plain,
        2,
        &["the limit is", &limit],
    );
    let comment = format!("192.0.2.8 ; {huge}\n192.0.2.7\n");
    assert_bad_line("a comment", &comment, Format::Plain, 1, &["the limit is", &limit]);
    let line = format!("{{\"cidr\":\"{huge}\"}}\n{{\"cidr\":\"192.0.2.7\"}}\n");
    assert_bad_line("jsonl", &line, Format::JsonLines, 1, &["the limit is", &limit]);
    let array =
        format!("\n{{\"expires\":[{}0]}}\n{{\"cidr\":\"192.0.2.7\"}}\n", "0,".repeat(HUGE / 2));
    assert_bad_line("an array in jsonl", &array, Format::JsonLines, 2, &["the limit is", &limit]);
    let field = format!("# c\n\n192.0.2.8,{huge}\n192.0.2.7,spam\n");
    assert_bad_line("csv", &field, Format::Csv, 3, &[words[0], &limit]);
    // The lines behind the limit are read as rows of their own.
    let quoted = format!("192.0.2.8,\"{}\n192.0.2.7,spam\n", "\n".repeat(HUGE));
    assert_bad_line("a quoted field", &quoted, Format::Csv, 1, &[&limit, "is a quote not closed"]);
    let columns = format!("192.0.2.8{}\n192.0.2.7,spam\n", ",".repeat(1_000_000));
    assert_bad_line("columns", &columns, Format::Csv, 1, &["1024 columns"]);
    let columns = format!("192.0.2.8{}\n192.0.2.7,spam\n", ",".repeat(HUGE));
    assert_bad_line("more columns", &columns, Format::Csv, 1, &["the limit"]);
    let open = format!("192.0.2.7,spam\n192.0.2.8,\"{huge}");
    assert_bad_line("an open quote", &open, Format::Csv, 2, &[&limit]);
}

#[test]
fn a_text_at_each_limit_is_read() {
    let reason = "x".repeat(MAX_LINE - 12);
    for (text, format) in [
        (format!("192.0.2.7 ; {reason}\n"), Format::Plain),
        (format!("192.0.2.7,{}\n", &reason[1..]), Format::Csv),
        (format!("192.0.2.7{}\n", ",".repeat(MAX_COLUMNS - 1)), Format::Csv),
        (format!("[{{'{reason}': ['192.0.2.7']}}]"), Format::Fail2ban),
        (
            format!(r#"[{{"value":"192.0.2.7","scope":"ip","type":"ban","scenario":"{reason}"}}]"#),
            Format::CrowdSec,
        ),
    ] {
        let list = read(&text, format).unwrap();
        assert_eq!((list.entries.len(), list.bad_count()), (1, 0), "{:?}", list.bad);
    }
}

#[test]
fn one_json_value_is_bounded_in_depth_strings_and_memory() {
    let huge = "x".repeat(HUGE);
    let limit = MAX_LINE.to_string();
    let text = format!("[\n\"{huge}\"]");
    assert_refused("one string", &text, Format::CrowdSec, &["line 2", &limit]);
    let text = format!("[{{\"{huge}\": 1}}]");
    assert_refused("a key", &text, Format::CrowdSec, &["line 1", &limit]);
    let text = format!("[{{\"value\":\"{}\"}}]", "\\n".repeat(HUGE / 2));
    assert_refused("escapes", &text, Format::CrowdSec, &["line 1", &limit]);
    let text = format!("\n\n{}", "[".repeat(HUGE));
    assert_refused("depth", &text, Format::CrowdSec, &["line 3", "nested deeper", "32"]);
    let text = "[{\"decisions\":".repeat(HUGE / 16);
    assert_refused("depth of decisions", &text, Format::CrowdSec, &["nested deeper"]);
    let text = format!("[{}0]", "0,".repeat(HUGE / 2));
    let list = read_bounded("numbers", &text, Format::CrowdSec).unwrap();
    assert_eq!((list.bad_count(), list.bad.len()), (HUGE / 2 + 1, MAX_BAD));
    let text = format!("[{{\"x\":[{}0]}}]", "{},".repeat(HUGE / 3));
    assert_eq!(read_bounded("a field", &text, Format::CrowdSec).unwrap().bad_count(), 1);
    let decision = "{\"decisions\":[{\"value\":[1],\"scope\":\"ip\",\"type\":\"ban\"}, 7, [[]]]},";
    let text = format!("[{}null]", decision.repeat(HUGE / decision.len()));
    let list = read_bounded("alerts", &text, Format::CrowdSec).unwrap();
    assert_eq!(list.bad_count(), 3 * (HUGE / decision.len()) + 1);
}

#[test]
fn a_python_list_is_bounded_and_its_faults_name_the_line() {
    let huge = "x".repeat(HUGE);
    let limit = MAX_LINE.to_string();
    for (what, text, words) in [
        ("a jail", format!("[\n{{'{huge}': []}}]"), ["line 2", limit.as_str()]),
        ("an address", format!("[{{'a': ['{huge}']}}]"), ["line 1", &limit]),
        ("an open quote", "[{'a': ['x".into(), ["line 1", "the end of a text"]),
        ("depth", format!("[{{'a':\n {}", "[".repeat(HUGE)), ["line 2", "nested too deep"]),
        ("no list", "{}".into(), ["expected `[`", "line 1"]),
        ("more", "[] []".into(), ["expected the end", "line 1"]),
    ] {
        assert_refused(what, &text, Format::Fail2ban, &words);
    }
    let text = format!("[{}{{'a': ['192.0.2.7',]}},]\n", "{'a': ['x', \"y\"]}, ".repeat(HUGE / 20));
    let list = read_bounded("many", &text, Format::Fail2ban).unwrap();
    assert_eq!((list.entries.len(), list.bad_count()), (1, 2 * (HUGE / 20)));
}

#[test]
fn data_that_is_not_text_is_refused_before_it_is_in_memory() {
    let zeros = vec![0; 64 << 10];
    let error = Text::default().push(&zeros).unwrap_err();
    assert_eq!(error, ListError::NotText { at: 0 });
    for (begin, name) in
        [(&b"\x1f\x8b\x07\0"[..], "gzip -dc"), (b"PK\x03\x04", "unzip -p"), (b"BZh9", "bzip2 -dc")]
    {
        // Also if it comes a byte at a time.
        let mut text = Text::default();
        let error = begin.iter().find_map(|byte| text.push(&[*byte]).err());
        // The name in a zip tells a workbook.
        let error = error.unwrap_or_else(|| text.finish().unwrap_err());
        assert!(error.to_string().contains(name), "{error}");
    }
    let mut text = Text::default();
    text.push(b"192.0.2.7\n\xff").unwrap();
    assert_eq!(text.finish().unwrap(), "192.0.2.7\nÿ");
    let mut text = Text::default();
    text.push(b"\n").unwrap();
    // Pages that nobody touches take no memory.
    let error = text.push(&vec![0; MAX_LEN]).unwrap_err();
    assert_eq!(error, ListError::TooLong { len: MAX_LEN + 1, limit: MAX_LEN });
}

#[test]
fn zeros_behind_a_gzip_file_are_padding() {
    let packed = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    let unpacked = |bytes: &[u8], len: usize| {
        let mut text = Text::default();
        bytes.chunks(len).try_for_each(|part| text.push(part))?;
        text.finish()
    };
    let two = [packed(b"192.0.2.1\n"), packed(b"192.0.2.2\n")].concat();
    for count in [0, 1, 4, 9, 10, 11, 512] {
        for len in [1, 7, 4_096] {
            let zeros = vec![0; count];
            let text = unpacked(&[&two[..], &zeros].concat(), len).unwrap();
            assert_eq!(text, "192.0.2.1\n192.0.2.2\n", "{count} {len}");
            assert_eq!(unpacked(&[&packed(b"")[..], &zeros].concat(), len).unwrap(), "");
            // Cut off, or damaged, it is no file whatever follows.
            let cut = &two[..two.len() - 6];
            assert!(unpacked(&[cut, &zeros].concat(), len).is_err(), "{count} {len}");
            let garbage = [&two[..], &zeros, b"x"].concat();
            assert!(unpacked(&garbage, len).is_err(), "{count} {len}");
        }
    }
}

#[test]
fn moments_beside_an_entry_take_no_memory_by_their_number() {
    let moments = "2019-01-01;1546300800;".repeat(MAX_LINE / 25);
    let line = format!("192.0.2.7 # seen {moments}\n");
    let list = read_bounded("moments", &line.repeat(HUGE / 4 / MAX_LINE), Format::Plain).unwrap();
    assert_eq!(list.bad_count(), 0, "{:?}", list.bad);
    let line = format!("x # seen {moments}\n");
    let text = format!("192.0.2.7\n{}", line.repeat(HUGE / 4 / MAX_LINE));
    let _ = read_bounded("moments of bad lines", &text, Format::Plain);
}

#[test]
fn gzip_is_unpacked_within_bounds() {
    use std::io::Write;
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let read = |packed: &[u8], at_a_time: usize| {
        let mut text = Text::default();
        packed.chunks(at_a_time).try_for_each(|part| text.push(part))?;
        text.finish()
    };
    let packed = pack(b"192.0.2.7\n");
    for at_a_time in [1, 2, 3, 1_000] {
        assert_eq!(read(&packed, at_a_time).unwrap(), "192.0.2.7\n");
        // Files that were joined.
        assert_eq!(read(&packed.repeat(2), at_a_time).unwrap(), "192.0.2.7\n192.0.2.7\n");
        let error = read(&packed[..packed.len() - 3], at_a_time).unwrap_err();
        assert!(matches!(error, ListError::Damaged { .. }), "{error}");
        let error = read(&pack(&packed), at_a_time).unwrap_err();
        assert!(matches!(error, ListError::Compressed { format: "gzip", .. }), "{error}");
    }
    assert_eq!(read(&pack(b"a\0"), 100), Err(ListError::NotText { at: 1 }));
    // A bomb is given up long before it fills the memory.
    let bomb = pack(&vec![b'#'; 100 << 20]);
    let mut error = None;
    let used = measure(|| error = read(&bomb, 64 << 10).err());
    assert!(matches!(error, Some(ListError::Damaged { .. })), "{error:?}");
    assert!(used.bytes_max < 128 << 20, "{}", used.bytes_max);
}

#[test]
fn faults_of_bad_lines_are_short_and_printable() {
    let long = format!("\u{1b}[2J{}\u{202e}", "x".repeat(60_000));
    for (text, format) in [
        (long.clone(), Format::Plain),
        (format!("{long} - 192.0.2.7"), Format::Plain),
        (format!("192.0.2.7,x,{long}"), Format::Csv),
        (format!("{{\"cidr\": \"{}\"}}", "x".repeat(60_000)), Format::JsonLines),
        (format!("{{\"{long}"), Format::JsonLines),
        (format!("[{{'a': ['{long}']}}]"), Format::Fail2ban),
    ] {
        let list = read(&text, format).unwrap();
        let why = &list.bad[0].why;
        assert!(
            why.chars().count() <= 300 && !why.contains(mailmesh_events::is_unprintable),
            "{why:?}"
        );
    }
}

/// A list whose reading time grows with the square of its length takes minutes here.
#[test]
fn an_open_quote_does_not_make_rows_be_read_again() {
    let rows = 100_000;
    let text = "192.0.2.1\",\"\n".repeat(rows);
    let list = read_bounded("networks", &text, Format::Csv).unwrap();
    assert_eq!((list.units, list.bad_count()), (rows, rows));
    assert!(list.bad[0].why.contains("does not end before the next row"), "{:?}", list.bad[0]);
    // Without a network at the beginning of a row, a limit on a record ends the row.
    let text = format!("name,ip\n{}", "x\",\"\n".repeat(rows));
    let list = read_bounded("names", &text, Format::Csv).unwrap();
    assert_eq!((list.units, list.imported()), (rows + 1, 0));
    assert!(list.bad[0].why.contains("columns, the limit"), "{:?}", list.bad[0]);
}

#[test]
fn an_open_quote_takes_no_more_rows_than_a_record_may_hold() {
    let open = "192.0.2.1,\"a\nb\n192.0.2.2,spam\n";
    let list = read(open, Format::Csv).unwrap();
    assert_eq!((list.bad_count(), list.left_out.of(Reason::Continued)), (1, 1));
    assert_eq!(list.entries[0].network.to_string(), "192.0.2.2");
    let rows = "mail,192.0.2.3\n".repeat(2 * MAX_LINE / 15);
    let list = read(&format!("name,ip\n\"mail,192.0.2.1\n{rows}"), Format::Csv).unwrap();
    assert_eq!((list.bad_count(), list.bad[0].line), (1, 2));
    assert!(list.imported() > MAX_LINE / 16, "{}", list.imported());
}

#[test]
fn white_space_behind_the_last_json_item_is_scanned_once() {
    let items = 100_000;
    let blank = " ".repeat(HUGE);
    let text = format!("[{}7{blank}]", "7,".repeat(items - 1));
    assert_eq!(read_bounded("items", &text, Format::CrowdSec).unwrap().bad_count(), items);
    let text = format!("[\"x\", {{{}\"a\":7{blank}}}]", "\"a\":7,".repeat(items));
    assert_eq!(read_bounded("members", &text, Format::CrowdSec).unwrap().bad_count(), 2);
}

#[test]
fn the_number_of_sets_is_bounded_in_every_listing() {
    let sets = |begin: &str, count: usize, end: &str| -> String {
        (0..count).map(|n| format!("{begin} s{n} {end}\n")).collect()
    };
    let full = sets("create", 10_000, "hash:ip");
    assert_eq!(read(&full, Format::Ipset).unwrap().bad_count(), 0);
    for (what, text) in [
        ("create", format!("{full}create another hash:ip\n")),
        ("Name:", sets("Name:", 10_001, "")),
        ("Type:", format!("{full}Type: hash:ip\n")),
    ] {
        let error = read(&text, Format::Ipset).map(|list| list.units).unwrap_err().to_string();
        let words = "line 10001: there are more sets, the limit is 10000";
        assert!(error.contains(words), "{what} {error}");
    }
    // A set that is named again takes no more room.
    let again = "create s hash:ip\nName: s\nType: hash:ip\n".repeat(10_001);
    assert_eq!(read(&again, Format::Ipset).unwrap().bad_count(), 0);
}

/// Lines that go on, or are answers of a mail server, are looked at once each.
#[test]
fn continued_lines_are_read_in_linear_time() {
    let seconds = |text: &str| {
        let begin = std::time::Instant::now();
        let _ = read(text, Format::guess(text));
        begin.elapsed()
    };
    let _ = seconds("");
    for (head, line) in [
        ("add list=b address=192.0.2.1 \\\n", "comment=x \\\n"),
        ("/ip firewall address-list\n", "add list=b address=192.0.2.1 \\\n"),
        ("192.0.2.1 REJECT\n192.0.2.2\n", "  x\n"),
        ("{\n", "\"a\":[\n"),
        ("deny 192.0.2.1;\n", "deny 192.0.2.1;"),
    ] {
        // No time is asserted: quadratic time would not end.
        let text = format!("{head}{}", line.repeat(300_000));
        let _ = seconds(&text);
    }
}
