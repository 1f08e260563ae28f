//! Which attacks there are.

/// Nobody attacks: what the others are compared to.
pub(super) const UNDISTURBED: &str = "undisturbed";
/// Its nodes have had the attacker's key, and have retired it.
pub(super) const RETIRED_KEY: &str = "link-retired-key";

/// What a hostile peer does, and whether it has the key.
pub(super) const ATTACKS: [(&str, &str); 23] = [
    ("no-key", "frames that are not sealed"),
    ("wrong-key", "frames sealed with another key, of a new life each"),
    ("forged-header", "frames of members with a byte of the header changed"),
    ("replay", "frames of members, again"),
    ("truncated", "frames of members, cut off"),
    ("long-lengths", "with the key: lengths of a gibibyte"),
    ("deep-nesting", "with the key: arrays in arrays, 100,000 deep"),
    ("many-lives", "with the key: a new life with each frame"),
    ("nak-flood", "with the key: requests for all that was ever sent"),
    ("lying-digests", "with the key: lies about mirrors, and who has what"),
    ("year3000", "with the key: blocks stamped in the year 3000"),
    ("endless-snapshot", "with the key: a mirror that never ends"),
    ("twin", "with the key: a node with the name of another"),
    ("link-no-proof", "links that prove nothing, from 200 addresses"),
    ("link-unasked", "links that begin with keep-alives, frames or fragments, from 200 addresses"),
    ("link-wrong-login", "links with a login that is none"),
    ("link-half-open", "400 links that say nothing, from 200 addresses"),
    ("link-garbage", "links that send noise, from 200 addresses"),
    ("link-replayed", "a member's handshake, recorded and replayed, from 200 addresses"),
    (RETIRED_KEY, "4 nodes at once with a key that was retired"),
    ("link-no-key", "4 nodes at once without a key"),
    ("discovery-flood", "datagrams of discovery and scouting: recorded, changed, invented, noise"),
    ("link-all", "all of these at links at once, but for the retired key"),
];

/// Whether an attack is at links that prove the key. The others are made of frames, and links
/// must let them through.
pub(super) fn is_link_attack(attack: &str) -> bool {
    attack.starts_with("link-") || attack.starts_with("discovery-") || attack == UNDISTURBED
}

/// Whether it can be tried on bare Zenoh, which has no keys.
pub(super) fn applies_to_zenoh(attack: &str) -> bool {
    is_link_attack(attack) && attack != RETIRED_KEY && attack != "link-no-key"
}

/// Lives besides those of the honest that may be members: the node that is recorded has the key.
pub(super) fn extra_members(attack: &str) -> usize {
    usize::from(attack == "link-replayed" || attack == "link-all")
}
