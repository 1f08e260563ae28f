//! The width limit holds for networks to let in as it holds for networks to block.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::{check, check_allow};
use mailmesh_events::Rule;
use mailmesh_lists::*;

#[test]
fn exceptions_of_very_wide_networks_are_bad() {
    check_allow(&[
        ("0.0.0.0/0\n192.0.2.7\n", &["192.0.2.7"], &["1 bad", "lets in", "--force"]),
        ("::/0\n2001::/15\n2001:db8::/32\n", &["2001:db8::/32"], &["2 bad", "lets in"]),
        ("127.0.0.0/8\n10.0.0.0/8\n", &["10.0.0.0/8", "127.0.0.0/8"], &[]),
        // The default of a table of blocks, and of nginx.
        (
            "192.0.2.7 REJECT\n198.51.100.0/24 DUNNO\n0.0.0.0/0 DUNNO\n",
            &["198.51.100.0/24"],
            &["1 bad", "lets in"],
        ),
        (
            "deny 192.0.2.7;\nallow 198.51.100.9;\nallow 0.0.0.0/0;\n",
            &["198.51.100.9"],
            &["1 bad", "lets in"],
        ),
    ]);
    check(&[("0.0.0.0/0\n", &[], &["1 bad", "covers many addresses"])]);
}

#[test]
fn exceptions_of_any_width_are_taken_if_asked_for() {
    let terms = Terms { rule: Rule::Allow, any_width: true, ..Terms::default() };
    let mut list = read_for(Rule::Allow, "0.0.0.0/0\n::/0\n", Format::Plain).unwrap();
    list.select_for_import(&terms);
    assert_eq!((list.entries.len(), list.bad_count()), (2, 0));
}
