//! Each format, as the programs that write it do, and with lines that are wrong.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh_events::{Network, Rule, RuleDetails, UnixMillis};
use mailmesh_lists::*;
use proptest::prelude::*;

fn read_as(text: &str, format: Format) -> List {
    assert_eq!(Format::guess(text), format, "{text}");
    read(text, format).unwrap()
}

fn networks(list: &List) -> Vec<String> {
    list.entries.iter().map(|entry| entry.network.to_string()).collect()
}

fn skipped(list: &List) -> usize {
    list.left_out.total() - list.bad_count()
}

fn bad_lines(list: &List) -> Vec<usize> {
    list.bad.iter().map(|bad| bad.line).collect()
}

#[test]
fn spamhaus_drop_as_text_and_plain_lists_are_read() {
    let list = read_as(
        "; Spamhaus DROP List 2026/11/25\n; Expires: Wed, 25 Nov 2026\n1.10.16.0/20 ; SBL256894\n\
         2001:db8::/32\n\n  198.51.100.7   # scanner  \n300.1.1.1\n203.0.113.0-203.0.113.5\n\
         203.0.113.9 - 203.0.113.1\n::ffff:192.0.2.7\n",
        Format::Plain,
    );
    assert_eq!(
        networks(&list),
        [
            "1.10.16.0/20",
            "2001:db8::/32",
            "198.51.100.7",
            "203.0.113.0/30",
            "203.0.113.4/31",
            "192.0.2.7"
        ]
    );
    let reasons: Vec<&str> = list.entries.iter().map(|entry| &*entry.reason).collect();
    assert_eq!(reasons[..3], ["SBL256894", "", "scanner"]);
    assert_eq!((bad_lines(&list), list.bad_count(), skipped(&list)), (vec![7, 9], 2, 3));
    assert!(list.bad[0].why.contains("`300.1.1.1` is not an IP address or prefix"));
    assert!(list.bad[1].why.contains("end is before its begin"), "{}", list.bad[1].why);
}

#[test]
fn csv_is_read_with_and_without_names_of_columns() {
    let list = read_as(
        "192.0.2.7,\"failed logins, many\",2027-01-31T12:00:00Z\n192.0.2.8,spam,\n\
         192.0.2.9,x,soon\n",
        Format::Csv,
    );
    assert_eq!(networks(&list), ["192.0.2.7", "192.0.2.8"]);
    assert_eq!(&*list.entries[0].reason, "failed logins, many");
    assert_eq!(list.entries[0].ends, Ends::At(UnixMillis(1_801_396_800_000)));
    assert_eq!((list.entries[1].ends, bad_lines(&list)), (Ends::Never, vec![3]));
    assert!(list.bad[0].why.contains("`soon` is no end"), "{}", list.bad[0].why);

    let list = read_as(
        "# exported\nttl,Origin,IP,Comment\n4h30m,imap,2001:db8::1,spam\n\
         1801396800,,192.0.2.0/24,\n",
        Format::Csv,
    );
    assert_eq!(networks(&list), ["2001:db8::1", "192.0.2.0/24"]);
    let first = &list.entries[0];
    assert_eq!((&*first.reason, &*first.origin), ("spam", "imap"));
    assert_eq!(first.ends, Ends::After(Duration::from_secs(16_200)));
    assert_eq!(list.entries[1].ends, Ends::At(UnixMillis(1_801_396_800_000)));
}

#[test]
fn spamhaus_drop_is_read_as_json_lines() {
    let list = read_as(
        "{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n\
         {\"cidr\":\"2001:db8::/32\",\"sblid\":\"SBL1\",\"rir\":\"arin\"}\n{\"cidr\":17}\n{}\n\
         {\"type\":\"metadata\",\"timestamp\":1764000000,\"size\":2,\"records\":2}\n",
        Format::JsonLines,
    );
    assert_eq!(networks(&list), ["1.10.16.0/20", "2001:db8::/32"]);
    assert_eq!(&*list.entries[0].reason, "SBL256894");
    assert_eq!((bad_lines(&list), skipped(&list)), (vec![3, 4], 1));
}

