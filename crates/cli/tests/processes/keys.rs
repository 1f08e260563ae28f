//! Rotation of the cluster key with `mailmesh key`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Node, Site, until};

/// Writes the configuration of a node with its own key file; returns the file name.
pub(super) fn config_of(site: &Site, name: &str) -> String {
    let file = format!("{name}.key");
    std::fs::copy(site.path("cluster.key"), site.path(&file)).unwrap();
    let config = std::fs::read_to_string(site.path("coordinator.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["mesh"]["key"]["filePath"] = site.path(&file).to_str().unwrap().into();
    let path = format!("{name}.json");
    std::fs::write(site.path(&path), config.to_string()).unwrap();
    path
}

fn keys(node: &Node) -> Vec<Value> {
    node.json(&["key", "list", "--json"]).as_array().unwrap().clone()
}

fn in_file(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let ring = text.parse::<mailmesh::Keyring>().unwrap();
    ring.ids("mail").iter().map(ToString::to_string).collect()
}

#[test]
fn an_operator_replaces_the_cluster_key() {
    let site = Site::new();
    let start = |name: &str| site.start_with(name, name, &config_of(&site, name), &[]);
    let (a, b) = (start("a"), start("b"));
    let c = start("c");
    for node in [&a, &b, &c] {
        node.wait_for_members(2);
    }
    let old = keys(&a)[0]["keys"][0].as_str().unwrap().to_owned();
    // The node generates the key, so only the nodes have it.
    let new = a.ok(&["key", "add"]).trim().to_owned();
    let listed = b.ok(&["key", "list"]);
    assert_eq!(listed.matches(&format!("seals {old}  accepts {new}")).count(), 3, "{listed}");
    let early = b.run(&["key", "retire", &old]);
    assert_eq!(early.status.code(), Some(1));
    let why = String::from_utf8(early.stderr).unwrap();
    assert!(why.contains("a, c, b seal with") && why.contains("key activate"), "{why}");
    assert_eq!(b.ok(&["key", "activate", &new[..6]]), format!("{new} seals on b, a, c\n"));

    for bad in ["", "fff", "not hex!"] {
        assert!(!b.run(&["key", "activate", bad]).status.success());
    }

    // The command names an absent node; that node comes back with its earlier keys.
    drop(c);
    until("c has left", || a.json(&["members", "--json"]).as_array().unwrap().len() == 1);
    let retired = a.run(&["key", "retire", &old]);
    assert_eq!(
        String::from_utf8_lossy(&retired.stdout),
        format!("{old} is no longer accepted on a, b\n")
    );
    let warned = String::from_utf8_lossy(&retired.stderr);
    assert!(warned.contains("members of the last hour") && warned.contains("c (left 0 min ago)"));
    for node in [&a, &b] {
        assert!(keys(node).iter().all(|node| node["keys"] == serde_json::json!([new])));
    }
    for name in ["a", "b"] {
        assert_eq!(in_file(&site.path(&format!("{name}.key"))), std::slice::from_ref(&new));
    }
    assert_eq!(in_file(&site.path("c.key")), [new.clone(), old]);
    let c = site.start_with("c", "c", "c.json", &[]);
    c.wait_for_members(2);
    // After a restart, each node reads its keys from its file.
    drop(b);
    let b = site.start_with("b", "b", "b.json", &[]);
    b.wait_for_members(2);
    b.ok(&["block", "add", "192.0.2.7"]);
    until("c has the block", || c.run(&["block", "check", "192.0.2.7"]).status.code() == Some(10));
    let none = a.run(&["key", "activate", "ffff"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no node has a key ffff"));
}

/// The key of node b is a value in its configuration, so b has no file for another key.
#[test]
fn a_rotation_that_a_member_cannot_save_locks_no_node_out() {
    let site = Site::new();
    let a = site.start_with("a", "a", &config_of(&site, "a"), &[]);
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(site.path("coordinator.json")).unwrap())
            .unwrap();
    let text = std::fs::read_to_string(site.path("cluster.key")).unwrap();
    config["mesh"]["key"] = serde_json::json!({"@type": "Value", "secret": text.trim()});
    std::fs::write(site.path("b.json"), config.to_string()).unwrap();
    let b = site.start_with("b", "b", "b.json", &[]);
    a.wait_for_members(1);
    let says = |node: &Node, args: &[&str], code: i32| {
        let output = node.run(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    };
    let old = keys(&a)[0]["keys"][0].as_str().unwrap().to_owned();

    let why = says(&a, &["key", "add"], 1);
    assert!(why.contains("b cannot save a new key") && why.contains("--force"), "{why}");
    assert_eq!(keys(&a)[0]["keys"].as_array().unwrap().len(), 1, "no key was added");
    let forced = a.run(&["key", "add", "--force"]);
    let new = String::from_utf8(forced.stdout).unwrap().trim().to_owned();
    let warned = String::from_utf8_lossy(&forced.stderr).into_owned();
    assert!(warned.contains("no file keeps the new key on b: after a restart"), "{warned}");
    a.ok(&["key", "activate", &new]);
    let why = says(&a, &["key", "retire", &old], 1);
    assert!(why.contains(&format!("b: no file keeps key {new}, which seals")), "{why}");
    says(&b, &["key", "retire", "--here", &old], 1);

    // `key export` overwrites no file and follows no symbolic link.
    let (taken, link, out) = (site.path("taken"), site.path("link"), site.path("out.key"));
    std::fs::write(&taken, "mine").unwrap();
    std::os::unix::fs::symlink(site.path("elsewhere"), &link).unwrap();
    for path in [&taken, &link] {
        says(&b, &["key", "export", path.to_str().unwrap()], 1);
    }
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
    assert!(!site.path("elsewhere").exists());
    says(&b, &["key", "export", out.to_str().unwrap()], 0);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(in_file(&out), std::slice::from_ref(&new));
    let other = site.path("old.key");
    says(&b, &["key", "export", other.to_str().unwrap(), &old[..8]], 0);
    assert_eq!(in_file(&other), std::slice::from_ref(&old));

    let forced = says(&a, &["key", "retire", "--force", &old], 0);
    assert!(forced.contains("no file keeps the sealing key on b"), "{forced}");
    assert!(keys(&a).iter().all(|node| node["keys"] == serde_json::json!([new])));
    let retired = Instant::now();
    // Frames under the retired key are accepted for 10 s; until then b may join again.
    drop(b);
    let alone = || a.json(&["members", "--json"]).as_array().unwrap().is_empty();
    until("b has left", alone);
    let b = loop {
        let b = site.start_with("b", "b", "b.json", &[]);
        let mut is_out = false;
        until("b joins or reports that it is locked out", || {
            let members = b.run(&["members"]);
            is_out = members.status.code() == Some(6);
            is_out || String::from_utf8_lossy(&members.stdout).starts_with("a ")
        });
        if is_out && retired.elapsed() > Duration::from_secs(12) {
            break b;
        }
    };
    let why = says(&b, &["members"], 6);
    assert!(
        why.contains("a stranger that imitates one") && why.contains("key add --here"),
        "{why}"
    );
    assert_eq!(b.json(&["status", "--json"])["locked_out"], true);
    assert!(says(&b, &["status"], 0).contains("a key that it does not have"));
}
