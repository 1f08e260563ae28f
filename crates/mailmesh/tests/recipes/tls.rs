//! Recipes with certificates: a node with a good certificate gets in, and no other. Each stranger
//! has the cluster key and differs from a node in one tested property. In the same test, a node in
//! the same place with a good certificate gets in.

use std::time::Duration;

use mailmesh::Node;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::nodes::{at_ports, free_port, meet, members, names_of, put_in, recipe, start, until};
use crate::proxy::Proxy;

const BOTH_ENDS: &str = "Certificates at both ends";
const SOME_NAMES: &str = "Certificates of some names only";

/// Two nodes and the third place of the list. All links to and from that place go through proxies.
struct Mesh {
    ours: Authority,
    nodes: [Node; 2],
    /// Proxies in front of the nodes.
    inbound: [Proxy; 2],
    /// Proxy in front of the third place.
    outbound: Proxy,
    ports: [u16; 2],
    third: u16,
    _dirs: [TempDir; 2],
}

impl Mesh {
    async fn new(recipe: &str) -> Self {
        let ours = Authority::new("ours");
        let (ports, third) = ([free_port(), free_port()], free_port());
        let outbound = Proxy::to(third).await;
        let inbound = [Proxy::to(ports[0]).await, Proxy::to(ports[1]).await];
        let node = async |me: usize| {
            let name = ["mx1", "mx2"][me];
            let dir = ours.files(&ours, &format!("{name}.example.org"), "localhost");
            let config = at_ports(recipe, me, [ports[0], ports[1], outbound.port]);
            (start(name, &with_files(&config, &dir)).await, dir)
        };
        let ((a, dir_a), (b, dir_b)) = (node(0).await, node(1).await);
        meet(&[&a, &b]).await;
        Self { ours, nodes: [a, b], inbound, outbound, ports, third, _dirs: [dir_a, dir_b] }
    }

    /// The recipe for the third place.
    fn third(&self, recipe: &str, files: &TempDir) -> String {
        let ports = [self.inbound[0].port, self.inbound[1].port, self.third];
        with_files(&at_ports(recipe, 2, ports), files)
    }

    fn files(&self, signer: &Authority, common_name: &str, host: &str) -> TempDir {
        signer.files(&self.ours, common_name, host)
    }

    /// Checks that the two nodes have only each other as members, that the stranger has none, and
    /// that events flow.
    async fn is_alone(&self, stranger: &Node) {
        let [a, b] = &self.nodes;
        assert_eq!((members(a), members(b)), (names_of(["mx2"]), names_of(["mx1"])));
        assert_eq!(members(stranger), Vec::<String>::new());
        meet(&[a, b]).await;
    }

    /// Starts a node with a good certificate at the third place, which gets in.
    async fn admits(&self, config: &str) -> Node {
        let third = start("mx3", config).await;
        meet(&[&self.nodes[0], &self.nodes[1], &third]).await;
        third
    }
}

/// The same node without endpoints to dial: it waits for links.
fn waiting(config: &str) -> String {
    let (before, list) = config.split_once("connect: {").unwrap();
    let (_, after) = list.split_once('}').unwrap();
    format!("{before}connect: {{ endpoints: [] }}{after}")
}

