//! Drops datagrams of other clusters, and replayed datagrams.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use parking_lot::Mutex;
use ring::hmac;
use tokio::time::Instant;

use super::hash_budget::HashBudget;
use super::message::{Decoded, Message, MessageId, Nonce, Zid};
use crate::OtherKeys;
use crate::bus::ClusterTag;

/// Number of messages remembered for detecting replays.
const MAX_SEEN: usize = 1_024;
/// Maximum number of counted echoes of one question; more than there are sockets.
const MAX_COUNTED_ECHOES: usize = 256;

/// Passes each authentic message once. A replay costs one lookup; a modified copy costs one hash of
/// the budget.
#[derive(Debug)]
pub(super) struct DatagramFilter {
    tag: ClusterTag,
    keys: Vec<hmac::Key>,
    own: Zid,
    other_keys: OtherKeys,
    state: Mutex<FilterState>,
}

#[derive(Debug)]
struct FilterState {
    hash_budget: HashBudget,
    seen: HashSet<MessageId>,
    /// The same ids, oldest first.
    order: VecDeque<MessageId>,
    /// This node's last question, and how many copies of it the host's multicast returned.
    asked: Option<Nonce>,
    echoes: usize,
}

impl FilterState {
    fn is_seen(&self, name: &MessageId) -> bool {
        self.seen.contains(name)
    }

    fn note(&mut self, name: MessageId) -> bool {
        if !self.seen.insert(name) {
            return false;
        }
        self.order.push_back(name);
        if self.order.len() > MAX_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

impl DatagramFilter {
    pub(super) fn new(
        tag: ClusterTag,
        keys: Vec<hmac::Key>,
        own: Zid,
        other_keys: OtherKeys,
        now: Instant,
    ) -> Self {
        let state = FilterState {
            hash_budget: HashBudget::new(now),
            seen: HashSet::new(),
            order: VecDeque::new(),
            asked: None,
            echoes: 0,
        };
        Self { tag, keys, own, other_keys, state: Mutex::new(state) }
    }

    /// Called before a question of this node is sent; its echoes are counted from now on.
    pub(super) fn expect_echoes(&self, nonce: Nonce) {
        let mut state = self.state.lock();
        (state.asked, state.echoes) = (Some(nonce), 0);
    }

    /// How many copies of the last question returned.
    pub(super) fn echoes(&self) -> usize {
        self.state.lock().echoes
    }

    /// Returns a message of another node that was not seen before, and the index of its key.
    pub(super) fn accept(
        &self,
        now: Instant,
        from: IpAddr,
        bytes: &[u8],
    ) -> Option<(Message, usize)> {
        if !Message::has_valid_header(bytes, self.tag) {
            return None;
        }
        let name = Message::id(bytes)?;
        let is_own = name.zid == self.own;
        {
            let mut state = self.state.lock();
            let is_relevant = if is_own {
                state.asked == Some(name.nonce) && state.echoes < MAX_COUNTED_ECHOES
            } else {
                !state.is_seen(&name)
            };
            if !is_relevant || !state.hash_budget.take(now, from) {
                return None;
            }
        }
        let (message, key) = match Message::decode(bytes, self.tag, &self.keys) {
            Decoded::Message(message, key) => (message, key),
            Decoded::OtherKey => {
                self.other_keys.note();
                return None;
            }
            Decoded::Nothing => return None,
        };
        let mut state = self.state.lock();
        if is_own {
            state.echoes += 1;
            return None;
        }
        state.note(name).then_some((message, key))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::message::Body;
    use super::*;

    const TAG: ClusterTag = *b"cluster.";
    const OWN: Zid = [1; 16];

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn question(nonce: u32, zid: Zid) -> Vec<u8> {
        let mut bytes = Nonce::default();
        bytes[..4].copy_from_slice(&nonce.to_be_bytes());
        Message { nonce: bytes, zid, body: Body::Question { known: Vec::new() } }
            .encode(TAG, &key())
    }

    #[test]
    fn replayed_and_modified_questions_block_no_honest_question() {
        let now = Instant::now();
        let filter = DatagramFilter::new(TAG, vec![key()], OWN, OtherKeys::default(), now);
        let from = IpAddr::from(Ipv4Addr::LOCALHOST);
        let recorded = question(0, [2; 16]);
        assert!(filter.accept(now, from, &recorded).is_some());
        for _ in 0..100_000 {
            assert!(filter.accept(now, from, &recorded).is_none());
        }
        let mut changed = recorded;
        // An id that was not seen before.
        changed[20] ^= 1;
        for _ in 0..1_500 {
            assert!(filter.accept(now, from, &changed).is_none());
        }
        assert!(filter.accept(now, from, &question(1, [3; 16])).is_some());
    }

    #[test]
    fn own_questions_are_counted_but_not_accepted() {
        let now = Instant::now();
        let filter = DatagramFilter::new(TAG, vec![key()], OWN, OtherKeys::default(), now);
        let from = IpAddr::from(Ipv4Addr::LOCALHOST);
        let accepts = |n| filter.accept(now, from, &question(n, OWN)).is_some();
        filter.expect_echoes(Nonce::default());
        assert!(!accepts(0) && !accepts(0) && !accepts(7));
        assert_eq!(filter.echoes(), 2);
        (0..1_000).for_each(|_| assert!(!accepts(0)));
        assert_eq!(filter.echoes(), MAX_COUNTED_ECHOES);
        filter.expect_echoes([9; 16]);
        assert_eq!(filter.echoes(), 0);
    }

    #[test]
    fn the_number_of_remembered_messages_is_bounded() {
        let now = Instant::now();
        let filter = DatagramFilter::new(TAG, vec![key()], OWN, OtherKeys::default(), now);
        for n in 0..5_000 {
            let from = IpAddr::from(Ipv4Addr::from(n / 100));
            assert!(filter.accept(now, from, &question(n, [2; 16])).is_some());
        }
        let state = filter.state.lock();
        assert_eq!((state.seen.len(), state.order.len()), (MAX_SEEN, MAX_SEEN));
    }
}
