//! What this machine allows a scenario to do.

use super::field::Place;
use super::network::filters_available;
use super::program::{faketime, tmpfs};
use crate::namespaces;

/// What must be there for a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
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
    pub(super) place: Place,
    allows: Needs,
    /// Why not everything.
    why: String,
}

impl Machine {
    pub(super) fn look() -> Self {
        let (place, allows) = (Place::Loopback, Needs::Processes);
        if let Err(why) = namespaces::available() {
            let why = format!("no network namespaces ({why}): run as root, with iproute2");
            return Self { place, allows, why };
        }
        let place = Place::Namespaces;
        match filters_available() {
            Ok(()) => Self { place, allows: Needs::Filters, why: String::new() },
            Err(why) => {
                let why = format!("no packet filters ({why}): install nftables");
                Self { place, allows: Needs::Namespaces, why }
            }
        }
    }

    /// Why a scenario that needs this cannot run here.
    pub(super) fn lacks(&self, needs: Needs, also: Option<Tool>) -> Result<(), String> {
        if needs > self.allows {
            return Err(self.why.clone());
        }
        match also {
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
        let machine =
            Machine { place: Place::Loopback, allows: Needs::Processes, why: "no root".into() };
        assert_eq!(machine.lacks(Needs::Processes, None), Ok(()));
        for needs in [Needs::Namespaces, Needs::Filters] {
            assert_eq!(machine.lacks(needs, Some(Tool::Mounts)), Err("no root".into()));
        }
    }
}
