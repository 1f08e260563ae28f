#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailmesh_fuzz::run("handshake", data));
