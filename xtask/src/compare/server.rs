//! Servers of rivals: started for each round on a port of the loopback, in a folder of their own,
//! reaped by id.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::contender::{System, cpu_ms, wait_until};
use crate::folder::Folder;
use crate::loopback;
use crate::sweeper::Sweeper;

/// How long a server may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: String,
    sweeper: Sweeper,
    /// Last: taken away when nobody writes to it any more.
    _folder: Folder,
}

/// The program that a system needs.
fn program(system: System) -> Option<&'static str> {
    match system {
        System::Nats => Some("nats-server"),
        System::Redis => Some("redis-server"),
        _ => None,
    }
}

/// The systems that can run here, and the version of each server. For each of the others the
/// reason is printed.
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

/// The version that a server prints; an error with the line that installs it.
fn version(program: &str) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| {
        format!("{program} did not start ({error}); install it: apt-get install {program}")
    })?;
    let output = String::from_utf8_lossy(&output.stdout);
    let output = output.lines().next().unwrap_or_default();
    // Redis adds how it was built.
    Ok(output.split(" sha=").next().unwrap_or_default().to_owned())
}

/// The options of a server: it keeps nothing on disk, and listens on the loopback only.
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
            // By default a subscriber that is 32 MiB behind is cut off.
            "--client-output-buffer-limit",
            "pubsub 0 0 0",
        ],
        _ => &["--addr", "127.0.0.1", "--port", port],
    };
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

impl Server {
    /// The server of this system; `None` if it has none.
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

    /// Where it listens.
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
    fn a_server_that_is_not_there_is_told_with_the_line_that_installs_it() {
        let why = version("no-such-server").unwrap_err();
        assert!(why.contains("apt-get install no-such-server"), "{why}");
    }

    #[test]
    fn a_system_whose_server_is_not_there_is_left_out_and_the_others_stay() {
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
    fn servers_listen_on_the_loopback_alone_and_keep_nothing() {
        let redis = args(System::Redis, "7", "/f").join(" ");
        let expected = "--bind 127.0.0.1 --port 7 --dir /f --save  --appendonly no --daemonize no \
                        --client-output-buffer-limit pubsub 0 0 0";
        assert_eq!(redis, expected);
        assert_eq!(args(System::Nats, "7", "/f").join(" "), "--addr 127.0.0.1 --port 7");
    }
}
