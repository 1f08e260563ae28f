//! `check`: checks and explains a configuration without starting a node.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mailmesh::secrets::{display_path, io_error_text};
use mailmesh::{
    Backend, ConfigError, Coordinator, DEFAULT_CLUSTER, Keyring, Node, Secret, Warning,
    store_in_use,
};
use rustix::fs::{Access, access};

use crate::args::CheckArgs;
use crate::control::{self, SocketUse};
use crate::exit::Failure;
use crate::process::check_descriptors;
use crate::say::{self, note, say};

pub(crate) fn run(options: &CheckArgs, socket: Option<&Path>) -> Result<ExitCode, Failure> {
    let failure = |error: ConfigError| Failure::from(error);
    let coordinator = if options.file == Path::new("-") {
        let mut text = String::new();
        // One byte more than `parse` accepts, so that it reports a longer text.
        let limit = (1 << 20) + 1;
        let read = std::io::stdin().take(limit).read_to_string(&mut text);
        read.map_err(|error| {
            Failure::config(format!("standard input: {}", io_error_text(&error)))
        })?;
        Coordinator::parse(&text).map_err(failure)?
    } else {
        Coordinator::load(&options.file).map_err(failure)?
    };
    print_warnings(coordinator.warnings());
    let has_key = coordinator.mesh().key.is_some();
    print_warnings(&coordinator.check_links(has_key).map_err(failure)?);
    let keys = load_keys(&coordinator, options.offline)?;
    say::lines(&coordinator.explain());
    if let Some(keys) = keys {
        say!(
            "{:<12}{}",
            "keys",
            key_line(&keys, coordinator.mesh().cluster.as_deref().unwrap_or(DEFAULT_CLUSTER))
        );
    }
    if options.offline {
        print_warnings(&coordinator.check_embedded().map_err(failure)?);
    } else {
        let credential_warnings = coordinator.preflight().map_err(failure)?;
        print_warnings(&credential_warnings);
        let has_key = coordinator.mesh().key.is_some();
        print_warnings(&coordinator.check_machine(has_key).map_err(failure)?);
        coordinator.mesh().store.as_deref().map_or(Ok(()), check_store)?;
        warn_about_process(&coordinator, socket);
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            let credentials = if credential_warnings.is_empty() {
                "certificates and keys are valid"
            } else {
                "for certificates and keys see the warnings"
            };
            say!("{:<12}ports are free, files and interfaces exist, {credentials}", "machine");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns if `mailmesh node`, started like this command, would lack descriptors or its control
/// socket. These are no errors: a mail server may have other limits, and has no control socket.
fn warn_about_process(coordinator: &Coordinator, socket: Option<&Path>) {
    let name = Node::builder().coordinator(coordinator.clone()).node_name();
    let socket = match socket {
        Some(path) => control::check_path(path, SocketUse::Serve),
        None => name.map_or(Ok(()), |name| control::check_default_path(name.as_str())),
    };
    let found = [
        check_descriptors().unwrap_or_else(|error| Some(error.message().to_owned())),
        socket.err().map(|error| format!("`mailmesh node`: {}", error.message())),
    ];
    found.iter().flatten().for_each(|text| say::labelled(33, "warning", text));
}

fn print_warnings(warnings: &[Warning]) {
    for warning in warnings {
        say::labelled(33, "warning", &warning.message);
        if let Some(place) = &warning.place {
            note!("  --> {place}");
        }
        if let Some(line) = &warning.corrected {
            note!("  corrected line: {}", line.trim());
        }
    }
}

/// The cluster keys of the configuration, if it has any. With `offline`, keys in files and
/// environment variables are not read.
fn load_keys(coordinator: &Coordinator, offline: bool) -> Result<Option<Keyring>, Failure> {
    let Some(secret) = &coordinator.mesh().key else {
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            say::labelled(
                31,
                "open",
                "there is no cluster key: anyone who reaches a link can join, read and inject; \
                 generate one with `mailmesh key generate` and set `mesh.key` on every node",
            );
        }
        return Ok(None);
    };
    if offline && !matches!(secret, Secret::Value(_)) {
        return Ok(None);
    }
    let text = secret.resolve()?;
    let keys = text.parse::<Keyring>();
    let file = match secret {
        Secret::File(path) => Some(path.clone()),
        _ => None,
    };
    // As a node that starts says it.
    keys.map(Some).map_err(|error| mailmesh::StartError::KeyText { file, error }.into())
}

/// The fingerprints of the keys, as `key list` shows them.
fn key_line(keys: &Keyring, cluster: &str) -> String {
    let ids: Vec<String> = keys.ids(cluster).iter().map(ToString::to_string).collect();
    let (sealing, others) = ids.split_first().map_or(("", &[][..]), |(one, rest)| (one, rest));
    let accepts =
        if others.is_empty() { String::new() } else { format!(", accepts {}", others.join(" ")) };
    format!("seals with {sealing}{accepts}")
}

/// Checks that the store can be created or written in `dir`.
fn check_store(dir: &Path) -> Result<(), Failure> {
    let failed = |why: String| Failure::config(format!("`mesh.store`: {why}"));
    let existing = dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."));
    if !existing.is_dir() {
        return Err(failed(format!("{} is not a directory", display_path(existing))));
    }
    if store_in_use(dir) {
        return Err(failed(format!(
            "{}: another process uses this store; if this node is running, use `--offline`; \
             otherwise give each node its own directory",
            display_path(dir)
        )));
    }
    // Owners of parent directories do not matter.
    let trusted = (existing == dir).then(|| mailmesh::check_dir(dir)).transpose();
    let trusted = trusted.map_err(|why| failed(format!("{}: {why}", dir.display())))?;
    if trusted.is_some_and(|trusted| trusted.is_group_writable) {
        let text = format!(
            "the group of {} may write to it, and so change the blocks of all nodes; run \
             `chmod g-w`, unless the volume requires this mode",
            existing.display()
        );
        say::labelled(33, "warning", &text);
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        failed(format!(
            "{}: {error}; choose a directory that the user of the server may write to",
            display_path(existing)
        ))
    })
}
