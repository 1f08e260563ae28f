//! Two endpoints exchange an event: `cargo run -p mailmesh-delivery --example delivery_alone`

use mailmesh_delivery::{Endpoint, Identity, Incarnation, Lane, Output, Settings, Time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Time::from_start(std::time::Duration::from_millis(1));
    let endpoint = |name: &str, n: u8| -> Result<Endpoint, mailmesh_delivery::DeliveryError> {
        let identity = Identity::new(name.parse()?, Incarnation([n; 16]), n.into());
        Ok(Endpoint::new(identity, Settings::default(), now))
    };
    let mut endpoints = [endpoint("mx1", 1)?, endpoint("mx2", 2)?];
    carry(&mut endpoints, now);
    let frame = endpoints[0].send(now, Lane::Events, 1, "hello".into())?;
    endpoints[1].handle_frame(now, frame);
    carry(&mut endpoints, now);
    Ok(())
}

/// Carries frames until neither endpoint has output left: the caller is the network.
fn carry(endpoints: &mut [Endpoint; 2], now: Time) {
    while let Some(next) = (0..2).find_map(|i| Some((i, endpoints[i].poll_output()?))) {
        match next {
            (from, Output::Transmit { frame, .. }) => endpoints[1 - from].handle_frame(now, frame),
            (at, Output::Joined(peer)) => println!("endpoint {at}: {} joined", peer.name),
            (at, Output::Deliver { body, .. }) => println!("endpoint {at}: received {body:?}"),
            _ => {}
        }
    }
}
