//! Tests of the bounds, filters and drop counts of an inbox.

use mailmesh_delivery::Incarnation;
use mailmesh_events::{
    AccountId, CacheInvalidation, CacheKind, ChangeId, Custom, Event, Kind, Lane, QueueSignal,
    StateChange,
};

use super::queue::MAX_DROP_COUNTERS;
use super::*;
use crate::{Gap, GapReason, MemberRef, Received};

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
    let Some(Incoming::Gap(gap)) = unread.try_recv() else { panic!("the first entry is a gap") };
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
    let Some(Incoming::Gap(gap)) = unread.try_recv() else { panic!("the first entry is a gap") };
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
            let name = if number % 2 == 0 { "flapping".into() } else { format!("once-{number}") };
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
