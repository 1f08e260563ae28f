//! What this machine allows a scenario to do.

use super::network::filters_available;
use super::process_group::Isolation;
use super::program::{faketime, tmpfs};
use crate::namespaces;

/// What must be there for a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Requirement {
    Processes,
    Namespaces,
    /// And `nft` in them.
    Filters,
}

/// What must be there besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// A process with a wall clock of its own.
    Faketime,
    /// A small file system of its own.
    Mounts,
}

/// What there is.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) isolation: Isolation,
    supports: Requirement,
    /// Why not everything.
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

    /// Why a scenario that needs this cannot run here.
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
    fn what_a_machine_lacks_is_said() {
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
