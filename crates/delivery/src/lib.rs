//! Ordered streams, gap reports and membership over any message bus, as a sans-IO state machine.
//!
//! An [`Endpoint`] takes frames and the current time. It returns frames to transmit, events to
//! deliver and its next deadline. It never looks into event bodies.
//!
//! **Guarantee**: per (sender incarnation, lane), a receiver delivers each event once and in order,
//! or reports a [`Gap`] in its place. No event is skipped without a report, delivered twice or
//! reordered.
//!
//! **Invariant**: no I/O, no clock, no threads, no random numbers. The same inputs at the same
//! times give the same outputs, so `mailmesh-sim` can replay a run from its seed.
//!
//! **Left to other crates**: the encoding of frames (a codec) and the network
//! (`mailmesh-transport`).
//!
//! ```
//! use std::time::Duration;
//! use mailmesh_delivery::*;
//!
//! let at = |ms| Time::from_start(Duration::from_millis(ms));
//! let endpoint = |name: &str, n: u8| {
//!     let identity = Identity::new(name.parse().unwrap(), Incarnation([n; 16]), u64::from(n));
//!     Endpoint::new(identity, Settings::default(), at(0))
//! };
//! let (mut a, mut b) = (endpoint("a", 1), endpoint("b", 2));
//!
//! // Carry frames between the two endpoints until neither has output left.
//! let mut seen = Vec::new();
//! let frame = a.send(at(1), Lane::Events, 1, "hello".into())?;
//! loop {
//!     let from_a = std::iter::from_fn(|| a.poll_output()).collect::<Vec<_>>();
//!     let from_b = std::iter::from_fn(|| b.poll_output()).collect::<Vec<_>>();
//!     if from_a.is_empty() && from_b.is_empty() { break }
//!     for output in from_a {
//!         if let Output::Transmit { frame, .. } = output { b.handle_frame(at(2), frame) }
//!     }
//!     for output in from_b {
//!         match output {
//!             Output::Transmit { frame, .. } => a.handle_frame(at(2), frame),
//!             other => seen.push(other),
//!         }
//!     }
//! }
//! assert!(matches!(&seen[0], Output::Joined(peer) if peer.name.as_str() == "a"));
//! # let _ = frame;
//! # Ok::<(), DeliveryError>(())
//! ```

mod congestion;
mod context;
mod control;
mod counters;
mod departure;
mod endpoint;
mod error;
mod flow;
mod former_peers;
mod frame;
mod heartbeat;
mod id;
mod input;
mod lane;
mod membership;
mod output;
mod peer;
#[cfg(not(planted))]
mod planted;
#[cfg(planted)]
pub mod planted;
mod receive;
mod relay_buffer;
mod repair;
mod repair_sources;
mod replay_buffer;
mod replay_window;
mod retransmit;
mod route;
mod settings;
mod stream;
mod time;
mod token_bucket;
mod unknown_senders;

pub use counters::DeliveryCounters;
pub use endpoint::{Endpoint, Link};
pub use error::DeliveryError;
pub use frame::{BULK_LEN, Frame, FrameKind, MAX_EVENTS_PER_FRAME};
pub use id::{Identity, Incarnation, NodeName};
pub use lane::{Lane, PerLane};
pub use output::{
    Destination, Gap, GapReason, LeaveReason, NameConflict, Output, PeerInfo, Reach, Via,
};
pub use settings::Settings;
pub use time::Time;
