//! The processes of a comparison: built, started, told what to do, asked what they
//! counted, and reaped however this ends.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::log::Log;
use crate::run::build_release;
use crate::sweeper::Sweeper;

const PROGRAM: &str = "mailmesh-contender";
/// How long a process may take to answer; what is frozen is not asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a process may take to leave in good order.
const EXIT_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a condition is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// What `/proc` counts in: USER_HZ, which Linux has fixed for programs.
const TICKS_PER_SECOND: u64 = 100;

/// The program's option for a subscriber of Zenoh that does not count in a callback.
pub(crate) const FIFO_OPTION: &str = "--fifo";

/// What a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Mailmesh,
    /// The same without a key.
    MailmeshOpen,
    /// Sealed, over links that do not prove the key.
    MailmeshUnproven,
    /// Sealed, over links that prove the key by Zenoh's challenge.
    MailmeshChallenge,
    /// Sealed, over links that are not sealed themselves.
    MailmeshGate,
    /// Its subscriber counts in a callback.
    Zenoh,
    /// Its subscriber is read through the default handler.
    ZenohFifo,
    ZenohExt,
    /// A connection and nothing else.
    Tcp,
    Nats,
    Redis,
}

impl System {
    /// Those that are compared under faults.
    pub(crate) const ALL: [Self; 3] = [Self::Mailmesh, Self::Zenoh, Self::ZenohExt];

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|system| system.name() == name);
        known.ok_or_else(|| "it is none of mailmesh, zenoh, zenoh-ext".to_owned())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mailmesh => "mailmesh",
            Self::MailmeshOpen => "mailmesh-open",
            Self::MailmeshUnproven => "mailmesh-unproven",
            Self::MailmeshChallenge => "mailmesh-challenge",
            Self::MailmeshGate => "mailmesh-gate",
            Self::Zenoh => "zenoh",
            Self::ZenohFifo => "zenoh-fifo",
            Self::ZenohExt => "zenoh-ext",
            Self::Tcp => "tcp",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    /// Whether it is mailmesh, of whatever protection.
    pub(crate) fn is_mailmesh(self) -> bool {
        self.name().starts_with("mailmesh")
    }

    /// The options with which the program plays it.
    fn args(self) -> Vec<&'static str> {
        match self {
            Self::ZenohFifo => vec!["--system", Self::Zenoh.name(), FIFO_OPTION],
            other => vec!["--system", other.name()],
        }
    }
}

/// Builds the program, with zenoh-ext in it or not. Where it is.
pub(crate) fn build(features: &[&str]) -> Result<PathBuf, String> {
    let programs = build_all(features)?;
    let is_it = |path: &PathBuf| path.file_stem().is_some_and(|name| name == PROGRAM);
    programs.into_iter().find(is_it).ok_or_else(|| format!("there is no program {PROGRAM}"))
}

/// Builds all programs that these features have. Where they are.
pub(crate) fn build_all(features: &[&str]) -> Result<Vec<PathBuf>, String> {
    build_release(PROGRAM, features)
}

/// A process, killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Contender {
    name: String,
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Report>,
    log: Log,
    request: u64,
    last: Report,
    sweeper: Sweeper,
}

/// How to start one.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a std::path::Path,
    /// What goes before the program, `ip netns exec ...`.
    pub(crate) prefix: &'a [String],
    pub(crate) system: System,
    pub(crate) name: &'a str,
    pub(crate) config: &'a str,
    /// Options of the program besides these.
    pub(crate) options: &'a [&'a str],
    /// What it logs, as `RUST_LOG` says it, and its lines are counted; `None` for what this
    /// process is told, and not counted.
    pub(crate) log: Option<&'a str>,
}

