//! Cleans up even if this program is killed. The sweeper is a separate process that knows all
//! resources and outlives the program until they are removed.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// The hidden task that runs the sweeper.
pub(crate) const TASK: &str = "sweep";

/// A handle to the sweeper. The sweeper cleans up when the last handle is dropped, or when this
/// process ends in any way.
#[derive(Debug, Clone)]
pub(crate) struct Sweeper(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Sweeper {
    pub(crate) fn start() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("the sweeper: {e}"))?;
        let mut command = Command::new(program);
        // Its own process group, so that Ctrl-C does not reach it.
        command.arg(TASK).process_group(0).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("the sweeper did not start: {e}"))?;
        let stdin = child.stdin.take();
        Ok(Self(Arc::new(Mutex::new(Inner { child, stdin }))))
    }

    fn send(&self, line: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut inner.stdin {
            // Without the sweeper only the clean-up after an early end is missing.
            let _ = stdin.write_all(line.as_bytes());
        }
    }

    pub(crate) fn process_started(&self, pid: u32) {
        self.send(&format!("+process {pid}\n"));
    }

    pub(crate) fn process_ended(&self, pid: u32) {
        self.send(&format!("-process {pid}\n"));
    }

    pub(crate) fn namespace_made(&self, name: &str) {
        self.send(&format!("+namespace {name}\n"));
    }

    pub(crate) fn namespace_gone(&self, name: &str) {
        self.send(&format!("-namespace {name}\n"));
    }

    pub(crate) fn folder_made(&self, path: &Path) {
        self.send(&format!("+folder {}\n", path.display()));
    }

    pub(crate) fn folder_gone(&self, path: &Path) {
        self.send(&format!("-folder {}\n", path.display()));
    }

    pub(crate) fn mounted(&self, path: &Path) {
        self.send(&format!("+mount {}\n", path.display()));
    }

    pub(crate) fn unmounted(&self, path: &Path) {
        self.send(&format!("-mount {}\n", path.display()));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The sweeper process: reads resources until its parent ends, then removes the remaining ones.
pub(crate) fn sweep() -> Result<(), String> {
    let mut leftovers = Leftovers::default();
    for line in std::io::stdin().lock().lines() {
        leftovers.apply(&line.map_err(|error| format!("the sweeper: {error}"))?);
    }
    for pid in leftovers.processes.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
    {
        let _may_have_ended = kill_process(pid, Signal::KILL);
    }
    for name in &leftovers.namespaces {
        let _may_be_gone = Command::new("ip").args(["netns", "delete", name]).output();
    }
    for path in &leftovers.mounts {
        let _may_be_gone = Command::new("umount").arg("--lazy").arg(path).output();
    }
    for path in &leftovers.folders {
        let _may_be_gone = std::fs::remove_dir_all(path);
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Leftovers {
    processes: BTreeSet<u32>,
    namespaces: BTreeSet<String>,
    mounts: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Leftovers {
    fn apply(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("+process", pid)) => self.processes.extend(pid.parse::<u32>()),
            Some(("-process", pid)) => {
                let _ = pid.parse().map(|pid: u32| self.processes.remove(&pid));
            }
            Some(("+namespace", name)) => {
                self.namespaces.insert(name.to_owned());
            }
            Some(("-namespace", name)) => {
                self.namespaces.remove(name);
            }
            Some(("+mount", path)) => {
                self.mounts.insert(path.into());
            }
            Some(("-mount", path)) => {
                self.mounts.remove(Path::new(path));
            }
            Some(("+folder", path)) => {
                self.folders.insert(path.into());
            }
            Some(("-folder", path)) => {
                self.folders.remove(Path::new(path));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweeper_keeps_resources_that_were_created_and_not_removed() {
        let mut leftovers = Leftovers::default();
        for line in [
            "+process 12",
            "+process 13",
            "+namespace mm-a",
            "+namespace mm-b",
            "-process 12",
            "+folder /tmp/a b",
            "+folder /tmp/c",
            "-folder /tmp/c",
            "+mount /tmp/a b/disk",
            "+mount /tmp/d",
            "-mount /tmp/d",
            "-namespace mm-a",
            "nonsense",
            "+process many",
        ] {
            leftovers.apply(line);
        }
        assert_eq!(leftovers.processes, BTreeSet::from([13]));
        assert_eq!(leftovers.namespaces, BTreeSet::from(["mm-b".to_owned()]));
        assert_eq!(leftovers.folders, BTreeSet::from(["/tmp/a b".into()]));
        assert_eq!(leftovers.mounts, BTreeSet::from(["/tmp/a b/disk".into()]));
    }
}
