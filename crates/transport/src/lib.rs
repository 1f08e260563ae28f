//! The bus under mailmesh, its configuration, and the driver of delivery.
//!
//! - [`Bus`]: puts frames on the network and hands over those that arrive. [`ZenohBus`] runs over
//!   Eclipse Zenoh; [`MemoryBus`] joins nodes within a process.
//! - [`Coordinator`]: the mail server's configuration object. It is read, repaired where that is
//!   safe, checked and explained.
//! - [`Driver`]: runs a [`mailmesh_delivery::Endpoint`] over a bus.
//!
//! **Invariant**: no code here waits in a callback of the bus. A callback puts the frame in the
//! [`IngressQueue`], which is bounded in frames and bytes. If no other thread handles arrivals at
//! that moment, the callback handles a bounded number of them. A callback never puts a frame on the
//! bus. A frame that does not fit the queue is dropped, counted, and shows as a gap.
//!
//! **Not decided here**: the meaning of frames. [`FrameEncoder`] and [`FrameDecoder`] seal and open
//! them; events are opaque bytes.

mod address_bytes;
mod bundle;
mod bus;
mod coordinator;
mod driver;
mod endpoint_reader;
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
pub use endpoint_reader::EndpointReader;
pub use endpoints::{EndpointState, EndpointStatus};
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
