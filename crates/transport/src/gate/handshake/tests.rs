//! Tests of the handshake and its refusals.

use proptest::prelude::*;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::*;
use crate::LinkKeys;

const TAG: ClusterTag = [7; 8];

fn own(id: u8, keys: &[u8]) -> LocalNode {
    let mut secrets = keys.iter().map(|n| Zeroizing::new([*n; 32]));
    let keys = LinkKeys::new(secrets.next().unwrap(), secrets).gate_keys();
    LocalNode { id: [id; 16], tag: TAG, is_sealed: false, keys }
}

fn dial(own: &LocalNode, purpose: Purpose) -> (Dialer, Hello) {
    Dialer::start(own, purpose, &SystemRandom::new()).unwrap()
}

fn accept(own: &LocalNode, hello: &Hello) -> Result<(Acceptor, Answer), Refusal> {
    Acceptor::receive_hello(own, hello, &SystemRandom::new())
}

/// A whole handshake. `changed` flips one bit on the wire: the number of the message, and the bit.
fn handshake(
    dialer: &LocalNode,
    acceptor: &LocalNode,
    changed: Option<(usize, usize)>,
) -> Result<(ProvenPeer, ProvenPeer, Verdict), Refusal> {
    let change = |number: usize, message: &mut [u8]| {
        if let Some((_, bit)) = changed.filter(|(of, _)| *of == number) {
            message[bit / 8 % message.len()] ^= 1 << (bit % 8);
        }
    };
    let (state, mut hello) = dial(dialer, Purpose::Link);
    change(0, &mut hello);
    let (other, mut answer) = accept(acceptor, &hello)?;
    change(1, &mut answer);
    let (mut by_dialer, mut proof) = state.receive_answer(&answer)?;
    change(2, &mut proof);
    let mut by_acceptor = other.receive_proof(&proof)?;
    let mut verdict = by_acceptor.session.encode_verdict(Verdict::Crossed);
    change(3, &mut verdict);
    let verdict = by_dialer.session.decode_verdict(&verdict)?;
    Ok((by_dialer, by_acceptor, verdict))
}

/// The sessions of the two ends of a connection.
pub(crate) fn sessions() -> (Session, Session) {
    let (dialer, acceptor, _) = handshake(&own(1, &[1]), &own(2, &[1]), None).unwrap();
    (dialer.session, acceptor.session)
}

#[test]
fn nodes_with_a_key_in_common_prove_the_one_that_the_dialer_prefers() {
    let id = |n: u8| own(9, &[n]).keys[0].id;
    for (dials, accepts, proven) in
        [(&[1][..], &[1][..], 1), (&[2, 1], &[1], 1), (&[2, 1], &[1, 2], 2), (&[1, 2], &[2, 3], 2)]
    {
        let ends = handshake(&own(1, dials), &own(2, accepts), None).unwrap();
        let (by_dialer, by_acceptor, verdict) = ends;
        assert_eq!((by_dialer.id, by_acceptor.id), ([2; 16], [1; 16]));
        assert_eq!((by_dialer.key, by_acceptor.key), (id(proven), id(proven)));
        assert_eq!(verdict, Verdict::Crossed);
        let (mut sender, mut receiver) = (by_dialer.session, by_acceptor.session);
        assert_eq!(sender.binding, receiver.binding);
        assert_eq!(sender.records.sending, receiver.records.receiving);
        assert_eq!(sender.records.receiving, receiver.records.sending);
        assert_ne!(sender.records.sending, sender.records.receiving);
        let mac = sender.sign(b"a");
        assert_eq!(receiver.verify(b"b", &mac), Err(Refusal::NotProven));
        assert_eq!(receiver.verify(b"a", &mac), Ok(()));
        assert_eq!(receiver.verify(b"a", &mac), Err(Refusal::NotProven), "accepted once");
    }
}

#[test]
fn each_cause_has_its_own_refusal() {
    let node = own(1, &[1]);
    let refused = |acceptor: &LocalNode| handshake(&node, acceptor, None).map(|_| ()).unwrap_err();
    assert_eq!(refused(&own(2, &[2])), Refusal::OtherKey);
    assert_eq!(refused(&own(1, &[1])), Refusal::IsSelf);
    assert_eq!(refused(&LocalNode { tag: [8; 8], ..own(2, &[1]) }), Refusal::OtherCluster);
    assert_eq!(refused(&LocalNode { is_sealed: true, ..own(2, &[1]) }), Refusal::OtherMode);
    let (_, mut hello) = dial(&node, Purpose::Link);
    hello[0] ^= 1;
    assert_eq!(accept(&own(2, &[1]), &hello).err(), Some(Refusal::NotAHandshake));
    let (state, _) = dial(&node, Purpose::Link);
    assert_eq!(state.receive_answer(&NO_COMMON_KEY).err(), Some(Refusal::OtherKey));
}

#[test]
fn another_protocol_is_recognized_by_its_first_bytes() {
    assert_eq!(check_prefix(MAGIC), Ok(()));
    // An `InitSyn` of Zenoh 1.10, with and without extensions; a `ClientHello`.
    for first in [[0x1f, 0, 0x41, 0x09], [0x40, 0, 0x81, 0x09], [0x16, 0x03, 0x01, 0x02]] {
        assert_eq!(check_prefix(&first), Err(Refusal::OtherMode), "{first:x?}");
    }
    for first in [*b"GET ", *b"mmg0", [0; 4], [0xff; 4], [0x1f, 0, 0x61, 0x09]] {
        assert_eq!(check_prefix(&first), Err(Refusal::NotAHandshake), "{first:x?}");
    }
}

