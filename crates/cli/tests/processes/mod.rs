//! Real processes over real sockets: on the loopback, and in network namespaces
//! of the test's own where these can be made.

mod demo;
mod harness;
mod keys;
mod life;
mod lists;
mod namespaces;
mod secrets;
mod traffic;
