//! Lists in JSON, in the layouts that services publish: every address is read, or refused.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;
use mailmesh_lists::*;

#[test]
fn several_lists_in_one_object_are_read() {
    check(&[
        // Amazon's `ip-ranges.json`.
        (
            "{\n \"syncToken\": \"1\",\n \"createDate\": \"2026-11-27-10-00-00\",\n \"prefixes\": \
             [\n {\n \"ip_prefix\": \"192.0.2.0/25\",\n \"region\": \"x\",\n \"service\": \
             \"AMAZON\"\n }\n ],\n \"ipv6_prefixes\": [\n {\n \"ipv6_prefix\": \
             \"2001:db8::/48\",\n \"region\": \"x\"\n }\n ]\n}\n",
            &["192.0.2.0/25", "2001:db8::/48"],
            &[],
        ),
        (
            "{\"syncToken\":\"1\",\"prefixes\":[{\"ip_prefix\":\"192.0.2.0/25\"}],\
             \"ipv6_prefixes\":[{\"ipv6_prefix\":\"2001:db8::/48\"}]}",
            &["192.0.2.0/25", "2001:db8::/48"],
            &[],
        ),
        // Lists of other names are not read in silence, nor left out.
        (
            "{\"data\":[\"192.0.2.1\"],\"hooks\":[\"192.0.2.2\",\"192.0.2.3\"],\
             \"domains\":[\"example.org\"]}",
            &["192.0.2.1"],
            &["2 bad", "`hooks`", "domains"],
        ),
        ("{\"hooks\":[\"192.0.2.2\"],\"web\":[\"192.0.2.3\"]}", &[], &["2 bad", "`web`"]),
        (
            "{\"data\":[\"192.0.2.1\"],\"more\":{\"ips\":[\"192.0.2.2\"]}}",
            &["192.0.2.1"],
            &["1 bad", "`more`"],
        ),
        (
            "{\"data\":[\"192.0.2.1\"],\"more\":{\"192.0.2.2\":{\"n\":1}}}",
            &["192.0.2.1"],
            &["1 bad", "`more`"],
        ),
        (
            "{\"blocked\":{\"ipv4\":[\"192.0.2.1\"],\"x\":[\"192.0.2.2\"]}}",
            &["192.0.2.1"],
            &["1 bad"],
        ),
        // Those whose name says that they are no bans.
        (
            "{\"blocklist\":[\"192.0.2.1\"],\"whitelist\":[\"192.0.2.2\"],\"removed\":\
             [{\"ip\":\"192.0.2.3\"}]}",
            &["192.0.2.1"],
            &["2 not a ban"],
        ),
        ("{\"ips\":[\"192.0.2.1\"],\"networks\":null,\"errors\":[]}", &["192.0.2.1"], &[]),
        ("{\"data\":[\"192.0.2.1\"],\"data\":[\"192.0.2.2\"]}", &["192.0.2.1", "192.0.2.2"], &[]),
        ("{\"ip\":\"192.0.2.9\",\"data\":[\"192.0.2.1\"]}", &["192.0.2.1"], &["1 bad", "`ip`"]),
        ("{\"ip\":\"192.0.2.9\",\"ports\":[22,25]}", &["192.0.2.9"], &["ports"]),
    ]);
}

#[test]
fn a_simulated_alert_outside_a_list_is_not_imported() {
    let alert = |simulated: bool| {
        format!(
            "{{\"id\":5,\"simulated\":{simulated},\"decisions\":[{{\"type\":\"ban\",\"value\":\
             \"192.0.2.30\",\"scope\":\"Ip\"}}]}}"
        )
    };
    check(&[
        (&alert(true), &[], &["1 simulated"]),
        (&alert(false), &["192.0.2.30"], &[]),
        (&format!("{}\n{}\n", alert(true), alert(true)), &[], &["2 simulated"]),
    ]);
}

#[test]
fn a_repeated_key_loses_no_address() {
    check(&[
        ("{\"ip\":\"192.0.2.1\",\"ip\":\"192.0.2.2\"}\n", &[], &["1 bad", "`ip` twice"]),
        ("[{\"ip\":\"192.0.2.1\",\"ip\":\"192.0.2.2\"}]", &[], &["1 bad", "`ip` twice"]),
        ("[{\"ip\":\"192.0.2.1\",\"ttl\":\"4h\",\"ttl\":\"\"}]", &[], &["1 bad", "`ttl` twice"]),
        (
            "[{\"decisions\":[{\"value\":\"192.0.2.1\"}],\"decisions\":[{\"value\":\
             \"192.0.2.2\"}]}]",
            &[],
            &["1 bad", "`decisions` twice"],
        ),
    ]);
}

