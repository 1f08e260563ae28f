//! The lines of the control socket, for the fuzzer to read what a node reads. The rest of the
//! program is a binary's, and nobody's library: users of mailmesh depend on the `mailmesh` crate.

pub mod protocol;
