//! Imports and exports lists of networks through running nodes.

use super::harness::{Site, until};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_list_is_imported_in_one_step_and_exported_by_any_node() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drop.txt");
    std::fs::write(&file, "192.0.2.0/24 ; SBL1\n198.51.100.7\nnonsense\n0.0.0.0/0\n").unwrap();
    let path = file.to_str().unwrap();

    // With a bad line, `--strict` refuses the list; otherwise the good lines are imported.
    let refused = a.run(&["block", "import", path, "--strict"]);
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    for what in [
        "drop.txt:3: ",
        "`nonsense` is not an IP address",
        "drop.txt:4: ",
        "nothing was imported",
        "4 lines: 2 imported, 2 bad",
    ] {
        assert!(stderr.contains(what), "{stderr}");
    }
    assert_eq!(a.ok(&["block", "export"]), "");
    assert_eq!(
        a.ok(&["block", "import", path, "--ttl", "2h"]),
        "imported 2 networks, 0 of them replaced\n4 lines: 2 imported, 2 bad\n"
    );

    until("the other node has the list", || lines(&b.ok(&["block", "export"])).len() == 2);
    assert_eq!(b.run(&["block", "check", "192.0.2.9"]).status.code(), Some(10));
    let csv = b.ok(&["block", "export", "--format", "csv"]);
    assert!(lines(&csv)[1].starts_with("192.0.2.0/24,SBL1,a,20"), "{csv}");
    b.ok(&["block", "add", "192.0.2.200", "--allow"]);
    let postfix = b.ok(&["block", "export", "--format", "postfix"]);
    let (head, entries): (Vec<_>, Vec<_>) =
        lines(&postfix).into_iter().partition(|line| line.starts_with('#'));
    assert_eq!(entries, ["192.0.2.200 DUNNO", "198.51.100.7 REJECT", "192.0.2.0/24 REJECT SBL1"]);
    let head = head.join("\n");
    for words in ["check_client_access cidr:", "export it again\n# by 20"] {
        assert!(head.contains(words), "{postfix}");
    }
    let stderr = b.run(&["block", "export", "--format", "postfix"]).stderr;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.contains("entries of a Postfix table cannot expire"), "{stderr}");
    assert!(stderr.contains("(in 1 h 59 min)") || stderr.contains("(in 2 h"), "{stderr}");
    let nft = b.ok(&["block", "export", "--format", "nftables"]);
    assert!(nft.contains("add element inet mailmesh allowed4 { 192.0.2.200 }"), "{nft}");
    assert!(nft.contains("add element inet mailmesh blocked4 { 198.51.100.7 timeout "), "{nft}");
}

#[test]
fn a_list_longer_than_one_line_is_imported_and_exported_whole() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    let addresses: Vec<String> =
        (0..60_000_u32).map(|n| std::net::Ipv4Addr::from(0x0A00_0000 + n).to_string()).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("list.csv");
    let reason = "r".repeat(60);
    let rows: Vec<String> = addresses.iter().map(|address| format!("{address},{reason}")).collect();
    std::fs::write(&file, rows.join("\n")).unwrap();
    let import = ["block", "import", "--include-private"];
    let output = a.ok(&[&import[..], &[file.to_str().unwrap()]].concat());
    let summary = "60000 lines: 60000 imported\n";
    assert_eq!(output, format!("imported 60000 networks, 0 of them replaced\n{summary}"));
    let mut exported = String::new();
    until("the other node has the whole list", || {
        exported = b.ok(&["block", "export"]);
        lines(&exported).len() == addresses.len()
    });
    assert_eq!(lines(&exported), addresses);
    assert_eq!(b.json(&["block", "list", "--json"]).as_array().unwrap().len(), addresses.len());
    // The export can be imported again.
    let back = dir.path().join("back.jsonl");
    std::fs::write(&back, b.ok(&["block", "export", "--format", "jsonl"])).unwrap();
    let again = b.ok(&[&import[..], &[back.to_str().unwrap()]].concat());
    assert_eq!(again, output.replace(", 0 of", ", 60000 of"));
}

#[test]
fn input_that_is_no_list_is_refused_without_using_memory() {
    let site = Site::new();
    let node = site.start("a");
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(site.path(name), bytes).unwrap();
        site.path(name).to_str().unwrap().to_owned()
    };
    let columns = file("columns.csv", &[&b"192.0.2.7"[..], &vec![b','; 1_000_000]].concat());
    let deep = file("deep.json", "[".repeat(1_000_000).as_bytes());
    let bzip2 = file("list.bz2", b"BZh91AY");
    let gzip = file("list.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    for (path, words) in [
        ("/dev/zero", "/dev/zero: it is not text: byte 0 "),
        (&columns, "columns.csv:1: the record has more than"),
        (&deep, "line 1: it is nested deeper, the limit is 32"),
        (&gzip, "list.gz: it is compressed (gzip), and cannot be unpacked: "),
        (&bzip2, "compressed (bzip2); unpack it first: `bzip2 -dc FILE | mailmesh block import -`"),
    ] {
        for args in [&["block", "import", path][..], &["block", "remove", "--file", path]] {
            // Limits the address space to what a client needs.
            let mut limited = std::process::Command::new("sh");
            limited.args(["-c", "ulimit -v 2000000 && exec \"$@\"", "sh", super::harness::PROGRAM]);
            let output = limited.arg("--socket").arg(&node.socket).args(args).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains(words), "{args:?}: {stderr}");
        }
    }
    let output = node.run(&["cert", "add", "/dev/zero", "/dev/zero"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("more than 1048576 bytes"), "{stderr}");
}

