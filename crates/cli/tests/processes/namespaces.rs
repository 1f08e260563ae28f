//! Hosts on one machine: network namespaces joined by a veth pair, without other links.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::harness::{Node, Site, until};

const EXAMPLE: &str = include_str!("../../../transport/tests/fixtures/coordinator.json");

/// Two namespaces that reach only each other; deleted when dropped.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let names = [format!("mm-{id}-a"), format!("mm-{id}-b")];
        ip(&["netns", "add", &names[0]])?;
        // From here on, `Drop` cleans up after errors.
        let hosts = Self { names: names.clone() };
        ip(&["netns", "add", &names[1]])?;
        let [a, b] = &names;
        ip(&["-n", a, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", b])?;
        for (host, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", host, "address", "add", address, "dev", "v0"])?;
            ip(&["-n", host, "link", "set", "lo", "up"])?;
            ip(&["-n", host, "link", "set", "v0", "up"])?;
            ip(&["-n", host, "route", "add", "224.0.0.0/4", "dev", "v0"])?;
        }
        Ok(hosts)
    }

    /// Replaces the address of a host, as DHCP may.
    fn readdress(&self, host: usize, old: &str, new: &str) {
        let name = &self.names[host];
        ip(&["-n", name, "address", "delete", old, "dev", "v0"]).unwrap();
        ip(&["-n", name, "address", "add", new, "dev", "v0"]).unwrap();
        ip(&["-n", name, "route", "replace", "224.0.0.0/4", "dev", "v0"]).unwrap();
    }

    fn exec(&self, host: usize) -> [&str; 4] {
        ["ip", "netns", "exec", &self.names[host]]
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _may_not_exist = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|e| format!("`ip`: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// The example unchanged: `interface: "auto"`, 224.0.0.224:7446.
#[test]
fn two_hosts_with_the_example_configuration_exchange_an_event() {
    let site = Site::new();
    let hosts = Hosts::new();
    let (config, before) = match &hosts {
        Ok(hosts) => (EXAMPLE.to_owned(), [hosts.exec(0).to_vec(), hosts.exec(1).to_vec()]),
        Err(why) => {
            eprintln!("\n==== SKIPPED: network namespaces: {why}; on the loopback instead ====\n");
            (EXAMPLE.replace("auto", "lo").replace("7446", "17446"), [Vec::new(), Vec::new()])
        }
    };
    std::fs::write(site.path("seed.json"), config).unwrap();
    let a = site.start_with("a", "a", "seed.json", &before[0]);
    let b = site.start_with("b", "b", "seed.json", &before[1]);
    a.wait_for_members(1);
    b.wait_for_members(1);
    let watch = b.watch();
    a.ok(&["publish", "state-change", "--account", "7", "--change", "9", "--type", "Email"]);
    let heard = watch.next_where(|entry| entry["type"] == "event");
    assert_eq!(heard["data"]["event"]["account"], 7);
    assert!(a.log().contains("corrected line: mode: \"peer\","), "{}", a.log());
    assert!(a.log().contains("the mesh is open"), "{}", a.log());
}

/// Publishes an event at `from` and waits until `to` receives it.
fn expect_event(from: &Node, to: &Node, account: u32) {
    let watch = to.watch();
    let id = account.to_string();
    from.ok(&["publish", "state-change", "--account", &id, "--change", "9", "--type", "Email"]);
    let heard = watch.next_where(|entry| entry["type"] == "event");
    assert_eq!(heard["data"]["event"]["account"], account);
}

/// The hosts get new addresses one after the other. In the end, no address that they announced at
/// their start is valid.
fn hosts_that_change_their_addresses_hear_each_other_again(mesh: &serde_json::Value, site: &Site) {
    let hosts = match Hosts::new() {
        Ok(hosts) => hosts,
        Err(why) => {
            eprintln!("\n==== SKIPPED: network namespaces: {why} ====\n");
            return;
        }
    };
    let config = serde_json::json!({"@type": "Zenoh", "config": "{ mode: 'peer' }", "mesh": mesh});
    std::fs::write(site.path("moved.json"), config.to_string()).unwrap();
    let a = site.start_with("a", "a", "moved.json", &hosts.exec(0));
    let b = site.start_with("b", "b", "moved.json", &hosts.exec(1));
    a.wait_for_members(1);
    b.wait_for_members(1);
    let wait_for_change = |node: &Node, address: &str| {
        until(&format!("the change is detected, log:\n{}", node.log()), || {
            let log = node.log();
            log.lines().any(|l| l.contains("addresses have changed") && l.contains(address))
        });
    };
    hosts.readdress(0, "10.77.0.1/24", "10.77.0.11/24");
    wait_for_change(&a, "10.77.0.11");
    expect_event(&a, &b, 1);
    expect_event(&b, &a, 2);
    hosts.readdress(1, "10.77.0.2/24", "10.77.0.12/24");
    wait_for_change(&b, "10.77.0.12");
    expect_event(&a, &b, 3);
    expect_event(&b, &a, 4);
    let fresh = site.start_with("c", "c", "moved.json", &hosts.exec(0));
    fresh.wait_for_members(2);
}

#[test]
fn hosts_with_a_key_that_change_their_addresses_hear_each_other_again() {
    let site = Site::new();
    let key = serde_json::json!({"@type": "File", "filePath": site.path("cluster.key")});
    let mesh = serde_json::json!({"cluster": "mail", "key": key});
    hosts_that_change_their_addresses_hear_each_other_again(&mesh, &site);
}

#[test]
fn hosts_without_a_key_meet_again_after_an_address_change() {
    let mesh = serde_json::json!({"cluster": "mail", "open": true});
    hosts_that_change_their_addresses_hear_each_other_again(&mesh, &Site::new());
}