#[test]
fn decisions_of_crowdsec_are_read() {
    let decisions = concat!(
        r#"[{"duration":"3h59m57.49s","id":7,"origin":"crowdsec","#,
        r#""scenario":"crowdsecurity/ssh-bf","scope":"Ip","type":"ban","value":"192.0.2.7"},"#,
        "\n",
        r#"        {"duration":"24h","origin":"cscli","scenario":"manual","#,
        r#""scope":"Range","type":"ban","value":"198.51.100.0/24"},"#,
        "\n",
        r#"        {"duration":"1h","origin":"lists","scenario":"x","#,
        r#""scope":"Country","type":"ban","value":"AQ"},"#,
        "\n",
        r#"        {"duration":"1h","origin":"lists","scenario":"x","#,
        r#""scope":"Ip","type":"captcha","value":"192.0.2.8"},"#,
        "\n",
        r#"        {"duration":"-3m","origin":"lists","scenario":"x","#,
        r#""scope":"Ip","type":"ban","value":"192.0.2.9"},"#,
        "\n",
        r#"        {"duration":"1h","origin":"lists","scenario":"x","#,
        r#""scope":"Ip","type":"ban","value":"somewhere"},"#,
        "\n",
        r#"        {"duration":"some days","origin":"lists","scenario":"x","#,
        r#""scope":"Ip","type":"ban","value":"192.0.2.1"}]"#,
    );
    let alerts = format!(
        r#"[{{"id":1,"decisions":{decisions},"machine_id":"m"}},{{"id":2,"decisions":null}}]"#
    );
    for (text, bad, none) in [(decisions.to_owned(), vec![6, 7], 0), (alerts, vec![6, 7], 1)] {
        let mut list = read_as(&text, Format::CrowdSec);
        list.select_for_import(&Terms {
            rule: Rule::Block,
            now: UnixMillis(1_000_000),
            ttl: None,
            any_width: false,
            include_private: false,
        });
        assert_eq!(networks(&list), ["192.0.2.7", "198.51.100.0/24"]);
        assert_eq!(list.entries[0].ends, Ends::After(Duration::from_secs(4 * 3600 - 3)));
        assert_eq!(&*list.entries[0].reason, "crowdsecurity/ssh-bf");
        assert_eq!(bad_lines(&list), bad);
        let left_out: Vec<_> = list.left_out.iter().collect();
        assert_eq!(
            left_out,
            [
                (Reason::OtherAction, 1 + none),
                (Reason::OtherScope, 1),
                (Reason::Ended, 1),
                (Reason::Bad, 2)
            ]
        );
        assert!(list.bad[0].why.starts_with("entry 6: "), "{}", list.bad[0].why);
    }
    assert_eq!(read("null", Format::CrowdSec).unwrap().units, 0);
    assert_eq!(read("{}", Format::CrowdSec).unwrap().bad_count(), 1);
    assert!(matches!(read("192.0.2.7", Format::CrowdSec), Err(ListError::NotThis { .. })));
}

#[test]
fn the_output_of_fail2ban_is_read() {
    let list = read_as(
        "[{'sshd': ['192.0.2.7', '2001:db8::1']}, {'postfix-sasl': []}, \
         {'dovecot': ['nowhere']}]\n",
        Format::Fail2ban,
    );
    assert_eq!(networks(&list), ["192.0.2.7", "2001:db8::1"]);
    assert_eq!((&*list.entries[0].reason, &*list.entries[0].origin), ("sshd", "fail2ban"));
    assert_eq!(bad_lines(&list), [1]);
    assert!(list.bad[0].why.starts_with("entry 3: "), "{}", list.bad[0].why);
    assert_eq!(read_as("[]", Format::Fail2ban).units, 0);
    let deep = format!("[{{'a': {}", "[".repeat(100_000));
    let error = read(&deep, Format::Fail2ban).unwrap_err().to_string();
    assert!(error.contains("nested too deep"), "{error}");
}

#[test]
fn a_line_for_the_other_rule_is_left_out() {
    let said = |rule, text: &str, format| {
        let list = read_for(rule, text, format).unwrap();
        (networks(&list), list.left_out.of(Reason::OtherAction), list.bad_count())
    };
    let first = |not_a_ban| (vec!["192.0.2.1".to_owned()], not_a_ban, 0);
    let hosts = "sshd : 192.0.2.1\nsshd : 192.0.2.2 : deny\nsshd : 192.0.2.3 : ALLOW\n";
    for (rule, other) in [(Rule::Block, "192.0.2.2"), (Rule::Allow, "192.0.2.3")] {
        let (networks, not_a_ban, bad) = said(rule, hosts, Format::HostsDeny);
        assert_eq!((not_a_ban, bad), (1, 0), "{rule:?}");
        assert_eq!(networks, ["192.0.2.1", other], "{rule:?}");
    }
    // An action in a table, an object or a decision.
    for (text, format) in [
        ("ip,action\n192.0.2.1,\n192.0.2.2,drop\n", Format::Csv),
        ("{\"ip\":\"192.0.2.1\"}\n{\"ip\":\"192.0.2.2\",\"action\":\"ban\"}\n", Format::JsonLines),
        (
            "[\"192.0.2.1\",{\"scope\":\"ip\",\"type\":\"ban\",\"value\":\"192.0.2.2\"}]",
            Format::CrowdSec,
        ),
    ] {
        assert_eq!(said(Rule::Allow, text, format), first(1), "{text}");
    }
}

