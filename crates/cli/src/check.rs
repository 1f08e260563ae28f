use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mailmesh::secrets::{io_words, path_words};
use mailmesh::{
    Backend, Cluster, ConfigError, Coordinator, DEFAULT_CLUSTER, Keyring, Secret, Warning,
    store_in_use,
};
use rustix::fs::{Access, access};

use crate::args::Check;
use crate::control;
use crate::exit::Failure;
use crate::process::check_descriptors;
use crate::say::{self, note, say};

pub(crate) fn run(options: &Check, socket: Option<&Path>) -> Result<ExitCode, Failure> {
    let failure = |error: ConfigError| Failure::from(error);
    let coordinator = if options.file == Path::new("-") {
        let mut text = String::new();
        // One byte more than is accepted, so that a longer text is seen as such.
        let limit = (1 << 20) + 1;
        let read = std::io::stdin().take(limit).read_to_string(&mut text);
        read.map_err(|error| Failure::config(format!("standard input: {}", io_words(&error))))?;
        Coordinator::parse(&text).map_err(failure)?
    } else {
        Coordinator::load(&options.file).map_err(failure)?
    };
    warn(coordinator.warnings());
    let has_key = coordinator.mesh().key.is_some();
    warn(&coordinator.check_links(has_key).map_err(failure)?);
    let keys = check_key(&coordinator, options.offline)?;
    say::lines(&coordinator.explain());
    if let Some(keys) = keys {
        say!(
            "{:<12}{}",
            "keys",
            names(&keys, coordinator.mesh().cluster.as_deref().unwrap_or(DEFAULT_CLUSTER))
        );
    }
    if options.offline {
        warn(&coordinator.check_embedded().map_err(failure)?);
    } else {
        let of_credentials = coordinator.preflight().map_err(failure)?;
        warn(&of_credentials);
        let has_key = coordinator.mesh().key.is_some();
        warn(&coordinator.check_machine(has_key).map_err(failure)?);
        coordinator.mesh().store.as_deref().map_or(Ok(()), check_store)?;
        warn_of_process(&coordinator, socket);
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            let credentials = if of_credentials.is_empty() {
                "and certificates and keys in order"
            } else {
                "of certificates and keys see the warnings"
            };
            say!("{:<12}has the ports free, files and interfaces there, {credentials}", "machine");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns of what `mailmesh node` would lack that started as this command did. A server may be
/// started otherwise, and has no control socket, so none of it is an error here.
fn warn_of_process(coordinator: &Coordinator, socket: Option<&Path>) {
    let name = Cluster::builder().coordinator(coordinator.clone()).node_name();
    let socket = match socket {
        Some(path) => control::check_path(path, true),
        None => name.map_or(Ok(()), |name| control::check_default(name.as_str())),
    };
    let found = [
        check_descriptors().unwrap_or_else(|error| Some(error.message().to_owned())),
        socket.err().map(|error| format!("`mailmesh node`: {}", error.message())),
    ];
    found.iter().flatten().for_each(|text| say::labelled(33, "warning", text));
}

fn warn(warnings: &[Warning]) {
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

/// The keys there are, if they are some. Those that are elsewhere are looked at unless
/// `offline`.
fn check_key(coordinator: &Coordinator, offline: bool) -> Result<Option<Keyring>, Failure> {
    let Some(secret) = &coordinator.mesh().key else {
        if matches!(coordinator.backend(), Backend::Zenoh(_)) {
            say::labelled(
                31,
                "open",
                "there is no cluster key: whoever reaches a link joins, reads and injects; \
                 make one with `mailmesh key generate` and set `mesh.key` on every node",
            );
        }
        return Ok(None);
    };
    if offline && !matches!(secret, Secret::Value(_)) {
        return Ok(None);
    }
    let text = secret.resolve()?;
    let keys = Keyring::from_text(&text);
    let file = match secret {
        Secret::File(path) => Some(path.clone()),
        _ => None,
    };
    // As a node that starts says it.
    keys.map(Some).map_err(|error| mailmesh::Error::KeyText { file, error }.into())
}

/// The fingerprints of keys, as `key list` shows them.
fn names(keys: &Keyring, cluster: &str) -> String {
    let ids: Vec<String> = keys.ids(cluster).iter().map(ToString::to_string).collect();
    let (sealing, others) = ids.split_first().map_or(("", &[][..]), |(one, rest)| (one, rest));
    let accepts =
        if others.is_empty() { String::new() } else { format!(", accepts {}", others.join(" ")) };
    format!("seals with {sealing}{accepts}")
}

/// Whether the store can be made, or written, there.
fn check_store(dir: &Path) -> Result<(), Failure> {
    let failed = |why: String| Failure::config(format!("`mesh.store`: {why}"));
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."));
    if !there.is_dir() {
        return Err(failed(format!("{} is not a directory", path_words(there))));
    }
    if store_in_use(dir) {
        return Err(failed(format!(
            "{}: another process uses this store; if that is the node itself, which runs, use \
             `--offline`; else give each node a directory of its own",
            path_words(dir)
        )));
    }
    // Whose the directories above the store's are does not matter.
    let trusted = (there == dir).then(|| mailmesh::check_dir(dir)).transpose();
    let trusted = trusted.map_err(|why| failed(format!("{}: {why}", dir.display())))?;
    if trusted.is_some_and(|trusted| trusted.is_open_to_group) {
        let text = format!(
            "the group of {} may write there, and so change what all nodes block; `chmod g-w` it, \
             unless the volume is mounted so",
            there.display()
        );
        say::labelled(33, "warning", &text);
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        failed(format!(
            "{}: {error}; give a directory that the user of the server may write",
            path_words(there)
        ))
    })
}
