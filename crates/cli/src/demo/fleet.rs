//! The node processes of the demo, and observations of what they receive.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mailmesh::ClusterKey;
use mailmesh_cli::protocol::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::control::client::Client;
use crate::exit::Failure;

/// Time limit for each wait of the demo.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// Capacity of the queue of observations; the demo causes far fewer.
const MAX_OBSERVATIONS: usize = 64 * 1024;

/// An entry that a node received, with the time at which its watcher reported it.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) node: String,
    pub(super) at: Instant,
    pub(super) entry: Value,
}

/// The running nodes.
pub(super) struct Fleet {
    dir: TempDir,
    program: PathBuf,
    nodes: BTreeMap<String, NodeProcess>,
    observations: (mpsc::Sender<Observation>, mpsc::Receiver<Observation>),
}

struct NodeProcess {
    child: Child,
    /// The node stops when this is dropped, also if the demo is killed.
    stdin: Option<ChildStdin>,
    client: Client,
}

impl Fleet {
    /// Creates a directory with a key, and a configuration for multicast scouting on the loopback
    /// at a free port. No node runs yet.
    pub(super) fn new() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed(format!("cannot create the files of the demo: {error}"))
        };
        let dir = tempfile::Builder::new().prefix("mailmesh-demo-").tempdir().map_err(failed)?;
        let key = ClusterKey::generate().map_err(|error| Failure::failed(error.to_string()))?;
        let key_file = dir.path().join("cluster.key");
        crate::key::create_key_file(&key_file, &key).map_err(failed)?;
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.map_err(failed)?.port();
        let zenoh = format!(
            "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
             scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
        );
        let config = json!({
            "@type": "Zenoh",
            "config": zenoh,
            "mesh": {"cluster": "demo", "key": {"@type": "File", "filePath": key_file}},
        });
        std::fs::write(dir.path().join("coordinator.json"), config.to_string()).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        Ok(Self {
            dir,
            program,
            nodes: BTreeMap::new(),
            observations: mpsc::channel(MAX_OBSERVATIONS),
        })
    }

    /// Starts the process of a node, waits for its "ready" line, and watches it.
    pub(super) async fn start(&mut self, name: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::failed(format!("node {name}: {error}"));
        let socket = self.dir.path().join(format!("{name}.sock"));
        let log = std::fs::File::create(self.dir.path().join(format!("{name}.log")));
        let mut child = Command::new(&self.program)
            .args(["node", "--json", "--stop-with-stdin", "--name", name])
            .arg("--config")
            .arg(self.dir.path().join("coordinator.json"))
            .arg("--socket")
            .arg(&socket)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(failed)?)
            .kill_on_drop(true)
            // Ctrl-C must reach only the demo, which stops its nodes itself.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            let read = timeout(STEP_TIMEOUT, stdout.read_line(&mut line)).await;
            if !matches!(read, Ok(Ok(n)) if n > 0) {
                let failure = Failure::failed(format!("node {name} did not start"));
                return Err(failure.with_details(self.log(name)));
            }
        }
        let client = Client::connect(&socket).await?;
        self.watch(name, Client::connect(&socket).await?).await?;
        self.nodes.insert(name.into(), NodeProcess { child, stdin, client });
        Ok(())
    }

    async fn watch(&self, name: &str, mut watcher: Client) -> Result<(), Failure> {
        watcher.ask(&Request::Watch { kinds: Vec::new() }).await?;
        let (sender, node) = (self.observations.0.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Ok(Some(mut value)) = watcher.next_answer().await {
                let entry = value["entry"].take();
                let observation = Observation { node: node.clone(), at: Instant::now(), entry };
                if sender.send(observation).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// The process id of a node.
    pub(super) fn pid(&self, name: &str) -> Option<u32> {
        self.nodes.get(name).and_then(|node| node.child.id())
    }

    pub(super) async fn ask(&mut self, name: &str, request: &Request) -> Result<Value, Failure> {
        match self.nodes.get_mut(name) {
            Some(node) => node.client.ask(request).await,
            None => Err(Failure::failed(format!("node {name} is not running"))),
        }
    }

    /// The next observation of any node.
    pub(super) async fn next_observation(&mut self) -> Option<Observation> {
        self.observations.1.recv().await
    }

    /// Drops all observations of earlier steps.
    pub(super) fn discard_observations(&mut self) {
        while self.observations.1.try_recv().is_ok() {}
    }

    /// Kills a node with SIGKILL.
    pub(super) async fn kill(&mut self, name: &str) -> Result<(), Failure> {
        if let Some(mut node) = self.nodes.remove(name) {
            let killed = node.child.kill().await;
            killed.map_err(|error| Failure::failed(format!("killing node {name}: {error}")))?;
        }
        Ok(())
    }

    /// Stops a node and waits until its process has exited; kills it after the time limit.
    pub(super) async fn stop(&mut self, name: &str) {
        if let Some(mut node) = self.nodes.remove(name) {
            drop(node.stdin.take());
            if timeout(STEP_TIMEOUT, node.child.wait()).await.is_err() {
                let _killed = node.child.kill().await;
            }
        }
    }

    /// Stops all nodes; none runs when this returns.
    pub(super) async fn stop_all(&mut self) {
        for node in self.nodes.values_mut() {
            drop(node.stdin.take());
        }
        for name in self.names() {
            self.stop(&name).await;
        }
    }

    /// The last 10 lines of a node's log.
    pub(super) fn log(&self, name: &str) -> String {
        let path = self.dir.path().join(format!("{name}.log"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}
