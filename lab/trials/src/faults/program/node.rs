//! One process of `mailmesh node`, and the other commands of the program, run on it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::contender::{POLL, memory_kb, wait_until};
use crate::sweeper::Sweeper;

/// Timeout of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The exit code of `members` where a node lacks the key of the others.
pub(super) const LOCKED_OUT: i32 = 6;
/// The exit code of `block check` of a blocked address.
const BLOCKED: i32 = 10;

/// A node process; killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    name: String,
    child: Child,
    program: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    /// Offset in the log file: earlier lines are ignored.
    log_start: u64,
    sweeper: Sweeper,
}

/// The exit code and output of a command.
#[derive(Debug)]
pub(super) struct CommandOutput {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Paths of the files of a node.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
}

impl Node {
    /// Starts the node. The log file is appended to.
    pub(super) fn spawn(
        (id, name): (&str, &str),
        mut command: Command,
        program: PathBuf,
        files: Files,
        sweeper: &Sweeper,
    ) -> Result<Self, String> {
        let error = |error: std::io::Error| format!("{id} did not start: {error}");
        let log = File::options().create(true).append(true).open(&files.log).map_err(error)?;
        let log_start = log.metadata().map_err(error)?.len();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(error)?;
        sweeper.process_started(child.id());
        Ok(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            child,
            program,
            socket: files.socket,
            log: files.log,
            log_start,
            sweeper: sweeper.clone(),
        })
    }

    /// Unique in a test bed, also among nodes of one name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command of the program on this node.
    pub(super) fn run(&self, args: &[&str]) -> Result<CommandOutput, String> {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).args(args);
        run(command).map_err(|error| format!("{}: {}: {error}", self.id, args.join(" ")))
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub(super) fn run_ok(&self, args: &[&str]) -> Result<String, String> {
        let answer = self.run(args)?;
        if answer.code != Some(0) {
            let (args, id) = (args.join(" "), &self.id);
            return Err(format!("{id}: {args}: exit {:?}: {}", answer.code, answer.stderr.trim()));
        }
        Ok(answer.stdout.trim().to_owned())
    }

    pub(super) fn json(&self, args: &[&str]) -> Result<Value, String> {
        let output = self.run_ok(args)?;
        serde_json::from_str(&output).map_err(|error| format!("{}: {output:?}: {error}", self.id))
    }

    pub(super) fn status(&self) -> Result<Value, String> {
        self.json(&["status", "--json"])
    }

    /// The names of the members that this node sees, sorted; empty if it lacks their key.
    pub(super) fn members(&self) -> Result<Vec<String>, String> {
        let answer = self.run(&["members", "--json"])?;
        match answer.code {
            Some(0) => {}
            Some(LOCKED_OUT) => return Ok(Vec::new()),
            code => return Err(format!("{}: exit {code:?}: {}", self.id, answer.stderr.trim())),
        }
        let members: Value = serde_json::from_str(&answer.stdout)
            .map_err(|error| format!("{}: {:?}: {error}", self.id, answer.stdout))?;
        let names = members.as_array().into_iter().flatten().filter_map(|m| m["name"].as_str());
        let mut names = names.map(str::to_owned).collect::<Vec<_>>();
        names.sort_unstable();
        Ok(names)
    }

    /// The networks that this node blocks, sorted.
    pub(super) fn blocks(&self) -> Result<Vec<String>, String> {
        let blocks = self.json(&["block", "list", "--json"])?;
        let networks = blocks.as_array().into_iter().flatten();
        let networks = networks.filter_map(|block| block["network"].as_str());
        let mut networks = networks.map(str::to_owned).collect::<Vec<_>>();
        networks.sort_unstable();
        Ok(networks)
    }

    pub(super) fn blocks_address(&self, address: &str) -> Result<bool, String> {
        let answer = self.run(&["block", "check", address])?;
        match answer.code {
            Some(0) => Ok(false),
            Some(BLOCKED) => Ok(true),
            code => Err(format!("{}: exit {code:?}: {}", self.id, answer.stderr.trim())),
        }
    }

    /// Ignores the lines logged so far.
    pub(super) fn mark_log(&mut self) -> Result<(), String> {
        let log = std::fs::metadata(&self.log);
        self.log_start = log.map_err(|error| format!("{}: {error}", self.log.display()))?.len();
        Ok(())
    }

    /// The log since the start or the last mark.
    pub(super) fn log(&self) -> Result<String, String> {
        let error = |error: std::io::Error| format!("{}: {error}", self.log.display());
        let mut log = File::open(&self.log).map_err(error)?;
        log.seek(SeekFrom::Start(self.log_start)).map_err(error)?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(error)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line since then that contains this text.
    pub(super) fn find_log_line(&self, text: &str) -> Result<Option<String>, String> {
        Ok(self.log()?.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{}: {error}", self.id))
    }

    /// The exit status, if the process has ended.
    pub(super) fn exit_status(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| format!("{}: {error}", self.id))
    }

    /// Waits until the process ends, and returns its exit code.
    pub(super) fn wait(&mut self, within: Duration) -> Result<Option<i32>, String> {
        let description = format!("the end of {}", self.id);
        wait_until(&description, within, || Ok(self.exit_status()?.is_some()))?;
        Ok(self.exit_status()?.and_then(|status| status.code()))
    }

    /// Waits until the node answers `status`; false if the process ends instead.
    pub(super) fn is_ready(&mut self, within: Duration) -> Result<bool, String> {
        let description = format!("{} to answer", self.id);
        let mut answers = false;
        wait_until(&description, within, || {
            let has_ended = self.exit_status()?.is_some();
            answers = !has_ended && self.run(&["status"])?.code == Some(0);
            Ok(answers || has_ended)
        })?;
        Ok(answers)
    }

    /// Resident memory, in KiB.
    pub(super) fn rss_kb(&self) -> Result<u64, String> {
        let rss = memory_kb(self.child.id(), "VmRSS:");
        rss.ok_or_else(|| format!("{} has ended", self.id))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}

/// Runs a command to its end, and kills it at the timeout.
pub(super) fn run(mut command: Command) -> Result<CommandOutput, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let read = |from: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut from) = from {
                let _partial_output_counts = from.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|stdout| Box::new(stdout) as _));
    let stderr = read(child.stderr.take().map(|stderr| Box::new(stderr) as _));
    let deadline = Instant::now() + COMMAND_TIMEOUT;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {COMMAND_TIMEOUT:?}"));
            }
            None => std::thread::sleep(POLL / 5),
        }
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(CommandOutput { code: status.code(), stdout: text(stdout), stderr: text(stderr) })
}