impl Contender {
    pub(crate) fn start(start: &Start<'_>, sweeper: &Sweeper) -> Result<Self, String> {
        let program = start.program.as_os_str();
        let mut line = start.prefix.iter().map(AsRef::as_ref).chain([program]);
        let mut command = Program::new(line.next().unwrap_or(program));
        command.args(line);
        command.args(start.system.args()).args(["--name", start.name]);
        command.args(["--config", start.config]);
        command.args(start.options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(log) = start.log {
            command.env("RUST_LOG", log).stderr(Stdio::piped());
        }
        let name = start.name.to_owned();
        let mut child = command.spawn().map_err(|e| format!("{name} did not start: {e}"))?;
        sweeper.process_started(child.id());
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{name} has no standard input and output"));
        };
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str(&line) else { break };
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        let log = child.stderr.take().map(Log::read).unwrap_or_default();
        let (request, last, sweeper) = (0, Report::default(), sweeper.clone());
        Ok(Self { name, child, stdin, answers, log, request, last, sweeper })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn send(&mut self, command: &Command) -> Result<(), String> {
        let mut line = serde_json::to_vec(command).map_err(|e| format!("{command:?}: {e}"))?;
        line.push(b'\n');
        self.stdin.write_all(&line).map_err(|error| format!("{} is gone: {error}", self.name))
    }

    /// What it counted.
    pub(crate) fn query_report(&mut self) -> Result<&Report, String> {
        self.request += 1;
        self.send(&Command::Report { request: self.request })?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left) {
                Ok(report) if report.request == self.request => {
                    self.last = report;
                    return Ok(&self.last);
                }
                Ok(_late) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} did not answer within {ANSWER_TIMEOUT:?}", self.name));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} has ended", self.name));
                }
            }
        }
    }

    /// What it logs, if that is counted.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Its last answer.
    pub(crate) fn last(&self) -> &Report {
        &self.last
    }

    /// The most memory it ever had in use, in KiB; 0 if it is gone.
    pub(crate) fn peak_rss_kb(&self) -> u64 {
        memory_kb(self.child.id(), "VmHWM:").unwrap_or(0)
    }

    /// The processor time that it has used, in milliseconds; 0 if it is gone.
    pub(crate) fn cpu_ms(&self) -> u64 {
        cpu_ms(self.child.id())
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{}: {error}", self.name))
    }

    /// Ends it in good order, or by force after [`GOODBYE`].
    pub(crate) fn quit(mut self) {
        // Whoever is gone already, or does not go, is killed by `drop`.
        if self.send(&Command::Quit).is_ok() {
            let _ = wait_until("its end", EXIT_TIMEOUT, || {
                Ok(!matches!(self.child.try_wait(), Ok(None)))
            });
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}

/// Asks until the condition holds.
pub(crate) fn wait_until(
    what: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + timeout;
    while !condition()? {
        if Instant::now() >= deadline {
            return Err(format!("waited {timeout:?} in vain for {what}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// What `/proc` says of the memory of a process under this name, in KiB.
pub(crate) fn memory_kb(pid: u32, name: &str) -> Option<u64> {
    memory(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name)
}

/// The processor time that a process has used, in milliseconds; 0 if it is gone.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.ok().and_then(|stat| ticks(&stat)).map_or(0, |ticks| ticks * 1_000 / TICKS_PER_SECOND)
}

fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Of user and system, of a process's `stat` (proc_pid_stat(5), fields 14 and 15).
fn ticks(stat: &str) -> Option<u64> {
    // The second field, the name, may hold blanks: it ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_of_a_process() {
        let status = "VmPeak:\t  99 kB\nVmHWM:\t   12345 kB\nVmRSS: 1 kB\n";
        assert_eq!(memory(status, "VmHWM:"), Some(12_345));
        assert_eq!(memory(status, "VmRSS:"), Some(1));
        assert_eq!(memory("VmPeak:\t  99 kB\n", "VmHWM:"), None);
        assert_eq!(memory("VmHWM:\tmuch kB\n", "VmHWM:"), None);
    }

    #[test]
    fn the_time_used_is_read_from_the_stat_of_a_process() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 120 30 5 6 20 0 1 0 99";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    #[test]
    fn a_condition_that_never_holds_is_said() {
        let error = wait_until("rain", Duration::ZERO, || Ok(false)).unwrap_err();
        assert!(error.contains("in vain for rain"), "{error}");
        wait_until("sun", Duration::ZERO, || Ok(true)).unwrap();
    }
}
