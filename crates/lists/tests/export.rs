//! An export for a firewall or a mail server gives the mirror's verdict on each address, at
//! each moment until the next export.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use mailmesh_events::{Network, NodeId, Rule, RuleDetails, UnixMillis};
use mailmesh_lists::*;
use mailmesh_state::{Mirror, Verdict};
use proptest::prelude::*;

/// The moment of the export.
const NOW: UnixMillis = UnixMillis(1_000_000);

type Put = (Rule, Network, Option<u64>);

fn mirror_of(puts: &[Put]) -> Mirror {
    let mirror = Mirror::new(NodeId(1), [0; 16]);
    for (rule, network, end) in puts {
        let mut block = RuleDetails::new("spam", UnixMillis(1)).unwrap();
        block.expires = end.map(UnixMillis);
        let put = match rule {
            Rule::Block => mirror.block_of_any_width(*network, block, UnixMillis(2)),
            Rule::Allow => mirror.allow(*network, block, UnixMillis(2)),
        };
        put.unwrap();
    }
    mirror
}

/// The export of a mirror, and by when a table of Postfix must be exported again.
fn export(mirror: &Mirror, format: OutputFormat) -> (String, Option<UnixMillis>) {
    let of = |rule| mirror.networks(rule, NOW).into_iter().map(move |entry| (rule, entry));
    let entries: Vec<_> = of(Rule::Block).chain(of(Rule::Allow)).collect();
    let listed: Vec<Listed<'_>> = entries
        .iter()
        .map(|(rule, e)| Listed { rule: *rule, network: e.network, details: &e.details })
        .collect();
    let mut out = String::new();
    write(format, &listed, NOW, &mut out).unwrap();
    (out, postfix_stale_at(&listed, NOW))
}

fn is_blocked(mirror: &Mirror, address: IpAddr, now: UnixMillis) -> bool {
    matches!(mirror.lookup(address, now), Verdict::Blocked(_))
}

/// Elements of sets, by name: first and last address, and when they end.
struct Sets(HashMap<String, Vec<(IpAddr, IpAddr, Option<u64>)>>);

impl Sets {
    fn read(script: &str) -> Self {
        let mut sets: HashMap<String, Vec<_>> = HashMap::new();
        for line in
            script.lines().filter_map(|line| line.strip_prefix("add element inet mailmesh "))
        {
            let (set, element) = line.split_once(" { ").unwrap();
            let element = element.strip_suffix(" }").unwrap();
            let (value, timeout) = element.split_once(" timeout ").unzip();
            let value = value.unwrap_or(element);
            let end = timeout.map(|timeout| {
                let left = humantime::parse_duration(timeout).unwrap();
                NOW.0 + u64::try_from(left.as_millis()).unwrap()
            });
            let (first, last) = match value.split_once('-') {
                Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
                None => {
                    let net = value
                        .parse::<IpNet>()
                        .or_else(|_| value.parse::<IpAddr>().map(IpNet::from));
                    let net = net.unwrap();
                    assert_eq!(net, net.trunc());
                    (net.network(), net.broadcast())
                }
            };
            assert!(first <= last, "{value}");
            let elements = sets.entry(set.to_owned()).or_default();
            // A set takes no elements that overlap.
            assert!(elements.iter().all(|(f, l, _)| last < *f || *l < first), "{script}");
            elements.push((first, last, end));
        }
        Self(sets)
    }

    fn has(&self, set: &str, address: IpAddr, now: UnixMillis) -> bool {
        self.0.get(set).into_iter().flatten().any(|(first, last, end)| {
            (*first..=*last).contains(&address) && end.is_none_or(|end| now.0 < end)
        })
    }

    /// The verdict of rules that let in allowed addresses, and then drop blocked ones.
    fn blocks(&self, address: IpAddr, now: UnixMillis) -> bool {
        let (allowed, blocked) = match address {
            IpAddr::V4(_) => ("allowed4", "blocked4"),
            IpAddr::V6(_) => ("allowed6", "blocked6"),
        };
        !self.has(allowed, address, now) && self.has(blocked, address, now)
    }
}

