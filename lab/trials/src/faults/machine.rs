//! The features of this machine that scenarios need.

use super::network::filters_available;
use super::process_group::Isolation;
use super::program::{faketime, tmpfs};
use xtask::namespaces;

/// The isolation that a scenario needs; each level includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Requirement {
    Processes,
    Namespaces,
    /// Namespaces with `nft` in them.
    Filters,
}

/// A tool that a scenario needs in addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// libfaketime, which gives a process its own wall clock.
    Faketime,
    /// The right to mount a small file system.
    Mounts,
}

/// The features that this machine has.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) isolation: Isolation,
    supports: Requirement,
    /// Why it lacks the requirements above `supports`; empty if it has all.
    reason: String,
}

impl Machine {
    pub(super) fn probe() -> Self {
        let (isolation, supports) = (Isolation::Loopback, Requirement::Processes);
        if let Err(reason) = namespaces::available() {
            let reason = format!("no network namespaces ({reason}): run as root, with iproute2");
            return Self { isolation, supports, reason };
        }
        let isolation = Isolation::Namespaces;
        match filters_available() {
            Ok(()) => Self { isolation, supports: Requirement::Filters, reason: String::new() },
            Err(reason) => {
                let reason = format!("no packet filters ({reason}): install nftables");
                Self { isolation, supports: Requirement::Namespaces, reason }
            }
        }
    }

    /// Checks that a scenario with these needs can run here.
    ///
    /// # Errors
    /// If it cannot: the reason, with the remedy.
    pub(super) fn check(&self, needs: Requirement, tool: Option<Tool>) -> Result<(), String> {
        if needs > self.supports {
            return Err(self.reason.clone());
        }
        match tool {
            None => Ok(()),
            Some(Tool::Faketime) => faketime::library().map(drop),
            Some(Tool::Mounts) => tmpfs::available(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_names_the_requirement_that_it_lacks() {
        let machine = Machine {
            isolation: Isolation::Loopback,
            supports: Requirement::Processes,
            reason: "no root".into(),
        };
        assert_eq!(machine.check(Requirement::Processes, None), Ok(()));
        for needs in [Requirement::Namespaces, Requirement::Filters] {
            assert_eq!(machine.check(needs, Some(Tool::Mounts)), Err("no root".into()));
        }
    }
}
