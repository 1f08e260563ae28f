//! The attacker process.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use super::attacks::is_link_attack;
use crate::contender::wait_until;
use crate::sweeper::Sweeper;

const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// An attacker; killed and reaped when dropped.
pub(super) struct Attacker {
    child: Child,
    attack: &'static str,
    sweeper: Sweeper,
}

/// The nodes under attack.
pub(super) struct Target<'a> {
    pub(super) config: &'a str,
    pub(super) ports: &'a [u16],
    /// The port of mailmesh's discovery.
    pub(super) discovery: u16,
    pub(super) is_bare: bool,
}

impl Attacker {
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

    /// Stops the attacker and returns the number of frames, links, datagrams or nodes it tried.
    ///
    /// # Errors
    /// If the attacker reports that it got in.
    pub(super) fn stop(mut self) -> Result<u64, String> {
        drop(self.child.stdin.take());
        let ended = wait_until("the attacker's end", EXIT_TIMEOUT, || {
            Ok(!matches!(self.child.try_wait(), Ok(None)))
        });
        if ended.is_err() && !is_link_attack(self.attack) {
            // Frame attacks are judged by the nodes, not by the attacker's answer.
            return Ok(0);
        }
        ended?;
        let mut output = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut output).map_err(|error| format!("the attacker: {error}"))?;
        }
        let output: serde_json::Value = serde_json::from_str(output.trim())
            .map_err(|error| format!("the attacker printed {output:?}: {error}"))?;
        match output["error"].as_str() {
            Some(error) => Err(format!("the attacker: {error}")),
            None => Ok(output["sent"].as_u64().unwrap_or(0)),
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}
