//! Recipes with certificates: who has a good one gets in, and nobody else. Each stranger has the
//! cluster key and differs from a node in what is tried alone; so the same place with a good
//! certificate gets in, in the same test.

use std::time::Duration;

use mailmesh::Node;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::nodes::{at_ports, free_port, meet, members, names_of, put_in, recipe, start, until};
use crate::proxy::Proxy;

const BOTH_ENDS: &str = "Certificates at both ends";
const SOME_NAMES: &str = "Certificates of some names only";

/// Two nodes, and the third place of the list, to and from which all goes through proxies.
struct Mesh {
    ours: Authority,
    nodes: [Node; 2],
    /// To the nodes.
    ways_in: [Proxy; 2],
    /// From the nodes to the third place.
    way_out: Proxy,
    ports: [u16; 2],
    third: u16,
    _dirs: [TempDir; 2],
}

impl Mesh {
    async fn new(recipe: &str) -> Self {
        let ours = Authority::new("ours");
        let (ports, third) = ([free_port(), free_port()], free_port());
        let way_out = Proxy::to(third).await;
        let ways_in = [Proxy::to(ports[0]).await, Proxy::to(ports[1]).await];
        let node = async |me: usize| {
            let name = ["mx1", "mx2"][me];
            let dir = ours.files(&ours, &format!("{name}.example.org"), "localhost");
            let config = at_ports(recipe, me, [ports[0], ports[1], way_out.port]);
            (start(name, &with_files(&config, &dir)).await, dir)
        };
        let ((a, dir_a), (b, dir_b)) = (node(0).await, node(1).await);
        meet(&[&a, &b]).await;
        Self { ours, nodes: [a, b], ways_in, way_out, ports, third, _dirs: [dir_a, dir_b] }
    }

    /// The recipe for the third place.
    fn third(&self, recipe: &str, files: &TempDir) -> String {
        let ports = [self.ways_in[0].port, self.ways_in[1].port, self.third];
        with_files(&at_ports(recipe, 2, ports), files)
    }

    fn files(&self, signer: &Authority, common_name: &str, host: &str) -> TempDir {
        signer.files(&self.ours, common_name, host)
    }

    /// The two are each other's only members, the stranger has none, and events go on.
    async fn is_alone(&self, stranger: &Node) {
        let [a, b] = &self.nodes;
        assert_eq!((members(a), members(b)), (names_of(["mx2"]), names_of(["mx1"])));
        assert_eq!(members(stranger), Vec::<String>::new());
        meet(&[a, b]).await;
    }

    /// Whoever is at the third place gets in, if the certificate is good.
    async fn takes_in(&self, config: &str) -> Node {
        let third = start("mx3", config).await;
        meet(&[&self.nodes[0], &self.nodes[1], &third]).await;
        third
    }
}

/// The same node, but that it waits to be linked to.
fn waiting(config: &str) -> String {
    let (before, list) = config.split_once("connect: {").unwrap();
    let (_, after) = list.split_once('}').unwrap();
    format!("{before}connect: {{ endpoints: [] }}{after}")
}

