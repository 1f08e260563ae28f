//! A delivery endpoint with arbitrary inputs.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use mailmesh_delivery::{
    Endpoint, Frame, FrameKind, Identity, Incarnation, Lane, Link, Output, Settings, Time, Via,
};

/// Most inputs of a run.
const STEPS: usize = 400;
const OWN_ID: u8 = 0;

fn incarnation(u: &mut Unstructured<'_>) -> Result<Incarnation> {
    Ok(Incarnation([u.int_in_range(0..=4)?; 16]))
}

fn frame(u: &mut Unstructured<'_>) -> Result<Frame> {
    let kind = match u.int_in_range(0..=5)? {
        0 => FrameKind::Data(Lane::Urgent),
        1 => FrameKind::Data(Lane::Events),
        2 => FrameKind::Direct,
        3 => FrameKind::Bulk,
        _ => FrameKind::Control,
    };
    let first = if u.ratio(1, 8)? { u.arbitrary()? } else { u.int_in_range(0..=60)? };
    let len = u.int_in_range(0..=120)?;
    let body = Bytes::copy_from_slice(u.bytes(len.min(u.len()))?);
    let to = u.ratio(1, 2)?.then_some(Incarnation([OWN_ID; 16]));
    let incarnation = incarnation(u)?;
    Ok(Frame { incarnation, to, kind, first, count: u.int_in_range(0..=20)?, body, wire: None })
}

/// The endpoint keeps its bounds, whatever arrives.
fn check(endpoint: &Endpoint, settings: &Settings) {
    assert!(endpoint.reorder_bytes() <= settings.reorder_bytes, "bytes behind holes");
    assert!(endpoint.unknown_sender_bytes() <= settings.unknown_sender_bytes, "unknown senders");
    assert!(endpoint.replay_bytes() <= 2 * settings.replay_bytes, "replay buffer");
    assert!(endpoint.relay_bytes() <= settings.relay_bytes, "relay buffer");
    assert!(endpoint.peer_count() <= settings.max_peers, "peers");
}

pub(crate) fn run(data: &[u8]) {
    let mut settings = Settings::default();
    settings.replay_bytes = 8 << 10;
    settings.relay_bytes = 8 << 10;
    settings.reorder_bytes = 4 << 10;
    settings.unknown_sender_bytes = 2 << 10;
    settings.window = 6 << 10;
    settings.max_peers = 3;
    let name = "own".parse().expect("a name");
    let identity = Identity::new(name, Incarnation([OWN_ID; 16]), 1);
    let mut now = Time::from_start(Duration::from_secs(1));
    let mut endpoint = Endpoint::new(identity, settings.clone(), now);
    let mut u = Unstructured::new(data);
    for _ in 0..STEPS {
        if u.is_empty() || step(&mut endpoint, &mut now, &mut u).is_err() {
            break;
        }
        let mut outputs = 0;
        while let Some(output) = endpoint.poll_output() {
            outputs += 1;
            assert!(outputs < 100_000, "an input causes endless outputs");
            if let Output::Gap(gap) = output {
                assert!(gap.missed > 0);
            }
        }
        check(&endpoint, &settings);
    }
}

fn step(endpoint: &mut Endpoint, now: &mut Time, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=9)? {
        0 => {
            *now = *now + Duration::from_millis(u.int_in_range(0..=2_000)?);
            endpoint.handle_deadline(*now);
        }
        1 => {
            let link = if u.arbitrary()? { Link::Up } else { Link::Down };
            endpoint.handle_link(*now, incarnation(u)?, link);
        }
        2 => {
            let lane = if u.arbitrary()? { Lane::Urgent } else { Lane::Events };
            if endpoint.may_send(lane) {
                let body = vec![1; u.int_in_range(0..=200)?];
                let count = u.int_in_range(1..=20)?;
                endpoint.send(*now, lane, count, body.into()).expect("the lane is open");
            }
        }
        3 => {
            let via = Via { peer: incarnation(u)?, number: u.int_in_range(0..=40)? };
            endpoint.handle_relayed(*now, via, frame(u)?);
        }
        4 => {
            let _not_a_member = endpoint.send_direct(incarnation(u)?, Bytes::from_static(b"hello"));
        }
        _ => endpoint.handle_frame(*now, frame(u)?),
    }
    Ok(())
}
