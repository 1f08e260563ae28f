//! Tests of the dial book: backoff, priorities, bounds.

use super::*;

const NOBODY: fn(&NodeId) -> bool = |_| false;

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 7447))
}

fn dial_book(endpoints: &[&str]) -> (DialBook, Instant) {
    let now = Instant::now();
    (DialBook::new([5; 16], endpoints.iter().map(|&e| e.to_owned()).collect(), now), now)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn after_a_link_the_greater_id_dials_at_once_and_the_smaller_waits() {
    let (mut dial_book, start) = dial_book(&[]);
    for n in [4, 5, 6] {
        dial_book.learn(start, [n; 16], [address(n)], true);
    }
    let due = dial_book.take_due(start, NOBODY);
    assert_eq!(due.len(), 2, "new nodes are dialed, but never this node");
    assert_eq!(dial_book.take_due(start, NOBODY), [], "they are being dialed");
    let now = start + Duration::from_secs(60);
    for target in &due {
        let Target::Node(id, _) = target else { panic!() };
        dial_book.dial_finished(start, target, Outcome::Reached(*id));
        dial_book.link_ended(now, *id, Duration::from_secs(50));
    }
    assert_eq!(dial_book.take_due(now, NOBODY), [Target::Node([4; 16], vec![address(4)])]);
    assert_eq!(dial_book.next_due(NOBODY), Some(now + YIELD_DELAY));
    assert_eq!(dial_book.take_due(now + YIELD_DELAY, |id| *id == [6; 16]), [], "it is linked");
    assert_eq!(dial_book.next_due(|id| *id == [6; 16]), None);
    let due = dial_book.take_due(now + YIELD_DELAY, NOBODY);
    assert_eq!(due, [Target::Node([6; 16], vec![address(6)])]);
}

#[test]
fn failed_attempts_back_off_and_cease_after_an_hour() {
    let (mut dial_book, start) = dial_book(&[]);
    dial_book.learn(start, [4; 16], [address(4)], false);
    let mut now = start;
    let mut at = Vec::new();
    while let Some(next) = dial_book.next_due(NOBODY) {
        now = now.max(next);
        for target in dial_book.take_due(now, NOBODY) {
            at.push(now.duration_since(start));
            dial_book.dial_finished(now, &target, Outcome::Failed);
        }
    }
    assert_eq!(at[..4], [millis(0), millis(100), millis(300), millis(700)]);
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= MAX_INDIRECT_BACKOFF));
    assert!(at.len() < 140 && at[at.len() - 1] > Duration::from_secs(3500), "{}", at.len());
}

#[test]
fn an_endpoint_is_dialed_until_its_node_is_linked() {
    let (mut dial_book, now) = dial_book(&["mx1:7447", "mx2:7447"]);
    let due = dial_book.take_due(now, NOBODY);
    assert_eq!(due.len(), 2);
    dial_book.dial_finished(now, &due[0], Outcome::Reached([4; 16]));
    dial_book.dial_finished(now, &due[1], Outcome::IsSelf);
    let later = now + Duration::from_secs(59);
    let is_linked = |id: &NodeId| *id == [4; 16];
    assert_eq!(dial_book.next_due(is_linked), Some(now + RECHECK_INTERVAL));
    assert_eq!(dial_book.take_due(later, |id| *id == [4; 16]), []);
    dial_book.link_ended(later, [4; 16], Duration::from_secs(50));
    assert_eq!(dial_book.take_due(later, NOBODY), due[..1]);
    dial_book.dial_finished(later, &due[0], Outcome::Failed);
    assert_eq!(dial_book.take_due(later + Duration::from_secs(3600), NOBODY), due);
}

