//! Limits and protections that the program asks of the system, before anything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Failure;

/// Descriptors that a node wants: a link each for many peers, for strangers that do not prove
/// the key in time, for the store and the control socket.
const DESCRIPTORS: u64 = 65_536;
/// Descriptors without which a node does not start: 30 to 40 that are always open, a control
/// socket with its clients, and links to some peers. With fewer, threads of Zenoh end where they
/// lack one, and the node would run on without hearing anything.
const FEWEST: u64 = 128;
/// With fewer than these, strangers whose links are being checked (at most 1,000) can leave a
/// node without one.
const FEW: u64 = 2_048;

/// Keeps keys out of core dumps and from other processes of the user, and raises the bound of
/// descriptors as far as that may be. What the system refuses stays as it was.
pub(crate) fn prepare() {
    #[cfg(target_os = "linux")]
    let _refused =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Whether there are enough descriptors for a node. Called after [`prepare`].
pub(crate) fn check_descriptors() -> Result<(), Failure> {
    let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < FEW) else {
        return Ok(());
    };
    if limit < FEWEST {
        return Err(Failure::failed(format!(
            "this process may open {limit} files; a node needs {FEWEST} at least, and one more \
             for each other node: raise the hard limit (`LimitNOFILE=` of systemd, `ulimit -n`) \
             to {DESCRIPTORS}"
        )));
    }
    tracing::warn!(
        limit,
        "this process may open few files: strangers that dial it can use them up; raise the hard \
         limit (`LimitNOFILE=` of systemd, `ulimit -n`) to {DESCRIPTORS}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_its_memory_to_itself_and_has_descriptors() {
        prepare();
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert!(current.is_none_or(|n| n >= maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS)));
    }
}