#[test]
fn a_list_is_read_before_the_node_is_asked() {
    // The node closes a connection that is idle while a list comes slowly. Without a node, the
    // fault of the list is reported, so the program has read the list first.
    let site = Site::new();
    let socket = site.path("no-node.sock");
    for args in [["block", "import", "/dev/zero"], ["block", "remove", "--file=/dev/zero"]] {
        let mut program = std::process::Command::new(super::harness::PROGRAM);
        let output = program.arg("--socket").arg(&socket).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("it is not text"), "{stderr}");
    }
}

#[test]
fn an_export_without_ends_says_that_they_are_missing() {
    let site = Site::new();
    let node = site.start("a");
    node.ok(&["block", "add", "192.0.2.7", "--ttl", "1h"]);
    node.ok(&["block", "add", "192.0.2.8"]);
    for (format, is_told) in [("plain", true), ("csv", false), ("jsonl", false)] {
        let output = node.run(&["block", "export", "--format", format]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.contains("1 of 2 entries have one"), is_told, "{format}: {stderr}");
    }
}

#[test]
fn an_imported_list_can_be_removed_again() {
    let site = Site::new();
    let node = site.start("a");
    let file = site.path("list");
    std::fs::write(&file, "192.0.2.7 ; spam\n198.51.100.0/24\nnonsense\n").unwrap();
    let file = file.to_str().unwrap();
    node.ok(&["block", "import", file]);
    node.ok(&["block", "add", "203.0.113.9"]);
    assert_eq!(node.ok(&["block", "remove", "--file", file]), "2 of 2 are no longer blocked\n");
    assert_eq!(lines(&node.ok(&["block", "export", "--format", "plain"])).len(), 1);
    // Networks without an entry are reported.
    let output = node.run(&["block", "remove", "203.0.113.9", "203.0.113.8"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 of 2 are no longer blocked\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("203.0.113.8"));
    assert_eq!(node.run(&["block", "remove", "203.0.113.9", "203.0.113.8"]).status.code(), Some(1));
    // Wide prefixes need `--force`.
    std::fs::write(file, "64.0.0.0/7\n192.0.2.7\n").unwrap();
    let forced = ["block", "import", file, "--force"];
    assert_eq!(
        lines(&node.ok(&forced[..3])),
        ["imported 1 networks, 0 of them replaced", "2 lines: 1 imported, 1 bad"]
    );
    assert_eq!(
        lines(&node.ok(&forced)),
        ["imported 2 networks, 1 of them replaced", "2 lines: 2 imported"]
    );
    std::fs::write(file, "nonsense\n").unwrap();
    assert_eq!(node.run(&["block", "import", file]).status.code(), Some(1));
}

/// Output and exit codes of `block import` for the layouts and encodings of other programs.
#[test]
fn each_line_of_a_list_is_imported_or_counted_under_a_reason() {
    let site = Site::new();
    let node = site.start("a");
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(site.path(name), bytes).unwrap();
        site.path(name).to_str().unwrap().to_owned()
    };
    let check = |args: &[&str], code: i32, lines_out: &[&str], words_err: &[&str]| {
        let output = node.run(&[&["block", "import"], args].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert_eq!(lines(&String::from_utf8_lossy(&output.stdout)), lines_out, "{args:?}");
        for words in words_err {
            assert!(stderr.contains(words), "{args:?}: {stderr}");
        }
    };
    let past = file("past.jsonl", b"{\"network\":\"192.0.2.1\",\"expires\":1577836800}\n");
    let ended = ["imported 0 networks, 0 of them replaced", "1 line: 0 imported, 1 ended"];
    check(&[&past], 0, &ended, &[]);
    check(&[&past, "--strict"], 0, &ended, &[]);
    let private = file("level1.netset", b"# l\n10.0.0.0/8\n127.0.0.0/8\n198.51.100.0/24\n");
    check(
        &[&private],
        0,
        &[
            "imported 1 networks, 0 of them replaced",
            "4 lines: 1 imported, 1 comment, 2 private or reserved",
        ],
        &["not blocked: 10.0.0.0/8 (line 2), 127.0.0.0/8 (line 3); `--include-private`"],
    );
    assert_eq!(node.run(&["block", "check", "10.0.0.1"]).status.code(), Some(0));
    check(
        &[&private, "--include-private"],
        0,
        &[
            "imported 2 networks, 1 of them replaced",
            "4 lines: 2 imported, 1 comment, 1 private or reserved",
        ],
        &["not blocked: 127.0.0.0/8 (line 3)"],
    );
    assert_eq!(node.run(&["block", "check", "10.0.0.1"]).status.code(), Some(10));
    // `block add` accepts private networks.
    node.ok(&["block", "add", "192.168.0.0/24"]);
    let captcha =
        "duration,scope,type,value\r\n4h,ip,captcha,192.0.2.21\r\nx,ip,ban,192.0.2.22\r\n";
    let captcha = file("captcha.csv", captcha.as_bytes());
    check(
        &[&captcha],
        1,
        &[
            "imported 0 networks, 0 of them replaced",
            "3 lines: 0 imported, 1 heading or frame of the format, 1 not a ban, 1 bad",
        ],
        &["captcha.csv:3: `x` is no end", "nothing was imported"],
    );
    let host_bits = file("host-bits", b"203.0.113.9/24\n192.0.2.1 192.0.2.2");
    check(
        &[&host_bits],
        0,
        &["imported 3 networks, 0 of them replaced", "2 lines: 2 imported"],
        &["host-bits:1: note: host bits are set: read as 203.0.113.0/24"],
    );
    // A list in gzip through standard input.
    let output = node.run_with_input(
        &["block", "import", "-"],
        include_bytes!("../../../lists/tests/samples/x-drop.txt.gz"),
    );
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(lines(&stdout)[1], "5 lines: 2 imported, 3 comment");
}

#[test]
fn imports_report_the_zone_of_ends_and_entries_without_an_end() {
    let site = Site::new();
    let node = site.start("a");
    let file = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name).to_str().unwrap().to_owned()
    };
    let import = |args: &[&str]| {
        // The zone of this host does not apply to a list of unknown origin.
        let output = node.run_in_zone("XXX-2", &[&["block", "import"], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    let list = file(
        "ends.csv",
        "ip;bis\n192.0.2.1;31.12.2099 23:59\n192.0.2.2;31.12.2099\n\
         192.0.2.3;2099-12-31T23:00:00Z\n192.0.2.4;unbefristet\n",
    );
    for (args, ends, said) in [
        (
            &[][..],
            ["2099-12-31T23:59:00Z", "2100-01-01T00:00:00Z"],
            "ends.csv: 2 ends without a zone: read as UTC; `--time-zone` changes that",
        ),
        (
            &["--time-zone", "Europe/Berlin"],
            ["2099-12-31T22:59:00Z", "2099-12-31T23:00:00Z"],
            "ends.csv: 2 ends without a zone: read in Europe/Berlin, as `--time-zone` says",
        ),
    ] {
        let output = import(&[&[&*list], args].concat());
        assert!(output.contains(said) && !output.contains("no end"), "{output}");
        let listed = node.json(&["block", "list", "--json"]);
        let end = |at: usize| listed[at]["block"]["expires"].as_u64().map(mailmesh::UnixMillis);
        for (at, expected) in ends.iter().enumerate() {
            assert_eq!(end(at).unwrap().to_string(), *expected, "{listed}");
        }
        assert_eq!(end(3), None);
    }
    let scores = "ipAddress,abuseConfidenceScore\n192.0.2.9,7\n192.0.2.10,0\n192.0.2.11,1\n";
    let scores = file("scores.csv", scores);
    let said = import(&[&scores]);
    for words in [
        "abuseConfidenceScore: only 0 is looked at; entries of any score are blocked",
        "scores.csv: 2 entries have no end: they stay until removed (`--ttl` sets one)",
    ] {
        assert!(said.contains(words) && !said.contains("zone"), "{said}");
    }
    assert!(!import(&[&scores, "--ttl", "2h"]).contains("no end"));
    let ended = "ip,expires\n192.0.2.20,2099-12-31T00:00:00Z\n192.0.2.21,2020-01-02T00:00:00Z\n";
    let said = import(&[&file("ended.csv", ended)]);
    assert!(said.contains("ended.csv:3: 192.0.2.21 ended at 2020-01-02T00:00:00Z"), "{said}");
}

/// `get JAIL banip --with-time` of fail2ban prints local times without a zone.
#[test]
fn end_times_without_a_zone_use_the_zone_of_the_host_or_the_option() {
    let site = Site::new();
    let node = site.start("a");
    let file = site.path("banip.txt");
    let line = "192.0.2.80 \t2100-01-28 08:00:00 + 3600 = 2100-01-28 09:00:00\n";
    std::fs::write(&file, line).unwrap();
    let path = file.to_str().unwrap();
    for (args, end, zone) in [
        (&[][..], "2100-01-28T07:00:00Z", "this host"),
        (&["--time-zone", "UTC"][..], "2100-01-28T09:00:00Z", "UTC"),
    ] {
        let args = [&["block", "import", path][..], args].concat();
        let output = node.run_in_zone("XXX-2", &args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.contains(zone), "{stderr}");
        assert!(stderr.contains("--time-zone"), "{stderr}");
        let listed = node.ok(&["block", "list"]);
        assert!(listed.contains(end), "{listed}");
    }
    let refused = node.run(&["block", "import", path, "--time-zone", "Nowhere/Else"]);
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && stderr.contains("Europe/Berlin"), "{stderr}");
}
