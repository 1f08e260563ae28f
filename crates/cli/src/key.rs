use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mailmesh::ClusterKey;

use crate::args::Key;
use crate::exit::Failure;
use crate::say::say;

pub(crate) fn run(options: &Key) -> Result<ExitCode, Failure> {
    let Key::Generate { out } = options;
    let key = ClusterKey::generate().map_err(|error| Failure::failed(error.to_string()))?;
    match out {
        None => say!("{}", key.to_text().as_str()),
        Some(path) => {
            write_key(path, &key).map_err(|error| {
                Failure::failed(format!(
                    "{}: {error}; a key is never overwritten: give the path of a new file",
                    path.display()
                ))
            })?;
            eprintln!(
                "wrote {}; copy it to every node, and set \"mesh\": {{\"key\": {{\"@type\": \"File\", \"filePath\": {:?}}}}}",
                path.display(),
                path.display().to_string()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A new file that only its owner may read.
pub(crate) fn write_key(path: &Path, key: &ClusterKey) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", key.to_text().as_str())
}