#[test]
fn an_element_of_nft_that_is_too_long_is_refused() {
    let long = "9".repeat(MAX_LINE / 2);
    let text = format!(
        "table inet t {{\nset b {{\ntype ipv4_addr\nelements = {{ {long}\n{long}\n{long},\n\
         192.0.2.1 }}\n}}\n}}\n"
    );
    let list = read(&text, Format::Nft).unwrap();
    assert_eq!((networks(&list), list.bad_count()), (vec!["192.0.2.1".to_owned()], 1));
    assert_eq!(
        (list.bad[0].line, &*list.bad[0].why),
        (4, "the element has more than 65536 bytes, the limit")
    );
}

#[test]
fn texts_are_bounded_and_bad_lines_are_counted() {
    let long = format!("192.0.2.7 ; {}\n", "ä".repeat(1_000));
    let list = read(&long, Format::Plain).unwrap();
    assert!(list.entries[0].reason.len() <= mailmesh_events::limits::TEXT_LEN);
    let list = read(&"nothing\n".repeat(1_000), Format::Plain).unwrap();
    assert_eq!((list.bad.len(), list.bad_count()), (MAX_BAD, 1_000));
}

fn block(reason: &str, expires: Option<u64>) -> RuleDetails {
    let block = RuleDetails::new(reason, UnixMillis(1)).unwrap().with_origin("mx1").unwrap();
    match expires {
        Some(at) => block.with_expiry(UnixMillis(at)),
        None => block,
    }
}

#[test]
fn exports_for_nftables_and_postfix_are_written() {
    let now = UnixMillis(1_000_000);
    let blocks = [
        block("spam", None),
        block("a\nb", Some(1_060_001)),
        block("", None),
        block("old", Some(999_999)),
    ];
    let listed = |rule, network: &str, index: usize| Listed {
        rule,
        network: network.parse().unwrap(),
        details: &blocks[index],
    };
    let all = [
        listed(Rule::Block, "192.0.2.0/24", 0),
        listed(Rule::Block, "192.0.2.7", 1),
        listed(Rule::Block, "198.51.100.7", 1),
        listed(Rule::Block, "2001:db8::/32", 2),
        listed(Rule::Block, "203.0.113.1", 3),
        listed(Rule::Allow, "192.0.2.9", 0),
    ];
    let written = |format| {
        let mut out = String::new();
        write(format, &all, now, &mut out).unwrap();
        out
    };
    assert_eq!(
        written(OutputFormat::Postfix),
        "# A cidr: table of blocked clients, in main.cf:\n\
         #   smtpd_client_restrictions = check_client_access cidr:/etc/postfix/mailmesh\n\
         # Postfix reads it anew with `postfix reload`.\n\
         # As of 1970-01-01T00:16:40Z. A Postfix table cannot expire entries: export it again\n\
         # by 1970-01-01T00:17:40Z, when the first verdict changes, and more often to include \
         new blocks.\n\
         192.0.2.9 DUNNO\n192.0.2.7 REJECT a b\n198.51.100.7 REJECT a b\n2001:db8::/32 REJECT\n\
         192.0.2.0/24 REJECT spam\n"
    );
    let nft = written(OutputFormat::Nftables);
    let elements: Vec<&str> = nft.lines().filter(|line| line.starts_with("add element")).collect();
    assert_eq!(
        elements,
        [
            "add element inet mailmesh allowed4 { 192.0.2.9 }",
            "add element inet mailmesh blocked4 { 192.0.2.0/24 }",
            "add element inet mailmesh blocked4 { 198.51.100.7 timeout 1m1ms }",
            "add element inet mailmesh blocked6 { 2001:db8::/32 }",
        ]
    );
}

