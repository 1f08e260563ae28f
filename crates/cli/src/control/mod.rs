//! The control socket: JSON, a request a line, answers a line each. Local, and
//! for its owner only.

mod answer;
mod bulk;
mod certificate_requests;
pub(crate) mod client;
mod cluster_time;
mod connections;
mod key_requests;
pub(crate) mod server;
mod socket_path;

pub(crate) use client::connect;
pub(crate) use socket_path::{SocketUse, check_default_path, check_path, default_path};
