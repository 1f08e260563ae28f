//! The encoding of mirror entries as records of a store: a key and a value in bytes.

use std::net::IpAddr;

use mailmesh_events::{Change, ChangeKey, Event, Rule};
use zeroize::Zeroizing;

use crate::{CodecError, decode_events, encode_event};

/// Encodes a key; different keys have different encodings.
#[must_use]
pub fn encode_change_key(key: &ChangeKey) -> Vec<u8> {
    match key {
        ChangeKey::Network { rule, network } => {
            let mut bytes = vec![match rule {
                Rule::Block => 0,
                Rule::Allow => 1,
            }];
            match network.address() {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
            bytes.push(network.prefix_len());
            bytes
        }
        ChangeKey::Certificate(names) => {
            let mut bytes = vec![2];
            for name in names.iter() {
                bytes.extend(name.as_bytes());
                bytes.push(0);
            }
            bytes
        }
        ChangeKey::Value(key) => {
            // The zero is unambiguous: no namespace name contains one.
            [&[3], key.namespace().as_bytes(), &[0], key.name().as_bytes()].concat()
        }
        other => {
            // A kind of key that a newer version of the events crate added.
            format!("\u{ff}{other:?}").into_bytes()
        }
    }
}

/// Encodes a change like an event. The encoding of a certificate contains its private key in
/// plaintext; encrypt it with a [`RecordCipher`](crate::RecordCipher) before storing it.
///
/// # Errors
/// As [`encode_event`].
pub fn encode_change(change: &Change) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(96));
    encode_event(&Event::from(change.clone()), &mut bytes)?;
    Ok(bytes)
}

/// Decodes the change that [`encode_change`] encoded.
///
/// # Errors
/// [`CodecError`] if the bytes are not a change of the mirror.
pub fn decode_change(bytes: &[u8]) -> Result<Change, CodecError> {
    match decode_events(bytes, 1).next() {
        Some(Ok(Event::Network(change))) => Ok(Change::Network(change)),
        Some(Ok(Event::Certificate(change))) => Ok(Change::Certificate(change)),
        Some(Ok(Event::Value(change))) => Ok(Change::Value(change)),
        Some(Ok(_)) => Err(CodecError::Type { what: "a change of the mirror" }),
        Some(Err(error)) => Err(error),
        None => Err(CodecError::Truncated { what: "a change of the mirror" }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use mailmesh_events::{NetworkChange, NodeId, RuleDetails, Stamp, UnixMillis};

    use super::*;

    #[test]
    fn different_keys_encode_differently_and_changes_round_trip() {
        let texts = ["10.0.0.0/8", "10.0.0.0/9", "a00::/16", "a00::/8", "10.0.0.0/32"];
        let networks = texts.map(|text| text.parse().unwrap());
        let keys = networks.iter().flat_map(|network| {
            [Rule::Block, Rule::Allow].map(|rule| ChangeKey::Network { rule, network: *network })
        });
        let names = ["a.example b.example", "a.example", "b.example"];
        let names = names.map(|text| {
            ChangeKey::Certificate(mailmesh_events::DomainNames::new(text.split(' ')).unwrap())
        });
        let keys: Vec<_> = keys.chain(names).collect();
        let bytes: BTreeSet<_> = keys.iter().map(encode_change_key).collect();
        assert_eq!(bytes.len(), keys.len());

        let stamp = Stamp::new(UnixMillis(5), 0, NodeId(1));
        let block = Some(Arc::new(RuleDetails::new("spam", UnixMillis(4)).unwrap()));
        for block in [block, None] {
            let network = networks[0];
            let change = Change::Network(NetworkChange::new(Rule::Block, network, stamp, block));
            assert_eq!(decode_change(&encode_change(&change).unwrap()).unwrap(), change);
        }
    }

    #[test]
    fn bytes_that_are_not_a_change_are_refused() {
        let mut signal = Vec::new();
        encode_event(&mailmesh_events::QueueSignal::Refresh.into(), &mut signal).unwrap();
        for bytes in [&b""[..], b"\xff\xff", &signal] {
            decode_change(bytes).unwrap_err();
        }
    }
}
