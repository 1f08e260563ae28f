//! Retired keys disappear from the memory of all nodes.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::harness::{Node, Site, until};
use super::keys::config_of;

/// Maximum size of a memory region that is searched; nodes use no larger ones.
const MAX_REGION_LEN: u64 = 1 << 30;

/// Counts occurrences of all forms of the key in the writable memory of a process.
fn count_in_memory(pid: u32, forms: &[Vec<u8>]) -> std::io::Result<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut count = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        if !access.starts_with("rw") || to - from > MAX_REGION_LEN {
            continue;
        }
        let mut bytes = Vec::new();
        memory.seek(SeekFrom::Start(from))?;
        // A region may be unmapped while it is read.
        let _gone = (&mut memory).take(to - from).read_to_end(&mut bytes);
        count +=
            forms.iter().map(|form| memchr::memmem::find_iter(&bytes, form).count()).sum::<usize>();
    }
    Ok(count)
}

/// The key with this fingerprint in a key file, as bytes and as text.
fn key_forms(file: &Path, id: &str) -> Vec<Vec<u8>> {
    let ring = std::fs::read_to_string(file).unwrap().parse::<mailmesh::Keyring>().unwrap();
    let key = ring.keys().iter().find(|key| key.id("mail").to_string() == id).unwrap();
    vec![key.as_bytes().to_vec(), key.to_text().as_bytes().to_vec()]
}

fn rotate(a: &Node, b: &Node, file: &Path, old: &str) -> String {
    let old_key_forms = key_forms(file, old);
    assert!(
        count_in_memory(a.pid(), &old_key_forms).unwrap() > 0,
        "the search does not find a key in use"
    );
    let new = a.ok(&["key", "add"]).trim().to_owned();
    a.ok(&["key", "activate", &new]);
    a.ok(&["key", "retire", old]);
    for (name, node) in [("a", a), ("b", b)] {
        until(&format!("{name} has forgotten {old}"), || {
            count_in_memory(node.pid(), &old_key_forms).unwrap() == 0
        });
    }
    new
}

#[test]
fn a_retired_key_leaves_the_memory_of_every_node() {
    let site = Site::new();
    let start = |name: &str| site.start_with(name, name, &config_of(&site, name), &[]);
    let (a, b) = (start("a"), start("b"));
    a.wait_for_members(1);
    if let Err(error) = count_in_memory(a.pid(), &[]) {
        eprintln!("SKIPPED: the memory of a node cannot be read here: {error}");
        return;
    }
    let first = a.json(&["key", "list", "--json"])[0]["keys"][0].as_str().unwrap().to_owned();
    let file = site.path("a.key");
    // The first key came from a file, the second over the control socket and a link.
    let second = rotate(&a, &b, &file, &first);
    rotate(&a, &b, &file, &second);
}
