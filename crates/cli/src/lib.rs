//! The protocol of the control socket, as a library for the fuzz targets only. Programs that use
//! mailmesh depend on the `mailmesh` crate.

pub mod protocol;
