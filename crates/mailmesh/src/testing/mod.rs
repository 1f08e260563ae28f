//! A cluster in one process for the tests of a server: real nodes over the memory bus, with fault
//! injection. Needs the feature `testing`.
//!
//! ```toml
//! [dev-dependencies]
//! mailmesh = { path = "mailmesh/crates/mailmesh", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! Every node is a [`Node`](crate::Node) as in production: driver, sealing, repair and mirror are
//! the real ones, and only the network is simulated. Zenoh is not used, so a plain `#[tokio::test]`
//! is enough.
//!
//! # Virtual time
//!
//! With `#[tokio::test(start_paused = true)]` the nodes and their wall clocks run in tokio's
//! virtual time: a cut of 25 s, or a block of an hour, takes milliseconds.
//!
//! ```
//! use std::time::Duration;
//! use mailmesh::*;
//! use mailmesh::testing::{TestCluster, eventually};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await?;
//! let address = "192.0.2.7".parse()?;
//!
//! cluster.isolate("mx3");
//! let hour = Duration::from_secs(3_600);
//! cluster.node("mx1").blocks().add(Network::single(address)).reason("spam").ttl(hour).await?;
//! tokio::time::sleep(Duration::from_secs(25)).await;
//! assert!(cluster.node("mx2").blocks().is_blocked(address));
//! assert!(!cluster.node("mx3").blocks().is_blocked(address), "mx3 cannot know yet");
//!
//! cluster.heal_all();
//! cluster.converged().await?;
//! assert!(cluster.node("mx3").blocks().is_blocked(address));
//!
//! tokio::time::sleep(Duration::from_secs(3_600)).await;
//! assert!(!cluster.node("mx3").blocks().is_blocked(address), "the block has expired");
//! # Ok(()) }
//! ```
//!
//! # What is not simulated
//!
//! Delay, reordering and duplication of frames, slow or full links, and Zenoh itself. A run is not
//! fully repeatable: incarnations are random, and so is the order in which tokio polls tasks. A
//! seed only determines which frames of a link are lost.

mod builder;
mod cluster;
mod converge;
mod error;
mod links;
pub(crate) mod pause_gate;
mod skew;
mod template;

pub use builder::TestClusterBuilder;
pub use cluster::TestCluster;
pub use converge::eventually;
pub use error::TestError;
pub use skew::Skew;
