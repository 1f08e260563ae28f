//! Limits and protections that the program asks of the system, before anything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a node wants: a link each for many peers, for strangers that do not prove
/// the key in time, for the store and the control socket.
const DESCRIPTORS: u64 = 65_536;

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
