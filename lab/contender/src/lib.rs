//! The events, counts and messages of a contender, without the systems.
//!
//! A *contender* is one process of a comparison. This library does not depend on Zenoh, so
//! `mailmesh-trials`, which starts the processes, builds in seconds.

mod clock;
mod event;
mod histogram;
mod phases;
mod protocol;
mod tally;

pub use clock::now_ns;
pub use event::{EVENT_BYTES, Numbered, Purpose};
pub use histogram::{Histogram, Latency};
pub use phases::{PhaseReport, Phases};
pub use protocol::{Command, MAX_NOTICES, Notice, Report, SenderReport};
pub use tally::{MAX_EVENTS, Tally};
