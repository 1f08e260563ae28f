//! The list of attacks.

/// No attack: the baseline of the link attacks.
pub(super) const UNDISTURBED: &str = "undisturbed";
/// The honest nodes had the attacker's key before, and have retired it.
pub(super) const RETIRED_KEY: &str = "link-retired-key";

/// Names and descriptions of all attacks.
pub(super) const ATTACKS: [(&str, &str); 23] = [
    ("no-key", "frames that are not sealed"),
    ("wrong-key", "frames sealed with another key, each of a new incarnation"),
    ("forged-header", "recorded frames of members with one header byte changed"),
    ("replay", "recorded frames of members"),
    ("truncated", "recorded frames of members, truncated"),
    ("long-lengths", "with the key: lengths of a gibibyte"),
    ("deep-nesting", "with the key: arrays nested 100,000 deep"),
    ("many-lives", "with the key: a new incarnation with each frame"),
    ("nak-flood", "with the key: requests for all frames ever sent"),
    ("lying-digests", "with the key: false mirror digests and peer reports"),
    ("year3000", "with the key: blocks with stamps of the year 3000"),
    ("endless-snapshot", "with the key: a mirror that never ends"),
    ("twin", "with the key: a node with the name of another"),
    ("link-no-proof", "links without a proof of the key, from 200 addresses"),
    ("link-unasked", "links that begin with keep-alives, frames or fragments, from 200 addresses"),
    ("link-wrong-login", "links with invalid credentials"),
    ("link-half-open", "400 silent links, from 200 addresses"),
    ("link-garbage", "links that send random bytes, from 200 addresses"),
    ("link-replayed", "a member's handshake, recorded and replayed, from 200 addresses"),
    (RETIRED_KEY, "4 nodes at once with a retired key"),
    ("link-no-key", "4 nodes at once without a key"),
    ("discovery-flood", "datagrams of discovery and scouting: recorded, changed, invented, random"),
    ("link-all", "all attacks at links at once, except with the retired key"),
];

/// Whether an attack targets links that prove the cluster key. The other attacks are made of
/// frames, so they need links without this proof.
pub(super) fn is_link_attack(attack: &str) -> bool {
    attack.starts_with("link-") || attack.starts_with("discovery-") || attack == UNDISTURBED
}

/// Whether it also applies to bare Zenoh, which has no cluster keys.
pub(super) fn applies_to_zenoh(attack: &str) -> bool {
    is_link_attack(attack) && attack != RETIRED_KEY && attack != "link-no-key"
}

/// Incarnations that may be members in addition to the honest ones: the node whose handshake is
/// recorded has the key.
pub(super) fn extra_members(attack: &str) -> usize {
    usize::from(attack == "link-replayed" || attack == "link-all")
}