#[test]
fn an_endpoint_is_rechecked_although_its_node_is_linked() {
    let (mut dial_book, now) = dial_book(&["mx1:7447", "mx2:7447"]);
    let is_linked = |id: &NodeId| *id == [4; 16];
    // An attacker on the path redirects the second endpoint to the node of the first.
    for target in dial_book.take_due(now, NOBODY) {
        dial_book.dial_finished(now, &target, Outcome::Reached([4; 16]));
    }
    assert_eq!(dial_book.take_due(now + Duration::from_secs(59), is_linked), []);
    let due = dial_book.take_due(now + RECHECK_INTERVAL, is_linked);
    assert_eq!(due.len(), 2);
    dial_book.dial_finished(now + RECHECK_INTERVAL, &due[0], Outcome::Reached([4; 16]));
    dial_book.dial_finished(now + RECHECK_INTERVAL, &due[1], Outcome::Reached([3; 16]));
    let later = now + RECHECK_INTERVAL + MIN_LINK_DURATION;
    assert_eq!(dial_book.take_due(later, is_linked), due[1..], "it leads to a node without a link");
}

#[test]
fn made_up_nodes_evict_no_known_node_and_every_dial_is_counted() {
    let (mut dial_book, now) = dial_book(&[]);
    for n in 0..100_u128 {
        dial_book.learn(now, n.to_be_bytes(), [address(1)], true);
    }
    let mut dials = dial_book.take_due(now, NOBODY).len();
    for n in 1_000..20_000_u128 {
        let at = now + Duration::from_micros(n as u64);
        dial_book.learn(at, n.to_be_bytes(), [address(2)], false);
        dials += dial_book.take_due(at, NOBODY).len();
        assert_eq!(dial_book.next_due(NOBODY), None, "there is no room");
    }
    assert_eq!((dials, dial_book.nodes.len()), (MAX_CONCURRENT_DIALS, MAX_NODES));
    assert!((0..100_u128).all(|n| dial_book.nodes.contains_key(&n.to_be_bytes())));
    dial_book.forget(&0_u128.to_be_bytes());
    assert_eq!(dial_book.take_due(now + RECHECK_INTERVAL, NOBODY), [], "it is still being dialed");
}

#[test]
fn a_link_that_ends_at_once_is_redialed_with_backoff() {
    let (mut dial_book, start) = dial_book(&[]);
    dial_book.learn(start, [4; 16], [address(4)], true);
    let (mut now, mut dials) = (start, 0);
    while now < start + Duration::from_secs(60) {
        for target in dial_book.take_due(now, NOBODY) {
            dials += 1;
            dial_book.dial_finished(now, &target, Outcome::Reached([4; 16]));
            dial_book.link_ended(now, [4; 16], millis(1));
        }
        now += millis(10);
    }
    assert!((10..25).contains(&dials), "{dials}");
}

#[test]
fn an_address_belongs_to_the_node_that_answered_there_last() {
    let (mut dial_book, now) = dial_book(&[]);
    dial_book.learn(now, [3; 16], [address(1)], true);
    dial_book.learn(now, [4; 16], [address(1), address(2)], true);
    dial_book.claim_address(address(1), [2; 16]);
    assert_eq!(dial_book.take_due(now, NOBODY), [Target::Node([4; 16], vec![address(2)])]);
    dial_book.claim_address(address(2), [4; 16]);
    assert_eq!(dial_book.nodes.len(), 1);
}

#[test]
fn nodes_addresses_and_dials_are_bounded() {
    let (mut dial_book, now) = dial_book(&[]);
    for n in 0..5_000_u128 {
        let at = now + Duration::from_micros(n as u64);
        dial_book.learn(at, n.to_be_bytes(), (0..100).map(address), n % 2 == 0);
    }
    assert_eq!(dial_book.nodes.len(), MAX_NODES);
    assert!(
        dial_book.nodes.contains_key(&4_998_u128.to_be_bytes()),
        "the newest node that sent its addresses stays"
    );
    assert!(dial_book.nodes.values().all(|node| node.addresses.len() == MAX_ADDRESSES));
    assert_eq!(
        dial_book.take_due(now + Duration::from_secs(1), NOBODY).len(),
        MAX_CONCURRENT_DIALS
    );
    for bad in ["0.0.0.0:1", "224.0.0.1:1", "[::]:1", "192.0.2.1:0"] {
        dial_book.learn(now, [0xff; 16], [bad.parse().unwrap()], true);
    }
    assert!(!dial_book.nodes.contains_key(&[0xff; 16]));
}
