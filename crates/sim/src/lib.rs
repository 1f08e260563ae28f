//! Whole clusters of the real delivery cores in virtual time.
//!
//! One seed is one run: the faults, the traffic and every delay follow from it,
//! so a run that fails is replayed by its seed. Nothing here waits, opens a
//! socket or reads a clock.
//!
//! - [`Faults`]: what goes wrong, and how often; drawn per seed.
//! - [`Plan`]: what happens when; drawn from the seed before the run.
//! - [`Simulation`]: nodes, the network between them, and virtual time.
//! - [`Oracle`]: sees only what was published and what came out, and says whether
//!   the promise was kept. It shares no code with the core.
//! - [`Plan::with_mirrors`]: the nodes keep mirrors, and some have wrong clocks.
//! - [`Plan::with_liars`]: members that have the key lie.
//! - [`shrink`]: the shortest plan that still fails.
//! - [`explore`]: every run there is, at a small scope.
//! - [`planted`]: faults of the cores that the simulator must catch.
//!
//! ```
//! use mailmesh_sim::{Plan, Simulation};
//!
//! let plan = Plan::from_seed(7, 4);
//! let report = Simulation::run(&plan).expect("the promise was kept");
//! assert!(report.published > 0);
//! // The same seed is the same run.
//! assert_eq!(Simulation::run(&Plan::from_seed(7, 4)), Ok(report));
//! ```

mod faults;
mod host;
mod liar;
mod mirrors;
mod model;
mod network;
mod oracle;
mod plan;
pub mod planted;
mod report;
mod shrink;
mod simulation;

pub use faults::Faults;
pub use model::{Explored, Scope, explore};
pub use oracle::{Oracle, Violation};
pub use plan::{Action, Plan, Step};
pub use report::Report;
pub use shrink::shrink;
pub use simulation::Simulation;
