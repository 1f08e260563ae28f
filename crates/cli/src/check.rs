use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mailmesh::{Backend, ConfigError, Coordinator, Keyring, Secret};

use crate::args::Check;
use crate::exit::Failure;
use crate::say::say;

pub(crate) fn run(options: &Check) -> Result<ExitCode, Failure> {
    let failure = |error: ConfigError| Failure::config(error.report());
    let coordinator = if options.file == Path::new("-") {
        let mut text = String::new();
        // One byte more than is accepted, so that a longer text is seen as such.
        let limit = (1 << 20) + 1;
        let read = std::io::stdin().take(limit).read_to_string(&mut text);
        read.map_err(|error| Failure::config(format!("standard input: {error}")))?;
        Coordinator::parse(&text).map_err(failure)?
    } else {
        Coordinator::load(&options.file).map_err(failure)?
    };
    for warning in coordinator.warnings() {
        anstream::eprintln!("\x1b[1;33mwarning:\x1b[0m {}", warning.message);
        if let Some(place) = &warning.place {
            anstream::eprintln!("  --> {place}");
        }
        if let Some(line) = &warning.corrected {
            anstream::eprintln!("  corrected line: {}", line.trim());
        }
    }
    check_key(&coordinator, options.offline)?;
    say!("{}", coordinator.explain().trim_end());
    if !options.offline {
        coordinator.preflight().map_err(failure)?;
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            say!("{:<12}has the ports free, and the files and interfaces there", "machine");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the key is one. A key that is elsewhere is looked at unless `offline`.
fn check_key(coordinator: &Coordinator, offline: bool) -> Result<(), Failure> {
    let Some(secret) = &coordinator.mesh().key else {
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            anstream::eprintln!(
                "\x1b[1;31mopen:\x1b[0m there is no cluster key: whoever reaches a link joins, reads and injects; \
                 make one with `mailmesh key generate` and set `mesh.key` on every node"
            );
        }
        return Ok(());
    };
    if offline && !matches!(secret, Secret::Value(_)) {
        return Ok(());
    }
    let text = secret.resolve().map_err(|error| Failure::config(error.report()))?;
    let key = Keyring::from_text(&text);
    key.map(drop).map_err(|error| Failure::config(format!("`mesh.key`: {error}")))
}
