//! The hostile process.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use super::attacks::is_at_links;
use crate::contender::wait_until;
use crate::sweeper::Sweeper;

const GOODBYE: Duration = Duration::from_secs(10);

/// Killed and reaped when dropped.
pub(super) struct Hostile {
    child: Child,
    attack: &'static str,
    sweeper: Sweeper,
}

/// Where it finds the nodes.
pub(super) struct Target<'a> {
    pub(super) config: &'a str,
    pub(super) ports: &'a [u16],
    /// The port where nodes ask who is there.
    pub(super) discovery: u16,
    pub(super) is_bare: bool,
}

impl Hostile {
    pub(super) fn start(
        program: &Path,
        attack: &'static str,
        target: &Target<'_>,
        sweeper: &Sweeper,
    ) -> Result<Self, String> {
        let mut command = Program::new(program);
        command.args(["--attack", attack, "--config", target.config]);
        let ports: Vec<String> = target.ports.iter().map(u16::to_string).collect();
        command.args(["--ports", &ports.join(",")]);
        command.args(["--group", &format!("224.0.0.224:{}", target.discovery)]);
        if target.is_bare {
            command.arg("--bare");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("the attacker: {error}"))?;
        sweeper.process_started(child.id());
        Ok(Self { child, attack, sweeper: sweeper.clone() })
    }

    /// How many frames, links, datagrams or nodes it tried; an error if it says that it came in.
    pub(super) fn stop(mut self) -> Result<u64, String> {
        drop(self.child.stdin.take());
        let ended = wait_until("the attacker's end", GOODBYE, || {
            Ok(!matches!(self.child.try_wait(), Ok(None)))
        });
        if ended.is_err() && !is_at_links(self.attack) {
            // It does not matter what a sender of frames has to say.
            return Ok(0);
        }
        ended?;
        let mut said = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(|error| format!("the attacker: {error}"))?;
        }
        let said: serde_json::Value = serde_json::from_str(said.trim())
            .map_err(|error| format!("the attacker said {said:?}: {error}"))?;
        match said["error"].as_str() {
            Some(error) => Err(format!("the attacker: {error}")),
            None => Ok(said["sent"].as_u64().unwrap_or(0)),
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}
