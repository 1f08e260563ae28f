//! One event in a sealed frame, and out of it: `cargo run -p mailmesh-codec --example codec_alone`

use mailmesh_codec::events::{Event, QueueSignal};
use mailmesh_codec::{
    ClusterKey, CodecError, FrameKind, Header, Opener, Sealer, decode_events, encode_event,
};

fn main() -> Result<(), CodecError> {
    let (key, other_key) = (ClusterKey::generate()?, ClusterKey::generate()?);
    let mut body = Vec::new();
    encode_event(&Event::from(QueueSignal::Refresh), &mut body)?;

    let incarnation = [7; 16];
    let header =
        Header { kind: FrameKind::Data, lane: 1, incarnation, to: None, first: 1, count: 1 };
    let frame = Sealer::keyed(&key, "mail", incarnation).seal(&header, &body)?;
    println!("{} bytes of events are {} bytes of a sealed frame", body.len(), frame.len());

    let (header, body) = Opener::keyed(&key, "mail", [9; 16]).open(&frame)?;
    for event in decode_events(&body, header.count) {
        println!("the receiver reads: {}", event?);
    }
    if let Err(error) = Opener::keyed(&other_key, "mail", [9; 16]).open(&frame) {
        println!("with another key: {error}");
    }
    Ok(())
}
