//! Logical lines over several lines of a file: an exception or an answer on a later line is the
//! line's own.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::check;

#[test]
fn a_line_of_hosts_deny_goes_on_behind_a_backslash() {
    check(&[
        (
            "sshd: ALL EXCEPT \\\n192.0.2.9, \\\n192.0.2.10\n",
            &[],
            &["2 continued", "1 bad", "bad 1: it has exceptions"],
        ),
        (
            "ALL: 192.0.2.8\nsshd: 192.0.2.8/31 EXCEPT \\\n192.0.2.9, \\\n192.0.2.10\n",
            &["192.0.2.8"],
            &["2 continued", "1 bad"],
        ),
        ("ALL: 192.0.2.8/31\nsshd: ALL EXCEPT \\\n  192.0.2.9\n", &["192.0.2.8"], &["1 bad"]),
        ("ALL: 192.0.2.8 \\\n 192.0.2.9\n", &["192.0.2.8", "192.0.2.9"], &["1 continued"]),
        ("ALL: 192.0.2.8, \\\n192.0.2.9\n", &["192.0.2.8", "192.0.2.9"], &["1 continued"]),
        ("ALL: \\\n192.0.2.9 \\\n: allow\nALL: 192.0.2.8/31\n", &["192.0.2.8"], &["1 not a ban"]),
        // libwrap continues comments, too.
        ("ALL: 192.0.2.7\n# old \\\nALL: 192.0.2.8\n", &["192.0.2.7"], &["1 comment"]),
        ("ALL: 192.0.2.8 \\\n", &["192.0.2.8"], &[]),
    ]);
}

#[test]
fn a_backslash_at_the_end_of_a_line_of_another_list_is_bad() {
    check(&[
        ("192.0.2.9, \\\n192.0.2.10\n192.0.2.11\n", &["192.0.2.11"], &["1 bad", "1 continued"]),
        ("192.0.2.9 \\\n192.0.2.10\n192.0.2.11\n", &["192.0.2.11"], &["1 bad", "1 continued"]),
        ("x ALL EXCEPT \\\n192.0.2.10\n192.0.2.11\n", &["192.0.2.11"], &["1 bad", "1 continued"]),
        ("192.0.2.9 # C:\\\n192.0.2.11\n", &["192.0.2.11", "192.0.2.9"], &[]),
    ]);
}

#[test]
fn an_answer_on_the_next_line_of_a_postfix_table_counts() {
    check(&[
        (
            "192.0.2.0/24\n    REJECT spam\n198.51.100.9\n    OK\n198.51.100.10\n\tDUNNO\n",
            &["192.0.2.0/24"],
            &["3 continued", "2 not a ban"],
        ),
        (
            "192.0.2.7 REJECT\n198.51.100.9\n  OK\n198.51.100.8/31 REJECT\n",
            &["192.0.2.7", "198.51.100.8"],
            &["1 continued", "1 not a ban"],
        ),
        (
            "198.51.100.9\n\n  # why\n  OK\n198.51.100.10\n  REJECT\n",
            &["198.51.100.10"],
            &["1 not a ban"],
        ),
        (
            "192.0.2\n  REJECT\n192.0.2.1\n  OK\n198.51.100.1 REJECT\n   spam\n",
            &[
                "192.0.2.0",
                "192.0.2.128/25",
                "192.0.2.16/28",
                "192.0.2.2/31",
                "192.0.2.32/27",
                "192.0.2.4/30",
                "192.0.2.64/26",
                "192.0.2.8/29",
                "198.51.100.1",
            ],
            &["3 continued"],
        ),
        ("192.0.2.7\n  ok\n192.0.2.8\n", &["192.0.2.8"], &["1 not a ban"]),
    ]);
}
