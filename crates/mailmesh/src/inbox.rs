//! Bounded queues between the driver and the application's readers. The driver never waits: a full
//! inbox (in entries or bytes) drops its oldest entries and reports the number to its reader.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use mailmesh_events::{AccountId, Event, Kind, KindSet, Lane};
use parking_lot::{Mutex, RwLock};

use crate::{FilterError, Gap, GapReason, Incoming, MemberRef, Received, StartError};

/// Per lane, an inbox counts its drops separately for this many incarnations: twice the largest
/// number of members. Drops of further incarnations are added to an incarnation of the same name,
/// or else to the oldest counter, so the total stays right. Only a reader that pauses while
/// thousands of incarnations come and go reaches this limit.
const MAX_DROP_COUNTERS: usize = 2 * 1024;

/// Selects what an inbox receives. Gaps are always received for the lanes of the selected kinds.
#[derive(Debug, Clone)]
pub struct Filter {
    kinds: KindSet,
    accounts: Option<BTreeSet<AccountId>>,
    members: bool,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { kinds: KindSet::all(), accounts: None, members: true }
    }

    /// Only events of these kinds, and gaps and membership changes.
    ///
    /// # Errors
    /// [`FilterError::MirrorKind`] for changes of the mirror, which only watches receive.
    pub fn kinds(kinds: impl IntoIterator<Item = Kind>) -> Result<Self, FilterError> {
        let check = |kind| match kind {
            Kind::Network | Kind::Certificate | Kind::Value => {
                Err(FilterError::MirrorKind { kind })
            }
            _ => Ok(kind),
        };
        let kinds = kinds.into_iter().map(check).collect::<Result<_, _>>()?;
        Ok(Self { kinds, ..Self::all() })
    }

    /// Of events that concern an account, only those of these accounts.
    #[must_use]
    pub fn of_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }

    /// No membership changes.
    #[must_use]
    pub fn without_members(mut self) -> Self {
        self.members = false;
        self
    }

    fn takes(&self, incoming: &Incoming) -> bool {
        match incoming {
            Incoming::Event(received) => self.takes_event(&received.event),
            Incoming::Gap(gap) => self.takes_lane(gap.lane),
            Incoming::Joined(_)
            | Incoming::Left { .. }
            | Incoming::MembersChanged
            | Incoming::DuplicateName { .. } => self.members,
        }
    }

    fn takes_event(&self, event: &Event) -> bool {
        let account = match event {
            Event::StateChange(e) => Some(e.account),
            Event::EmailPush(e) => Some(e.account),
            Event::CalendarAlert(e) => Some(e.account),
            Event::PushSubscription(e) => Some(e.account),
            _ => None,
        };
        let of_account = match (&self.accounts, account) {
            (Some(accounts), Some(account)) => accounts.contains(&account),
            _ => true,
        };
        of_account && self.kinds.contains(event.kind())
    }

    fn takes_lane(&self, lane: Lane) -> bool {
        Kind::ALL.into_iter().any(|kind| kind.lane() == lane && self.kinds.contains(kind))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

/// Queue of incoming entries for one reader. Dropping it closes it; other inboxes are not affected.
///
/// An inbox is also a [`Stream`] of its entries.
#[derive(Debug)]
pub struct Inbox {
    queue: Arc<Queue>,
    /// Entries moved out of the queue in one step, so that the lock is not taken for each entry.
    taken: VecDeque<Incoming>,
}

/// Most entries that a reader moves out of the queue in one step.
const MAX_TAKE: usize = 64;
/// A reader stops moving entries in one step once they sum up to this size.
const MAX_TAKE_BYTES: usize = 1 << 20;

/// Bounds of an inbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) entries: usize,
    /// Sum of [`footprint`]. A single larger entry is still kept.
    pub(crate) bytes: usize,
}

impl Capacity {
    /// Smaller inboxes would drop entries before a prompt reader has a turn.
    const MIN: Self = Self { entries: 16, bytes: 1 << 20 };

    /// # Errors
    /// [`StartError::InboxTooSmall`].
    pub(crate) fn check(self) -> Result<(), StartError> {
        if self.entries < Self::MIN.entries || self.bytes < Self::MIN.bytes {
            return Err(StartError::InboxTooSmall { entries: self.entries, bytes: self.bytes });
        }
        Ok(())
    }
}

/// Approximate memory of an entry, in bytes. An event shared by several inboxes counts in each.
fn footprint(incoming: &Incoming) -> usize {
    let heap = match incoming {
        Incoming::Event(received) => size_of::<Received>() + received.event.size_estimate(),
        _ => 0,
    };
    size_of::<Incoming>() + heap
}

