use std::path::Path;

use serde_json::Value;

use super::harness::{Node, Site, until};

/// The configuration of a node with a key file of its own; its name.
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
    let ring = mailmesh::Keyring::from_text(&text).unwrap();
    ring.ids("mail").iter().map(ToString::to_string).collect()
}

#[test]
fn an_operator_puts_a_key_in_the_place_of_another() {
    let site = Site::new();
    let start = |name: &str| site.start_with(name, name, &config_of(&site, name), &[]);
    let (a, b) = (start("a"), start("b"));
    let c = start("c");
    for node in [&a, &b, &c] {
        node.wait_for_members(2);
    }
    let old = keys(&a)[0]["keys"][0].as_str().unwrap().to_owned();
    // Made by the node: it is nowhere but where it is needed.
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

    // A node that is away meanwhile is told of, and comes back with what it has.
    drop(c);
    until("c is gone", || a.json(&["members", "--json"]).as_array().unwrap().len() == 1);
    assert_eq!(a.ok(&["key", "retire", &old]), format!("{old} is accepted no more on a, b\n"));
    for node in [&a, &b] {
        assert!(keys(node).iter().all(|node| node["keys"] == serde_json::json!([new])));
    }
    for name in ["a", "b"] {
        assert_eq!(in_file(&site.path(&format!("{name}.key"))), std::slice::from_ref(&new));
    }
    assert_eq!(in_file(&site.path("c.key")), [new.clone(), old]);
    let c = site.start_with("c", "c", "c.json", &[]);
    c.wait_for_members(2);
    // After a restart each has its keys.
    drop(b);
    let b = site.start_with("b", "b", "b.json", &[]);
    b.wait_for_members(2);
    b.ok(&["block", "add", "192.0.2.7"]);
    until("c has it", || c.run(&["block", "check", "192.0.2.7"]).status.code() == Some(10));
    let none = a.run(&["key", "activate", "ffff"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no node has a key ffff"));
}
