//! How large a change is.

use mailmesh_events::Change;

/// About how many bytes a change takes on the wire.
pub(crate) fn estimate(change: &Change) -> usize {
    match change {
        Change::Network(change) => {
            48 + change.block.as_ref().map_or(0, |b| b.reason().len() + b.origin().len() + 24)
        }
        Change::Certificate(change) => {
            let names: usize = change.names.iter().map(|name| name.len() + 2).sum();
            let certificate = change.certificate.as_ref().map_or(0, |certificate| {
                let chain: usize = certificate.chain().iter().map(|der| der.len() + 3).sum();
                chain + certificate.key().der().len() + 64
            });
            32 + names + certificate
        }
        Change::Value(change) => {
            let value = change.value.as_ref().map_or(0, |value| value.payload().len() + 12);
            40 + change.key.namespace().len() + change.key.name().len() + value
        }
        _ => 64,
    }
}
