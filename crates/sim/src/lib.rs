//! Simulator of whole clusters: the real delivery cores in virtual time.
//!
//! A seed determines a run: its faults, its traffic and every delay. A failing run is replayed from
//! its seed. The simulator never sleeps, opens no socket and reads no clock.
//!
//! - [`Faults`]: the kinds of faults of a run and their rates, drawn from the seed.
//! - [`Plan`]: what happens at which time, drawn from the seed before the run.
//! - [`Simulation`]: the nodes, the network between them, and virtual time.
//! - [`Oracle`]: compares published events with outputs and checks the delivery promise. It shares
//!   no code with the core.
//! - [`Plan::with_mirrors`]: nodes keep mirrors, and some wall clocks are wrong.
//! - [`Plan::with_liars`]: Byzantine members, which have the key, send false messages.
//! - [`shrink`]: a minimal plan that still fails.
//! - [`explore`]: exhaustive exploration of a small scope.
//! - [`planted`]: faults planted in the cores, which the simulator must detect.
//!
//! ```
//! use mailmesh_sim::{Plan, Simulation};
//!
//! let plan = Plan::from_seed(7, 4);
//! let report = Simulation::run(&plan).expect("the run keeps the delivery promise");
//! assert!(report.published > 0);
//! // The same seed gives the same run.
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