/// Whether Postfix rejects by a `cidr:` table: the first line that matches decides.
fn postfix_rejects(table: &str, address: IpAddr) -> bool {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let (pattern, action) = line.split_once(' ').unwrap();
        if pattern.parse::<Network>().unwrap().contains(address) {
            return action.starts_with("REJECT");
        }
    }
    false
}

/// Networks in a corner of the addresses, so that they overlap.
fn network() -> impl Strategy<Value = Network> {
    let v4 = (0_u32..32, 24_u8..=32).prop_map(|(low, len)| {
        Network::new(Ipv4Addr::from(0xC000_0200 + low).into(), len).unwrap()
    });
    let top = (0_u32..8, 28_u8..=32)
        .prop_map(|(low, len)| Network::new(Ipv4Addr::from(u32::MAX - low).into(), len).unwrap());
    let mapped = (0_u32..32, 120_u8..=128).prop_map(|(low, len)| {
        let address = Ipv4Addr::from(0xC000_0200 + low).to_ipv6_mapped();
        Network::new(address.into(), len).unwrap()
    });
    let v6 = (0_u128..16, prop_oneof![120_u8..=128, Just(32)]).prop_map(|(low, len)| {
        Network::new(Ipv6Addr::from((0x2001_0db8 << 96) + low).into(), len).unwrap()
    });
    prop_oneof![8 => v4, 1 => top, 2 => mapped, 4 => v6]
}

fn put() -> impl Strategy<Value = Put> {
    let end = prop::option::weighted(0.7, (0_u64..8).prop_map(|n| NOW.0 - 1_000 + n * 1_000));
    let rule = prop_oneof![2 => Just(Rule::Block), 1 => Just(Rule::Allow)];
    (rule, network(), end)
}

