//! The codec: encoding, decoding and sealing the reference frame of 100 state changes.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailmesh_codec::*;
use mailmesh_events::*;

const EVENTS: u16 = 100;

fn reference() -> Vec<Event> {
    let change = |i: u16| {
        let types = DataTypes::EMAIL | DataTypes::MAILBOX | DataTypes::THREAD;
        let id = ChangeId(3_000_000 + u64::from(i) * 37);
        StateChange::new(AccountId(20_000 + u32::from(i) * 7), id).with(types).into()
    };
    (0..EVENTS).map(change).collect()
}

fn codec(c: &mut Criterion) {
    let events = reference();
    let mut body = Vec::new();
    for event in &events {
        encode_event(event, &mut body).expect("the event fits");
    }
    println!("codec/reference frame: {} bytes for {EVENTS} events", body.len());

    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("encode 100 events", |b| {
        let mut out = Vec::with_capacity(body.len());
        b.iter(|| {
            out.clear();
            events.iter().try_for_each(|event| encode_event(event, &mut out))
        });
    });
    group.bench_function("decode 100 events", |b| {
        b.iter(|| decode_events(&body, EVENTS).filter(Result::is_ok).count());
    });

    let key = ClusterKey::from_bytes(&[7; 32]);
    let incarnation = [3; 16];
    let header =
        Header { kind: FrameKind::Data, lane: 1, incarnation, to: None, first: 1, count: EVENTS };
    let sealer = Sealer::keyed(&key, "mail", incarnation);
    group.bench_function("seal a frame of 100", |b| b.iter(|| sealer.seal(&header, &body)));
    let frame = sealer.seal(&header, &body).expect("the frame fits");
    let mut opener = Opener::keyed(&key, "mail", [9; 16]);
    group.bench_function("open a frame of 100", |b| b.iter(|| opener.open(&frame)));
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
