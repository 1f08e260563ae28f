//! Handshakes of arbitrary bytes, for the fuzzer.

use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::*;
use crate::LinkKeys;
use crate::gate::exchange;

/// Runs arbitrary bytes through both sides of a handshake, and through the message after a proof.
///
/// # Panics
/// If the bytes are accepted as an answer or a proof.
#[doc(hidden)]
pub fn fuzz_handshake(bytes: &[u8]) {
    let keys = LinkKeys::new(Zeroizing::new([7; 32]), [Zeroizing::new([8; 32])]).gate_keys();
    let own = LocalNode { id: [1; 16], tag: *b"fuzzing.", is_sealed: false, keys };
    let random = SystemRandom::new();
    let part = |from: usize, len: usize| {
        let mut part = vec![0; len];
        let rest = bytes.get(from..).unwrap_or_default();
        let taken = rest.len().min(len);
        part[..taken].copy_from_slice(&rest[..taken]);
        part
    };
    let hello = <Hello>::try_from(part(0, HELLO_LEN)).unwrap_or([0; HELLO_LEN]);
    if let Ok((acceptor, _)) = Acceptor::receive_hello(&own, &hello, &random) {
        let proof = part(HELLO_LEN, PROOF_LEN).try_into().unwrap_or([0; PROOF_LEN]);
        assert!(acceptor.receive_proof(&proof).is_err(), "any bytes were a proof");
    }
    if let Ok((dialer, _)) = Dialer::start(&own, Purpose::Link, &random) {
        let answer = part(0, ANSWER_LEN).try_into().unwrap_or(NO_COMMON_KEY);
        assert!(dialer.receive_answer(&answer).is_err(), "any bytes were an answer");
    }
    exchange::read_any(bytes);
}