/// A reason that is no address: such a row is refused.
/// Only the four keys in the order of an export say that this crate wrote the line.
#[test]
fn the_reason_of_another_program_may_keep_its_network_out() {
    for line in [
        r#"{"network":"192.0.2.7","reason":"whitelisted","expires":null}"#,
        r#"{"network":"192.0.2.7","origin":"","reason":"whitelisted","expires":null}"#,
        r#"{"ip":"192.0.2.7","reason":"whitelisted","origin":"","expires":null}"#,
    ] {
        assert_eq!(read(line, Format::JsonLines).unwrap().entries.len(), 0, "{line}");
    }
    let own = r#"{"network":"192.0.2.7","reason":"whitelisted","origin":"","expires":null}"#;
    assert_eq!(read(own, Format::JsonLines).unwrap().entries.len(), 1);
}

/// Any text, and texts that mean something in lists of others.
fn reason() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 16] = [
        "do not block",
        "ban lifted",
        "office (allowed)",
        "never trust",
        "Ok",
        "allow",
        "Whitelisted: office",
        "unban",
        "expired",
        "192.0.2.1, 192.0.2.9",
        "0",
        "all except 192.0.2.9",
        "until 2031-02-03",
        "inactive",
        "null",
        "false",
    ];
    prop_oneof![4 => "[ -~äß]{0,20}", 1 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn an_export_is_read_back(
        entries in prop::collection::btree_map(
            any::<(u32, bool)>(),
            (reason(), prop::option::of(2_000u64..4_000_000)),
            0..20,
        )
    ) {
        let entries = entries.into_iter().map(|((n, v6), (reason, expires))| {
            let address: std::net::IpAddr = match v6 {
                true => std::net::Ipv6Addr::from(u128::from(n) << 96).into(),
                false => std::net::Ipv4Addr::from(n).into(),
            };
            (Network::single(address), block(reason.trim(), expires.map(|s| s * 1_000)))
        });
        let blocks: Vec<(Network, RuleDetails)> = entries.collect();
        let listed = blocks.iter().map(|(network, block)| {
            Listed { rule: Rule::Block, network: *network, details: block }
        });
        let listed: Vec<Listed<'_>> = listed.collect();
        for (output, format) in
            [(OutputFormat::Csv, Format::Csv), (OutputFormat::JsonLines, Format::JsonLines)]
        {
            let mut out = String::new();
            write(output, &listed, UnixMillis(1_000_000), &mut out).unwrap();
            let list = read(&out, format).unwrap();
            prop_assert_eq!(&list.bad, &[]);
            let is_live = |(_, block): &&(_, RuleDetails)| !block.is_expired(UnixMillis(1_000_000));
            let mut expected: Vec<_> = blocks.iter().filter(is_live).collect();
            expected.sort_by_key(|(network, _)| *network);
            prop_assert_eq!(list.entries.len(), expected.len());
            for (entry, (network, block)) in list.entries.iter().zip(expected) {
                prop_assert_eq!(entry.network, *network);
                prop_assert_eq!(&*entry.reason, block.reason());
                prop_assert_eq!(&*entry.origin, block.origin());
                prop_assert_eq!(entry.ends.moment(UnixMillis(0)), block.expires);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}'\",:;#0-9a-f./\\- \n]{0,200}") {
        for (_, format) in Format::ALL {
            let _read_or_not = read(&text, format);
        }
        let _some = Format::guess(&text);
    }
}

#[test]
fn ends_without_a_zone_are_moved_into_a_zone() {
    let text = "192.0.2.80 \t2030-01-28 08:00:00 + 2799 = 2030-01-28 08:46:39\n\
                192.0.2.81 \t2030-01-28 08:00:00 + -1 = 9999-12-31 23:59:59\n";
    let mut list = read(text, Format::Fail2ban).unwrap();
    let end = UnixMillis(1_895_820_399_000);
    assert_eq!(list.entries[0].ends, Ends::Local(end));
    assert_eq!(list.entries[0].ends.moment(UnixMillis(0)), Some(end), "as of UTC");
    let moved = list.in_zone(|local| UnixMillis(local.0 - 3_600_000));
    assert_eq!((moved, list.entries[0].ends), (1, Ends::At(UnixMillis(end.0 - 3_600_000))));
    assert_eq!(list.in_zone(|_| UnixMillis(0)), 0);
}