impl Inbox {
    /// Waits for the next entry. Entries come in order per sender and lane. `None` once the node
    /// has stopped and everything was read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Incoming> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next entry: [`recv`](Self::recv) for a caller that has a task's context.
    /// After `Pending`, the task of the last call is woken when an entry arrives.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Incoming>> {
        if self.taken.is_empty() {
            match self.queue.refill(&mut self.taken, Some(context)) {
                Refill::Some => {}
                Refill::Closed => return Poll::Ready(None),
                Refill::Empty => return Poll::Pending,
            }
        }
        Poll::Ready(self.taken.pop_front())
    }

    /// The next entry, or `None` if none waits.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        if self.taken.is_empty() {
            self.queue.refill(&mut self.taken, None);
        }
        self.taken.pop_front()
    }

    /// Number of entries that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len() + self.queue.state.lock().entries.len()
    }

    /// Whether no entry waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Stream for Inbox {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

#[derive(Debug)]
struct Queue {
    filter: Filter,
    capacity: Capacity,
    state: Mutex<State>,
    /// Entries dropped so far by all inboxes of the node.
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Incoming>,
    /// Sum of the entries' footprints.
    bytes: usize,
    /// Entries dropped per sender and lane, and not reported yet.
    dropped: Vec<(MemberRef, Lane, u64)>,
    members_dropped: bool,
    closed: bool,
    /// The reader that waits for an entry.
    reader: Option<Waker>,
}

enum Refill {
    Some,
    Empty,
    Closed,
}

impl Queue {
    /// Moves the next entries to the reader, whose buffer is empty. If there are none, the task of
    /// `context` is woken when there are.
    fn refill(&self, taken: &mut VecDeque<Incoming>, context: Option<&mut Context<'_>>) -> Refill {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.members_dropped) {
            taken.push_back(Incoming::MembersChanged);
        }
        // The dropped entries were older than all that are left.
        for (from, lane, missed) in state.dropped.drain(..) {
            let reason = GapReason::SlowConsumer;
            taken.push_back(Incoming::Gap(Gap { from, lane, missed, reason }));
        }
        let mut bytes = 0;
        for _ in 0..MAX_TAKE {
            let Some(incoming) = state.pop() else { break };
            bytes += footprint(&incoming);
            taken.push_back(incoming);
            if bytes >= MAX_TAKE_BYTES {
                break;
            }
        }
        match (taken.is_empty(), state.closed) {
            (false, _) => Refill::Some,
            (true, false) => {
                if let Some(context) = context {
                    state.reader = Some(context.waker().clone());
                }
                Refill::Empty
            }
            (true, true) => Refill::Closed,
        }
    }

    fn push(&self, incoming: impl Iterator<Item = Incoming>) {
        let mut incoming = incoming.filter(|incoming| self.filter.takes(incoming)).peekable();
        if incoming.peek().is_none() {
            return;
        }
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let mut dropped = 0;
        for incoming in incoming {
            let size = footprint(&incoming);
            while (state.entries.len() >= self.capacity.entries
                || state.bytes + size > self.capacity.bytes)
                && let Some(oldest) = state.pop()
            {
                state.count_dropped(oldest);
                dropped += 1;
            }
            state.bytes += size;
            state.entries.push_back(incoming);
        }
        let reader = state.reader.take();
        drop(state);
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<Incoming> {
        let oldest = self.entries.pop_front()?;
        self.bytes -= footprint(&oldest);
        Some(oldest)
    }

    fn count_dropped(&mut self, oldest: Incoming) {
        match oldest {
            Incoming::Event(received) => self.count(&received.from, received.lane, 1),
            Incoming::Gap(gap) => self.count(&gap.from, gap.lane, gap.missed),
            _ => self.members_dropped = true,
        }
    }

    fn count(&mut self, from: &MemberRef, lane: Lane, missed: u64) {
        let mut of_lane = self.dropped.iter_mut().filter(|(_, l, _)| *l == lane);
        if let Some((_, _, count)) = of_lane.find(|(f, _, _)| f == from) {
            // Positions from a malicious sender may be arbitrary.
            *count = count.saturating_add(missed);
            return;
        }
        if self.dropped.iter().filter(|(_, l, _)| *l == lane).count() < MAX_DROP_COUNTERS {
            self.dropped.push((from.clone(), lane, missed));
            return;
        }
        let namesake = self.dropped.iter().position(|(f, l, _)| f.name == from.name && *l == lane);
        let first = || self.dropped.iter().position(|(_, l, _)| *l == lane);
        if let Some(at) = namesake.or_else(first) {
            let count = &mut self.dropped[at].2;
            *count = count.saturating_add(missed);
        }
    }
}

