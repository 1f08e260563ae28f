//! The control socket, a Unix socket that only its owner can use. Requests and answers are JSON,
//! one per line.

mod answer;
mod bulk;
mod certificate_requests;
pub(crate) mod client;
mod cluster_time;
mod connections;
mod key_requests;
pub(crate) mod server;
mod socket_path;
mod watch;

pub(crate) use client::connect;
pub(crate) use socket_path::{SocketUse, check_default_path, check_path, default_path};
