//! Whether network namespaces can be made here.

use std::process::Command;

/// Makes one and takes it away again; the reason if that is not permitted.
pub(crate) fn available() -> Result<(), String> {
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
