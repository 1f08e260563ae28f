//! Tests of one receive stream: order, holes, requests and gaps.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::frame::FRAME_COST;
use crate::{FrameKind, Incarnation, Lane};

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn stream() -> ReceiveStream {
    ReceiveStream::starting_after(0, Arc::default())
}

fn frame(first: u64, count: u16, body: Bytes) -> Frame {
    let (incarnation, kind) = (Incarnation([1; 16]), FrameKind::Data(Lane::Events));
    Frame { incarnation, to: None, kind, first, count, body, wire: None }
}

fn data(first: u64, count: u16) -> Released {
    Released::Data(frame(first, count, Bytes::new()))
}

fn missing(first: u64, last: u64, tries: u32) -> Option<MissingEvents> {
    Some(MissingEvents { range: EventRange { first, last }, tries })
}

fn feed(stream: &mut ReceiveStream, ms: u64, first: u64, count: u16) -> Vec<Released> {
    let mut out = Vec::new();
    stream.on_data(at(ms), frame(first, count, Bytes::new()), &mut out);
    out
}

/// Advances time until the hole is given up. Returns each request with its time, and the output.
fn wait_out(stream: &mut ReceiveStream) -> (Vec<(u128, MissingEvents)>, Vec<Released>) {
    let (mut requests, mut out) = (Vec::new(), Vec::new());
    while let Some(deadline) = stream.deadline() {
        if let Some(missing) = stream.on_deadline(deadline, true, &mut out) {
            requests.push((deadline.elapsed().as_millis(), missing));
        }
    }
    (requests, out)
}

#[test]
fn frames_out_of_order_are_put_in_order() {
    let mut stream = stream();
    assert_eq!(feed(&mut stream, 0, 3, 2), []);
    assert_eq!(feed(&mut stream, 1, 1, 2), [data(1, 2), data(3, 2)]);
    assert_eq!(stream.deadline(), None);
}

#[test]
fn a_hole_becomes_a_gap_after_5_s_and_the_held_frames_follow() {
    let mut stream = stream();
    feed(&mut stream, 0, 1, 1);
    assert_eq!(feed(&mut stream, 10, 4, 1), []);
    let (requests, out) = wait_out(&mut stream);
    // The first request follows after 2 ms. Each wait then doubles, up to 250 ms, until 5 s.
    let times: Vec<_> = requests.iter().map(|(at, _)| *at).collect();
    assert_eq!(times[..7], [12, 32, 72, 152, 312, 562, 812]);
    assert_eq!((times.len(), times.last()), (23, Some(&4_812)));
    assert!(requests.iter().all(|(_, missing)| missing.range == EventRange { first: 2, last: 3 }));
    assert!(requests.iter().zip(0..).all(|((_, missing), tries)| missing.tries == tries));
    assert_eq!(out, [Released::Missed { first: 2, missed: 2 }, data(4, 1)]);
    // A late frame of the gap is not delivered, because its events were reported missing.
    assert_eq!(feed(&mut stream, 6_000, 2, 2), []);
}

#[test]
fn a_lost_tail_is_found_by_the_announced_position() {
    let mut stream = stream();
    feed(&mut stream, 0, 1, 1);
    stream.on_position(at(20), 5);
    assert_eq!(stream.on_deadline(at(39), true, &mut Vec::new()), None);
    assert_eq!(stream.on_deadline(at(40), true, &mut Vec::new()), missing(2, 5, 0));
    assert_eq!(feed(&mut stream, 41, 2, 4), [data(2, 4)]);
    assert!(stream.is_complete() && stream.deadline().is_none());
}

#[test]
fn bytes_behind_a_hole_are_bounded_and_dropped_frames_are_requested_later() {
    let mut stream = stream();
    let body = Bytes::from(vec![0; 64 * 1024]);
    let mut out = Vec::new();
    for i in 0..1_000 {
        let accepted = stream.on_data(at(0), frame(2 + i, 1, body.clone()), &mut out);
        assert_eq!(accepted == Accepted::Fresh, i < 31, "{i}");
        assert!(stream.held_bytes <= stream.settings.reorder_bytes);
    }
    assert_eq!(out, []);
    stream.on_data(at(1), frame(1, 1, body.clone()), &mut out);
    assert_eq!(out.len(), 32);
    assert_eq!(stream.on_deadline(at(3), true, &mut out), missing(33, 1_001, 0));
}