/// All inboxes of a node.
#[derive(Debug)]
pub(crate) struct Inboxes {
    list: RwLock<Vec<Weak<Queue>>>,
    capacity: Capacity,
    dropped: Arc<AtomicU64>,
}

impl Inboxes {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { list: RwLock::default(), capacity, dropped: Arc::default() }
    }

    pub(crate) fn open(&self, filter: Filter) -> Inbox {
        let (capacity, dropped) = (self.capacity, self.dropped.clone());
        let queue = Arc::new(Queue { filter, capacity, state: Mutex::default(), dropped });
        let mut list = self.list.write();
        list.retain(|queue| queue.strong_count() > 0);
        list.push(Arc::downgrade(&queue));
        Inbox { queue, taken: VecDeque::new() }
    }

    /// Moves `incoming` to every inbox whose filter accepts it, and leaves it empty. The lock of an
    /// inbox is taken once per call.
    pub(crate) fn offer(&self, incoming: &mut Vec<Incoming>) {
        let list = self.list.read();
        let mut queues = list.iter().filter_map(Weak::upgrade).peekable();
        while let Some(queue) = queues.next() {
            if queues.peek().is_some() {
                queue.push(incoming.iter().cloned());
            } else {
                queue.push(incoming.drain(..));
            }
        }
        incoming.clear();
    }

    /// Offers one entry to the inboxes whose filter accepts it.
    pub(crate) fn offer_one(&self, incoming: Incoming) {
        self.offer(&mut vec![incoming]);
    }

    pub(crate) fn close(&self) {
        self.list.read().iter().filter_map(Weak::upgrade).for_each(|queue| queue.close());
    }

    pub(crate) fn count(&self) -> usize {
        self.list.read().iter().filter(|queue| queue.strong_count() > 0).count()
    }

    /// Approximate bytes that wait in all inboxes.
    pub(crate) fn bytes(&self) -> usize {
        let list = self.list.read();
        list.iter().filter_map(Weak::upgrade).map(|queue| queue.state.lock().bytes).sum()
    }

    /// Entries dropped so far because an inbox was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::Incarnation;
    use mailmesh_events::{
        CacheInvalidation, CacheKind, ChangeId, Custom, QueueSignal, StateChange,
    };

    use super::*;

    const SMALL: Capacity = Capacity { entries: 16, bytes: usize::MAX };

    fn from(name: &str) -> MemberRef {
        MemberRef { name: name.parse().unwrap(), incarnation: Incarnation([1; 16]) }
    }

    fn event(sender: &str, number: u64, event: impl Into<Event>) -> Incoming {
        let event = event.into();
        let received = Received { from: from(sender), lane: event.lane(), number, event };
        Incoming::Event(received.into())
    }

    #[test]
    fn a_full_inbox_reports_its_drops_and_keeps_the_newest_entries() {
        let inboxes = Inboxes::new(SMALL);
        let mut slow = inboxes.open(Filter::all());
        let mut other = inboxes.open(Filter::kinds([Kind::Cache]).unwrap());
        for number in 1..=100 {
            let sender = if number % 2 == 0 { "a" } else { "b" };
            inboxes.offer(&mut vec![event(sender, number, QueueSignal::Refresh)]);
        }
        let mut missed = std::collections::BTreeMap::new();
        let mut numbers = Vec::new();
        while let Some(incoming) = slow.try_recv() {
            match incoming {
                Incoming::Gap(gap) => {
                    assert!(numbers.is_empty(), "the gap comes before the remaining entries");
                    assert_eq!(gap.reason, GapReason::SlowConsumer);
                    missed.insert(gap.from.name.to_string(), gap.missed);
                }
                Incoming::Event(received) => numbers.push(received.number),
                other => panic!("{other}"),
            }
        }
        assert_eq!(missed.values().sum::<u64>(), 84);
        assert_eq!(numbers, (85..=100).collect::<Vec<_>>());
        assert!(other.try_recv().is_none());
    }

    #[test]
    fn an_inbox_is_bounded_in_bytes_and_reports_its_drops() {
        let capacity = Capacity { entries: 65_536, bytes: 1 << 20 };
        let inboxes = Inboxes::new(capacity);
        let mut unread = inboxes.open(Filter::all());
        let large = mailmesh_events::limits::CUSTOM_PAYLOAD_LEN;
        for number in 1..=100 {
            let payload = vec![0_u8; if number % 2 == 0 { large } else { 10 }];
            let custom = Custom::new("x", payload).unwrap();
            inboxes.offer(&mut vec![event("a", number, custom)]);
            assert!(inboxes.bytes() <= capacity.bytes);
        }
        let kept = unread.len() as u64;
        assert!((9..=12).contains(&kept), "{kept}");
        assert_eq!(inboxes.dropped(), 100 - kept);
        let Some(Incoming::Gap(gap)) = unread.try_recv() else {
            panic!("the first entry is a gap")
        };
        assert_eq!(gap.missed, 100 - kept);
        let numbers = std::iter::from_fn(|| unread.try_recv()).map(|incoming| match incoming {
            Incoming::Event(received) => received.number,
            other => panic!("{other}"),
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (101 - kept..=100).collect::<Vec<_>>());
        assert_eq!(inboxes.bytes(), 0);
    }

    #[test]
    fn counters_of_a_malicious_sender_do_not_overflow() {
        let inboxes = Inboxes::new(SMALL);
        let mut unread = inboxes.open(Filter::all());
        for _ in 0..40 {
            let (from, missed) = (from("a"), u64::MAX / 2);
            let gap = Gap { from, lane: Lane::Events, missed, reason: GapReason::Lost };
            inboxes.offer(&mut vec![Incoming::Gap(gap)]);
        }
        let Some(Incoming::Gap(gap)) = unread.try_recv() else {
            panic!("the first entry is a gap")
        };
        assert_eq!(gap.missed, u64::MAX);
    }

    #[test]
    fn an_unread_inbox_counts_all_drops_in_a_bounded_number_of_counters() {
        let inboxes = Inboxes::new(SMALL);
        let mut unread = inboxes.open(Filter::all());
        let incarnations = 3 * MAX_DROP_COUNTERS as u64;
        for number in 0..incarnations {
            for missed in [1, 2] {
                // One name restarts again and again; the other names come once.
                let name =
                    if number % 2 == 0 { "flapping".into() } else { format!("once-{number}") };
                let incarnation = Incarnation(u128::from(number).to_be_bytes());
                let from = MemberRef { name: name.parse().unwrap(), incarnation };
                let (lane, reason) = (Lane::Events, GapReason::Lost);
                inboxes.offer(&mut vec![Incoming::Gap(Gap { from, lane, missed, reason })]);
            }
        }
        let kept = unread.len();
        let (mut gaps, mut missed) = (0, 0);
        while let Some(incoming) = unread.try_recv() {
            let Incoming::Gap(gap) = incoming else { panic!("{incoming}") };
            gaps += 1;
            missed += gap.missed;
        }
        assert_eq!((gaps, missed), (MAX_DROP_COUNTERS + kept, 3 * incarnations));
    }

    #[test]
    fn a_filter_accepts_its_kinds_its_accounts_and_the_gaps_of_its_lanes() {
        let filter = Filter::kinds([Kind::StateChange]).unwrap().of_accounts([AccountId(7)]);
        let of = |account| event("a", 1, StateChange::new(AccountId(account), ChangeId(1)));
        assert!(filter.takes(&of(7)) && !filter.takes(&of(8)));
        assert!(!filter.takes(&event("a", 1, CacheInvalidation::all(CacheKind::Dns))));
        let gap =
            |lane| Incoming::Gap(Gap { from: from("a"), lane, missed: 1, reason: GapReason::Lost });
        assert!(filter.takes(&gap(Lane::Events)) && !filter.takes(&gap(Lane::Urgent)));
        assert!(filter.takes(&Incoming::MembersChanged));
        assert!(!filter.without_members().takes(&Incoming::MembersChanged));
    }

    #[test]
    fn a_filter_refuses_kinds_that_only_watches_receive() {
        for kind in [Kind::Network, Kind::Certificate, Kind::Value] {
            let error = Filter::kinds([Kind::Cache, kind]).unwrap_err().to_string();
            assert!(error.contains(kind.name()) && error.contains("watch"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_closed_inbox_returns_its_entries_and_then_ends() {
        let inboxes = Inboxes::new(SMALL);
        let mut inbox = inboxes.open(Filter::all());
        inboxes.offer(&mut vec![event("a", 1, QueueSignal::Refresh)]);
        inboxes.close();
        inboxes.offer(&mut vec![event("a", 2, QueueSignal::Refresh)]);
        assert!(inbox.recv().await.is_some());
        assert!(inbox.recv().await.is_none());
        drop(inbox);
        assert_eq!(inboxes.count(), 0);
    }
}