fn with_files(config: &str, files: &TempDir) -> String {
    put_in(config, &[("/etc/mailmesh", files.path().display().to_string())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_without_a_certificate_of_the_authority_gets_no_link() {
    let recipe = recipe(BOTH_ENDS);
    let mesh = Mesh::new(&recipe).await;
    let theirs = mesh.files(&Authority::new("theirs"), "mx3.example.org", "localhost");
    let none_shown = put_in(&recipe, &[("enable_mtls: true", "enable_mtls: false".into())]);
    for text in [&none_shown, &recipe] {
        let stranger = start("stranger", &mesh.third(text, &theirs)).await;
        let before = [&mesh.inbound[0], &mesh.inbound[1], &mesh.outbound].map(Proxy::ended);
        until("refused again and again, by either end", || {
            let now = [&mesh.inbound[0], &mesh.inbound[1], &mesh.outbound].map(Proxy::ended);
            before.iter().zip(now).all(|(before, now)| now >= before + 2)
        })
        .await;
        mesh.is_alone(&stranger).await;
        stranger.shutdown().await;
    }
    let good = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    mesh.admits(&mesh.third(&recipe, &good)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_certificate_for_another_host_gets_no_link() {
    let recipe = recipe(BOTH_ENDS);
    let mesh = Mesh::new(&recipe).await;
    let of_another_host = mesh.files(&mesh.ours, "mx3.example.org", "mx9.example.org");
    let good = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    // Like a stranger that took over the address of a node.
    let stranger = start("stranger", &waiting(&mesh.third(&recipe, &of_another_host))).await;
    let before = mesh.outbound.ended();
    until("refused again and again", || mesh.outbound.ended() >= before + 2).await;
    mesh.is_alone(&stranger).await;
    stranger.shutdown().await;
    mesh.admits(&waiting(&mesh.third(&recipe, &good))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_another_common_name_links_but_is_not_heard() {
    let (names, no_names) = (recipe(SOME_NAMES), recipe(BOTH_ENDS));
    let mesh = Mesh::new(&names).await;
    // The stranger has no access rules, and only dials the nodes.
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
    // A node that starts later gets in.
    let files = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    let direct = [mesh.ports[0], mesh.ports[1], mesh.third];
    let later = start("mx3", &with_files(&at_ports(&names, 2, direct), &files)).await;
    let [a, b] = &mesh.nodes;
    meet(&[a, b, &later]).await;
    let before = mesh.inbound.each_ref().map(Proxy::bytes);
    until("heartbeats flow both ways on the stranger's links", || {
        let grew =
            |proxy: &Proxy, before: [u64; 2]| proxy.bytes().iter().zip(before).all(|(n, b)| *n > b);
        mesh.inbound.iter().zip(before).all(|(proxy, before)| before[1] > 0 && grew(proxy, before))
    })
    .await;
    assert_eq!(mesh.inbound.each_ref().map(Proxy::ended), [0, 0], "no link was refused");
    assert_eq!(members(&stranger), Vec::<String>::new());
    assert_eq!((members(a), members(b)), (names_of(["mx2", "mx3"]), names_of(["mx1", "mx3"])));
    assert_eq!(members(&later), names_of(["mx1", "mx2"]));
    for node in [&stranger, &later] {
        node.shutdown().await;
    }
    // Cross-check: where no name is required, the same certificate gets in.
    drop(mesh);
    let mesh = Mesh::new(&no_names).await;
    let other_name = mesh.files(&mesh.ours, "intruder.example.org", "localhost");
    mesh.admits(&mesh.third(&no_names, &other_name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_closed_when_its_certificate_expires() {
    let no_gossip = "multicast: { enabled: false }, gossip: { enabled: false }".to_owned();
    let recipe = put_in(&recipe(BOTH_ENDS), &[("multicast: { enabled: false }", no_gossip)]);
    let mesh = Mesh::new(&recipe).await;
    let life = Duration::from_secs(15);
    let short = mesh.ours.files_until(&mesh.ours, "mx3.example.org", "localhost", life);
    // Both nodes dial it, and it dials no node, so there are two links.
    let _third = mesh.admits(&waiting(&mesh.third(&recipe, &short))).await;
    // An attempt that timed out while the node started counts as well.
    let before = mesh.outbound.ended();
    until("both links are closed", || mesh.outbound.ended() >= before + 2).await;
}

/// By default Zenoh links to discovered peers over any protocol that they offer.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_without_certificates_is_made_to_a_discovered_peer() {
    let port = free_port();
    let scouting =
        format!("scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }}");
    let found = |text: &str| {
        put_in(text, &[("scouting: { multicast: { enabled: false } }", scouting.clone())])
    };
    let recipe = found(&recipe(BOTH_ENDS));
    // The stranger discovers others like the nodes do, by Zenoh's scouting.
    let plain = serde_json::json!({
        "@type": "Zenoh",
        "config": format!("{{ listen: {{ endpoints: ['tcp/localhost:0'] }}, {scouting} }}"),
        "mesh": { "links": "unproven" },
    });
    let plain = plain.to_string();
    let mesh = Mesh::new(&recipe).await;
    let stranger = start("stranger", &plain).await;
    let files = mesh.files(&mesh.ours, "mx3.example.org", "localhost");
    let later = mesh.admits(&mesh.third(&recipe, &files)).await;
    assert_eq!(members(&stranger), Vec::<String>::new());
    assert_eq!(members(&mesh.nodes[0]), names_of(["mx2", "mx3"]));
    later.shutdown().await;
    drop(mesh);
    // Cross-check: without the list of protocols, the stranger gets in.
    let mesh = Mesh::new(&put_in(&recipe, &[("protocols: ['tls'],", String::new())])).await;
    meet(&[&mesh.nodes[0], &mesh.nodes[1], &stranger]).await;
}
