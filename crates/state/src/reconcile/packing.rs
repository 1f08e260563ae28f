//! Splits changes into messages of bounded size.

use mailmesh_events::{Change, limits};

/// Splits changes into lists of at most `bytes` estimated bytes and `SYNC_CHANGES` changes. A
/// larger change gets its own list.
pub(super) fn pack(changes: Vec<Change>, bytes: usize) -> Vec<Vec<Change>> {
    let mut packs: Vec<Vec<Change>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let size = change.size_estimate();
        match packs.last_mut() {
            Some(pack) if size <= room && pack.len() < limits::SYNC_CHANGES => {
                room -= size;
                pack.push(change);
            }
            _ => {
                room = bytes.saturating_sub(size);
                packs.push(vec![change]);
            }
        }
    }
    packs
}
