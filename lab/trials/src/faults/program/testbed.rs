//! Hosts, the nodes on them, and conditions over several nodes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::DISCOVERY_TIMEOUT;
use super::node::{Files, Node, run};
use super::verdict::Observation;
use crate::contender::wait_until;
use crate::faults::network::Network;
use crate::folder::Folder;
use crate::sweeper::Sweeper;

/// Last lines of each log that are shown when a check failed.
const SHOWN_LINES: usize = 3;

/// The hosts and files of one run of a scenario.
#[derive(Debug)]
pub(in crate::faults) struct Testbed {
    program: PathBuf,
    network: Network,
    folder: Folder,
    sweeper: Sweeper,
}

/// How to start a node.
#[derive(Debug, Clone)]
pub(super) struct Start<'a> {
    host: usize,
    /// The base name of its files.
    id: &'a str,
    name: &'a str,
    store: Option<&'a Path>,
    prefix: Vec<String>,
    config: &'a str,
}

impl<'a> Start<'a> {
    pub(super) fn new(host: usize, id: &'a str) -> Self {
        Self { host, id, name: id, store: None, prefix: Vec::new(), config: "{ mode: 'peer' }" }
    }

    /// With a node name that differs from the id.
    pub(super) fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// With this Zenoh configuration.
    pub(super) fn configured(self, config: &'a str) -> Self {
        Self { config, ..self }
    }

    pub(super) fn with_store(self, store: &'a Path) -> Self {
        Self { store: Some(store), ..self }
    }

    /// With this command prefix before the program.
    pub(super) fn with_prefix(self, prefix: Vec<String>) -> Self {
        Self { prefix, ..self }
    }
}

impl Testbed {
    pub(in crate::faults) fn new(
        program: &Path,
        hosts: usize,
        sweeper: &Sweeper,
    ) -> Result<Self, String> {
        let network = Network::new(hosts, sweeper)?;
        let folder = Folder::new(sweeper)?;
        let testbed =
            Self { program: program.to_owned(), network, folder, sweeper: sweeper.clone() };
        let mut command = Command::new(program);
        command.args(["key", "generate", "--out"]).arg(testbed.path("key"));
        let answer = run(command).map_err(|error| format!("{}: {error}", program.display()))?;
        match answer.code {
            Some(0) => Ok(testbed),
            code => Err(format!("key generate: exit {code:?}: {}", answer.stderr.trim())),
        }
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    /// Path of a file of this run.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Path of a node's key file. Each node has its own copy, which it keeps current.
    pub(super) fn key_file(&self, id: &str) -> PathBuf {
        self.path(&format!("{id}.key"))
    }

    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// If it ends instead: its exit code and log.
    pub(super) fn start(&self, start: &Start<'_>) -> Result<Node, String> {
        let mut node = self.spawn(start)?;
        if node.is_ready(DISCOVERY_TIMEOUT)? {
            return Ok(node);
        }
        let code = node.exit_status()?.and_then(|status| status.code());
        Err(format!("{} has ended, exit {code:?}: {}", node.id(), node.log()?.trim()))
    }

    /// Starts a node that may end at once.
    pub(super) fn spawn(&self, start: &Start<'_>) -> Result<Node, String> {
        let id = start.id;
        let key = self.key_file(id);
        let error = |error: std::io::Error| format!("the files of {id}: {error}");
        if !key.exists() {
            std::fs::copy(self.path("key"), &key).map_err(error)?;
        }
        let config = self.path(&format!("{id}.json"));
        std::fs::write(&config, self.config(start).to_string()).map_err(error)?;
        let files = Files {
            socket: self.path(&format!("{id}.sock")),
            log: self.path(&format!("{id}.log")),
        };
        let mut words = self.network.on(start.host).into_iter().chain(start.prefix.clone());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(&self.program);
        command.args(["node", "--config"]).arg(config).arg("--socket").arg(&files.socket);
        // The default log filter: nodes log what operators read.
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        Node::spawn((id, start.name), command, self.program.clone(), files, &self.sweeper)
    }

    fn config(&self, start: &Start<'_>) -> serde_json::Value {
        let key = json!({ "@type": "File", "filePath": self.key_file(start.id) });
        let mut mesh = json!({ "name": start.name, "cluster": "faults", "key": key });
        if let Some(store) = start.store {
            mesh["store"] = json!(store);
        }
        json!({ "@type": "Zenoh", "config": start.config, "mesh": mesh })
    }

    /// Prints the last lines of each log, without those of level INFO.
    pub(in crate::faults) fn show_logs(&self) {
        let entries = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let mut logs = entries.map(|entry| entry.path()).collect::<Vec<_>>();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort_unstable();
        for path in logs {
            let log = std::fs::read(&path).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines = log.lines().filter(|line| !line.contains(" INFO ")).collect::<Vec<_>>();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
                println!("{:<20}log of {name}: {line}", "");
            }
        }
    }
}

/// Waits until each of these nodes sees all the others, and no other node.
pub(super) fn wait_for_members(nodes: &[&Node]) -> Result<(), String> {
    wait_until("all to see each other", DISCOVERY_TIMEOUT, || {
        Ok(observe_each(nodes, |node| sees_members(node, nodes))?.0)
    })
}

/// Observes each node. The result holds if all of them do.
pub(super) fn observe_each(
    nodes: &[&Node],
    look: impl Fn(&Node) -> Result<Observation, String>,
) -> Result<Observation, String> {
    let seen = nodes.iter().map(|node| look(node)).collect::<Result<Vec<_>, _>>()?;
    let held = seen.iter().all(|(held, _)| *held);
    let seen = seen.into_iter().map(|(_, seen)| seen).collect::<Vec<_>>();
    Ok((held, seen.join("; ")))
}

/// Whether a node sees exactly the others of these, and the members that it sees.
pub(super) fn sees_members(node: &Node, nodes: &[&Node]) -> Result<Observation, String> {
    let others = nodes.iter().filter(|other| other.id() != node.id());
    let mut others = others.map(|other| other.name()).collect::<Vec<_>>();
    others.sort_unstable();
    let members = node.members()?;
    Ok((members == others, format!("{} sees {}", node.id(), members.join(", "))))
}

/// Whether all these nodes block exactly these addresses, and the ones that each blocks.
pub(super) fn all_block(nodes: &[&Node], addresses: &[&str]) -> Result<Observation, String> {
    let mut expected = addresses.to_vec();
    expected.sort_unstable();
    let (held, seen) = observe_each(nodes, |node| {
        let blocks = node.blocks()?;
        Ok((blocks == expected, format!("{} blocks {}", node.id(), blocks.join(", "))))
    })?;
    Ok((held, if held { format!("all block {} addresses", expected.len()) } else { seen }))
}
