//! The addresses that two proven nodes send each other: their own, and those of the nodes that they
//! are linked to. A node that knows one node of the cluster thus finds all nodes. No I/O, no clock.
//!
//! ```text
//! length u16 | count u8 | count x node | MAC [32]
//! node:     id [16] | count u8 | count x address         the first node is the sender
//! ```

use std::net::SocketAddr;

use super::handshake::{NodeId, Refusal, Session};
use crate::address_bytes::{put, take, take_address};

/// Maximum number of nodes in a message, and of addresses of each node.
pub(super) const MAX_NODES: usize = 64;
pub(super) const MAX_ADDRESSES: usize = 4;
const MAC_LEN: usize = 32;
/// Maximum and minimum length of a message after its length field.
pub(super) const MAX_LEN: usize = 1 + MAX_NODES * (16 + 1 + MAX_ADDRESSES * 19) + MAC_LEN;
const MIN_LEN: usize = 1 + MAC_LEN;

/// A node and the addresses at which it can be dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeAddresses {
    pub(super) id: NodeId,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Encodes a message. Nodes and addresses past the maximum are left out.
pub(super) fn encode(nodes: &[NodeAddresses], session: &mut Session) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    let nodes = &nodes[..nodes.len().min(MAX_NODES)];
    bytes.push(u8::try_from(nodes.len()).unwrap_or(u8::MAX));
    for node in nodes {
        let addresses = &node.addresses[..node.addresses.len().min(MAX_ADDRESSES)];
        bytes.extend(node.id);
        bytes.push(u8::try_from(addresses.len()).unwrap_or(u8::MAX));
        addresses.iter().for_each(|address| put(&mut bytes, *address));
    }
    let mac = session.sign(&bytes[2..]);
    bytes.extend(mac);
    let len = u16::try_from(bytes.len() - 2).unwrap_or(u16::MAX);
    bytes[..2].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// Decodes the length of the rest of a message.
pub(super) fn len(bytes: [u8; 2]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes))).filter(|len| (MIN_LEN..=MAX_LEN).contains(len))
}

/// The nodes of a message without its length field.
///
/// # Errors
/// [`Refusal::NotProven`] if the MAC is not valid for this session and position, or if the message
/// is malformed.
pub(super) fn decode(bytes: &[u8], session: &mut Session) -> Result<Vec<NodeAddresses>, Refusal> {
    let (body, mac) = bytes.split_last_chunk::<MAC_LEN>().ok_or(Refusal::NotProven)?;
    session.verify(body, mac)?;
    read(body).ok_or(Refusal::NotProven)
}

fn read(mut rest: &[u8]) -> Option<Vec<NodeAddresses>> {
    let [count] = take(&mut rest)?;
    if usize::from(count) > MAX_NODES {
        return None;
    }
    let node = |rest: &mut &[u8]| {
        let id = take(rest)?;
        let [count] = take(rest)?;
        if usize::from(count) > MAX_ADDRESSES {
            return None;
        }
        let addresses = (0..count).map(|_| take_address(rest)).collect::<Option<_>>()?;
        Some(NodeAddresses { id, addresses })
    };
    let nodes = (0..count).map(|_| node(&mut rest)).collect::<Option<_>>()?;
    rest.is_empty().then_some(nodes)
}

/// For the fuzzer: decodes any bytes, as a proven node may send them.
pub(super) fn read_any(bytes: &[u8]) {
    if let Some(nodes) = read(bytes) {
        let is_bounded = |node: &NodeAddresses| node.addresses.len() <= MAX_ADDRESSES;
        assert!(nodes.len() <= MAX_NODES && nodes.iter().all(is_bounded));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::super::handshake::tests::sessions;
    use super::*;

    proptest! {
        #[test]
        fn only_an_unchanged_message_is_decoded(
            nodes in prop::collection::vec(
                (any::<NodeId>(), prop::collection::vec(any::<(IpAddr, u16)>(), 0..=MAX_ADDRESSES)),
                0..=MAX_NODES,
            ),
            at in any::<prop::sample::Index>(),
        ) {
            let known = |(id, addresses): (NodeId, Vec<(IpAddr, u16)>)| NodeAddresses {
                id,
                addresses: addresses.into_iter().map(SocketAddr::from).collect(),
            };
            let nodes: Vec<NodeAddresses> = nodes.into_iter().map(known).collect();
            let (mut sender, mut receiver) = sessions();
            let mut bytes = encode(&nodes, &mut sender);
            let rest = bytes.split_off(2);
            prop_assert_eq!(len([bytes[0], bytes[1]]), Some(rest.len()));
            let mut changed = rest.clone();
            let at = at.index(rest.len());
            changed[at] ^= 1;
            prop_assert!(decode(&changed, &mut receiver).is_err());
            prop_assert!(decode(&rest[..at], &mut receiver).is_err());
            prop_assert_eq!(decode(&rest, &mut receiver).unwrap(), nodes);
            prop_assert!(decode(&rest, &mut receiver).is_err(), "accepted once");
        }

        #[test]
        fn any_message_of_a_member_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read_any(&bytes);
        }
    }

    #[test]
    fn a_message_is_limited_to_the_maximum_of_nodes_and_addresses() {
        let address = SocketAddr::from(([192, 0, 2, 1], 1));
        let node = |n: u8| NodeAddresses { id: [n; 16], addresses: vec![address; 9] };
        let nodes: Vec<NodeAddresses> = (0..200).map(node).collect();
        let (mut sender, mut receiver) = sessions();
        let bytes = encode(&nodes, &mut sender);
        let read = decode(&bytes[2..], &mut receiver).unwrap();
        assert_eq!((read.len(), read[0].addresses.len()), (MAX_NODES, MAX_ADDRESSES));
        assert_eq!([len([0, 0]), len([0xff, 0xff])], [None, None]);
    }
}
