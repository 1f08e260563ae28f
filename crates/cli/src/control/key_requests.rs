//! Requests of the control socket that concern cluster keys.

use mailmesh::{ClusterKey, KeyError, KeyId, Keys};
use mailmesh_cli::protocol::SecretText;
use serde_json::{Value, json};

/// The error, with the commands that help.
fn error_text(error: KeyError) -> String {
    match &error {
        KeyError::Unanswered { .. } | KeyError::Retired { .. } => {
            format!("{error} (`mailmesh key add --here FILE`)")
        }
        KeyError::Missing { .. } => format!(
            "{error} (`mailmesh key add --here FILE` there, or `mailmesh key add FILE` for all)"
        ),
        KeyError::InUse { .. } => format!("{error} (`mailmesh key activate`)"),
        KeyError::NotKept { .. } => {
            format!("{error} (`mailmesh key export FILE` writes it), or use `--force`")
        }
        _ => error.to_string(),
    }
}

fn shown(error: impl std::error::Error) -> String {
    error.to_string()
}

pub(super) async fn list(keys: &Keys<'_>) -> Result<Value, String> {
    Ok(json!(keys.list().await.map_err(error_text)?))
}

/// Adds `key`, or a new key without one. A new key exists only in the key files of the nodes, so
/// without `force` each node must be able to save it.
pub(super) async fn add(
    keys: &Keys<'_>,
    key: Option<SecretText>,
    here: bool,
    force: bool,
) -> Result<Value, String> {
    let key = match key {
        Some(key) => key.0.parse::<ClusterKey>().map_err(shown)?,
        None => {
            let all = keys.list().await.map_err(error_text)?;
            let without_file = all.iter().filter(|node| node.answered && !node.keeps_new);
            let without_file: Vec<_> = without_file.map(|node| node.node.as_str()).collect();
            if !without_file.is_empty() && !force {
                return Err(format!(
                    "{} cannot save a new key to a file and would lose it at a restart; generate \
                     the key with `mailmesh key generate --out FILE`, put it where `mesh.key` of \
                     that node points, then run `mailmesh key add FILE`; or use `--force`",
                    without_file.join(", ")
                ));
            }
            ClusterKey::generate().map_err(shown)?
        }
    };
    let add = keys.add(key);
    let added = if here { add.here().await } else { add.await };
    Ok(json!(added.map_err(error_text)?.to_string()))
}

pub(super) async fn activate(keys: &Keys<'_>, id: &str, here: bool) -> Result<Value, String> {
    let id = id.parse::<KeyId>().map_err(shown)?;
    let activate = keys.activate(id);
    let done = if here { activate.here().await } else { activate.await };
    done.map_err(error_text)?;
    Ok(Value::Null)
}

pub(super) async fn retire(
    keys: &Keys<'_>,
    id: &str,
    here: bool,
    force: bool,
) -> Result<Value, String> {
    let id = id.parse::<KeyId>().map_err(shown)?;
    let mut retire = keys.retire(id);
    if here {
        retire = retire.here();
    }
    if force {
        retire = retire.force();
    }
    retire.await.map_err(error_text)?;
    Ok(Value::Null)
}

/// The key with this fingerprint, or the sealing key, as text.
pub(super) fn export(keys: &Keys<'_>, id: Option<&str>) -> Result<Value, String> {
    let id = id.map(str::parse::<KeyId>).transpose().map_err(shown)?;
    let key = keys.export(id).map_err(error_text)?;
    Ok(json!(key.to_text().as_str()))
}
