//! Start, stop, failure and restart of nodes, and their control sockets.

use serde_json::json;

use super::harness::{Site, until};

#[test]
fn a_killed_node_is_detected_and_gets_the_mirror_after_its_restart() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    b.wait_for_members(1);
    a.ok(&["block", "add", "192.0.2.0/24", "--reason", "x"]);
    a.ok(&["block", "add", "192.0.2.200", "--allow"]);
    let watch = a.watch();
    b.signal("-KILL");
    assert_eq!(watch.until_left("b"), "failed");
    drop(b);

    let b = site.start("b");
    until("the mirrors are equal", || {
        let (ours, theirs) = (b.json(&["status", "--json"]), a.json(&["status", "--json"]));
        ours["mirror_entries"] == 2 && ours["mirror_fingerprint"] == theirs["mirror_fingerprint"]
    });
    assert_eq!(b.run(&["block", "check", "192.0.2.1"]).status.code(), Some(10));
    assert_eq!(b.run(&["block", "check", "192.0.2.200"]).status.code(), Some(0));
}

#[test]
fn an_immediate_restart_replaces_the_old_incarnation() {
    let site = Site::new();
    let (a, b) = (site.start("a"), site.start("b"));
    a.wait_for_members(1);
    let watch = a.watch();
    b.signal("-KILL");
    let first = b.pid();
    drop(b);
    let b = site.start("b");
    assert_ne!(b.pid(), first);
    // Either reason may be detected first. The new incarnation is no name conflict.
    assert!(["failed", "replaced"].contains(&watch.until_left("b").as_str()));
    b.wait_for_members(1);
    until("a knows one b", || a.json(&["members", "--json"]).as_array().unwrap().len() == 1);
    assert!(!a.log().contains("two live nodes"), "{}", a.log());
    b.ok(&["publish", "queue", "refresh"]);
    let heard = watch.next_where(|entry| entry["type"] == "event");
    assert_eq!(heard["data"]["from"]["name"], "b");
    assert_eq!(heard["data"]["number"], 1);
}

#[test]
fn a_signal_stops_a_node_gracefully() {
    for signal in ["-TERM", "-INT"] {
        let site = Site::new();
        let (a, mut b) = (site.start("a"), site.start("b"));
        a.wait_for_members(1);
        b.wait_for_members(1);
        let watch = a.watch();
        b.ok(&["publish", "queue", "paused"]);
        b.signal(signal);
        assert_eq!(watch.next_where(|e| e["type"] == "event")["data"]["event"], "paused");
        assert_eq!(watch.until_left("b"), "bye");
        assert_eq!(b.wait().code(), Some(0));
        assert!(!b.socket.exists(), "the control socket is left");
    }
}

#[test]
fn clients_of_a_dead_or_suspended_node_get_an_error() {
    let site = Site::new();
    let node = site.start("a");
    assert_eq!(node.ok(&["members"]), "no other node is heard\n");
    let mut watch = node.watch();
    node.signal("-STOP");
    let asked = node.run(&["status"]);
    let stderr = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("does not answer"), "{stderr}");
    node.signal("-CONT");
    node.ok(&["status"]);
    node.signal("-KILL");
    assert_eq!(watch.wait().code(), Some(4));
}

#[test]
fn the_younger_of_two_nodes_with_one_name_exits_with_advice() {
    let site = Site::new();
    let (elder, other) = (site.start("twin"), site.start("other"));
    other.wait_for_members(1);
    let reports_conflict = |log: &str| log.contains("two live nodes have one name");
    // A third node reports the conflict only if it meets the younger node before the younger node
    // exits, which may take several attempts on a busy machine.
    for attempt in 1..=10 {
        let mut younger = site.spawn("twin", "younger", "coordinator.json", &[]);
        assert_eq!(younger.wait().code(), Some(5));
        let log = younger.log();
        assert!(log.contains("give each node a name of its own"), "{log}");
        until("the elder reports the conflict", || reports_conflict(&elder.log()));
        if reports_conflict(&other.log()) {
            break;
        }
        assert!(attempt < 10, "the third node never reports the conflict");
    }
    let watch = other.watch();
    elder.ok(&["publish", "queue", "refresh"]);
    watch.next_where(|entry| entry["type"] == "event");
}

#[test]
fn the_control_socket_is_for_its_owner_and_for_one_node() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let site = Site::new();
    let a = site.start("a");
    let metadata = std::fs::metadata(&a.socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut second = site.spawn("b", "a", "coordinator.json", &[]);
    assert_eq!(second.wait().code(), Some(1));
    assert!(second.log().contains("another node serves the control socket"), "{}", second.log());
    drop(second);
    std::fs::write(site.path("precious.sock"), "precious").unwrap();
    let mut careless = site.spawn("b", "precious", "coordinator.json", &[]);
    assert_eq!(careless.wait().code(), Some(1));
    assert!(careless.log().contains("is not a socket"), "{}", careless.log());
    assert_eq!(std::fs::read_to_string(site.path("precious.sock")).unwrap(), "precious");
    drop(careless);
    assert_eq!(a.json(&["status", "--json"])["name"], "a");
    // A socket that a dead node left is replaced.
    a.signal("-KILL");
    let socket = a.socket.clone();
    drop(a);
    assert!(socket.exists());
    assert_eq!(site.start("a").json(&["status", "--json"])["name"], "a");
}

#[test]
fn the_control_socket_survives_bad_requests() {
    use std::io::{BufRead, BufReader, Write};
    let site = Site::new();
    let a = site.start("a");
    let stream = std::os::unix::net::UnixStream::connect(&a.socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    for bad in [
        "\n",
        "{}\n",
        "nonsense\n",
        "{\"command\":\"publish\",\"event\":{\"kind\":\"network\",\"event\":1}}\n",
    ] {
        writer.write_all(bad.as_bytes()).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("not a request"), "{bad:?}: {line}");
    }
    writer.write_all(b"{\"command\":\"status\"}\n").unwrap();
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"ok\":"), "{line}");
    // Longer than any request: the node must not buffer it.
    let flood = vec![b'x'; 5 << 20];
    let _cut_off = writer.write_all(&flood);
    drop(writer);
    assert_eq!(a.json(&["status", "--json"])["cluster"], json!("mail"));
    // Clients that send nothing or incomplete requests cannot lock others out.
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = std::os::unix::net::UnixStream::connect(&a.socket).unwrap();
        if n % 2 == 0 {
            let _dropped_already = stream.write_all(b"{\"comm");
        }
        slow.push(stream);
    }
    assert_eq!(a.json(&["status", "--json"])["cluster"], json!("mail"));
}

#[test]
fn a_node_refuses_127_descriptors_and_works_with_128() {
    let site = Site::new();
    let with = |limit: u32| format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
    let (too_few, fewest) = (with(127), with(128));
    let mut refused = site.spawn("c", "c", "coordinator.json", &["sh", "-c", &too_few]);
    assert_eq!(refused.wait().code(), Some(1));
    let log = refused.log();
    assert!(log.contains("may open 127 files") && log.contains("at least 128"), "{log}");
    assert!(!refused.socket.exists());

    let nodes = ["a", "b"]
        .map(|name| site.start_with(name, name, "coordinator.json", &["sh", "-c", &fewest]));
    nodes.iter().for_each(|node| node.wait_for_members(1));
    assert!(nodes[0].log().contains("may open few files"), "{}", nodes[0].log());
    let watch = nodes[1].watch();
    nodes[0].ok(&["publish", "queue", "paused"]);
    assert_eq!(watch.next_where(|e| e["type"] == "event")["data"]["event"], "paused");
}
