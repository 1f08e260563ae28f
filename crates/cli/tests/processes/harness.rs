//! Runs nodes as processes and observes what they receive.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_mailmesh");

/// Waits until the condition holds; returns the time it took. Panics after [`TIMEOUT`].
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "timeout after {TIMEOUT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Waits until a process exits.
fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process exits", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// A directory with a key and a configuration whose packets stay on the loopback.
pub(super) struct Site {
    dir: TempDir,
    port: u16,
}

impl Site {
    pub(super) fn new() -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = Self { dir: tempfile::tempdir().unwrap(), port };
        let key = site.path("cluster.key");
        let made = Command::new(PROGRAM).args(["key", "generate", "--out"]).arg(&key).output();
        assert!(made.unwrap().status.success());
        site.write_config("coordinator.json", "mail");
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write_config(&self, file: &str, cluster: &str) {
        let zenoh = format!(
            "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
             scouting: {{ multicast: {{ address: '224.0.0.224:{}', interface: 'lo' }} }} }}",
            self.port
        );
        let key = serde_json::json!({"@type": "File", "filePath": self.path("cluster.key")});
        let mesh = serde_json::json!({"cluster": cluster, "key": key});
        let config = serde_json::json!({"@type": "Zenoh", "config": zenoh, "mesh": mesh});
        std::fs::write(self.path(file), config.to_string()).unwrap();
    }

    /// Runs a command that needs no node.
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = Command::new(PROGRAM).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn start(&self, name: &str) -> Node {
        self.start_with(name, name, "coordinator.json", &[])
    }

    /// Starts a node and waits for its "ready" line. `before` is a prefix of the command
    /// (`ip netns exec ...`).
    pub(super) fn start_with(
        &self,
        name: &str,
        socket: &str,
        config: &str,
        before: &[&str],
    ) -> Node {
        let mut node = self.spawn(name, socket, config, before);
        let mut line = String::new();
        let stdout = node.child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{name} did not start: {line}\n{}", node.log()));
        assert_eq!(ready["name"], name);
        node
    }

    pub(super) fn spawn(&self, name: &str, socket: &str, config: &str, before: &[&str]) -> Node {
        let words: Vec<&str> = before.iter().copied().chain([PROGRAM]).collect();
        let socket = self.path(&format!("{socket}.sock"));
        let log =
            self.path(&format!("{name}-{}.log", socket.file_stem().unwrap().to_string_lossy()));
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["node", "--json", "--stop-with-stdin", "--name", name, "--config"])
            .arg(self.path(config))
            .arg("--socket")
            .arg(&socket)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Node { child, _stdin: stdin, socket, log }
    }
}

/// The process of a node; killed and reaped when dropped.
pub(super) struct Node {
    child: Child,
    /// The node stops when this is dropped, also if the test is killed.
    _stdin: Option<ChildStdin>,
    pub(super) socket: PathBuf,
    log: PathBuf,
}

impl Node {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As [`run`](Self::run), with this standard input.
    pub(super) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("--socket").arg(&self.socket).args(args).stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("standard input is piped"), input)
            .expect("the program reads its input");
        child.wait_with_output().expect("the program exits")
    }

    /// Runs a command against this node.
    pub(super) fn run(&self, args: &[&str]) -> Output {
        Command::new(PROGRAM).arg("--socket").arg(&self.socket).args(args).output().unwrap()
    }

    /// Runs a command with this `TZ`.
    pub(super) fn run_in_zone(&self, zone: &str, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("--socket").arg(&self.socket).args(args).env("TZ", zone).output().unwrap()
    }

    /// Runs a command that must succeed; returns its standard output.
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {err}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    pub(super) fn wait_for_members(&self, count: usize) {
        until(&format!("{count} members, log:\n{}", self.log()), || {
            self.json(&["members", "--json"]).as_array().unwrap().len() == count
        });
    }

    pub(super) fn watch(&self) -> Watch {
        Watch::new(self)
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(super) fn wait(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _may_have_exited = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The entries that a node receives from now on.
pub(super) struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn new(node: &Node) -> Self {
        let inboxes = || node.json(&["status", "--json"])["inboxes"].as_u64().unwrap();
        let before = inboxes();
        let mut child = Command::new(PROGRAM)
            .arg("--socket")
            .arg(&node.socket)
            .args(["watch", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        until("the watcher is subscribed", || inboxes() > before);
        Self { child, lines }
    }

    pub(super) fn next(&self) -> Value {
        let line = self.lines.recv_timeout(TIMEOUT).expect("an entry arrives in time");
        serde_json::from_str(&line).unwrap()
    }

    /// The next entry that meets the condition. A gap before it fails the test.
    pub(super) fn next_where(&self, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            let entry = self.next();
            assert_ne!(entry["type"], "gap", "{entry}");
            if condition(&entry) {
                return entry;
            }
        }
    }

    /// Waits until a node with this name leaves; returns the reason.
    pub(super) fn until_left(&self, name: &str) -> String {
        let left = self.next_where(|e| e["type"] == "left" && e["data"]["member"]["name"] == name);
        left["data"]["reason"].as_str().unwrap().to_owned()
    }

    /// Waits until the watcher exits by itself.
    pub(super) fn wait(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.lines.try_recv().is_err()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _may_have_exited = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Starts the demo; its standard output and error are piped.
pub(super) fn demo(args: &[&str]) -> Child {
    Command::new(PROGRAM)
        .arg("demo")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(super) fn read_all(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// Child processes of `pid`, from `/proc`.
pub(super) fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // After the name in parentheses: the state, then the parent (proc(5)).
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(pid) {
            children.push(child);
        }
    }
    children
}

pub(super) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has exited and is not reaped yet.
    !stat.is_empty()
        && stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z'))
}
