//! Runs cargo, and writes results.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::Value;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new(".")).to_owned()
}

/// A cargo command that runs in the root of the workspace.
pub fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    // These variables describe xtask itself. Build scripts such as ring's watch them. If they were
    // inherited, builds by xtask and by a person would rebuild Zenoh in turn.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Shows a command and runs it to its end.
pub fn run(mut command: Command) -> Result<(), String> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}` did not start: {error}")),
    }
}

/// Builds all programs of a package with these features in release, and returns their paths.
pub fn build_release(package: &str, features: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut command = cargo(&["build", "--release", "--package", package]);
    for feature in features {
        command.args(["--features", feature]);
    }
    executables(command)
}

/// Runs a cargo command that builds programs, and returns their paths.
pub fn executables(mut command: Command) -> Result<Vec<PathBuf>, String> {
    command.args(["--message-format", "json-render-diagnostics"]);
    let shown = show(&command);
    eprintln!("$ {shown}");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("`{shown}` did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}", output.status));
    }
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let executables = messages.filter_map(|message| {
        let message: Value = serde_json::from_slice(message).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    Ok(executables.collect())
}

/// Writes results to a JSON file.
pub fn write_json(path: &Path, rows: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

/// A cargo command as a person types it, for messages.
pub fn show(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once("cargo".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}