#[test]
fn at_most_eight_keys_are_named_and_accepted() {
    let many: Vec<u8> = (1..=12).collect();
    let node = own(1, &many);
    let last = own(2, &[12]);
    assert_eq!(handshake(&node, &last, None).err(), Some(Refusal::OtherKey));
    assert_eq!(handshake(&last, &node, None).err(), Some(Refusal::OtherKey));
    assert!(handshake(&node, &own(2, &[8]), None).is_ok());
}

#[test]
fn a_replayed_dialer_proves_nothing_to_any_node() {
    let (dialer, acceptor) = (own(1, &[1]), own(2, &[1]));
    let (state, hello) = dial(&dialer, Purpose::Link);
    let (other, answer) = accept(&acceptor, &hello).unwrap();
    let (_, proof) = state.receive_answer(&answer).unwrap();
    assert!(other.receive_proof(&proof).is_ok());
    for again in [&acceptor, &own(3, &[1])] {
        let (replayed, _) = accept(again, &hello).unwrap();
        assert_eq!(replayed.receive_proof(&proof).err(), Some(Refusal::NotProven));
    }
}

#[test]
fn dialers_refuse_a_recorded_answer_of_an_acceptor() {
    let (dialer, acceptor) = (own(1, &[1]), own(2, &[1]));
    let (_, hello) = dial(&dialer, Purpose::Link);
    let (_, answer) = accept(&acceptor, &hello).unwrap();
    for again in [&dialer, &own(3, &[1])] {
        let (state, _) = dial(again, Purpose::Link);
        assert_eq!(state.receive_answer(&answer).err(), Some(Refusal::NotProven));
    }
}

#[test]
fn a_reflected_proof_or_a_changed_id_is_refused() {
    let (dialer, acceptor) = (own(1, &[1]), own(2, &[1]));
    // The id of another node, in either message.
    for (message, id_at) in [(0, MAGIC.len() + 2 + TAG.len()), (1, 0)] {
        for bit in 8 * id_at..8 * (id_at + 16) {
            let refused = handshake(&dialer, &acceptor, Some((message, bit))).err();
            assert_eq!(refused, Some(Refusal::NotProven), "message {message}, bit {bit}");
        }
    }
    // A dialer's MAC is no answer, and an acceptor's MAC is no proof.
    let (state, hello) = dial(&dialer, Purpose::Link);
    let (other, answer) = accept(&acceptor, &hello).unwrap();
    let mac = <[u8; 32]>::try_from(&answer[ANSWER_LEN - MAC_LEN..]).unwrap();
    assert_eq!(other.receive_proof(&mac).err(), Some(Refusal::NotProven));
    drop(state);
}

#[test]
fn an_ephemeral_of_low_order_is_refused() {
    let (dialer, acceptor) = (own(1, &[1]), own(2, &[1]));
    let (state, hello) = dial(&dialer, Purpose::Link);
    // Made by a holder of the key, who can compute a valid MAC.
    let (_, mut answer) = accept(&acceptor, &hello).unwrap();
    answer[16..48].fill(0);
    let authenticated = [&hello[..], &answer[..ANSWER_LEN - MAC_LEN]].concat();
    let mac = hmac::sign(&acceptor.keys[0].acceptor, &authenticated);
    answer[ANSWER_LEN - MAC_LEN..].copy_from_slice(mac.as_ref());
    assert_eq!(state.receive_answer(&answer).err(), Some(Refusal::NotProven));
}

#[test]
fn a_purpose_is_decoded_unchanged_and_unknown_ones_are_refused() {
    for purpose in [Purpose::Link, Purpose::Ask, Purpose::Renew([5; 32])] {
        let (_, hello) = dial(&own(1, &[1]), purpose);
        let (acceptor, _) = accept(&own(2, &[1]), &hello).unwrap();
        assert_eq!(acceptor.purpose, purpose);
    }
    assert_eq!(Purpose::decode(0, [0; 32]), None);
    assert_eq!(Purpose::decode(1, [1; 32]), None);
    assert_eq!(Purpose::decode(4, [0; 32]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// If any bit of any message is changed, the end that receives the next message refuses it.
    #[test]
    fn a_changed_bit_anywhere_ends_the_handshake(
        message in 0usize..4, bit in any::<prop::sample::Index>(),
    ) {
        let len = [HELLO_LEN, ANSWER_LEN, PROOF_LEN, VERDICT_LEN][message];
        let bit = bit.index(8 * len);
        // Two keys each, so that the id of an unused key may change as well.
        let (dialer, acceptor) = (own(1, &[1, 3]), own(2, &[2, 1]));
        prop_assert!(handshake(&dialer, &acceptor, Some((message, bit))).is_err());
    }

    #[test]
    fn arbitrary_bytes_of_a_stranger_are_refused(
        hello in prop::collection::vec(any::<u8>(), HELLO_LEN),
        answer in prop::collection::vec(any::<u8>(), ANSWER_LEN),
        proof in any::<[u8; PROOF_LEN]>(),
        is_near in any::<bool>(),
    ) {
        let node = own(1, &[1]);
        let mut bytes = Hello::try_from(hello).unwrap();
        if is_near {
            // Valid up to the keys.
            let (_, right) = dial(&own(2, &[1]), Purpose::Link);
            bytes[..HELLO_LEN - 96].copy_from_slice(&right[..HELLO_LEN - 96]);
            bytes[HELLO_LEN - 64..HELLO_LEN - 56].copy_from_slice(&node.keys[0].id);
        }
        match accept(&node, &bytes) {
            Ok((acceptor, _)) => prop_assert!(acceptor.receive_proof(&proof).is_err()),
            Err(_) => prop_assert!(!is_near),
        }
        let (state, _) = dial(&node, Purpose::Link);
        prop_assert!(state.receive_answer(&Answer::try_from(answer).unwrap()).is_err());
    }
}
