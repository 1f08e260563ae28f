//! Does what is asked of this node's keys, one after the other, apart from where frames are
//! received: a file is written, and the mirror keyed anew.

use std::sync::Arc;

use mailmesh_delivery::Incarnation;
use mailmesh_events::{Certificate, ChangeKey, KeyAction, KeysHeld, SyncMessage, limits};
use tokio::sync::mpsc;

use super::chain::Turned;
use crate::Error;
use crate::disk::Disk;
use crate::mesh::Mesh;

/// A question of another node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) from: Incarnation,
    pub(crate) number: u32,
    pub(crate) action: KeyAction,
}

/// Answers questions until the node stops.
pub(crate) async fn work(mesh: Arc<Mesh>, mut asked: mpsc::Receiver<Asked>) {
    while let Some(Asked { from, number, action }) = asked.recv().await {
        let done = act(&mesh, action).await;
        let Ok(held) = held(&mesh).await else { return };
        let refused = done.err().map(|error| shortened(error.to_string()));
        let held = KeysHeld { refused, ..held };
        mesh.send_sync(vec![(from, SyncMessage::Keys { number, held })]);
    }
}

/// The keys of this node.
pub(super) async fn held(mesh: &Arc<Mesh>) -> Result<KeysHeld, Error> {
    let mesh = mesh.clone();
    let held = tokio::task::spawn_blocking(move || {
        mesh.keys.as_ref().map(|keys| keys.held()).ok_or(Error::OpenMesh)
    });
    held.await.unwrap_or(Err(Error::ShutDown))
}

/// Does it here. Done as a whole, also if nobody waits for it any more.
pub(super) async fn act(mesh: &Arc<Mesh>, action: KeyAction) -> Result<(), Error> {
    if action == KeyAction::List {
        return Ok(());
    }
    if matches!(action, KeyAction::Retire(_))
        && let Some(disk) = mesh.disk.get()
    {
        // What was sealed with it, whenever that was, is sealed anew before it goes.
        write_certificates_again(mesh, disk)?;
        disk.saved().await?;
    }
    let mesh = mesh.clone();
    let done = tokio::task::spawn_blocking(move || {
        let Some(keys) = &mesh.keys else { return Err(Error::OpenMesh) };
        let turned = keys.act(&action)?;
        if turned != Turned::Nothing
            && let Some(disk) = mesh.disk.get()
        {
            disk.note_keys();
        }
        let ids = keys.ids().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match turned {
            Turned::Nothing => {}
            Turned::Accepted => tracing::info!("cluster keys, the first seals: {ids}"),
            Turned::Active => {
                tracing::info!("another cluster key seals; all: {ids}");
                if let Some(disk) = mesh.disk.get() {
                    // What is set aside is sealed anew before the old key goes, at the latest.
                    let _aside = write_certificates_again(&mesh, disk);
                }
                rekey_in_background(&mesh);
            }
        }
        Ok(())
    });
    done.await.unwrap_or(Err(Error::ShutDown))
}

fn write_certificates_again(mesh: &Mesh, disk: &Disk) -> Result<(), Error> {
    let held = mesh.mirror.certificates();
    let key = |held: &Arc<Certificate>| ChangeKey::Certificate(held.names().clone());
    if disk.write_again(held.iter().map(key)) {
        return Ok(());
    }
    let why = "content from before a long absence waits to be decided about; try again in 10 s";
    Err(Error::NotSaved { why: why.to_owned() })
}

/// Mirrors are compared again once all have the same key.
fn rekey_in_background(mesh: &Arc<Mesh>) {
    let mesh = mesh.clone();
    tokio::task::spawn_blocking(move || {
        let Some(keys) = &mesh.keys else { return };
        // One after the other: the last finds the key that seals now.
        let _turn = keys.rekeying.lock();
        mesh.mirror.rekey(keys.mirror_key());
        mesh.reconciler.lock().on_rekeyed();
        mesh.tell_digest();
    });
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::TEXT_LEN));
    text
}
