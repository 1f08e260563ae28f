#![doc = include_str!("../README.md")]

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
