//! Hosts on one machine: network namespaces joined by a veth pair. What they send
//! stays between them.

use std::process::Command;

use super::harness::Site;

const SEED: &str = include_str!("../../../transport/tests/fixtures/coordinator.json");

/// Two namespaces that reach each other and nothing else; deleted when dropped.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let names = [format!("mm-{id}-a"), format!("mm-{id}-b")];
        ip(&["netns", "add", &names[0]])?;
        // From here on, dropped if anything fails.
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

/// The seed's text as printed: `interface: "auto"`, 224.0.0.224:7446.
#[test]
fn two_hosts_with_the_seeds_configuration_find_each_other_and_exchange_an_event() {
    let site = Site::new();
    let hosts = Hosts::new();
    let (config, before) = match &hosts {
        Ok(hosts) => (SEED.to_owned(), [hosts.exec(0).to_vec(), hosts.exec(1).to_vec()]),
        Err(why) => {
            eprintln!("\n==== SKIPPED: network namespaces: {why}; on the loopback instead ====\n");
            (SEED.replace("auto", "lo").replace("7446", "17446"), [Vec::new(), Vec::new()])
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
