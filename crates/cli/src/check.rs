use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mailmesh::{ConfigError, Coordinator};

use crate::args::Check;
use crate::exit::Failure;

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
    print!("{}", coordinator.explain());
    if !options.offline {
        coordinator.preflight().map_err(failure)?;
        println!("{:<12}ports are free, files and interfaces are there", "this machine");
    }
    Ok(ExitCode::SUCCESS)
}
