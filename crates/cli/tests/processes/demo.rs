//! `mailmesh demo`.

use std::process::Command;

use serde_json::Value;

use super::harness::{children_of, demo, is_running, read_all, until};

const STEPS: usize = 8;

#[test]
fn the_demo_prints_every_step_as_json_and_nothing_else() {
    let mut child = demo(&["--json"]);
    let out = read_all(child.stdout.take().unwrap());
    let err = read_all(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    let rows: Value = serde_json::from_str(&out).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), STEPS);
    for row in rows {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["step", "ok", "seconds"]);
        assert_eq!(row["ok"], true, "{row}");
        assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn the_demo_takes_the_mail_of_a_maildir() {
    let maildir = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut child = demo(&["--maildir", maildir]);
    let out = read_all(child.stdout.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{out}");
    assert!(out.contains("8 messages arrive at mx2: 16 events"), "{out}");
    assert!(!out.contains('\x1b'), "colours without a terminal");
}

/// No node is left if the demo is interrupted (SIGINT, handled) or killed (SIGKILL, not handled).
#[test]
fn the_demo_leaves_no_process_behind() {
    for signal in ["-INT", "-KILL"] {
        let mut child = demo(&[]);
        let mut nodes = Vec::new();
        until("the nodes run", || {
            nodes = children_of(child.id());
            nodes.len() == 3
        });
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_ne!(child.wait().unwrap().code(), Some(0), "{signal}");
        until("no node is left", || !nodes.iter().any(|pid| is_running(*pid)));
    }
}
