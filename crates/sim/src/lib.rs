//! Whole clusters of the real delivery cores in virtual time.
//!
//! One seed is one run: the faults, the traffic and every delay follow from it,
//! so a run that fails is replayed by its seed. Nothing here waits, opens a
//! socket or reads a clock.
//!
//! - [`Faults`]: what goes wrong, and how often; drawn per seed.
//! - [`Simulation`]: nodes, the network between them, and virtual time.
//! - [`Oracle`]: sees only what was published and what came out, and says whether
//!   the promise was kept. It shares no code with the core.
//!
//! ```
//! use mailmesh_sim::{Faults, Simulation};
//!
//! let report = Simulation::run(7, 4, Faults::drawn(7)).expect("the promise was kept");
//! assert!(report.published > 0);
//! // The same seed is the same run.
//! assert_eq!(Simulation::run(7, 4, Faults::drawn(7)), Ok(report));
//! ```

mod faults;
mod network;
mod oracle;
mod simulation;

pub use faults::Faults;
pub use oracle::{Oracle, Violation};
pub use simulation::{Report, Simulation};
