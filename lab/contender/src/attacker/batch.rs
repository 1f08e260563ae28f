//! Messages of Zenoh's link and scouting protocols (version 9), as bytes. Each is well formed, with
//! correct lengths.

use std::io::{Read, Write};
use std::net::TcpStream;

use ring::rand::{SecureRandom, SystemRandom};

const VERSION: u8 = 0x09;
const PEER: u8 = 0x01;
const INIT: u8 = 0x01;
const OPEN: u8 = 0x02;
const KEEP_ALIVE: u8 = 0x04;
const FRAME: u8 = 0x05;
const FRAGMENT: u8 = 0x06;
const PUSH: u8 = 0x1d;
const PUT: u8 = 0x01;
const HELLO: u8 = 0x02;
const SCOUT: u8 = 0x01;
const ID_BITS: u8 = 0x1f;
/// `INIT` and `OPEN`: the answer. `FRAME` and `FRAGMENT`: reliable. `PUSH`: has a key. `HELLO`: has
/// locators.
const FLAG_1: u8 = 0x20;
/// `FRAGMENT`: more follow.
const FLAG_2: u8 = 0x40;
/// All messages: extensions follow.
const EXTENDED: u8 = 0x80;
/// Size of one fragment, in bytes.
const FRAGMENT_BYTES: usize = 60_000;

/// A message as a TCP link carries it, with its length in front.
pub(crate) fn encode_batch(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_le_bytes()[..], message].concat()
}

pub(crate) fn write(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(&encode_batch(message))
}

pub(crate) fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_le_bytes(len))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The first message of a handshake, from a peer without a proof.
pub(crate) fn init_syn() -> Vec<u8> {
    [&[INIT | EXTENDED, VERSION, 0xf0 | PEER][..], &random::<16>(), &[0x01]].concat()
}

/// Messages that belong after a handshake: keep-alives, frames with one event each, or fragments of
/// a message that never ends.
pub(crate) fn unasked(number: u64) -> Vec<Vec<u8>> {
    match number % 3 {
        0 => vec![vec![KEEP_ALIVE]; 32],
        1 => (0..32).map(frame).collect(),
        _ => (0..32).map(fragment).collect(),
    }
}

fn frame(number: u8) -> Vec<u8> {
    let key = b"mailmesh/mail/v1/to/*";
    let mut message = vec![FRAME | FLAG_1, number, PUSH | FLAG_1, 0, key.len() as u8];
    message.extend(key);
    message.extend([PUT, 64]);
    message.extend(random::<64>());
    message
}

fn fragment(number: u8) -> Vec<u8> {
    let mut message = vec![FRAGMENT | FLAG_1 | FLAG_2, number];
    message.resize(FRAGMENT_BYTES, 0x55);
    message
}

/// Whether a message accepts a link (`OpenAck`).
pub(crate) fn is_open_ack(message: &[u8]) -> bool {
    message.first().is_some_and(|header| header & (ID_BITS | FLAG_1) == OPEN | FLAG_1)
}

pub(crate) fn is_init_ack(message: &[u8]) -> bool {
    message.first().is_some_and(|header| header & (ID_BITS | FLAG_1) == INIT | FLAG_1)
}

/// A scouting answer of an invented peer, with loopback addresses on which no process listens.
pub(crate) fn hello() -> Vec<u8> {
    const LOCATORS: u8 = 5;
    let mut message = vec![HELLO | FLAG_1, VERSION, 0xf0 | PEER];
    message.extend(random::<16>());
    message.push(LOCATORS);
    for _ in 0..LOCATORS {
        let [a, b, c] = random::<3>();
        let locator = format!("tcp/127.{a}.{b}.{c}:1");
        message.push(locator.len() as u8);
        message.extend(locator.as_bytes());
    }
    message
}

/// Whether a datagram is a scouting query.
pub(crate) fn is_scout(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|header| header & ID_BITS == SCOUT)
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // If this fails, zeros serve as well.
    let _filled = SystemRandom::new().fill(&mut bytes);
    bytes
}
