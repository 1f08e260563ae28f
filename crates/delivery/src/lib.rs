//! Ordered streams, gaps and membership over any bus, as a state machine.
//!
//! A [`Endpoint`] takes frames and time, and gives frames to transmit, events to
//! deliver and the next deadline. It knows nothing of what the bodies mean.
//!
//! **The promise**: per (sender incarnation, lane), each event is delivered
//! once and in order, or a [`Gap`] stands in its place. Nothing is skipped in
//! silence, delivered twice or out of order.
//!
//! **Invariant**: no I/O, no clock, no threads, no randomness of its own. The
//! same inputs at the same times give the same outputs, which is what lets
//! `mailmesh-sim` replay a run from its seed.
//!
//! **Left to others**: bytes on the wire (a codec), sockets (`mailmesh-transport`).
//!
//! ```
//! use std::time::Duration;
//! use mailmesh_delivery::*;
//!
//! let at = |ms| Time::from_start(Duration::from_millis(ms));
//! let node = |name: &str, n: u8| {
//!     let identity = Identity::new(name.parse().unwrap(), Incarnation([n; 16]), u64::from(n));
//!     Endpoint::new(identity, Settings::default(), at(0))
//! };
//! let (mut a, mut b) = (node("a", 1), node("b", 2));
//!
//! // Carry what each wants transmitted to the other until both are quiet.
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
mod departure;
mod endpoint;
mod error;
mod flow;
mod former_peers;
mod frame;
mod gossip;
mod heartbeat;
mod id;
mod input;
mod membership;
mod name_conflict;
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
mod time;
mod token_bucket;
mod unknown_senders;

pub use endpoint::{Endpoint, Link};
pub use error::DeliveryError;
pub use frame::{BULK_LEN, Frame, FrameKind, MAX_EVENTS_PER_FRAME};
pub use id::{Identity, Incarnation, Lane, NodeName};
pub use output::{
    Counters, Destination, Gap, GapReason, LeaveReason, NameConflict, Output, PeerInfo, Reach, Via,
};
pub use settings::Settings;
pub use time::Time;
