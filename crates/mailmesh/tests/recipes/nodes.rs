//! Starts nodes with the configuration of a recipe.

use std::net::TcpListener;
use std::time::Duration;

use mailmesh::*;
use tokio::time::timeout;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The names of the recipes' nodes.
pub(crate) const MX: [&str; 3] = ["mx1", "mx2", "mx3"];

/// The configuration under a heading of `docs/operators/recipes.md`.
pub(crate) fn recipe(heading: &str) -> String {
    let docs = include_str!("../../../../docs/operators/recipes.md");
    let (_, section) = docs.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, block) = section.split_once("```json5\n").expect("a configuration");
    block.split_once("```").expect("its end").0.to_owned()
}

/// Replaces the parts that an operator fills in. Each must occur in the text.
pub(crate) fn put_in(text: &str, pieces: &[(&str, String)]) -> String {
    pieces.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in {text}");
        text.replace(from, to)
    })
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("localhost:0").unwrap().local_addr().unwrap().port()
}

/// The recipe for node number `me` of the nodes at `ports`, listening on its own port.
pub(crate) fn at_ports(recipe: &str, me: usize, ports: [u16; 3]) -> String {
    let own =
        format!("endpoints: ['tls/localhost:{}']", ports[me]).replace("tls", protocol(recipe));
    let listen = format!("endpoints: ['{}/mx1.example.org:7447']", protocol(recipe));
    let mut text = put_in(recipe, &[(&listen, own)]);
    for (name, port) in MX.iter().zip(ports) {
        text = put_in(&text, &[(&format!("{name}.example.org:7447"), format!("localhost:{port}"))]);
    }
    text
}

fn protocol(recipe: &str) -> &'static str {
    if recipe.contains("'tls/") { "tls" } else { "tcp" }
}

/// Starts a node with a Zenoh configuration. All nodes have the same key, so the key keeps no
/// stranger out here.
pub(crate) async fn start(name: &str, config: &str) -> Node {
    let coordinator = Coordinator::parse(config).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(coordinator.warnings(), &[], "a recipe causes no warning");
    let key = ClusterKey::from_bytes(&[7; 32]);
    let builder = Node::builder().name(name).key(key).coordinator(coordinator);
    builder.start().await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Waits until `is_so` returns `true`.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(TIMEOUT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not true after {TIMEOUT:?}");
}

/// The names of a node's members, sorted.
pub(crate) fn members(node: &Node) -> Vec<String> {
    let mut names: Vec<_> = node.members().iter().map(|m| m.name.to_string()).collect();
    names.sort();
    names
}

pub(crate) fn names_of<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

/// Waits until each of the nodes has all the others as members, and an event of each has reached
/// all the others.
pub(crate) async fn meet(nodes: &[&Node]) {
    for node in nodes {
        let others = || nodes.iter().filter(|other| other.name() != node.name());
        until(&format!("{} has the others", node.name()), || {
            let members = members(node);
            others().all(|other| members.contains(&other.name().to_string()))
        })
        .await;
    }
    for node in nodes {
        let mut inboxes = Vec::new();
        for other in nodes.iter().filter(|other| other.name() != node.name()) {
            inboxes
                .push(other.inbox(Filter::kinds([Kind::StateChange]).unwrap().without_members()));
        }
        node.publish(StateChange::new(AccountId(1), ChangeId(2))).await.unwrap();
        for inbox in &mut inboxes {
            let incoming = timeout(TIMEOUT, inbox.recv()).await.expect("the event arrives");
            assert!(matches!(incoming, Some(Incoming::Event(_))), "{incoming:?}");
        }
    }
}
