//! Bounded queues between the driver and whoever reads. The driver never waits:
//! a full inbox loses its oldest entries and tells its reader how many.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use mailmesh_events::{AccountId, Event, Kind, KindSet, Lane};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::{Gap, GapReason, Incoming, MemberRef};

/// Most lives, per lane, of which an inbox counts apart what it dropped: twice as many
/// as may be members at a time. Past it what is dropped of another life is counted
/// under the same name, or else under the life counted first: how many is always
/// told, of whom no longer. Only a reader away while thousands of lives came and
/// went gets there.
const COUNTED: usize = 2 * 1024;

/// What an inbox takes. Gaps are always taken for the lanes of its kinds.
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

    /// Only events of these kinds (and gaps, and members).
    #[must_use]
    pub fn kinds(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { kinds: kinds.into_iter().collect(), ..Self::all() }
    }

    /// Of events that concern an account, only those of these accounts.
    #[must_use]
    pub fn of_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }

    /// Not who joins and leaves.
    #[must_use]
    pub fn without_members(mut self) -> Self {
        self.members = false;
        self
    }

    fn takes(&self, incoming: &Incoming) -> bool {
        match incoming {
            Incoming::Event(received) => self.takes_event(&received.event),
            Incoming::Gap(gap) => self.takes_lane(gap.lane),
            Incoming::Synced(change) => self.takes_event(&change.clone().into()),
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

/// A reader's queue of what comes. Dropping it ends it; others do not notice.
#[derive(Debug)]
pub struct Inbox {
    queue: Arc<Queue>,
    /// Taken from the queue and not given yet: its lock is not taken for each.
    taken: VecDeque<Incoming>,
}

/// Most entries that a reader takes from the queue at once.
const TAKEN: usize = 64;

impl Inbox {
    /// The next, in order per sender and lane; `None` once the node has shut down
    /// and everything was read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Incoming> {
        if let Some(incoming) = self.try_recv() {
            return Some(incoming);
        }
        let queue = Arc::clone(&self.queue);
        loop {
            let arrived = queue.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            match queue.refill(&mut self.taken) {
                Refill::Some => return self.taken.pop_front(),
                Refill::Closed => return None,
                Refill::Empty => arrived.await,
            }
        }
    }

    /// The next, if it is there.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        if self.taken.is_empty() {
            self.queue.refill(&mut self.taken);
        }
        self.taken.pop_front()
    }

    /// Entries waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len() + self.queue.state.lock().entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
struct Queue {
    filter: Filter,
    capacity: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Incoming>,
    /// What was dropped of each sender's lane and not told yet.
    dropped: Vec<(MemberRef, Lane, u64)>,
    members_dropped: bool,
    closed: bool,
}

enum Refill {
    Some,
    Empty,
    Closed,
}

impl Queue {
    /// Gives the reader, who has nothing, what is next.
    fn refill(&self, taken: &mut VecDeque<Incoming>) -> Refill {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.members_dropped) {
            taken.push_back(Incoming::MembersChanged);
        }
        // What was dropped stood before everything that is left.
        for (from, lane, missed) in state.dropped.drain(..) {
            let reason = GapReason::SlowConsumer;
            taken.push_back(Incoming::Gap(Gap { from, lane, missed, reason }));
        }
        let count = state.entries.len().min(TAKEN);
        taken.extend(state.entries.drain(..count));
        match (taken.is_empty(), state.closed) {
            (false, _) => Refill::Some,
            (true, false) => Refill::Empty,
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
        for incoming in incoming {
            if state.entries.len() >= self.capacity
                && let Some(oldest) = state.entries.pop_front()
            {
                state.drop_entry(oldest);
            }
            state.entries.push_back(incoming);
        }
        drop(state);
        self.arrived.notify_one();
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }
}

impl State {
    fn drop_entry(&mut self, oldest: Incoming) {
        match oldest {
            Incoming::Event(received) => self.count(&received.from, received.lane, 1),
            Incoming::Gap(gap) => self.count(&gap.from, gap.lane, gap.missed),
            // The mirror has it all the same.
            Incoming::Synced(_) => {}
            _ => self.members_dropped = true,
        }
    }

    fn count(&mut self, from: &MemberRef, lane: Lane, missed: u64) {
        let mut of_lane = self.dropped.iter_mut().filter(|(_, l, _)| *l == lane);
        if let Some((_, _, count)) = of_lane.find(|(f, _, _)| f == from) {
            *count += missed;
            return;
        }
        if self.dropped.iter().filter(|(_, l, _)| *l == lane).count() < COUNTED {
            self.dropped.push((from.clone(), lane, missed));
            return;
        }
        let namesake = self.dropped.iter().position(|(f, l, _)| f.name == from.name && *l == lane);
        let first = || self.dropped.iter().position(|(_, l, _)| *l == lane);
        if let Some(at) = namesake.or_else(first) {
            self.dropped[at].2 += missed;
        }
    }
}

