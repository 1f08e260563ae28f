//! Zenoh reads the number of its threads from the environment alone.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "ZENOH_RUNTIME";
/// Zenoh may block a network thread while it closes a dead TCP link, for 10 s unless it
/// was compiled with a linger of 0 (decision 11). By default it has one.
const THREADS: &str = "(net: (worker_threads: 4), rx: (worker_threads: 2))";

/// Runs this program anew, in the same process, with enough threads for Zenoh; unless
/// the environment says how many. Where that fails, the program goes on as it is.
pub(crate) fn provide() {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| program.clone().into());
    let _only_if_it_fails =
        Command::new(program).arg0(name).args(args).env(VARIABLE, THREADS).exec();
}
