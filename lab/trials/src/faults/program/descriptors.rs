//! A node with a low limit of open files.

use super::testbed::{Start, Testbed, all_block, wait_for_members};
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::faults::run_length::RunLength;

const BY_N1: &str = "192.0.2.1";
const BY_N2: &str = "192.0.2.2";
/// Remedies that the log must name.
const REMEDIES: [&str; 2] = ["LimitNOFILE=", "ulimit -n"];

/// The limit is too low: the node does not start, and names the remedy.
pub(in crate::faults) fn too_few(
    testbed: &Testbed,
    verdict: &mut Verdict,
    files: u64,
    _: RunLength,
) -> Result<(), String> {
    let mut node = testbed.spawn(&Start::new(0, "n1").with_prefix(with_files(files)))?;
    let runs = node.is_ready(DISCOVERY_TIMEOUT)?;
    let code = node.exit_status()?.and_then(|status| status.code());
    let log = node.log()?;
    let seen = if runs { "it runs".to_owned() } else { format!("exit {code:?}") };
    verdict.check("the node does not start", !runs && code == Some(1), seen);
    let names = log.contains(&format!("may open {files} files"));
    let remedies = REMEDIES.iter().all(|remedy| log.contains(remedy));
    verdict.check("the log has the limit and the remedy", names && remedies, log);
    Ok(())
}

/// The limit is just enough: the node warns, and works.
pub(in crate::faults) fn just_enough(
    testbed: &Testbed,
    verdict: &mut Verdict,
    files: u64,
    _: RunLength,
) -> Result<(), String> {
    let limited = testbed.start(&Start::new(0, "n1").with_prefix(with_files(files)))?;
    let n2 = testbed.start(&Start::new(1, "n2"))?;
    let n3 = testbed.start(&Start::new(2, "n3"))?;
    let warning = limited.find_log_line("may open few files")?;
    let has_remedies =
        warning.as_ref().is_some_and(|output| REMEDIES.iter().all(|r| output.contains(r)));
    let seen = warning.unwrap_or_else(|| "no such line".to_owned());
    verdict.check("the node warns, with the remedy", has_remedies, seen);
    let all = [&limited, &n2, &n3];
    let met = wait_for_members(&all);
    verdict.check("all nodes see each other", met.is_ok(), met.err().unwrap_or_default());
    limited.run_ok(&["block", "add", BY_N1])?;
    n2.run_ok(&["block", "add", BY_N2])?;
    verdict.eventually("blocks replicate in both directions", CONVERGENCE_TIMEOUT, || {
        all_block(&all, &[BY_N1, BY_N2])
    });
    Ok(())
}

/// The command prefix that sets the limit. The shell lowers the hard limit too, so the program
/// cannot raise its own.
fn with_files(files: u64) -> Vec<String> {
    let limit = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    ["sh", "-c", &limit].map(str::to_owned).to_vec()
}