fn addresses() -> Vec<IpAddr> {
    let v4 = (0..40_u32).map(|low| IpAddr::from(Ipv4Addr::from(0xC000_0200 + low)));
    let top = (0..20_u32).map(|low| IpAddr::from(Ipv4Addr::from(u32::MAX - low)));
    let v6 = (0..20_u128).map(|low| IpAddr::from(Ipv6Addr::from((0x2001_0db8 << 96) + low)));
    v4.chain(top).chain(v6).chain(["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn exports_block_the_addresses_that_the_mirror_blocks(
        puts in prop::collection::vec(put(), 0..14),
    ) {
        let mirror = mirror_of(&puts);
        let (script, _) = export(&mirror, OutputFormat::Nftables);
        let sets = Sets::read(&script);
        let (table, stale_at) = export(&mirror, OutputFormat::Postfix);
        prop_assert_eq!(stale_at.is_some(), table.contains("export it again"));
        let mut moments: Vec<u64> = puts.iter().filter_map(|(.., end)| *end).collect();
        moments.extend(moments.clone().into_iter().flat_map(|at| [at - 1, at + 1]));
        moments.extend([NOW.0, NOW.0 + 1_000_000_000]);
        for now in moments.into_iter().filter(|at| *at >= NOW.0).map(UnixMillis) {
            for address in addresses() {
                let right = is_blocked(&mirror, address, now);
                let is_dropped = sets.blocks(address, now);
                prop_assert_eq!(is_dropped, right, "{} at {}: {}", address, now.0, &script);
                if stale_at.is_none_or(|stale_at| now < stale_at) {
                    let is_rejected = postfix_rejects(&table, address);
                    prop_assert_eq!(is_rejected, right, "{} at {}: {}", address, now.0, &table);
                }
            }
        }
    }
}

#[test]
fn a_permanent_network_outlasts_a_wider_one() {
    let text = |network: &str| network.parse::<Network>().unwrap();
    let mirror = mirror_of(&[
        (Rule::Block, text("192.0.2.7"), None),
        (Rule::Block, text("192.0.2.0/24"), Some(NOW.0 + 6_000)),
        (Rule::Block, text("198.51.100.0/24"), None),
        (Rule::Block, text("198.51.100.7"), Some(NOW.0 + 1)),
        (Rule::Block, text("203.0.113.1"), Some(NOW.0 + 5)),
        (Rule::Block, text("203.0.113.3"), Some(NOW.0 + 200 * 365 * 86_400_000)),
    ]);
    let elements = |script: String| {
        let elements =
            script.lines().filter_map(|line| line.strip_prefix("add element inet mailmesh "));
        elements.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        elements(export(&mirror, OutputFormat::Nftables).0),
        [
            "blocked4 { 192.0.2.0-192.0.2.6 timeout 6s }",
            "blocked4 { 192.0.2.7 }",
            "blocked4 { 192.0.2.8-192.0.2.255 timeout 6s }",
            "blocked4 { 198.51.100.0/24 }",
            "blocked4 { 203.0.113.1 timeout 10ms }",
            "blocked4 { 203.0.113.3 }",
        ]
    );
    let (table, stale_at) = export(&mirror, OutputFormat::Postfix);
    assert_eq!(stale_at, Some(UnixMillis(NOW.0 + 5)));
    assert!(table.contains("\n# As of 1970-01-01T00:16:40Z. A Postfix table cannot"), "{table}");
}

/// The text behind REJECT goes to the client in the server's reply.
#[test]
fn a_reason_for_postfix_is_ascii_without_a_status_code() {
    for (reason, shown) in [
        ("spam", "REJECT spam"),
        ("", "REJECT"),
        ("Sp\u{e4}m \u{fc}ber M\u{fc}ller", "REJECT Sp?m ?ber M?ller"),
        ("\u{5783}\u{573e}", "REJECT"),
        ("4.7.1 try later", "REJECT try later"),
        ("550 5.7.1 4.7.1 no", "REJECT no"),
        ("550-5.7.1 no", "REJECT no"),
        ("4.7.1", "REJECT"),
        ("404 scans", "REJECT 404 scans"),
        ("2.4 GHz", "REJECT 2.4 GHz"),
        ("a\u{202e}b\tc", "REJECT a b c"),
    ] {
        let block = RuleDetails::new(reason, UnixMillis(1)).unwrap();
        let network = "192.0.2.7".parse().unwrap();
        let mut table = String::new();
        let listed = [Listed { rule: Rule::Block, network, details: &block }];
        write(OutputFormat::Postfix, &listed, UnixMillis(2), &mut table).unwrap();
        let line = table.lines().find(|line| !line.starts_with('#')).unwrap();
        assert_eq!(line, format!("192.0.2.7 {shown}"), "{reason}");
    }
}

/// The head of an export says how it is used.
#[test]
fn an_export_states_how_it_is_used() {
    let export = |format| {
        let mut out = String::new();
        write(format, &[], UnixMillis(2), &mut out).unwrap();
        out
    };
    let postfix = export(OutputFormat::Postfix);
    for words in ["main.cf", "check_client_access cidr:/", "postfix reload"] {
        assert!(postfix.contains(words), "{postfix}");
    }
    let nftables = export(OutputFormat::Nftables);
    for words in ["hook input", "ip saddr @allowed4 accept", "ip6 saddr @blocked6 drop"] {
        assert!(nftables.contains(words), "{nftables}");
    }
}

/// The mirror that an import of an export into an empty mirror gives.
fn mirror_of_import(text: &str, format: Format) -> Mirror {
    let terms = Terms { now: NOW, any_width: true, include_private: true, ..Terms::default() };
    let mut list = read(text, format).unwrap();
    list.select_for_import(&terms);
    assert_eq!(list.bad, [], "{text}");
    let puts = list
        .entries
        .iter()
        .map(|entry| (Rule::Block, entry.network, entry.ends.moment(NOW).map(|end| end.0)));
    mirror_of(&puts.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_export_for_another_program_is_read_back_with_the_same_verdicts(
        puts in prop::collection::vec(put(), 0..14)
    ) {
        let mirror = mirror_of(&puts);
        for (output, format) in
            [(OutputFormat::Nftables, Format::Nft), (OutputFormat::Postfix, Format::Plain)]
        {
            let (text, _) = export(&mirror, output);
            let imported = mirror_of_import(&text, format);
            for address in addresses() {
                let (right, read) =
                    (is_blocked(&mirror, address, NOW), is_blocked(&imported, address, NOW));
                prop_assert_eq!(read, right, "{}: {}", address, &text);
            }
        }
    }
}
