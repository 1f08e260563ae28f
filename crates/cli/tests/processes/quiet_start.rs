//! A normal start logs no warning.

use super::harness::{Node, Site, until};

const NODES: usize = 16;
const ROUNDS: usize = 5;

#[test]
fn sixteen_nodes_that_start_together_log_no_warning() {
    for round in 0..ROUNDS {
        let site = Site::new();
        let names: Vec<String> = (0..NODES).map(|n| format!("n{n}")).collect();
        let spawn = |name: &String| site.spawn(name, name, "coordinator.json", &[]);
        let nodes: Vec<Node> = names.iter().map(spawn).collect();
        for node in &nodes {
            until("each node hears all others directly", || hears_all(node));
        }
        for node in &nodes {
            let log = node.log();
            let is_alarm = |line: &&str| line.contains("WARN") || line.contains("ERROR");
            // This warning is correct on an overloaded machine.
            let is_starved = |line: &&str| line.contains("this node stood still");
            let alarms: Vec<&str> =
                log.lines().filter(is_alarm).filter(|line| !is_starved(line)).collect();
            assert!(alarms.is_empty(), "round {round}: {alarms:#?}");
        }
    }
}

fn hears_all(node: &Node) -> bool {
    let output = node.run(&["members", "--json"]);
    let members: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    let direct = members.iter().filter(|member| member["relayed_via"].is_null());
    direct.count() == NODES - 1
}
