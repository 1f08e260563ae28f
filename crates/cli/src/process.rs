//! Limits and protections that the program asks of the system, before anything else.

use std::io::Write;
use std::panic::PanicHookInfo;

use mailmesh::secrets::redact;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Failure;

/// Descriptors that a node wants: a link each for many peers, for strangers that do not prove
/// the key in time, for the store and the control socket.
const WANTED_DESCRIPTORS: u64 = 65_536;
/// Descriptors without which a node does not start: 30 to 40 that are always open, a control
/// socket with its clients, and links to some peers. With fewer, threads of Zenoh end where they
/// lack one, and the node would run on without hearing anything.
const MIN_DESCRIPTORS: u64 = 128;
/// With fewer than these, strangers whose links are being checked (at most 1,000) can leave a
/// node without one.
const LOW_DESCRIPTORS: u64 = 2_048;

/// Keeps keys out of core dumps and from other processes of the user, and raises the bound of
/// descriptors as far as that may be. What the system refuses stays as it was.
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

/// Whether there are enough descriptors for a node; gives what to warn of. Called after
/// [`prepare`].
///
/// # Errors
/// With fewer than a node starts with.
pub(crate) fn check_descriptors() -> Result<Option<String>, Failure> {
    let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < LOW_DESCRIPTORS)
    else {
        return Ok(None);
    };
    if limit < MIN_DESCRIPTORS {
        return Err(Failure::failed(format!(
            "this process may open {limit} files; a node needs {MIN_DESCRIPTORS} at least, and one more \
             for each other node: raise the hard limit (`LimitNOFILE=` of systemd, `ulimit -n`) \
             to {WANTED_DESCRIPTORS}"
        )));
    }
    Ok(Some(format!(
        "this process may open few files ({limit}): strangers that dial it can use them up; raise \
         the hard limit (`LimitNOFILE=` of systemd, `ulimit -n`) to {WANTED_DESCRIPTORS}"
    )))
}

/// Says where the program panicked. Some messages of libraries hold the text that they are
/// about, which may be that of a key.
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
    // Not a panic of its own, where nobody reads.
    let _nobody_reads = writeln!(std::io::stderr(), "panicked at {place}: {message}{trace}");
}

/// A message without what stands in quotes, and without what may be a secret.
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
    fn a_panic_shows_nothing_of_the_text_that_it_is_about() {
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
