//! Real processes over real sockets: on the loopback, and in network namespaces where the tests can
//! create them.

mod book;
mod certificates;
mod control_characters;
mod demo;
mod endpoints;
mod harness;
mod key_memory;
mod keys;
mod lifecycle;
mod lists;
mod namespaces;
mod quiet_start;
mod secrets;
mod traffic;
