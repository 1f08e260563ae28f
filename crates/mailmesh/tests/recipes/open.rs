//! Recipes without certificates.

use mailmesh::NodeName;
use tokio::net::TcpStream;

use crate::nodes::{at_ports, free_port, meet, members, names_of, put_in, recipe, start, until};

const FIXED: &str = "Fixed endpoints";
const INTERFACE: &str = "One interface";

#[test]
fn check_names_what_each_recipe_leaves_open_and_the_last_leaves_nothing() {
    for (heading, words) in [
        (FIXED, ["without TLS", "no access control"].as_slice()),
        (INTERFACE, &["without TLS", "no access control"]),
        ("Certificates at both ends", &["any certificate of the authority"]),
        ("Certificates of some names only", &[]),
    ] {
        let explained = mailmesh::Coordinator::parse(&recipe(heading)).unwrap().explain();
        let open: Vec<_> = explained.lines().filter(|line| line.starts_with("open ")).collect();
        assert_eq!(open.len(), words.len(), "{heading}: {open:?}");
        for (line, words) in open.iter().zip(words) {
            assert!(line.contains(words), "{heading}: `{words}` not in: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_fixed_endpoints_meet_and_find_no_node_by_multicast() {
    let port = free_port();
    let on_lo = format!("address: '224.0.0.224:{port}', interface: 'lo'");
    let scouting = |enabled: bool| {
        let text = format!("multicast: {{ enabled: {enabled}, {on_lo} }}");
        put_in(&recipe(FIXED), &[("multicast: { enabled: false }", text)])
    };
    let ports = [free_port(), free_port(), free_port()];
    let a = start("mx1", &at_ports(&scouting(false), 0, ports)).await;
    let b = start("mx2", &at_ports(&scouting(false), 1, ports)).await;
    meet(&[&a, &b]).await;
    let seeker = format!(
        "{{ listen: {{ endpoints: ['tcp/localhost:0'] }}, \
         scouting: {{ multicast: {{ {on_lo} }} }} }}"
    );
    let (stranger, other) = (start("stranger", &seeker).await, start("other", &seeker).await);
    meet(&[&stranger, &other]).await;
    assert_eq!((members(&a), members(&b)), (names_of(["mx2"]), names_of(["mx1"])));
    assert_eq!(members(&stranger), names_of(["other"]));
    // Cross-check: with multicast and gossip, the next node is found.
    let found = put_in(&scouting(true), &[("gossip: { enabled: false }", "gossip: {}".to_owned())]);
    let third = start("mx3", &at_ports(&found, 2, ports)).await;
    meet(&[&a, &b, &third, &stranger, &other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_fixed_endpoints_links_to_no_node_learned_by_gossip() {
    for gossip in ["false", "true"] {
        let gossip_text = format!("gossip: {{ enabled: {gossip} }}");
        let text = put_in(&recipe(FIXED), &[("gossip: { enabled: false }", gossip_text)]);
        let ports = [free_port(), free_port(), free_port()];
        let a = start("mx1", &at_ports(&text, 0, ports)).await;
        let b = start("mx2", &at_ports(&text, 1, ports)).await;
        meet(&[&a, &b]).await;
        // No list names the guest; its own list names one node.
        let guest = format!(
            "{{ listen: {{ endpoints: ['tcp/localhost:0'] }}, \
             connect: {{ endpoints: ['tcp/localhost:{}'] }}, \
             scouting: {{ multicast: {{ enabled: false }} }} }}",
            ports[0]
        );
        let guest = start("guest", &guest).await;
        let relay = |node: &mailmesh::Node| {
            let members = node.members();
            let guest = members.iter().find(|member| member.name.as_str() == "guest");
            guest.map(|guest| guest.relayed_via.as_ref().map(NodeName::to_string))
        };
        let expected = (gossip == "false").then(|| "mx1".to_owned());
        until("the guest is a member, directly if gossip is on", || {
            relay(&b) == Some(expected.clone()) && relay(&a) == Some(None)
        })
        .await;
        meet(&[&a, &b, &guest]).await;
        assert_eq!(relay(&b), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_one_interface_meet_and_refuse_links_through_another() {
    let scouting = free_port();
    let config = |interface: &str, port: u16| {
        let pieces = [
            ("0.0.0.0:7447#iface=eth1", format!("0.0.0.0:{port}#iface={interface}")),
            // No packet leaves the loopback, whatever the interface.
            ("eth1", "lo".to_owned()),
            ("224.0.0.224:7446", format!("224.0.0.224:{scouting}")),
        ];
        put_in(&recipe(INTERFACE), &pieces)
    };
    let port = free_port();
    let a = start("mx1", &config("lo", port)).await;
    let b = start("mx2", &config("lo", free_port())).await;
    meet(&[&a, &b]).await;
    TcpStream::connect(("127.0.0.1", port)).await.expect("a link through the interface");
    let interfaces = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut interfaces = interfaces.filter_map(|entry| entry.file_name().into_string().ok());
    let Some(other) = interfaces.find(|name| name != "lo") else {
        eprintln!("SKIPPED: a link through another interface: there is none but the loopback");
        return;
    };
    let port = free_port();
    let _elsewhere = start("mx3", &config(&other, port)).await;
    let error = TcpStream::connect(("127.0.0.1", port)).await.expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
