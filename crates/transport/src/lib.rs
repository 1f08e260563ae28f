//! The bus under mailmesh, its configuration, and the driver of delivery.
//!
//! - [`Bus`]: puts frames, hands over what comes. [`ZenohBus`] is the real one,
//!   [`MemoryBus`] joins nodes within a process.
//! - [`Coordinator`]: the configuration object of the mail server, read, repaired
//!   where that is safe, checked and explained.
//! - [`Driver`]: runs a [`mailmesh_delivery::Endpoint`] over a bus.
//!
//! **Invariant**: nothing here waits in a callback of the bus. A callback puts
//! the frame in the [`IngressQueue`], bounded in frames and bytes, and works off what is
//! there if nobody else does: a bounded number of frames, and nothing is put. What
//! does not fit is dropped, counted, and shows as a gap.
//!
//! **Left to others**: what frames mean. Sealing comes in through [`FrameEncoder`] and
//! [`FrameDecoder`]; events are opaque bytes.

mod address_bytes;
mod bundle;
mod bus;
mod coordinator;
mod driver;
mod endpoints;
mod error;
mod gate;
mod ingress;
mod lanes;
mod link_keys;
mod link_proof;
mod log_throttle;
mod memory;
mod open_error;
mod other_keys;
mod zenoh_bus;

pub use bus::{Address, Bus, BusFuture, Channel, KeySpace};
pub use coordinator::{
    Backend, ConfigError, ConfigErrorKind, Coordinator, LinkProtection, MAX_CONFIG_LEN,
    MeshSettings, Place, Secret, Warning, ZenohSettings,
};
pub use driver::{
    DecodedFrame, DirectSink, Driver, DriverCounters, DriverHandle, DriverSetup, DriverTask,
    FrameDecoder, FrameEncoder, Sink,
};
pub use endpoints::{EndpointReader, EndpointState, EndpointStatus};
pub use error::TransportError;
#[doc(hidden)]
pub use gate::fuzz_handshake;
pub use gate::{GateCounts, GateCountsReader};
pub use ingress::{IngressQueue, IngressSender};
pub use lanes::{MAX_BATCH_EVENTS, MAX_BATCH_LEN, PublishError};
pub use link_keys::LinkKeys;
pub use link_proof::LinkProof;
pub use log_throttle::LogThrottle;
pub use memory::{MemoryBus, MemoryHub};
pub use other_keys::OtherKeys;
pub use zenoh_bus::ZenohBus;
#[doc(hidden)]
pub use zenoh_bus::fuzz_datagram;
