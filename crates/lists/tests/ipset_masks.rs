//! Sets of ipset whose elements stand for networks (`netmask`, `bitmask`): an entry covers what the
//! kernel matches.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;

#[test]
fn an_element_of_a_set_with_a_netmask_is_a_network() {
    for options in [
        "hash:ip family inet netmask 24",
        "hash:ip netmask 255.255.255.0 timeout 0",
        "hash:ip bitmask 255.255.255.0",
        "bitmap:ip range 198.51.100.0/16 netmask 24",
    ] {
        let text = format!("create b {options}\nadd b 198.51.100.0\nadd b 192.0.2.7\n");
        check(&[(&text, &["192.0.2.0/24", "198.51.100.0/24"], &[])]);
    }
    check(&[
        ("create b hash:ip family inet6 netmask 64\nadd b 2001:db8::\n", &["2001:db8::/64"], &[]),
        (
            "Name: b\nType: hash:ip\nHeader: family inet hashsize 1024 netmask 28\nMembers:\n\
             192.0.2.16\n",
            &["192.0.2.16/28"],
            &[],
        ),
        ("-N b iphash --netmask 24\n-A b 192.0.2.0\n", &["192.0.2.0/24"], &[]),
        // The mask of a range or network is the wider one of the two.
        ("create b hash:ip netmask 24\nadd b 192.0.0.0/22\n", &["192.0.0.0/22"], &[]),
        (
            "create b bitmap:ip range 192.0.2.0/24 netmask 28\nadd b 192.0.2.17\n",
            &["192.0.2.16/28"],
            &[],
        ),
        (
            "create w hash:ip netmask 29\nadd w 192.0.2.8\ncreate whitelist hash:ip netmask 30\n\
             add whitelist 192.0.2.8\n",
            &["192.0.2.12/30"],
            &["1 not a ban"],
        ),
    ]);
}

#[test]
fn an_element_of_a_set_with_a_mask_that_is_no_network_is_bad() {
    check(&[
        ("create b hash:ip bitmask 255.255.0.255\nadd b 192.0.2.7\n", &[], &["1 bad", "bitmask"]),
        ("create b hash:ip netmask x\nadd b 192.0.2.7\n", &[], &["1 bad", "netmask"]),
        ("create b hash:ip netmask 0\nadd b 192.0.2.7\n", &[], &["1 bad"]),
    ]);
}
