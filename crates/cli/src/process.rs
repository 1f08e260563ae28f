//! Process limits and protections, set up before anything else.

use std::io::Write;
use std::panic::PanicHookInfo;

use mailmesh::secrets::redact;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Failure;

/// File descriptors that a node asks for: for links to many peers, for connections of strangers
/// until the handshake times out, for the store and the control socket.
const WANTED_DESCRIPTORS: u64 = 65_536;
/// Minimum number of descriptors for a node: 30 to 40 are always open, others are for clients of
/// the control socket and for links to some peers. Without a free descriptor, threads of Zenoh end,
/// and the node would run on without receiving anything.
const MIN_DESCRIPTORS: u64 = 128;
/// With fewer descriptors than this, strangers in the handshake (at most 1,000) can exhaust them.
const LOW_DESCRIPTORS: u64 = 2_048;

/// Keeps keys out of core dumps and out of reach of other processes of the user, raises the soft
/// limit of descriptors, and installs the panic hook. Refusals of the system are ignored.
pub(crate) fn prepare() {
    std::panic::set_hook(Box::new(report_panic));
    #[cfg(target_os = "linux")]
    let _refused =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED_DESCRIPTORS, |maximum| maximum.min(WANTED_DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Checks the limit of descriptors; returns a warning if it is low. Call [`prepare`] before.
///
/// # Errors
/// With fewer than the minimum for a node.
pub(crate) fn check_descriptors() -> Result<Option<String>, Failure> {
    let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < LOW_DESCRIPTORS)
    else {
        return Ok(None);
    };
    if limit < MIN_DESCRIPTORS {
        return Err(Failure::failed(format!(
            "this process may open {limit} files; a node needs at least {MIN_DESCRIPTORS}, and one \
             more per other node: raise the hard limit (`LimitNOFILE=` of systemd, `ulimit -n`) \
             to {WANTED_DESCRIPTORS}"
        )));
    }
    Ok(Some(format!(
        "this process may open few files ({limit}): strangers that connect can exhaust them; raise \
         the hard limit (`LimitNOFILE=` of systemd, `ulimit -n`) to {WANTED_DESCRIPTORS}"
    )))
}

/// The panic hook: prints message and location. Some messages of libraries quote the text they are
/// about, which may contain a key, so quotes are removed.
fn report_panic(info: &PanicHookInfo<'_>) {
    let message =
        match (info.payload().downcast_ref::<&str>(), info.payload().downcast_ref::<String>()) {
            (Some(literal), _) => (*literal).to_owned(),
            (None, Some(message)) => strip_quoted(message),
            (None, None) => String::new(),
        };
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let trace = std::backtrace::Backtrace::capture();
    let trace = match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    // `eprintln!` would panic if standard error is closed.
    let _no_reader = writeln!(std::io::stderr(), "panicked at {place}: {message}{trace}");
}

/// Replaces everything from the first to the last quote by `***`, and redacts possible secrets.
fn strip_quoted(message: &str) -> String {
    let first = message.find(['`', '"', '\'']);
    match first.and_then(|first| message.rfind(['`', '"', '\'']).map(|last| (first, last))) {
        Some((first, last)) if first < last => {
            redact(&format!("{}***{}", &message[..=first], &message[last..]))
        }
        _ => redact(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_message_does_not_quote_the_text_it_is_about() {
        let secret = "hunter2, correct `horse` battery";
        let caught = std::panic::catch_unwind(|| secret[..100].len()).unwrap_err();
        let message = caught.downcast_ref::<String>().unwrap();
        assert!(message.contains(secret), "{message}");
        let shown = strip_quoted(message);
        assert!(!shown.contains("hunter2") && !shown.contains("battery"), "{shown}");
        let message = "Err value: Utf8 { bytes: [45, 45, 45, 45, 45, 66, 69, 71] }";
        let stars = "*".repeat("45, 45, 45, 45, 45, 66, 69, 71".len());
        assert_eq!(strip_quoted(message), format!("Err value: Utf8 {{ bytes: [{stars}] }}"));
    }

    #[test]
    fn a_process_keeps_its_memory_to_itself_and_has_descriptors() {
        prepare();
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert!(
            current
                .is_none_or(|n| n >= maximum.unwrap_or(WANTED_DESCRIPTORS).min(WANTED_DESCRIPTORS))
        );
    }
}