#[test]
fn a_record_with_several_addresses_is_read_or_bad() {
    check(&[
        // Both families of one host.
        ("{\"ipv4\":\"192.0.2.1\",\"ipv6\":\"2001:db8::1\"}\n", &["192.0.2.1", "2001:db8::1"], &[]),
        (
            "ipv4,ipv6,note\n192.0.2.1,2001:db8::1,x\n,2001:db8::2,y\n192.0.2.3,,z\n",
            &["192.0.2.1", "192.0.2.3", "2001:db8::1", "2001:db8::2"],
            &[],
        ),
        ("ipv4,ipv6\n,\n192.0.2.3,\n", &["192.0.2.3"], &["1 blank"]),
        // An address, and the network that it lies in.
        ("{\"ip\":\"192.0.2.1\",\"network\":\"192.0.2.0/24\"}\n", &["192.0.2.1"], &[]),
        ("ip,range\n192.0.2.1,192.0.2.0 - 192.0.2.255\n", &["192.0.2.1"], &[]),
        ("ip,cidr\n,192.0.2.0/24\n", &["192.0.2.0/24"], &[]),
        // Two addresses of which one may be a bystander.
        ("{\"ip\":\"192.0.2.1\",\"client_ip\":\"192.0.2.2\"}\n", &[], &["1 bad", "192.0.2.2"]),
        ("ip,ip\n192.0.2.1,192.0.2.2\n", &[], &["1 bad"]),
        ("ip,ip\n192.0.2.1,192.0.2.1\n", &["192.0.2.1"], &[]),
        // A street, and the host that a request named.
        ("ip,address\n192.0.2.1,Main Street 1\n", &["192.0.2.1"], &[]),
        ("ip,host\n192.0.2.1,198.51.100.1\n", &["192.0.2.1"], &[]),
        // The column that is filled counts.
        ("ip,expires,until\n192.0.2.1,,2020-01-01\n", &[], &["1 ended"]),
    ]);
}

#[test]
fn the_layout_of_json_is_recognised_from_the_whole_text() {
    let pretty = "{\n  \"cidr\": \"192.0.2.0/24\",\n  \"ttl\": \"4h\"\n}\n";
    for (text, format) in [
        (pretty, Format::CrowdSec),
        ("{\"list\":\n[\"192.0.2.1\"]}", Format::CrowdSec),
        ("{ \"a\": 1,\n \"ips\": [ \"192.0.2.1\" ] }", Format::CrowdSec),
        ("{\"a\": 1\n,\"ips\": [ \"192.0.2.1\" ] }", Format::CrowdSec),
        ("{\"ip\":\"192.0.2.1\"}\n{\"ip\":\"192.0.2.2\"}\n", Format::JsonLines),
        ("{\"ip\":\"192.0.2.1\"\n{\"ip\":\"192.0.2.2\"}\n", Format::JsonLines),
        ("{\"ip\":\"192.0.2.1 } {\"}\nx\n", Format::JsonLines),
        ("[2001:db8::1]\n2001:db8::2\n", Format::Plain),
        ("[2001:db8::]/64\n", Format::Plain),
        ("[2001:db8::1]:25\n2001:db8::2\n", Format::Plain),
        ("[192.0.2.1]\n", Format::Plain),
        ("[2001:db8::1],spam\n", Format::Csv),
        ("[\"2001:db8::1\"]\n", Format::CrowdSec),
        ("[\n\"2001:db8::1\"]\n", Format::CrowdSec),
    ] {
        assert_eq!(Format::guess(text), format, "{text}");
    }
    check(&[
        (pretty, &["192.0.2.0/24"], &[]),
        (
            &format!("{pretty}{}", pretty.replace("192", "198")),
            &["192.0.2.0/24", "198.0.2.0/24"],
            &[],
        ),
        ("[2001:db8::1]\n2001:db8::2\n", &["2001:db8::1", "2001:db8::2"], &[]),
        ("[2001:db8::1]:25\n2001:db8::2\n", &["2001:db8::2"], &["1 bad"]),
    ]);
}

#[test]
fn values_of_a_destination_type_are_left_out() {
    check(&[
        (
            "[{\"type\":\"ip-dst\",\"value\":\"192.0.2.1\"},{\"type\":\"ip-src\",\"value\":\
             \"192.0.2.2\"}]",
            &["192.0.2.2"],
            &["1 other scope"],
        ),
        (
            "type,value\ndestination ip,192.0.2.1\nsource ip,192.0.2.2\n",
            &["192.0.2.2"],
            &["1 other scope"],
        ),
    ]);
}