/// Every inbox of a node.
#[derive(Debug)]
pub(crate) struct Inboxes {
    list: RwLock<Vec<Weak<Queue>>>,
    capacity: usize,
}

impl Inboxes {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { list: RwLock::default(), capacity }
    }

    pub(crate) fn open(&self, filter: Filter) -> Inbox {
        let capacity = self.capacity;
        let (state, arrived) = (Mutex::default(), Notify::new());
        let queue = Arc::new(Queue { filter, capacity, state, arrived });
        let mut list = self.list.write();
        list.retain(|queue| queue.strong_count() > 0);
        list.push(Arc::downgrade(&queue));
        Inbox { queue, taken: VecDeque::new() }
    }

    /// Gives `incoming` to every inbox that takes it, and leaves it empty. An inbox's
    /// lock is taken once, however many there are.
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

    pub(crate) fn close(&self) {
        self.list.read().iter().filter_map(Weak::upgrade).for_each(|queue| queue.close());
    }

    pub(crate) fn count(&self) -> usize {
        self.list.read().iter().filter(|queue| queue.strong_count() > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::Incarnation;
    use mailmesh_events::{CacheInvalidation, CacheKind, ChangeId, QueueSignal, StateChange};

    use super::*;
    use crate::Received;

    fn from(name: &str) -> MemberRef {
        MemberRef { name: name.parse().unwrap(), incarnation: Incarnation([1; 16]) }
    }

    fn event(sender: &str, number: u64, event: impl Into<Event>) -> Incoming {
        let event = event.into();
        let received = Received { from: from(sender), lane: event.lane(), number, event };
        Incoming::Event(received.into())
    }

    #[test]
    fn a_full_inbox_tells_what_it_dropped_and_gives_the_newest() {
        let inboxes = Inboxes::new(16);
        let mut slow = inboxes.open(Filter::all());
        let mut other = inboxes.open(Filter::kinds([Kind::Cache]));
        for number in 1..=100 {
            let sender = if number % 2 == 0 { "a" } else { "b" };
            inboxes.offer(&mut vec![event(sender, number, QueueSignal::Refresh)]);
        }
        let mut missed = std::collections::BTreeMap::new();
        let mut numbers = Vec::new();
        while let Some(incoming) = slow.try_recv() {
            match incoming {
                Incoming::Gap(gap) => {
                    assert!(numbers.is_empty(), "the gap stands before what is left");
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
    fn an_inbox_that_nobody_reads_counts_everything_under_so_many_lives_and_no_more() {
        let inboxes = Inboxes::new(16);
        let mut unread = inboxes.open(Filter::all());
        let lives = 3 * COUNTED as u64;
        for life in 0..lives {
            for missed in [1, 2] {
                // One name restarts for ever; others come once.
                let name = if life % 2 == 0 { "flapping".into() } else { format!("once-{life}") };
                let incarnation = Incarnation(u128::from(life).to_be_bytes());
                let from = MemberRef { name: name.parse().unwrap(), incarnation };
                let (lane, reason) = (Lane::Events, GapReason::Lost);
                inboxes.offer(&mut vec![Incoming::Gap(Gap { from, lane, missed, reason })]);
            }
        }
        let kept = unread.len();
        let (mut gaps, mut told) = (0, 0);
        while let Some(incoming) = unread.try_recv() {
            let Incoming::Gap(gap) = incoming else { panic!("{incoming}") };
            gaps += 1;
            told += gap.missed;
        }
        assert_eq!((gaps, told), (COUNTED + kept, 3 * lives));
    }

    #[test]
    fn a_filter_takes_its_kinds_its_accounts_and_the_gaps_of_its_lanes() {
        let filter = Filter::kinds([Kind::StateChange]).of_accounts([AccountId(7)]);
        let of = |account| event("a", 1, StateChange::new(AccountId(account), ChangeId(1)));
        assert!(filter.takes(&of(7)) && !filter.takes(&of(8)));
        assert!(!filter.takes(&event("a", 1, CacheInvalidation::all(CacheKind::Dns))));
        let gap =
            |lane| Incoming::Gap(Gap { from: from("a"), lane, missed: 1, reason: GapReason::Lost });
        assert!(filter.takes(&gap(Lane::Events)) && !filter.takes(&gap(Lane::Urgent)));
        assert!(filter.takes(&Incoming::MembersChanged));
        assert!(!filter.without_members().takes(&Incoming::MembersChanged));
    }

    #[tokio::test]
    async fn a_closed_inbox_gives_what_it_has_and_then_ends() {
        let inboxes = Inboxes::new(16);
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
