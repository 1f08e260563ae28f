//! The handshake of mailmesh's gate as a stranger plays it: well formed up to the proof.

use std::io::{Read, Write};
use std::net::TcpStream;

use ring::digest::{SHA256, digest};

use crate::batch::random;

/// Lengths of the messages of a handshake, in bytes (`docs/reference/wire.md`).
pub(crate) const HELLO: usize = 158;
pub(crate) const ANSWER: usize = 88;
pub(crate) const PROOF: usize = 32;
/// The text whose hash is the tag of the cluster under attack.
const CLUSTER: &[u8] = b"mailmesh/mail/v1";

/// A hello for the cluster, with random bytes in place of keys.
pub(crate) fn hello() -> [u8; HELLO] {
    let mut hello = random::<HELLO>();
    hello[..6].copy_from_slice(&[b'm', b'm', b'g', b'1', 1, 1]);
    hello[6..14].copy_from_slice(&digest(&SHA256, CLUSTER).as_ref()[..8]);
    hello[30..62].fill(0);
    hello
}

/// Sends a hello without a key, and an invalid proof whatever the node answers.
pub(crate) fn unproven(stream: &mut TcpStream, number: u64) -> std::io::Result<()> {
    let hello = hello();
    if number % 4 == 1 {
        // Half of a hello, and nothing more.
        return stream.write_all(&hello[..HELLO / 2]);
    }
    stream.write_all(&hello)?;
    stream.write_all(&random::<PROOF>())?;
    let mut answer = [0; ANSWER + 1];
    let _closed = stream.read(&mut answer)?;
    Ok(())
}
