//! Publishes a burst of sealed events from one node to another over Zenoh on the loopback, at full
//! speed, and prints how many arrived.
//!
//! `cargo run --release -p mailmesh --example burst -- 1000000`

use std::time::Instant;

use mailmesh::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let coordinator = Coordinator::parse(&format!(
        "{{ listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    ))?;
    let key = ClusterKey::generate()?;
    let start = |name: &str| {
        Node::builder().name(name).coordinator(coordinator.clone()).key(key.clone()).start()
    };
    let (sender, receiver) = (start("sender").await?, start("receiver").await?);
    sender.wait_for_members(1).await;
    receiver.wait_for_members(1).await;
    let mut inbox = receiver.inbox(Filter::kinds([Kind::StateChange])?.without_members());

    let begun = Instant::now();
    let publisher = tokio::spawn({
        let sender = sender.clone();
        async move {
            for i in 0..count {
                let event = StateChange::new(AccountId(7), ChangeId(i)).with(DataTypes::EMAIL);
                sender.publish(event).await?;
            }
            Ok::<_, Error>(begun.elapsed())
        }
    });
    let (mut delivered, mut missed) = (0, 0);
    while delivered + missed < count {
        match inbox.recv().await {
            Some(Incoming::Gap(gap)) => {
                println!("gap: {} events missed, {}", gap.missed, gap.reason);
                missed += gap.missed;
            }
            Some(_) => delivered += 1,
            None => break,
        }
    }
    let (seconds, published) = (begun.elapsed().as_secs_f64(), publisher.await??);
    println!(
        "published in {:.2} s; after {seconds:.2} s {delivered} delivered, {missed} reported \
         missed; {:.0} events a second",
        published.as_secs_f64(),
        delivered as f64 / seconds
    );
    println!("sender:   {:?}", sender.status());
    println!("receiver: {:?}", receiver.status());
    sender.shutdown().await;
    receiver.shutdown().await;
    Ok(())
}
