#![doc = include_str!("../README.md")]

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
pub use mailmesh_delivery as delivery;
pub use memory::{MemoryBus, MemoryHub};
pub use other_keys::OtherKeys;
pub use zenoh_bus::ZenohBus;
#[doc(hidden)]
pub use zenoh_bus::fuzz_datagram;
