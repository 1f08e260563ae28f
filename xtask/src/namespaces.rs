//! Checks that network namespaces can be created here.

use std::process::Command;

/// Creates a namespace and deletes it.
///
/// # Errors
/// If that is not permitted: the reason.
pub fn available() -> Result<(), String> {
    let name = format!("mm-probe-{}", std::process::id());
    let ip = |args: [&str; 3]| {
        let output = Command::new("ip").args(args).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("`ip` does not run: {error}")),
        }
    };
    ip(["netns", "add", &name])?;
    ip(["netns", "delete", &name])
}
