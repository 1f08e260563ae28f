//! Servers of rivals. Each round starts one on a free loopback port, in its own folder, and stops
//! it by its process id.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::contender::{System, cpu_ms, wait_until};
use crate::folder::Folder;
use crate::loopback;
use crate::sweeper::Sweeper;

/// Time in which a server must listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: String,
    sweeper: Sweeper,
    /// The last field: removed after the server has ended.
    _folder: Folder,
}

/// The server program of a system; `None` if it needs no server.
fn program(system: System) -> Option<&'static str> {
    match system {
        System::Nats => Some("nats-server"),
        System::Redis => Some("redis-server"),
        _ => None,
    }
}

/// The systems that can run here, and the versions of their servers. Prints the reason for each
/// skipped system.
pub(super) fn available(systems: Vec<System>) -> (Vec<System>, Vec<String>) {
    available_by_version(systems, version)
}

fn available_by_version(
    systems: Vec<System>,
    version: impl Fn(&str) -> Result<String, String>,
) -> (Vec<System>, Vec<String>) {
    let mut versions = Vec::new();
    let is_here = |system: &System| {
        let Some(program) = program(*system) else { return true };
        match version(program) {
            Ok(version) => versions.push(version),
            Err(why) => {
                eprintln!("\n==== SKIPPED: {}: {why} ====\n", system.name());
                return false;
            }
        }
        true
    };
    let systems = systems.into_iter().filter(is_here).collect();
    (systems, versions)
}

/// The version line of a server.
///
/// # Errors
/// If it does not run: the command that installs it.
fn version(program: &str) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| {
        format!("{program} did not start ({error}); install it: apt-get install {program}")
    })?;
    let output = String::from_utf8_lossy(&output.stdout);
    let output = output.lines().next().unwrap_or_default();
    // Redis appends build details.
    Ok(output.split(" sha=").next().unwrap_or_default().to_owned())
}

/// The options of a server: no data on disk, and only the loopback.
fn args(system: System, port: &str, folder: &str) -> Vec<String> {
    let args: &[&str] = match system {
        System::Redis => &[
            "--bind",
            "127.0.0.1",
            "--port",
            port,
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            // The default disconnects a subscriber with 32 MiB pending.
            "--client-output-buffer-limit",
            "pubsub 0 0 0",
        ],
        _ => &["--addr", "127.0.0.1", "--port", port],
    };
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

impl Server {
    /// Starts the server of a system and waits until it listens; `None` if it has none.
    pub(super) fn start(system: System, sweeper: &Sweeper) -> Result<Option<Self>, String> {
        let Some(program) = program(system) else { return Ok(None) };
        let folder = Folder::new(sweeper)?;
        let address = loopback::free_address()?;
        let port = address.rsplit(':').next().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(args(system, port, &folder.path().to_string_lossy()));
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|e| format!("{program} did not start: {e}"))?;
        sweeper.process_started(child.id());
        let mut server = Self { child, address, sweeper: sweeper.clone(), _folder: folder };
        wait_until(&format!("{program} to listen"), START_TIMEOUT, || server.listens(program))?;
        Ok(Some(server))
    }

    fn listens(&mut self, program: &str) -> Result<bool, String> {
        match self.child.try_wait() {
            Ok(None) => Ok(TcpStream::connect(&self.address).is_ok()),
            Ok(Some(status)) => Err(format!("{program} ended at once: {status}")),
            Err(error) => Err(format!("{program}: {error}")),
        }
    }

    /// The address and port of the server.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn cpu_ms(&self) -> u64 {
        cpu_ms(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.process_ended(self.child.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_missing_server_has_the_install_command() {
        let why = version("no-such-server").unwrap_err();
        assert!(why.contains("apt-get install no-such-server"), "{why}");
    }

    #[test]
    fn a_system_without_its_server_is_skipped_and_the_others_run() {
        let only_nats = |program: &str| match program {
            "nats-server" => Ok("nats-server: v2".to_owned()),
            other => version(&format!("no-such-{other}")),
        };
        let all = vec![System::Nats, System::Redis, System::Tcp, System::Mailmesh];
        let (systems, versions) = available_by_version(all, only_nats);
        assert_eq!(systems, [System::Nats, System::Tcp, System::Mailmesh]);
        assert_eq!(versions, ["nats-server: v2"]);
    }

    #[test]
    fn servers_listen_on_the_loopback_only_and_store_nothing() {
        let redis = args(System::Redis, "7", "/f").join(" ");
        let expected = "--bind 127.0.0.1 --port 7 --dir /f --save  --appendonly no --daemonize no \
                        --client-output-buffer-limit pubsub 0 0 0";
        assert_eq!(redis, expected);
        assert_eq!(args(System::Nats, "7", "/f").join(" "), "--addr 127.0.0.1 --port 7");
    }
}
