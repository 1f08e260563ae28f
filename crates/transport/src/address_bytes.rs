//! The encoding of socket addresses in the messages of discovery and of the gate.
//!
//! ```text
//! address: 4 | [4] | port u16   or   6 | [16] | port u16
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(crate) fn put(bytes: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(v4) => {
            bytes.push(4);
            bytes.extend(v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes.push(6);
            bytes.extend(v6.octets());
        }
    }
    bytes.extend(address.port().to_be_bytes());
}

pub(crate) fn take_address(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip: IpAddr = match take(rest)? {
        [4] => Ipv4Addr::from(take::<4>(rest)?).into(),
        [6] => Ipv6Addr::from(take::<16>(rest)?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(take(rest)?)))
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}