fn with_files(config: &str, files: &TempDir) -> String {
    put_in(config, &[("/etc/mailmesh", files.path().display().to_string())])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_certificate_or_one_of_another_authority_is_not_linked_to() {
    let recipe = recipe(BOTH_ENDS);
    let mesh = Mesh::new(&recipe).await;
    let theirs = mesh.files(&Authority::new("theirs"), "mx3.example.org", "localhost");
    let none_shown = put_in(&recipe, &[("enable_mtls: true", "enable_mtls: false".into())]);
    for text in [&none_shown, &recipe] {
        let stranger = start("stranger", &mesh.third(text, &theirs)).await;
        let before = [&mesh.ways_in[0], &mesh.ways_in[1], &mesh.way_out].map(Proxy::ended);
        until("refused again and again, by either end", || {
            let now = [&mesh.ways_in[0], &mesh.ways_in[1], &mesh.way_out].map(Proxy::ended);
            before.iter().zip(now).all(|(before, now)| now >= before + 2)
        })
        .await;
        mesh.is_alone(&stranger).await;
        stranger.shutdown().await;
    }
    let good = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    mesh.takes_in(&mesh.third(&recipe, &good)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_not_linked_to() {
    let recipe = recipe(BOTH_ENDS);
    let mesh = Mesh::new(&recipe).await;
    let of_another_host = mesh.files(&mesh.ours, "mx3.example.org", "mx9.example.org");
    let good = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    // As who took over the address of a node would.
    let stranger = start("stranger", &waiting(&mesh.third(&recipe, &of_another_host))).await;
    let before = mesh.way_out.ended();
    until("refused again and again", || mesh.way_out.ended() >= before + 2).await;
    mesh.is_alone(&stranger).await;
    stranger.shutdown().await;
    mesh.takes_in(&waiting(&mesh.third(&recipe, &good))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name_links_and_is_not_heard() {
    let (names, no_names) = (recipe(SOME_NAMES), recipe(BOTH_ENDS));
    let mesh = Mesh::new(&names).await;
    // It has no rules of its own; and all its links are those that it makes to the nodes.
    let other_name = mesh.files(&mesh.ours, "intruder.example.org", "localhost");
    let config = put_in(
        &mesh.third(&no_names, &other_name),
        &[
            (
                &format!("listen: {{ endpoints: ['tls/localhost:{}'] }}", mesh.third),
                "listen: { endpoints: [] }".into(),
            ),
            (
                "multicast: { enabled: false }",
                "multicast: { enabled: false }, gossip: { enabled: false }".into(),
            ),
        ],
    );
    let stranger = start("stranger", &config).await;
    // A node that comes later gets in.
    let files = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    let direct = [mesh.ports[0], mesh.ports[1], mesh.third];
    let later = start("mx3", &with_files(&at_ports(&names, 2, direct), &files)).await;
    let [a, b] = &mesh.nodes;
    meet(&[a, b, &later]).await;
    let before = mesh.ways_in.each_ref().map(Proxy::bytes);
    until("signs of life both ways on the stranger's links", || {
        let grew =
            |way: &Proxy, before: [u64; 2]| way.bytes().iter().zip(before).all(|(n, b)| *n > b);
        mesh.ways_in.iter().zip(before).all(|(way, before)| before[1] > 0 && grew(way, before))
    })
    .await;
    assert_eq!(mesh.ways_in.each_ref().map(Proxy::ended), [0, 0], "no link was refused");
    assert_eq!(members(&stranger), Vec::<String>::new());
    assert_eq!((members(a), members(b)), (names_of(["mx2", "mx3"]), names_of(["mx1", "mx3"])));
    assert_eq!(members(&later), names_of(["mx1", "mx2"]));
    for node in [&stranger, &later] {
        node.shutdown().await;
    }
    // It was the name: where none is asked for, the same gets in.
    drop(mesh);
    let mesh = Mesh::new(&no_names).await;
    let other_name = mesh.files(&mesh.ours, "intruder.example.org", "localhost");
    mesh.takes_in(&mesh.third(&no_names, &other_name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_closed_when_the_certificate_it_was_made_with_ends() {
    let no_gossip = "multicast: { enabled: false }, gossip: { enabled: false }".to_owned();
    let recipe = put_in(&recipe(BOTH_ENDS), &[("multicast: { enabled: false }", no_gossip)]);
    let mesh = Mesh::new(&recipe).await;
    let life = Duration::from_secs(15);
    let short = mesh.ours.files_until(&mesh.ours, "mx3.example.org", "localhost", life);
    // The nodes link to it, and it to nobody: there are two links.
    let _third = mesh.takes_in(&waiting(&mesh.third(&recipe, &short))).await;
    // A try that timed out while the node started counts as well.
    let before = mesh.way_out.ended();
    until("both links are closed", || mesh.way_out.ended() >= before + 2).await;
}

/// Peers that are found are linked to over whatever they offer.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_without_certificates_is_made_to_who_is_found() {
    let port = free_port();
    let scouting =
        format!("scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }}");
    let found = |text: &str| {
        put_in(text, &[("scouting: { multicast: { enabled: false } }", scouting.clone())])
    };
    let recipe = found(&recipe(BOTH_ENDS));
    // It finds others as they do: by Zenoh's scouting.
    let plain = serde_json::json!({
        "@type": "Zenoh",
        "config": format!("{{ listen: {{ endpoints: ['tcp/localhost:0'] }}, {scouting} }}"),
        "mesh": { "links": "unproven" },
    });
    let plain = plain.to_string();
    let mesh = Mesh::new(&recipe).await;
    let stranger = start("stranger", &plain).await;
    let files = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    let later = mesh.takes_in(&mesh.third(&recipe, &files)).await;
    assert_eq!(members(&stranger), Vec::<String>::new());
    assert_eq!(members(&mesh.nodes[0]), names_of(["mx2", "mx3"]));
    later.shutdown().await;
    drop(mesh);
    // It was the list of protocols.
    let mesh = Mesh::new(&put_in(&recipe, &[("protocols: ['tls'],", String::new())])).await;
    meet(&[&mesh.nodes[0], &mesh.nodes[1], &stranger]).await;
}