#[test]
fn unavailable_events_are_a_gap_and_later_ones_are_requested_at_once() {
    let mut stream = stream();
    feed(&mut stream, 0, 5, 2);
    stream.on_position(at(0), 20);
    let mut out = Vec::new();
    stream.on_unavailable(at(1), 11);
    assert_eq!((stream.unavailable_before(), stream.deadline()), (11, Some(at(1))));
    stream.give_up(at(1), 11, &mut out);
    let missed = |first, missed| Released::Missed { first, missed };
    assert_eq!(out, [missed(1, 4), data(5, 2), missed(7, 4)]);
    assert_eq!(stream.on_deadline(at(1), true, &mut out), missing(11, 20, 0));
    // A sender can neither withdraw delivered events nor give up events it never sent.
    out.clear();
    stream.give_up(at(2), 9, &mut out);
    assert_eq!(out, []);
    stream.give_up(at(2), u64::MAX, &mut out);
    assert_eq!(out, [missed(11, 10)]);
    assert!(stream.is_complete());
}

#[test]
fn many_holes_are_requested_without_waiting_and_given_up_together() {
    let mut stream = stream();
    for i in 1..=100 {
        feed(&mut stream, 0, 2 * i, 1);
    }
    // Each repair allows the next request at once.
    for i in 0..100 {
        let request = stream.on_deadline(at(2), true, &mut Vec::new());
        assert_eq!(request, missing(2 * i + 1, 2 * i + 1, 0));
        assert_eq!(feed(&mut stream, 2, 2 * i + 1, 1).len(), 2);
    }
    for i in 1..=100 {
        feed(&mut stream, 3, 200 + 2 * i, 1);
    }
    let (_, out) = wait_out(&mut stream);
    assert_eq!(out.len(), 200);
    assert!(stream.is_complete());
}

#[test]
fn the_number_of_empty_frames_behind_a_hole_is_bounded() {
    let mut stream = stream();
    for i in 1..100_000 {
        feed(&mut stream, 0, 2 * i, 1);
    }
    assert!(stream.held.len() <= stream.settings.reorder_bytes / FRAME_COST);
}

#[test]
fn a_reported_position_counts_only_once_the_stream_is_quiet() {
    let mut stream = stream();
    feed(&mut stream, 0, 1, 1);
    stream.on_reported_position(at(0), 50);
    for i in 2..=40 {
        assert_eq!(feed(&mut stream, 10 * i, i, 1), [data(i, 1)]);
        assert_eq!(stream.on_deadline(at(10 * i), true, &mut Vec::new()), None);
    }
    assert_eq!(stream.deadline(), Some(at(500)));
    assert_eq!(stream.on_deadline(at(500), true, &mut Vec::new()), missing(41, 50, 0));
    stream.on_reported_position(at(501), 50);
    assert_eq!(feed(&mut stream, 502, 41, 10), [data(41, 10)]);
    assert_eq!(stream.deadline(), None);
}

#[test]
fn event_numbers_that_cut_through_a_frame_are_malformed() {
    let mut stream = stream();
    feed(&mut stream, 0, 1, 4);
    let mut out = Vec::new();
    let mut on = |first, count| stream.on_data(at(0), frame(first, count, Bytes::new()), &mut out);
    assert_eq!(on(3, 4), Accepted::Malformed);
    assert_eq!(on(10, 4), Accepted::Fresh);
    assert_eq!(on(12, 4), Accepted::Malformed);
    assert_eq!(on(8, 4), Accepted::Malformed);
    assert_eq!(on(10, 4), Accepted::Duplicate);
    assert_eq!(out, []);
}

proptest! {
    /// Under any loss, repetition or order of frames, every number from 1 on is released once and
    /// in order, as data or as missing.
    #[test]
    fn every_number_is_released_once_in_order(
        counts in prop::collection::vec(1u16..5, 1..40),
        picks in prop::collection::vec((0usize..40, 0u64..40), 0..120),
    ) {
        let mut frames = Vec::new();
        let mut first = 1;
        for count in counts {
            frames.push((first, count));
            first += u64::from(count);
        }
        let last = first - 1;
        let (mut stream, mut out, mut now) = (stream(), Vec::new(), 0);
        for (pick, wait) in picks {
            now += wait;
            stream.on_deadline(at(now), true, &mut out);
            let (first, count) = frames[pick % frames.len()];
            stream.on_data(at(now), frame(first, count, Bytes::new()), &mut out);
        }
        stream.on_position(at(now), last);
        stream.finish(&mut out);
        let mut next = 1;
        for released in out {
            let (first, n) = match released {
                Released::Data(frame) => (frame.first, u64::from(frame.count)),
                Released::Missed { first, missed } => (first, missed),
            };
            prop_assert_eq!(first, next);
            prop_assert!(n > 0);
            next += n;
        }
        prop_assert_eq!(next, last + 1);
    }
}
