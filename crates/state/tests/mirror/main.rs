//! Merging: every node ends with the same content.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod certificates;
mod expiry;
mod lookup;
mod merging;
mod restore;
mod values;

use mailmesh_events::*;
use mailmesh_state::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn mirror(node: u64) -> Mirror {
    Mirror::new(NodeId(node), [3; 16])
}

fn block(reason: &str) -> RuleDetails {
    RuleDetails::new(reason, NOW).unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn certificate(name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}
