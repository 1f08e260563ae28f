//! An export in the real nftables, in a network namespace of its own.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mailmesh_events::{Network, Rule, RuleDetails, UnixMillis};
use mailmesh_lists::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A shell in a network namespace, which goes with it.
struct Namespace {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Namespace {
    /// `None` if that is not permitted here.
    fn new() -> Option<Self> {
        let shell = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut shell) = shell else {
            eprintln!("SKIPPED: there is no `unshare` here");
            return None;
        };
        let (input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut namespace = Self { shell, input, output: BufReader::new(output) };
        if namespace.run("nft list ruleset").as_deref() == Some("0") {
            return Some(namespace);
        }
        eprintln!("SKIPPED: no network namespace, or no `nft` in it, is permitted here");
        None
    }

    /// The exit code of a command; `None` if the shell is gone.
    fn run(&mut self, command: &str) -> Option<String> {
        writeln!(self.input, "{{ {command}; }} >/dev/null 2>&1; echo $?").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok().filter(|len| *len > 0)?;
        Some(line.trim().to_owned())
    }

    fn load(&mut self, script: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sets.nft");
        std::fs::write(&file, script).unwrap();
        assert_eq!(
            self.run(&format!("nft -f {}", file.display())).as_deref(),
            Some("0"),
            "{script}"
        );
    }

    fn has(&mut self, set: &str, address: &str) -> bool {
        let command = format!("nft get element inet mailmesh {set} '{{ {address} }}'");
        self.run(&command).unwrap() == "0"
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = self.shell.kill();
        let _gone = self.shell.wait();
    }
}

#[test]
fn nftables_holds_the_networks_of_the_mirror() {
    let Some(mut namespace) = Namespace::new() else { return };
    let now = UnixMillis(1_000_000_000_000);
    let ending = |millis: u64| {
        RuleDetails::new("", UnixMillis(1)).unwrap().with_expiry(UnixMillis(now.0 + millis))
    };
    let (permanent, soon, later) =
        (RuleDetails::new("", UnixMillis(1)).unwrap(), ending(1_500), ending(3_600_000));
    let listed = |rule, network: &str, block| Listed {
        rule,
        network: network.parse::<Network>().unwrap(),
        details: block,
    };
    let all = [
        listed(Rule::Block, "192.0.2.0/24", &soon),
        listed(Rule::Block, "192.0.2.7", &permanent),
        listed(Rule::Block, "192.0.2.128/25", &later),
        listed(Rule::Block, "192.0.3.0/24", &permanent),
        listed(Rule::Block, "192.0.3.9", &soon),
        listed(Rule::Block, "255.255.255.255", &later),
        listed(Rule::Block, "2001:db8::/32", &soon),
        listed(Rule::Block, "2001:db8::7", &permanent),
        listed(Rule::Block, "ffff::/16", &later),
        listed(Rule::Allow, "192.0.2.0/28", &soon),
        listed(Rule::Allow, "192.0.2.7", &later),
    ];
    let mut script = String::new();
    write(OutputFormat::Nftables, &all, now, &mut script).unwrap();
    // A second export takes the place of the first.
    for _ in 0..2 {
        namespace.load(&script);
    }
    let kept = [
        ("blocked4", "192.0.2.7"),
        ("blocked4", "192.0.2.128"),
        ("blocked4", "192.0.2.255"),
        ("blocked4", "192.0.3.0"),
        ("blocked4", "192.0.3.9"),
        ("blocked4", "192.0.3.255"),
        ("blocked4", "255.255.255.255"),
        ("blocked6", "2001:db8::7"),
        ("blocked6", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("allowed4", "192.0.2.7"),
    ];
    let gone = [
        ("blocked4", "192.0.2.0"),
        ("blocked4", "192.0.2.6"),
        ("blocked4", "192.0.2.8"),
        ("blocked4", "192.0.2.127"),
        ("blocked6", "2001:db8::"),
        ("blocked6", "2001:db8::6"),
        ("blocked6", "2001:db8::8"),
        ("blocked6", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("allowed4", "192.0.2.6"),
        ("allowed4", "192.0.2.15"),
    ];
    let never =
        [("blocked4", "192.0.1.255"), ("blocked4", "192.0.4.0"), ("blocked6", "2001:db9::")];
    for (set, address) in kept {
        assert!(namespace.has(set, address), "{set} {address}: {script}");
    }
    let start = Instant::now();
    for (set, address) in gone {
        while namespace.has(set, address) {
            assert!(start.elapsed() < PATIENCE, "{set} {address}: {script}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for (set, address) in kept {
        assert!(namespace.has(set, address), "{set} {address}, after the others: {script}");
    }
    for (set, address) in never {
        assert!(!namespace.has(set, address), "{set} {address}: {script}");
    }
    // An entry that ends is in a set from the moment that the set is loaded.
    let long = [listed(Rule::Block, "198.51.100.0/24", &later)];
    let mut script = String::new();
    write(OutputFormat::Nftables, &long, now, &mut script).unwrap();
    namespace.load(&script);
    assert!(namespace.has("blocked4", "198.51.100.9"));
    assert!(!namespace.has("blocked4", "192.0.2.7"), "the export before is gone");
}

/// The rules of `docs/operators/recipes.md` are loaded before the first export or after it, and
/// stay with the next; so do those in the head of an export.
#[test]
fn the_rules_of_the_recipe_use_the_sets_of_an_export() {
    let recipes = include_str!("../../../docs/operators/recipes.md");
    let (_, block) = recipes.split_once("```nft\n").expect("rules");
    let (rules, _) = block.split_once("```").unwrap();
    let Some(mut namespace) = Namespace::new() else { return };
    let block = RuleDetails::new("", UnixMillis(1)).unwrap();
    let network = "127.0.0.2".parse::<Network>().unwrap();
    let network = Listed { rule: Rule::Block, network, details: &block };
    let mut script = String::new();
    write(OutputFormat::Nftables, &[network], UnixMillis(2), &mut script).unwrap();
    let in_head: String = script
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    for rules in [rules, &in_head] {
        assert_eq!(namespace.run("nft flush ruleset").as_deref(), Some("0"));
        // The rules of the recipe make the sets that they use.
        if rules.contains("add set") {
            namespace.load(rules);
        }
        for script in [&script, rules, rules, &script] {
            namespace.load(script);
        }
        for rule in
            ["ip saddr @allowed4", "ip6 saddr @allowed6", "@blocked4 drop", "@blocked6 drop"]
        {
            let command = format!("nft list chain inet mailmesh input | grep -q '{rule}'");
            assert_eq!(namespace.run(&command).as_deref(), Some("0"), "{rule}: {rules}");
        }
    }
}
