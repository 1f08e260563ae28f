//! `status` and `members`: where a node listens, and the state of its configured endpoints.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::harness::{Node, Site, until};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write(site: &Site, file: &str, port: u16, connect: &[u16], mesh: Value) {
    let tcp = |port: &u16| format!("tcp/127.0.0.1:{port}");
    let zenoh = json!({
        "listen": { "endpoints": [tcp(&port)] },
        "connect": { "endpoints": connect.iter().map(tcp).collect::<Vec<_>>() },
        "scouting": { "multicast": { "enabled": false } },
    });
    let config = json!({ "@type": "Zenoh", "config": zenoh.to_string(), "mesh": mesh });
    std::fs::write(site.path(file), config.to_string()).unwrap();
}

fn port_of(node: &Node) -> u16 {
    let listens = node.json(&["status", "--json"])["listens"].clone();
    let endpoint = listens[0].as_str().unwrap();
    endpoint.strip_prefix("tcp/127.0.0.1:").unwrap().parse().unwrap()
}

#[test]
fn status_and_members_show_where_a_node_listens_and_each_endpoint() {
    let site = Site::new();
    let key = json!({ "key": { "@type": "File", "filePath": site.path("cluster.key") } });
    let closed = free_port();
    write(&site, "b.json", 0, &[], key.clone());
    let b = site.start_with("b", "b", "b.json", &[]);
    let at = port_of(&b);
    assert_ne!(at, 0);
    assert!(b.log().contains(&format!("listening at tcp/127.0.0.1:{at}")), "{}", b.log());
    write(&site, "a.json", free_port(), &[at, closed], key);
    let a = site.start_with("a", "a", "a.json", &[]);
    a.wait_for_members(1);
    let endpoints = || a.json(&["status", "--json"])["endpoints"].clone();
    until("both endpoints have been dialled", || {
        endpoints()[0]["state"] == "linked" && endpoints()[1]["last_error"].is_string()
    });
    let all = endpoints();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    let linked = &all[0];
    assert_eq!(linked["endpoint"], format!("tcp/127.0.0.1:{at}"));
    assert_eq!((&linked["node"], &linked["last_error"]), (&json!("b"), &Value::Null));
    let tried = &all[1];
    assert_eq!((&tried["state"], &tried["node"]), (&json!("trying"), &Value::Null));
    assert!(tried["last_error"].as_str().unwrap().contains("refused"), "{tried}");
    let status = a.ok(&["status"]);
    assert!(
        status.contains(&format!("endpoint            tcp/127.0.0.1:{at}: linked to b\n")),
        "{status}"
    );
    let trying = format!("tcp/127.0.0.1:{closed}: not linked, trying; last error: ");
    assert!(status.contains(&trying), "{status}");
    until("the status has the time of the next attempt", || {
        a.ok(&["status"]).contains("; next try in ")
    });
    let members = a.ok(&["members"]);
    assert!(members.contains(&format!("  at tcp/127.0.0.1:{at}\n")), "{members}");
    assert!(members.contains(&trying), "{members}");
    let members = a.json(&["members", "--json"]);
    assert_eq!(members[0]["endpoints"], json!([format!("tcp/127.0.0.1:{at}")]));
}

/// If Zenoh dials the endpoints, it reports only whether any node is linked.
#[test]
fn endpoints_that_zenoh_dials_show_what_zenoh_reports() {
    let site = Site::new();
    let (at, closed) = (free_port(), free_port());
    write(&site, "a.json", 0, &[at, closed], json!({ "open": true }));
    let a = site.start_with("a", "a", "a.json", &[]);
    let states = |node: &Node| {
        let all = node.json(&["status", "--json"])["endpoints"].clone();
        [all[0]["state"].clone(), all[1]["state"].clone()]
    };
    assert_eq!(states(&a), ["trying", "trying"]);
    let status = a.ok(&["status"]);
    assert!(
        status.contains("listens             tcp/127.0.0.1:0 (the system chooses the port"),
        "{status}"
    );
    until("the node warns that no node is linked", || {
        a.log().contains("no other node is linked for 1")
    });
    let log = a.log();
    assert!(log.contains(&format!("tcp/127.0.0.1:{closed}: Connection refused")), "{log}");
    until("the error is in the status", || {
        a.ok(&["members"]).contains("not linked, trying; last error: Connection refused")
    });
    write(&site, "b.json", at, &[], json!({ "open": true }));
    let b = site.start_with("b", "b", "b.json", &[]);
    b.wait_for_members(1);
    until("Zenoh has linked a node", || states(&a) == ["unknown", "unknown"]);
    let status = a.ok(&["status"]);
    assert!(status.contains("dialled by Zenoh, which does not report"), "{status}");
    assert!(!status.contains("last error"), "{status}");
    until("the node logs that a node is linked", || a.log().contains("another node is linked now"));
}
