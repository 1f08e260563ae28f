//! Hosts joined by a bridge, one network namespace each, and the faults that such a network can
//! have. No packet leaves the namespaces.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sweeper::Sweeper;

/// Checks that packet filters can be used.
///
/// # Errors
/// If `nft` does not run here.
pub(super) fn filters_available() -> Result<(), String> {
    run("nft", &["--version"])
}

/// A bridge and the hosts on it; dropping it deletes all namespaces.
#[derive(Debug)]
pub(super) struct Network {
    bridge: Namespace,
    hosts: Vec<Namespace>,
}

impl Network {
    pub(super) fn new(hosts: usize, sweeper: &Sweeper) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mm-faults-{}-{count}", std::process::id());
        let bridge = Namespace::new(format!("{prefix}-bridge"), sweeper)?;
        // Scouting is multicast: without snooping the bridge forwards it to every port.
        bridge.ip("link add br0 type bridge mcast_snooping 0")?;
        bridge.ip("link set br0 up")?;
        let mut network = Self { bridge, hosts: Vec::new() };
        for host in 0..hosts {
            let namespace = Namespace::new(format!("{prefix}-{host}"), sweeper)?;
            let (name, port) = (namespace.name.clone(), port(host));
            network.hosts.push(namespace);
            network.bridge.ip(&format!("link add {port} type veth peer name v0 netns {name}"))?;
            let namespace = &network.hosts[host];
            namespace.ip(&format!("link set v0 address {}", mac(host)))?;
            namespace.ip(&format!("address add {} dev v0", address(host)))?;
            namespace.ip("link set lo up")?;
            namespace.ip("link set v0 up")?;
            namespace.ip("route add 224.0.0.0/4 dev v0")?;
            network.bridge.ip(&format!("link set {port} master br0"))?;
            network.bridge.ip(&format!("link set {port} up"))?;
        }
        Ok(network)
    }

    /// The command prefix that runs a program on a host.
    pub(super) fn on(&self, host: usize) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.hosts[host].name];
        words.map(str::to_owned).to_vec()
    }

    /// Disconnects a host at the bridge: the link of the host stays up.
    pub(super) fn cut(&self, host: usize) -> Result<(), String> {
        self.bridge.ip(&format!("link set {} nomaster", port(host)))
    }

    pub(super) fn heal(&self, host: usize) -> Result<(), String> {
        self.bridge.ip(&format!("link set {} master br0", port(host)))
    }

    /// Sets a host's link `up` or `down`: the host sees the change of its own link.
    pub(super) fn link(&self, host: usize, state: &str) -> Result<(), String> {
        self.bridge.ip(&format!("link set {} {state}", port(host)))
    }

    /// Removes a host's address.
    pub(super) fn take_address(&self, host: usize) -> Result<(), String> {
        self.hosts[host].ip(&format!("address delete {} dev v0", address(host)))
    }

    /// Gives a host an address that no host had before.
    pub(super) fn give_address(&self, host: usize) -> Result<(), String> {
        self.hosts[host].ip(&format!("address add {} dev v0", address(host + 100)))?;
        // The kernel removed the routes together with the address.
        self.hosts[host].ip("route replace 224.0.0.0/4 dev v0")
    }

    /// Drops the packets that `host` receives from `from`.
    pub(super) fn drop_from(&self, host: usize, from: usize) -> Result<(), String> {
        self.filter(host, &format!("ether saddr {} drop", mac(from)))
    }

    /// Drops `percent` of the packets that `host` receives, at random.
    pub(super) fn drop_percent(&self, host: usize, percent: u32) -> Result<(), String> {
        self.filter(host, &format!("numgen random mod 100 < {percent} drop"))
    }

    /// Admits replies to this host's packets, and TCP and UDP port 7447: the rules that operators
    /// set.
    pub(super) fn firewall(&self, host: usize) -> Result<(), String> {
        self.hosts[host].nft(
            "add table inet faults; \
             add chain inet faults in { type filter hook input priority 0 ; policy drop ; }; \
             add rule inet faults in iifname lo accept; \
             add rule inet faults in ct state established,related accept; \
             add rule inet faults in meta l4proto { icmp, icmpv6, igmp } accept; \
             add rule inet faults in udp dport 7447 accept; \
             add rule inet faults in tcp dport 7447 accept",
        )
    }

    fn filter(&self, host: usize, rule: &str) -> Result<(), String> {
        self.hosts[host].nft(&format!(
            "add table inet faults; \
             add chain inet faults in {{ type filter hook input priority 0 ; }}; \
             add rule inet faults in iifname v0 {rule}"
        ))
    }

    /// Removes all filters of a host.
    pub(super) fn pass(&self, host: usize) -> Result<(), String> {
        self.hosts[host].nft("delete table inet faults")
    }
}

fn port(host: usize) -> String {
    format!("p{host}")
}

fn address(host: usize) -> String {
    format!("10.78.0.{}/24", host + 1)
}

fn mac(host: usize) -> String {
    format!("02:00:00:00:00:{:02x}", host + 1)
}

#[derive(Debug)]
struct Namespace {
    name: String,
    sweeper: Sweeper,
}

impl Namespace {
    fn new(name: String, sweeper: &Sweeper) -> Result<Self, String> {
        sweeper.namespace_made(&name);
        run("ip", &["netns", "add", &name])?;
        Ok(Self { name, sweeper: sweeper.clone() })
    }

    fn ip(&self, words: &str) -> Result<(), String> {
        let mut args = vec!["-n", &self.name];
        args.extend(words.split(' '));
        run("ip", &args)
    }

    fn nft(&self, rules: &str) -> Result<(), String> {
        run("ip", &["netns", "exec", &self.name, "nft", rules])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        match run("ip", &["netns", "delete", &self.name]) {
            Ok(()) => self.sweeper.namespace_gone(&self.name),
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// Runs a system program to its end.
///
/// # Errors
/// If it fails: its standard error.
pub(super) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("`{program}` does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", args.join(" "), why.trim()))
}
