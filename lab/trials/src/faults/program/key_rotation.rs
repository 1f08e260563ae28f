//! A node that misses a key rotation.

use std::time::Instant;

use super::node::LOCKED_OUT;
use super::testbed::{Start, Testbed, all_block, observe_each, sees_members, wait_for_members};
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::faults::run_length::RunLength;

const BY_N1: &str = "192.0.2.1";
const BY_N3: &str = "192.0.2.3";

/// One of three nodes is cut off while a new key is activated and the old one is retired.
pub(in crate::faults) fn missed(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let n2 = testbed.start(&Start::new(1, "n2"))?;
    let n3 = testbed.start(&Start::new(2, "n3"))?;
    let all = [&n1, &n2, &n3];
    wait_for_members(&all)?;
    testbed.network().cut(2)?;
    wait_for_members(&[&n1, &n2])?;
    let old = sealing_key(&n1.json(&["key", "list", "--json"])?)?;
    n1.run_ok(&["key", "add"])?;
    let keys = n1.json(&["key", "list", "--json"])?;
    let added = keys[0]["keys"].as_array().into_iter().flatten().filter_map(|key| key.as_str());
    let new = added.into_iter().find(|key| *key != old).ok_or("no key was added")?.to_owned();
    n1.run_ok(&["key", "activate", &new])?;
    n1.run_ok(&["key", "retire", &old])?;
    testbed.network().heal(2)?;

    verdict.eventually(
        "n3 reports that it lacks the key, with the remedy",
        DISCOVERY_TIMEOUT,
        || {
            let output = n3.run(&["members"])?;
            let text = format!("{}{}", output.stdout, output.stderr);
            let held = output.code == Some(LOCKED_OUT) && text.contains("key add --here");
            Ok((
                held && n3.status()?["locked_out"] == true,
                format!("exit {:?}: {text}", output.code),
            ))
        },
    );
    // The remedy that n3 names: import the key file of another node.
    let file = testbed.path("exported.key");
    let path = file.to_string_lossy();
    n1.run_ok(&["key", "export", &path])?;
    n3.run_ok(&["key", "add", "--here", &path])?;
    let begin = Instant::now();
    let back = verdict.eventually("`key add --here` brings n3 back", DISCOVERY_TIMEOUT, || {
        observe_each(&all, |node| sees_members(node, &all))
    });
    verdict.figure("n3 was back after", back.then(|| begin.elapsed().as_secs_f64()), "s");
    verdict.eventually("n3 seals with the new key", CONVERGENCE_TIMEOUT, || {
        let sealing = sealing_key(&n3.json(&["key", "list", "--json"])?)?;
        Ok((sealing == new, format!("it seals with {sealing}, the others with {new}")))
    });
    n1.run_ok(&["block", "add", BY_N1])?;
    n3.run_ok(&["block", "add", BY_N3])?;
    verdict.eventually("blocks replicate in both directions", CONVERGENCE_TIMEOUT, || {
        all_block(&all, &[BY_N1, BY_N3])
    });
    verdict.eventually("the old key can be retired on n3 too", CONVERGENCE_TIMEOUT, || {
        let output = n3.run(&["key", "retire", &old])?;
        Ok((output.code == Some(0), format!("{}{}", output.stdout, output.stderr)))
    });
    Ok(())
}

/// The key that a node seals with: the first one of `key list`.
fn sealing_key(list: &serde_json::Value) -> Result<String, String> {
    let key = list[0]["keys"][0].as_str();
    key.map(str::to_owned).ok_or_else(|| format!("no key in {list}"))
}
