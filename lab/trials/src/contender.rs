//! Contender processes: builds and starts them, sends them commands, collects their reports, and
//! reaps them at every kind of exit.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::log::Log;
use crate::sweeper::Sweeper;
use xtask::run::build_release;

const PROGRAM: &str = "mailmesh-contender";
/// Time in which a process must answer; a stopped process is not queried.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a process must leave in good order.
const EXIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Interval between two checks of a condition.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// The unit of CPU time in `/proc`: USER_HZ, which is fixed at 100 on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The option that makes a Zenoh subscriber count behind a FIFO channel, not in a callback.
pub(crate) const FIFO_OPTION: &str = "--fifo";

/// The system that a contender runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Mailmesh,
    /// mailmesh without a cluster key.
    MailmeshOpen,
    /// mailmesh with sealed frames, over links that do not prove the key.
    MailmeshUnproven,
    /// mailmesh with sealed frames, over links that prove the key by Zenoh's challenge.
    MailmeshChallenge,
    /// mailmesh with sealed frames, over links that prove the key at the gate and are not sealed.
    MailmeshGate,
    /// Zenoh with a subscriber that counts in its callback.
    Zenoh,
    /// Zenoh with a subscriber that is read through the default handler.
    ZenohFifo,
    ZenohExt,
    /// A TCP connection and nothing else.
    Tcp,
    Nats,
    Redis,
}

impl System {
    /// The systems that run in fault scenarios.
    pub(crate) const ALL: [Self; 3] = [Self::Mailmesh, Self::Zenoh, Self::ZenohExt];

    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|system| system.name() == name);
        known.ok_or_else(|| "unknown system: use mailmesh, zenoh or zenoh-ext".to_owned())
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

    /// Whether the system is mailmesh, with any protection.
    pub(crate) fn is_mailmesh(self) -> bool {
        self.name().starts_with("mailmesh")
    }

    /// The command-line options that select this system.
    fn args(self) -> Vec<&'static str> {
        match self {
            Self::ZenohFifo => vec!["--system", Self::Zenoh.name(), FIFO_OPTION],
            other => vec!["--system", other.name()],
        }
    }
}

/// Builds the contender with these features, and returns its path.
pub(crate) fn build(features: &[&str]) -> Result<PathBuf, String> {
    let programs = build_all(features)?;
    let is_it = |path: &PathBuf| path.file_stem().is_some_and(|name| name == PROGRAM);
    programs.into_iter().find(is_it).ok_or_else(|| format!("there is no program {PROGRAM}"))
}

/// Builds all programs of the contender package with these features, and returns their paths.
pub(crate) fn build_all(features: &[&str]) -> Result<Vec<PathBuf>, String> {
    build_release(PROGRAM, features)
}

/// A contender process; killed and reaped when dropped.
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

/// The parameters of a new contender.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a std::path::Path,
    /// A command prefix, such as `ip netns exec ...`.
    pub(crate) prefix: &'a [String],
    pub(crate) system: System,
    pub(crate) name: &'a str,
    pub(crate) config: &'a str,
    /// Further options of the program.
    pub(crate) options: &'a [&'a str],
    /// `RUST_LOG` of the process, whose log lines are then counted; `None` inherits the variable
    /// and the standard error.
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
        self.stdin.write_all(&line).map_err(|error| format!("{} has ended: {error}", self.name))
    }

    /// Queries a new report of the process.
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

    /// The counted log; empty if the lines are not counted.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The last report.
    pub(crate) fn last(&self) -> &Report {
        &self.last
    }

    /// Peak resident memory, in KiB; 0 if the process has ended.
    pub(crate) fn peak_rss_kb(&self) -> u64 {
        memory_kb(self.child.id(), "VmHWM:").unwrap_or(0)
    }

    /// CPU time used, in milliseconds; 0 if the process has ended.
    pub(crate) fn cpu_ms(&self) -> u64 {
        cpu_ms(self.child.id())
    }

    /// Sends a signal, such as SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{}: {error}", self.name))
    }

    /// Ends the process in good order, or by force after [`EXIT_TIMEOUT`].
    pub(crate) fn quit(mut self) {
        // A process that has ended, or does not end in time, is killed by `drop`.
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

/// Polls until the condition holds.
///
/// # Errors
/// The condition's error, or that it does not hold within `timeout`.
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

/// A memory value of a process from `/proc/PID/status`, such as `VmRSS:`, in KiB.
pub(crate) fn memory_kb(pid: u32, name: &str) -> Option<u64> {
    memory(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name)
}

/// CPU time that a process has used, in milliseconds; 0 if it has ended.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.ok().and_then(|stat| ticks(&stat)).map_or(0, |ticks| ticks * 1_000 / TICKS_PER_SECOND)
}

fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// User and system time of a process, in ticks, from its `stat` line (proc_pid_stat(5), fields 14
/// and 15).
fn ticks(stat: &str) -> Option<u64> {
    // The second field, the name, may contain blanks and ends at the last parenthesis.
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
    fn cpu_time_is_read_from_the_stat_of_a_process() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 120 30 5 6 20 0 1 0 99";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    #[test]
    fn the_error_of_a_timeout_names_the_condition() {
        let error = wait_until("rain", Duration::ZERO, || Ok(false)).unwrap_err();
        assert!(error.contains("in vain for rain"), "{error}");
        wait_until("sun", Duration::ZERO, || Ok(true)).unwrap();
    }
}
