#![doc = include_str!("../README.md")]

mod event_body;
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
